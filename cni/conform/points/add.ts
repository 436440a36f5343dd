// Points about ADD.

import { isObject } from '../../spec/json.ts'
import {
  fail,
  NotApplicable,
  notApplicable,
  pass,
  succeeds,
  want,
  wants,
  type Judge,
  type Point,
  type Want,
} from '../judge.ts'
import {
  changesOf,
  entriesOf,
  newLinks,
  objectOf,
  quote,
  summaryOf,
  type Execution,
  type Recording,
  textOf,
} from '../record.ts'
import { concurrentCount } from '../scenarios/add.ts'

const section = 'ADD'

const interfaceMade: Want['expect'] = (execution, { role }) => {
  if (role === 'ipam') return new NotApplicable('an IPAM plugin makes no interface')
  const seen = execution.pod
  if (execution.exitCode !== 0 || seen === undefined) return summaryOf(execution)
  const ifName = execution.environment['CNI_IFNAME'] ?? ''
  if (newLinks(seen).some(({ name }) => name === ifName)) return undefined
  const changes = changesOf(seen) + (execution.host === undefined ? '' : changesOf(execution.host))
  return changes === ''
    ? new NotApplicable('it changed nothing visible, and made no interface')
    : undefined
}

const printsResult: Want['expect'] = execution => {
  if (execution.exitCode !== 0) return summaryOf(execution)
  const result = objectOf(execution)
  return typeof result?.['cniVersion'] === 'string'
    ? undefined
    : `stdout is ${quote(execution.stdout)}`
}

const refusesName: Want['expect'] = execution => {
  if (execution.exitCode === 0) return 'succeeds (exit 0)'
  const changes = [execution.pod, execution.host].map(seen => (seen ? changesOf(seen) : ''))
  return changes.every(text => text === '') ? undefined : `left behind: ${changes.join(' ')}`
}

/** What of the earlier result is missing in this one; undefined when all is there. */
const lost = (execution: Execution): string | undefined => {
  const before = JSON.parse(execution.stdin) as { readonly prevResult?: unknown }
  const previous = isObject(before.prevResult) ? before.prevResult : undefined
  const result = objectOf(execution)
  const keys: readonly (readonly [string, string])[] = [
    ['interfaces', 'name'],
    ['ips', 'address'],
    ['routes', 'dst'],
  ]
  const missing = keys.flatMap(([list, key]) => {
    const have = new Set(entriesOf(result, list).map(entry => entry[key]))
    return entriesOf(previous, list)
      .filter(entry => !have.has(entry[key]))
      .map(entry => `${list} ${textOf(entry[key])}`)
  })
  return missing.length === 0 ? undefined : `dropped ${missing.join(', ')}`
}

const refusesChain = 'it refuses to run behind another plugin, so nothing is dropped'

const toItsCaller = 'an IPAM plugin answers its caller, which has the prevResult itself'

const passesOn: Want['expect'] = (execution, { role }) => {
  if (role === 'ipam') return new NotApplicable(toItsCaller)
  return execution.exitCode === 0 ? lost(execution) : new NotApplicable(refusesChain)
}

// Indexes point into the list of interfaces, so what was there keeps its place.
const keepsPlaces: Want['expect'] = (execution, { role }) => {
  if (role === 'ipam') return new NotApplicable(toItsCaller)
  if (execution.exitCode !== 0) return new NotApplicable(refusesChain)
  const missing = lost(execution)
  if (missing !== undefined) return missing
  const { prevResult } = JSON.parse(execution.stdin) as { readonly prevResult: object }
  const result = objectOf(execution)
  for (const list of ['interfaces', 'ips', 'routes']) {
    const before = entriesOf({ ...prevResult }, list)
    const moved = before.find((entry, i) => {
      const now = entriesOf(result, list)[i] ?? {}
      return Object.keys(entry).some(key => textOf(now[key]) !== textOf(entry[key]))
    })
    if (moved !== undefined) return `changed ${list} ${JSON.stringify(moved)}`
  }
  return undefined
}

const concurrent: Judge = recording => {
  const runs = (verb: string) =>
    Array.from({ length: concurrentCount }, (_, i) => `concurrent ${verb} ${i + 1}`)
  const verdict = wants(...[...runs('ADD'), ...runs('DEL')].map(label => want(label, succeeds)))(
    recording,
  )
  if (verdict.status !== 'pass') return verdict
  const addresses = runs('ADD').flatMap(label => addressesOf(recording, label))
  const distinct = new Set(addresses)
  if (recording.role !== 'adjusting' && distinct.size < addresses.length) {
    return fail(`one address was given twice: ${addresses.join(', ')}`)
  }
  return pass(`${concurrentCount} ADDs and DELs at once: all exit 0, ${distinct.size} addresses`)
}

const addressesOf = (recording: Recording, label: string): readonly string[] => {
  const execution = recording.executions.get(label)
  const result = execution === undefined ? undefined : objectOf(execution)
  return entriesOf(result, 'ips').map(({ address }) => textOf(address))
}

const asksDelToo: Want['expect'] = execution => {
  if (execution.exitCode === 0) return new NotApplicable('the ADD succeeded')
  const verbs = execution.delegate.map(({ verb }) => verb)
  if (!verbs.includes('ADD')) return undefined
  return verbs.includes('DEL') ? undefined : 'the delegate got ADD and no DEL'
}

const rollsBack: Judge = recording =>
  recording.executions.has('delegated ADD')
    ? wants(
        want('ADD while the delegate refuses', asksDelToo),
        want('ADD while the delegate gives no address', asksDelToo),
        want('delegated ADD with a name that is taken', asksDelToo),
      )(recording)
    : notApplicable(
        `${recording.skipped.get('delegated ADD') ?? 'it was not run'}; ` +
          'what a failed ADD leaves otherwise is judged by point 61',
      )

export const addPoints: readonly Point[] = [
  {
    id: 58,
    level: 'SHOULD',
    section,
    text: "ADD makes CNI_IFNAME in the pod's namespace, or adjusts what is there.",
    judge: wants(want('ADD', interfaceMade)),
  },
  {
    id: 59,
    level: 'MUST',
    section,
    text: 'A successful ADD prints a result.',
    judge: wants(want('first ADD', printsResult), want('ADD', printsResult)),
  },
  {
    id: 60,
    level: 'MUST',
    section,
    text: 'Given a prevResult, the plugin passes it on or changes it knowingly, never drops it.',
    judge: wants(want('ADD behind another plugin', passesOn)),
  },
  {
    id: 61,
    level: 'MUST',
    section,
    text: 'A plugin that makes interfaces fails when the name is taken, and leaves nothing.',
    judge: wants(want('ADD with a name that is taken', refusesName)),
  },
  {
    id: 67,
    level: 'SHOULD',
    section: 'Section 4: delegation',
    text: "When its delegate's ADD or its own work fails, the delegate gets a DEL.",
    judge: rollsBack,
  },
  {
    id: 69,
    level: 'MUST',
    section: 'Lifecycle and ordering',
    text: 'Executions for different containers at the same time are safe.',
    judge: concurrent,
  },
  {
    id: 144,
    level: 'MUST',
    section: 'ADD success',
    text: 'Behind another plugin the result is prevResult plus the own changes, in its places.',
    judge: wants(want('ADD behind another plugin', keepsPlaces)),
  },
]
