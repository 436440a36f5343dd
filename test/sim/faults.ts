// What can go wrong, how likely each of it is at the moment, and how often it did.

import type { Chance } from './chance.ts'

/** Faults that strike single calls, pods or NICs, with a probability. */
export const strikeKinds = [
  'refused',
  'failedBefore',
  'lostReply',
  'lateWork',
  'partial',
  'stale',
  'slow',
  'deviceLate',
  'deviceNever',
  'unprotected',
  'addressTakenAtOnce',
  'hostTemporary',
  'hostFinal',
  'reconcileIncomplete',
  'slowDelete',
] as const
export type StrikeKind = (typeof strikeKinds)[number]

/** Faults that last for a while. */
export const spellKinds = ['denied', 'exhausted', 'fragmented', 'quota', 'throttling'] as const
export type SpellKind = (typeof spellKinds)[number]

/** Things that happen once, at a time of their own; the runner and nature bring them about. */
export type IncidentKind =
  | 'throttled'
  | 'notFound'
  | 'humanDetach'
  | 'humanDelete'
  | 'humanReturn'
  | 'foreignAttach'
  | 'kernelMeddling'
  | 'lostDel'
  | 'reconfigured'
  | 'reboot'
  | 'ledgerLost'
  | `crash:${string}`

export type FaultKind = StrikeKind | SpellKind | IncidentKind

export type Conditions = {
  readonly strikes: ReadonlyMap<StrikeKind, number>
  readonly spells: ReadonlySet<SpellKind>
}

export const calm: Conditions = { strikes: new Map(), spells: new Set() }

export type Faults = {
  set(conditions: Conditions): void
  /** Draws whether this fault strikes now, and counts it. */
  strikes(kind: StrikeKind): boolean
  isOn(kind: SpellKind): boolean
  count(kind: FaultKind): void
  counts(): Readonly<Record<string, number>>
}

export const createFaults = (chance: Chance): Faults => {
  let conditions = calm
  const counts = new Map<FaultKind, number>()
  const streams = new Map(strikeKinds.map(kind => [kind, chance.fork(kind)]))
  const count = (kind: FaultKind): void => void counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return {
    set: next => {
      conditions = next
    },
    strikes: kind => {
      const probability = conditions.strikes.get(kind) ?? 0
      const isStruck = probability > 0 && (streams.get(kind)?.happens(probability) ?? false)
      if (isStruck) count(kind)
      return isStruck
    },
    isOn: kind => conditions.spells.has(kind),
    count,
    counts: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}

/** A few kinds of trouble at a time: all at once hides what each one alone would show. */
export const sampleConditions = (chance: Chance): Conditions => ({
  strikes: new Map(
    strikeKinds.filter(() => chance.happens(0.25)).map(kind => [kind, chance.fraction() ** 2]),
  ),
  spells: new Set(spellKinds.filter(() => chance.happens(0.15))),
})
