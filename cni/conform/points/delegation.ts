// Points about how a plugin runs its delegate, and what VERSION answers.

import { isObject } from '../../spec/json.ts'
import { fails, NotApplicable, want, wants, type Judge, type Point, type Want } from '../judge.ts'
import { delegateWords } from '../delegate.ts'
import { objectOf, quote, summaryOf, type Execution } from '../record.ts'

const section = 'Section 4: delegated plugins'

const firstCall: Want['expect'] = execution =>
  execution.delegate.length > 0
    ? undefined
    : `no delegate of CNI_PATH was run: ${summaryOf(execution)}`

const sameRequest =
  (verb: string): Want['expect'] =>
  execution => {
    const call = execution.delegate.find(found => found.verb === verb)
    if (call === undefined) return `the delegate got no ${verb}`
    const wanted = Object.entries(execution.environment).filter(([key]) => key.startsWith('CNI_'))
    const other = wanted.find(([key, value]) => call.environment[key] !== value)
    if (other !== undefined) return `the delegate has ${other[0]}=${call.environment[other[0]]}`
    return sameConfig(execution, call.stdin)
  }

const sameConfig = (execution: Execution, stdin: string): string | undefined => {
  const ours = JSON.parse(execution.stdin) as Readonly<Record<string, unknown>>
  const theirs = objectOf({ ...execution, stdout: stdin })
  if (theirs === undefined) return `the delegate reads ${quote(stdin)}`
  const other = Object.keys(ours).find(key => !isSame(ours[key], theirs[key]))
  return other === undefined ? undefined : `the delegate reads ${other} differently`
}

// Keys may come in another order.
const isSame = (one: unknown, other: unknown): boolean => canonical(one) === canonical(other)

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).toSorted(byKey)) : part,
  )

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1)

const forwardsStderr: Want['expect'] = execution => {
  if (execution.delegate.length === 0) return new NotApplicable('it ran no delegate')
  return execution.stderr.includes(delegateWords)
    ? undefined
    : `its stderr is ${quote(execution.stderr)}`
}

const reached =
  (verb: string): Want['expect'] =>
  execution =>
    execution.delegate.some(call => call.verb === verb) ? undefined : `the delegate got no ${verb}`

// Nothing is said of a plugin that only adjusts: it may work without an address.
const needsAddress: Want['expect'] = (execution, { role }) => {
  if (role !== 'interface') return new NotApplicable('it makes no interface')
  return execution.exitCode === 0 ? 'succeeds without an address (exit 0)' : undefined
}

const saysVersions: Want['expect'] = execution => {
  const reply = objectOf(execution)
  if (execution.exitCode !== 0 || reply === undefined) return summaryOf(execution)
  const { cniVersion, supportedVersions } = reply
  if (typeof cniVersion !== 'string' || cniVersion === '') return 'it says no cniVersion'
  const isList = Array.isArray(supportedVersions) && supportedVersions.length > 0
  const isOld = supportedVersions === undefined && cniVersion === '0.2.0'
  return isList || isOld ? undefined : `supportedVersions is ${JSON.stringify(supportedVersions)}`
}

const judgeVersion: Judge = wants(want('VERSION', saysVersions))

export const delegationPoints: readonly Point[] = [
  {
    id: 107,
    level: 'SHOULD',
    section: 'VERSION',
    text: 'VERSION prints cniVersion and supportedVersions.',
    judge: judgeVersion,
  },
  {
    id: 133,
    level: 'SHOULD',
    section,
    text: 'A delegate is looked for in CNI_PATH.',
    judge: wants(want('delegated ADD', firstCall)),
  },
  {
    id: 134,
    level: 'MUST',
    section,
    text: 'A delegate gets the same variables and the complete configuration.',
    judge: wants(
      want('delegated ADD', sameRequest('ADD')),
      want('delegated CHECK', sameRequest('CHECK')),
      want('delegated DEL', sameRequest('DEL')),
    ),
  },
  {
    id: 135,
    level: 'SHOULD',
    section,
    text: "A delegate's stderr is forwarded to the plugin's.",
    judge: wants(
      want('delegated ADD', forwardsStderr),
      want('ADD while the delegate refuses', forwardsStderr),
    ),
  },
  {
    id: 136,
    level: 'MUST',
    section,
    text: 'CHECK, DEL and GC reach the delegate, and its errors come back.',
    judge: wants(
      want('delegated CHECK', reached('CHECK')),
      want('delegated DEL', reached('DEL')),
      want('delegated GC', reached('GC')),
      want('CHECK while the delegate refuses', fails),
      want('DEL while the delegate refuses', fails),
      want('GC while the delegate refuses', fails),
    ),
  },
  {
    id: 138,
    level: 'REFERENCE',
    section: 'ipam, the reference library',
    text: 'A plugin that makes an interface fails when its delegate gives no address.',
    judge: wants(want('ADD while the delegate gives no address', needsAddress)),
  },
]
