// Executions of STATUS and GC. Plugins that support no version with them are only asked nothing.

import type { Lab } from '../lab.ts'
import { removeNamespace } from '../namespaces.ts'
import { attach } from './life.ts'

/** How often STATUS is timed; the fastest counts. */
export const statusRuns = 5

const unknown = 'it supports no version that knows STATUS and GC'

/** Label of one of the timed executions. */
export const timed = (i: number): string => `STATUS, ${i + 1}`

export const runStatus = async (lab: Lab): Promise<void> => {
  const verb = 'STATUS'
  const labels = Array.from({ length: statusRuns }, (_, i) => timed(i))
  const down = ['STATUS without a daemon', 'ADD after STATUS said no']
  if (!lab.supports('1.1.0')) {
    return lab.skip(unknown, 'STATUS in 1.0.0', ...labels, ...down)
  }
  await lab.run('STATUS in 1.0.0', { verb, version: '1.0.0' })
  for (const label of labels) await lab.run(label, { verb })
  const { daemonDown } = lab.options
  if (daemonDown === undefined) {
    return lab.skip('no configuration was given that cuts it from a daemon', ...down)
  }
  await lab.run('STATUS without a daemon', { verb, config: daemonDown })
  const pod = await lab.pod()
  await lab.run('ADD after STATUS said no', { pod })
  await lab.removePod(pod)
}

const key = 'cni.dev/valid-attachments'

export const runGc = async (lab: Lab): Promise<void> => {
  const labels = ['GC in 1.0.0', 'GC without a list', 'GC of another network', 'GC with one left']
  const more = ['GC with an empty list', 'CHECK of what GC kept']
  if (!lab.supports('1.1.0')) return lab.skip(unknown, ...labels, ...more)
  await lab.run('GC in 1.0.0', { verb: 'GC', version: '1.0.0', config: { [key]: [] } })
  const kept = await attach(lab, 'ADD of what GC keeps')
  const stale = await attach(lab, 'ADD of what GC removes')
  if (kept === undefined || stale === undefined) return lab.skip('ADD fails', ...labels, ...more)
  await removeNamespace(stale.pod.netns)
  await collect(lab, kept.pod.containerId)
  const { pod, result } = kept
  await lab.run('CHECK of what GC kept', { verb: 'CHECK', pod, result })
  await lab.run('GC with an empty list', { verb: 'GC', config: { [key]: [] } })
  await settle(lab, 'host after GC with an empty list')
  await lab.removePod(stale.pod)
  await lab.removePod(kept.pod)
}

const collect = async (lab: Lab, containerID: string): Promise<void> => {
  const verb = 'GC'
  await lab.look('host before GC', lab.host)
  await lab.run('GC without a list', { verb, look: true })
  const other = { name: `${lab.subject.name}-conform`, [key]: [] }
  await lab.run('GC of another network', { verb, config: other, look: true })
  const valid = [{ containerID, ifname: lab.options.ifName }]
  await lab.run('GC with one left', { verb, config: { [key]: valid } })
  await settle(lab, 'host after GC with one left')
}

// Links may go after the answer.
const settle = async (lab: Lab, label: string): Promise<void> => {
  await lab.quiet()
  await lab.look(label, lab.host)
}
