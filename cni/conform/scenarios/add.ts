// Executions of ADD beyond the plain one: behind another plugin, with a name that is taken, many at
// once, and in every version the plugin says it speaks.

import type { JsonObject } from '../../spec/json.ts'
import { isAtLeast, type Version } from '../../spec/versions.ts'
import type { Lab, Pod } from '../lab.ts'
import { inside } from '../namespaces.ts'
import { objectOf } from '../record.ts'
import { attach } from './life.ts'

/** ADDs that run at the same time. */
export const concurrentCount = 6

export const runAdd = async (lab: Lab): Promise<void> => {
  await takenName(lab)
  await concurrent(lab)
  for (const version of lab.versions) await inVersion(lab, version)
}

const takenName = async (lab: Lab): Promise<void> => {
  const label = 'ADD with a name that is taken'
  if (lab.role !== 'interface') return lab.skip('it makes no interface', label)
  const pod = await lab.pod()
  await takeName(lab, pod)
  await lab.run(label, { pod, look: true })
  await lab.removePod(pod)
}

/** Makes an interface of the name that ADD will be asked to make. */
export const takeName = async (lab: Lab, { netns }: Pod): Promise<void> => {
  const pair = ['type', 'veth', 'peer', 'name', 'ewtaken1']
  await inside(netns, 'ip', 'link', 'add', lab.options.ifName, ...pair)
}

const concurrent = async (lab: Lab): Promise<void> => {
  const pods: Pod[] = []
  for (let i = 0; i < concurrentCount; i++) pods.push(await lab.pod())
  const adds = await Promise.all(pods.map((pod, i) => lab.run(`concurrent ADD ${i + 1}`, { pod })))
  await Promise.all(
    pods.map((pod, i) => {
      const add = adds[i]
      const result = add === undefined ? undefined : objectOf(add)
      return lab.run(`concurrent DEL ${i + 1}`, { verb: 'DEL', pod, result })
    }),
  )
  for (const pod of pods) await lab.removePod(pod)
}

/** The label of the ADD in that version. */
export const addIn = (version: Version): string => `ADD in ${version}`

const inVersion = async (lab: Lab, version: Version): Promise<void> => {
  const attached = await attach(lab, addIn(version), version)
  if (attached === undefined) return
  const { pod, result } = attached
  const verb = 'DEL'
  const handed = isAtLeast(version, '0.4.0') ? result : undefined
  await lab.run(`DEL in ${version}`, { verb, pod, version, result: handed })
  await lab.removePod(pod)
}

/** What a plugin before ours might have given, with an interface that is none of ours. */
export const earlierResult = (pod: Pod): JsonObject => ({
  cniVersion: '1.0.0',
  interfaces: [
    { name: 'ewearlier0', mac: '02:00:5e:00:53:01' },
    { name: 'ewearlier1', mac: '02:00:5e:00:53:02', sandbox: pod.netns },
  ],
  ips: [{ address: '192.0.2.77/24', gateway: '192.0.2.1', interface: 1 }],
  routes: [{ dst: '198.51.100.0/24', gw: '192.0.2.1' }],
  dns: { nameservers: ['192.0.2.53'] },
})

/** ADD as a later plugin of a chain: behind an interface of a pair, and behind none. */
export const runChained = async (lab: Lab): Promise<void> => {
  const labels = ['ADD behind another plugin', 'ADD behind a plugin without host interface']
  if (!lab.supports('1.0.0')) return lab.skip('it does not know 1.0.0', ...labels)
  const [behind = '', alone = ''] = labels
  const pod = await lab.pod()
  await inside(pod.netns, 'ip', 'link', 'add', 'ewearlier1', 'type', 'veth', 'peer', 'ewearlier2')
  const result = { ...earlierResult(pod), cniVersion: lab.version }
  await lab.run(behind, { pod, result })
  await lab.removePod(pod)
  const other = await lab.pod()
  const { dns, ips, routes } = earlierResult(other)
  const only = { name: 'ewearlier1', mac: '02:00:5e:00:53:02', sandbox: other.netns }
  const lists = { interfaces: [only], ips: [{ ...(ips as JsonObject[])[0], interface: 0 }] }
  await lab.run(alone, {
    pod: other,
    result: { cniVersion: lab.version, ...lists, routes, dns },
  })
  await lab.removePod(other)
}
