// Small helpers that copy a state with one thing changed.

import type { Cidr } from './ip.ts'
import { after, type Millis, type NicId, type SubnetId } from './names.ts'
import { millis } from './names.ts'
import type { Nic, State, SubnetHealth } from './state.ts'

/** A copy of the map without the key; the same map when it was not there. */
export const without = <Key, Value>(
  map: ReadonlyMap<Key, Value>,
  key: Key,
): ReadonlyMap<Key, Value> => {
  if (!map.has(key)) return map
  const copy = new Map(map)
  copy.delete(key)
  return copy
}

export const withNic = (state: State, nic: Nic): State => ({
  ...state,
  nics: new Map(state.nics).set(nic.id, nic),
})

/** Applies a change to one NIC; nothing happens when it is not known (any more). */
export const changeNic = (state: State, id: NicId, change: (nic: Nic) => Nic): State => {
  const nic = state.nics.get(id)
  return nic === undefined ? state : withNic(state, change(nic))
}

/** Forgets a NIC and remembers for a while that a stale description must not bring it back. */
export const dropNic = (state: State, id: NicId, at: Millis): State => ({
  ...state,
  nics: without(state.nics, id),
  problems: aboutOthers(state, id),
  tombstones: new Map(state.tombstones).set(id, at),
})

// What went wrong with a NIC that is gone is over, except that it never appeared: that is news.
const aboutOthers = (state: State, id: NicId): State['problems'] =>
  new Map(
    [...state.problems].filter(
      ([subject]) => !subject.endsWith(` ${id}`) || subject.startsWith('device '),
    ),
  )

/** Removes blocks and what is remembered of their addresses, except that some still rest. */
export const dropBlocks = (nic: Nic, gone: readonly Cidr[]): Nic => {
  if (gone.length === 0) return nic
  const names = new Set(gone)
  const blocks = new Map([...nic.blocks].filter(([cidr]) => !names.has(cidr)))
  // Rest goes on: the same address may be lent again before it is over.
  const uses = new Map(
    [...nic.uses].filter(([, use]) => use.kind === 'cooling' || !names.has(use.block)),
  )
  return { ...nic, blocks, uses }
}

export const healthOf = (state: State, subnet: SubnetId): SubnetHealth =>
  state.subnets.get(subnet) ?? {
    subnet: undefined,
    exhaustedUntil: { 4: millis(0), 6: millis(0), nic: millis(0) },
    fragmentedUntil: millis(0),
    attempts: 0,
  }

/** Asks for an observation that begins at or after `at`. */
export const wantObservation = (state: State, at: Millis): State =>
  at <= state.cloud.wantedAt ? state : { ...state, cloud: { ...state.cloud, wantedAt: at } }

/** Doubling, capped and jittered waits: between half and all of base × 2^attempts. */
export const backOff = (
  at: Millis,
  wait: {
    readonly attempts: number
    readonly jitter: number
    readonly baseMs: number
    readonly maxMs: number
  },
): Millis => {
  const full = Math.min(wait.maxMs, wait.baseMs * 2 ** Math.min(wait.attempts, 20))
  return after(at, Math.ceil(full * (0.5 + wait.jitter / 2)))
}
