// Points about CHECK.

import {
  fails,
  notApplicable,
  refuses,
  succeeds,
  want,
  wants,
  type Judge,
  type Point,
  type Want,
} from '../judge.ts'
import { changesOf, linesOf, type Execution } from '../record.ts'

const section = 'CHECK'

/** What was taken away is still missing: a plugin that repaired it meanwhile may be content. */
const isStillDamaged = ({ damage, host, pod }: Execution): boolean => {
  if (damage === undefined) return false
  const seen = damage.where === 'host' ? host : pod
  return seen !== undefined && !linesOf(seen.after).includes(damage.line)
}

const notices: Want['expect'] = execution => {
  if (execution.exitCode !== 0) return undefined
  return isStillDamaged(execution)
    ? `succeeds although this is missing: ${execution.damage?.line ?? ''}`
    : undefined
}

const pure: Want['expect'] = ({ host, pod }) => {
  const changes = [host, pod].map(seen => (seen === undefined ? '' : changesOf(seen))).join('')
  return changes === '' ? undefined : `changed ${changes}`
}

const asksDelegate: Want['expect'] = execution =>
  execution.delegate.some(({ verb }) => verb === 'CHECK') ? undefined : 'the delegate got no CHECK'

const adjustedPrevious: Judge = recording =>
  recording.role === 'interface' || recording.role === 'ipam'
    ? wants(
        want('CHECK without prevResult', fails),
        want('CHECK with other addresses in prevResult', fails),
      )(recording)
    : wants(want('CHECK without prevResult', fails))(recording)

const hostSide: Judge = recording => {
  const verdict = wants(
    want('CHECK after a route of the host went', notices),
    want('CHECK without a daemon', fails),
  )(recording)
  return verdict.status === 'n/a'
    ? notApplicable(
        `nothing it owns beyond the result can be seen from outside: ${verdict.evidence}`,
      )
    : verdict
}

export const checkPoints: readonly Point[] = [
  {
    id: 84,
    level: 'REFERENCE',
    section,
    text: 'CHECK of a configuration below 0.4.0 is error 1.',
    judge: wants(want('CHECK in 0.3.1', refuses(1))),
  },
  {
    id: 85,
    level: 'MUST',
    section,
    text: 'CHECK takes what it expects from prevResult, and fails without one.',
    judge: adjustedPrevious,
  },
  {
    id: 86,
    level: 'MUST',
    section,
    text: 'CHECK tolerates what later plugins changed, such as routes and the MAC.',
    judge: wants(
      want('CHECK after a later plugin changed the MAC', succeeds),
      want('CHECK after a later plugin added a route', succeeds),
    ),
  },
  {
    id: 87,
    level: 'SHOULD',
    section,
    text: 'CHECK fails when an interface, address or route of prevResult is missing.',
    judge: wants(
      want('CHECK after the interface went', notices),
      want('CHECK after an address went', notices),
      want('CHECK after a route went', notices),
      want('CHECK after the interface was put down', notices),
    ),
  },
  {
    id: 88,
    level: 'SHOULD',
    section,
    text: 'CHECK fails when something the plugin owns beyond the result is missing.',
    judge: hostSide,
  },
  {
    id: 89,
    level: 'SHOULD',
    section,
    text: 'CHECK fails when nothing can reach the container any more.',
    judge: wants(want("CHECK after the host's end was put down", notices)),
  },
  {
    id: 90,
    level: 'MUST',
    section,
    text: 'CHECK right after ADD succeeds.',
    judge: wants(want('CHECK', succeeds), want('CHECK right after ADD', succeeds)),
  },
  {
    id: 91,
    level: 'MUST',
    section,
    text: "CHECK reaches every delegate, and the delegate's error comes back.",
    judge: wants(
      want('delegated CHECK', asksDelegate),
      want('CHECK while the delegate refuses', fails),
    ),
  },
  {
    id: 97,
    level: 'ENGINEERING',
    section,
    text: 'CHECK changes nothing.',
    judge: wants(want('CHECK', pure)),
  },
]
