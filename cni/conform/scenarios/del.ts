// Executions of DEL with something missing: its prevResult, the interface, the namespace, the
// daemon, everything; and one that comes when its address belongs to somebody else.

import { isAtLeast } from '../../spec/versions.ts'
import type { Lab, Pod } from '../lab.ts'
import { inside, removeNamespace } from '../namespaces.ts'
import { entriesOf, objectOf, textOf } from '../record.ts'
import { attach } from './life.ts'

export const runDel = async (lab: Lab): Promise<void> => {
  await without(lab, 'prevResult', {})
  await without(lab, 'its interface', { isLinkGone: true })
  await without(lab, 'its namespace', { isNamespaceGone: true })
  await without(lab, 'CNI_NETNS', { isVariableEmpty: true })
  await neverAdded(lab)
  await late(lab)
  await releasesAddress(lab)
  await daemonDown(lab)
}

type Missing = {
  readonly isLinkGone?: boolean
  readonly isNamespaceGone?: boolean
  readonly isVariableEmpty?: boolean
}

const without = async (lab: Lab, what: string, missing: Missing): Promise<void> => {
  const attached = await attach(lab, `ADD, then DEL without ${what}`)
  if (attached === undefined) return lab.skip('ADD fails', `DEL without ${what}`)
  const { pod, result } = attached
  const ifName = lab.options.ifName
  if (missing.isLinkGone === true && lab.role === 'interface') {
    await inside(pod.netns, 'ip', 'link', 'delete', ifName)
  }
  if (missing.isNamespaceGone === true) await removeNamespace(pod.netns)
  const isPlain = Object.keys(missing).length === 0
  await lab.run(`DEL without ${what}`, {
    verb: 'DEL',
    pod,
    ...(isPlain ? {} : { result }),
    ...(missing.isVariableEmpty === true ? { environment: { CNI_NETNS: '' } } : {}),
  })
  await lab.removePod(pod)
}

const neverAdded = async (lab: Lab): Promise<void> => {
  const pod = { netns: '/run/netns/ew-conform-never', containerId: 'ew-conform-never' }
  await lab.run('DEL of what was never added', {
    verb: 'DEL',
    pod: { ...pod, previous: undefined },
  })
}

// The late DEL names the newer attachment's addresses, as it would after a quick reuse: whoever
// frees by address frees the wrong pod's.
const late = async (lab: Lab): Promise<void> => {
  const labels = ['late DEL', 'CHECK after the late DEL', 'ADD after the late DEL']
  const old = await attach(lab, 'ADD of an older attachment')
  if (old === undefined) return lab.skip('ADD fails', ...labels)
  await lab.run('DEL of an older attachment', { verb: 'DEL', pod: old.pod, result: old.result })
  const now = await attach(lab, 'ADD of a newer attachment')
  if (now === undefined) return lab.skip('ADD fails', ...labels)
  const ips = entriesOf(now.result, 'ips')
  const result = { ...old.result, ...(ips.length > 0 ? { ips } : {}) }
  await lab.run('late DEL', {
    verb: 'DEL',
    pod: { ...now.pod, containerId: old.pod.containerId },
    environment: { CNI_NETNS: '' },
    result,
    look: true,
  })
  await afterwards(lab, now.pod, now.result)
  await lab.removePod(now.pod)
  await lab.removePod(old.pod)
}

const afterwards = async (
  lab: Lab,
  pod: Pod,
  result: Readonly<Record<string, unknown>>,
): Promise<void> => {
  if (isAtLeast(lab.version, '0.4.0')) {
    await lab.run('CHECK after the late DEL', { verb: 'CHECK', pod, result })
  } else lab.skip('it supports no version that knows CHECK', 'CHECK after the late DEL')
  const other = await lab.pod()
  await lab.run('ADD after the late DEL', { pod: other })
  await lab.removePod(other)
}

// For plugins that take no wishes: whether CHECK still finds the address.
const releaseChecks = ['CHECK of a held address', 'CHECK of a released address'] as const

// Whether an address was released shows when somebody else may have it. The control: while it is
// held, nobody else may.
const releasesAddress = async (lab: Lab): Promise<void> => {
  const labels = ['ADD for a held address', 'ADD for a released address', ...releaseChecks]
  if (lab.role !== 'ipam') return lab.skip('it is no IPAM plugin', ...labels)
  const pods = [await lab.pod(), await lab.pod(), await lab.pod()]
  const [held, second, third] = pods
  if (held === undefined || second === undefined || third === undefined) return
  const add = await lab.run('ADD to be released without a namespace', { pod: held })
  const address = textOf(entriesOf(objectOf(add), 'ips')[0]?.['address']).replace(/\/.*/, '')
  const environment = { CNI_ARGS: `IgnoreUnknown=1;IP=${address}` }
  await lab.run('ADD for a held address', { pod: second, environment })
  await removeNamespace(held.netns)
  const [whileHeld, afterwards] = releaseChecks
  const check = { verb: 'CHECK', pod: held, result: objectOf(add) }
  const knowsCheck = isAtLeast(lab.version, '0.4.0')
  if (knowsCheck) await lab.run(whileHeld, check)
  else lab.skip('it supports no version that knows CHECK', ...releaseChecks)
  await lab.run('DEL without a namespace', { verb: 'DEL', pod: held })
  if (knowsCheck) await lab.run(afterwards, check)
  await lab.run('ADD for a released address', { pod: third, environment })
  for (const pod of pods) await lab.removePod(pod)
}

const daemonDown = async (lab: Lab): Promise<void> => {
  const { daemonDown } = lab.options
  if (daemonDown === undefined) {
    return lab.skip('no configuration was given that cuts it from a daemon', 'DEL without a daemon')
  }
  const pod = await lab.pod()
  await lab.run('DEL without a daemon', { verb: 'DEL', pod, config: daemonDown })
  await lab.removePod(pod)
}
