// The first executions of all: what the plugin says of itself, and one life of an attachment from
// ADD to a repeated DEL. Everything else builds on what is learnt here.

import { isObject, type JsonObject } from '../../spec/json.ts'
import { isAtLeast, newestVersion, versions, type Version } from '../../spec/versions.ts'
import type { Lab, Pod } from '../lab.ts'
import { changesOf, linesOf, newLinks, objectOf, type Execution, type Role } from '../record.ts'

/** Runs VERSION and a first life; false when ADD does not work, so that little else can be run. */
export const live = async (lab: Lab): Promise<boolean> => {
  const version = await lab.run('VERSION', { verb: 'VERSION' })
  learnVersions(lab, version)
  // Before any STATUS: a plugin may not rely on being asked.
  if (!(await warmUp(lab))) {
    lab.skip('ADD fails', 'CHECK', 'DEL', 'repeated DEL')
    return false
  }
  const pod = await lab.pod()
  const add = await lab.run('ADD', { pod, look: true })
  const result = objectOf(add)
  if (isAtLeast(lab.version, '0.4.0')) {
    await lab.run('CHECK', { verb: 'CHECK', pod, result, look: true })
  } else lab.skip('it supports no version that knows CHECK', 'CHECK')
  await lab.run('DEL', { verb: 'DEL', pod, result, look: true })
  await lookAfter(lab, pod)
  await lab.run('repeated DEL', { verb: 'DEL', pod, result })
  await lab.removePod(pod)
  return true
}

const learnVersions = (lab: Lab, execution: Execution): void => {
  const supported: unknown = objectOf(execution)?.['supportedVersions']
  const said: readonly unknown[] = Array.isArray(supported) ? supported : []
  lab.versions = versions.filter(known => said.includes(known))
  lab.version = lab.versions.at(-1) ?? newestVersion
}

// What the first ADD makes and its DEL leaves, a bridge for instance, is not the attachment's.
const warmUp = async (lab: Lab): Promise<boolean> => {
  const pod = await lab.pod()
  const add = await lab.run('first ADD', { pod, look: true })
  lab.role = roleOf(add, pod)
  const result = objectOf(add)
  if (add.exitCode !== 0) lab.skip('ADD fails', 'first DEL')
  else await lab.run('first DEL', { verb: 'DEL', pod, result, look: true })
  await lab.removePod(pod)
  await lab.quiet()
  await lab.look('host at rest', lab.host)
  return add.exitCode === 0
}

const roleOf = (add: Execution, pod: Pod): Role => {
  if (add.exitCode !== 0 || add.pod === undefined || add.host === undefined) return 'unknown'
  if (newLinks(add.pod).length > 0) return 'interface'
  const result = objectOf(add)
  const isUntouched = changesOf(add.pod) === '' && changesOf(add.host) === ''
  const hasAddress = ['ips', 'ip4', 'ip6'].some(key => result?.[key] !== undefined)
  return isUntouched && hasAddress && pod.previous === undefined ? 'ipam' : 'adjusting'
}

// Some plugins finish a DEL after their answer; what counts is what is left in the end.
const lookAfter = async (lab: Lab, pod: Pod): Promise<void> => {
  const rest = lab.snapshots.get('host at rest')
  const wanted = rest === undefined ? '' : linesOf(rest).join('\n')
  await lab.settled(lab.host, now => linesOf(now).join('\n') === wanted)
  await lab.look('host after DEL', lab.host)
  await lab.look('pod after DEL', pod.netns)
}

/** A pod with its attachment, or undefined when ADD failed this time. */
export const attach = async (
  lab: Lab,
  label: string,
  version: Version = lab.version,
): Promise<{ readonly pod: Pod; readonly result: JsonObject } | undefined> => {
  const pod = await lab.pod(version)
  const add = await lab.run(label, { pod, version, look: true })
  const result = objectOf(add)
  if (add.exitCode === 0 && isObject(result)) return { pod, result }
  await lab.removePod(pod)
  return undefined
}
