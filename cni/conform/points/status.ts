// Points about STATUS and GC.

import {
  both,
  fail,
  fails,
  notApplicable,
  pass,
  refuses,
  silent,
  succeeds,
  unseen,
  want,
  wants,
  allOf,
  type Judge,
  type Point,
  type Want,
} from '../judge.ts'
import {
  added,
  changesOf,
  codeOf,
  newLinks,
  summaryOf,
  type Execution,
  type Recording,
} from '../record.ts'
import { refusalCode } from '../scenarios/delegation.ts'
import { statusRuns, timed } from '../scenarios/status.ts'

const section = 'STATUS'

/**
 * What STATUS may take beyond starting processes, milliseconds. VERSION tells what one costs here,
 * and a delegate may be another; of a few runs a busy machine delays the fastest least.
 */
const statusMsMax = 100

const fastest = (recording: Recording, isMeant: (execution: Execution) => boolean): number =>
  Math.min(
    ...[...recording.executions.values()].filter(isMeant).map(({ milliseconds }) => milliseconds),
  )

const bounded: Judge = recording => {
  const labels = Array.from({ length: statusRuns }, (_, i) => timed(i))
  const verdict = wants(...labels.map(label => want(label, succeeds)))(recording)
  if (verdict.status === 'n/a') return verdict
  const best = fastest(recording, ({ label }) => labels.includes(label))
  const start = fastest(recording, ({ verb }) => verb === 'VERSION')
  const isQuick = best <= statusMsMax + 2 * start
  const text = `fastest STATUS ${isQuick ? 'within' : 'beyond'} ${statusMsMax} ms and two VERSIONs`
  return isQuick ? pass(text) : fail(`${text}: ${best.toFixed(0)} and ${start.toFixed(0)} ms`)
}

const reaches =
  (verb: string): Want['expect'] =>
  execution =>
    execution.delegate.some(call => call.verb === verb)
      ? undefined
      : `the delegate got no ${verb}: ${summaryOf(execution)}`

const statusCode: Want['expect'] = execution => {
  const code = codeOf(execution)
  const isPassedOn = code === refusalCode && execution.delegate.length > 0
  return code === 50 || code === 51 || isPassedOn ? undefined : summaryOf(execution)
}

// The suite's first ADD comes before its first STATUS.
const neverNeeded: Judge = recording =>
  recording.versions.includes('1.1.0')
    ? wants(want('first ADD', succeeds), want('ADD after STATUS said no', succeeds))(recording)
    : notApplicable('it supports no version that knows STATUS and GC')

export const statusPoints: readonly Point[] = [
  {
    id: 98,
    level: 'REFERENCE',
    section,
    text: 'STATUS of a configuration below 1.1.0 is error 1.',
    judge: wants(want('STATUS in 1.0.0', refuses(1))),
  },
  {
    id: 99,
    level: 'MUST',
    section,
    text: 'STATUS exits 0 when the plugin is ready for ADD, and fails when it knows it is not.',
    judge: wants(want(timed(0), both(succeeds, silent)), want('STATUS without a daemon', fails)),
  },
  {
    id: 100,
    level: 'SHOULD',
    section,
    text: 'STATUS fails when a daemon it needs is down.',
    judge: wants(want('STATUS without a daemon', fails)),
  },
  {
    id: 101,
    level: 'MUST',
    section,
    text: 'A STATUS that says no uses code 50 or 51.',
    judge: wants(
      want('STATUS without a daemon', statusCode),
      want('STATUS while the delegate refuses', statusCode),
    ),
  },
  {
    id: 102,
    level: 'MUST',
    section,
    text: 'The other verbs work without STATUS, and after it said no.',
    judge: neverNeeded,
  },
  {
    id: 103,
    level: 'MUST',
    section,
    text: "STATUS reaches the delegate, and the delegate's error becomes the plugin's.",
    judge: wants(
      want('delegated STATUS', reaches('STATUS')),
      want('STATUS while the delegate refuses', fails),
    ),
  },
  {
    id: 105,
    level: 'ENGINEERING',
    section,
    text: 'STATUS takes tens of milliseconds beyond starting a process.',
    judge: bounded,
  },
]

const gcSection = 'GC'

const untouched: Want['expect'] = execution => {
  if (execution.exitCode !== 0) return summaryOf(execution)
  const changes = execution.host === undefined ? '' : changesOf(execution.host)
  return changes === '' ? undefined : `changed ${changes}`
}

/** Lines that came to the host with the attachment of that ADD. */
const ownLines = (add: Execution | undefined): readonly string[] =>
  add?.host === undefined ? [] : added(add.host.before, add.host.after)

const removesStale: Judge = recording => {
  const verdict = wants(
    want('GC with one left', succeeds),
    want('CHECK of what GC kept', succeeds),
    want('GC of another network', untouched),
  )(recording)
  if (verdict.status !== 'pass') return verdict
  const stale = ownLines(recording.executions.get('ADD of what GC removes'))
  const kept = ownLines(recording.executions.get('ADD of what GC keeps'))
  const remaining = remainingAfter(recording, 'host after GC with one left')
  if (remaining === undefined || stale.length === 0) {
    return notApplicable('its attachments leave no trace on the host that could be looked at')
  }
  const left = stale.filter(line => remaining.includes(line))
  const lost = kept.filter(line => !remaining.includes(line))
  if (left.length > 0) return fail(`left of the stale attachment: ${left.join(', ')}`)
  if (lost.length > 0) return fail(`removed of the valid attachment: ${lost.join(', ')}`)
  return pass(`removed ${stale.length} traces of the stale attachment, kept those of the other`)
}

const remainingAfter = (recording: Recording, label: string): readonly string[] | undefined => {
  const now = recording.snapshots.get(label)
  return now === undefined ? undefined : added({ links: [], routes: [] }, now)
}

const emptyMeansNone: Judge = recording => {
  const verdict = wants(
    want('GC without a list', untouched),
    want('GC with an empty list', succeeds),
  )(recording)
  if (verdict.status !== 'pass') return verdict
  const add = recording.executions.get('ADD of what GC keeps')
  const remaining = remainingAfter(recording, 'host after GC with an empty list')
  if (remaining === undefined || ownLines(add).length === 0) {
    return notApplicable('its attachments leave no trace on the host that could be looked at')
  }
  const left = ownLines(add).filter(line => remaining.includes(line))
  if (left.length > 0) return fail(`an empty list kept: ${left.join(', ')}`)
  const names = add?.host === undefined ? [] : newLinks(add.host).map(({ name }) => name)
  return pass(`without the key nothing changed; an empty list removed ${names.join(', ')} too`)
}

const gcRuns = ['GC without a list', 'GC of another network', 'GC with one left']

export const gcPoints: readonly Point[] = [
  {
    id: 111,
    level: 'REFERENCE',
    section: gcSection,
    text: 'GC of a configuration below 1.1.0 is error 1.',
    judge: wants(want('GC in 1.0.0', refuses(1))),
  },
  {
    id: 114,
    level: 'SHOULD',
    section: gcSection,
    text: 'GC removes what is left of attachments that are not valid any more, of this network only.',
    judge: removesStale,
  },
  {
    id: 115,
    level: 'MAY',
    section: gcSection,
    text: 'GC may assume that the namespaces of absent attachments are gone.',
    judge: unseen('a permission to the plugin; whether it uses it cannot be told from outside'),
  },
  {
    id: 116,
    level: 'SHOULD',
    section: gcSection,
    text: 'GC normally succeeds; after an error it carries on and reports at the end.',
    judge: allOf(
      wants(...gcRuns.map(label => want(label, succeeds))),
      wants(want('GC while the delegate refuses', fails)),
    ),
  },
  {
    id: 117,
    level: 'MUST',
    section: gcSection,
    text: 'GC reaches every delegate.',
    judge: wants(want('delegated GC', reaches('GC'))),
  },
  {
    id: 118,
    level: 'MUST',
    section: gcSection,
    text: 'A successful GC prints nothing.',
    judge: wants(...gcRuns.map(label => want(label, both(succeeds, silent)))),
  },
  {
    id: 122,
    level: 'ENGINEERING',
    section: gcSection,
    text: 'Without the list GC removes nothing; with an empty list nothing is valid.',
    judge: emptyMeansNone,
  },
]
