// Troubles on request: which calls or changes go wrong, how, how often. The board only decides
// whether a fault strikes; who asks carries it out.
import type { Chance } from './chance.ts'

/** What goes wrong. The first group is for calls, the second for the cloud behind them. */
export type Effect =
  /** Refused as over the rate limit, whatever the buckets hold. */
  | { readonly kind: 'throttle' }
  | { readonly kind: 'fail'; readonly code: string; readonly status?: number }
  /** The work is done, then the connection is reset. */
  | { readonly kind: 'loseReply' }
  /** The connection is reset and nothing is done. */
  | { readonly kind: 'reset' }
  /** Never answered, nothing done. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** A proxy's HTML page instead of an answer; nothing is done. */
  | { readonly kind: 'html'; readonly status: number }
  /** The work is done and the answer is cut off in the middle. */
  | { readonly kind: 'malformed' }
  /** Not more than this many blocks are lent by a call that asks for a number of them. */
  | { readonly kind: 'partial'; readonly granted: number }
  /** The call succeeds and the asynchronous operation that it began ends with this code. */
  | { readonly kind: 'operationFail'; readonly code: string }
  /** Somebody else changes the thing that a write is about, right before the write. */
  | { readonly kind: 'foreignWrite' }
  | { readonly kind: 'subnetExhausted' }
  | { readonly kind: 'subnetFragmented' }
  /** The attachment succeeds and the device never appears. */
  | { readonly kind: 'deviceMissing' }
  /** The device gets another name some time after it appears. */
  | { readonly kind: 'deviceRenamed' }
  /** The attachment stays `attaching` for ever. */
  | { readonly kind: 'attachStuck' }
  /** The attachment stays `detaching` until detaching is asked for again. */
  | { readonly kind: 'detachStuck' }
  /** Added to the metadata service's lag. */
  | { readonly kind: 'metadataLate'; readonly ms: number }
  /** The metadata service answers with this status. */
  | { readonly kind: 'metadataFail'; readonly status: number }

/** A fault and when it strikes; a selector that is left out matches everything. */
export interface Fault {
  readonly effect: Effect
  readonly action?: string
  /** Id or name of the instance that the call or change is about, else of the one that calls. */
  readonly instance?: string
  readonly subnet?: string
  readonly accessKey?: string
  /** Strikes this often, then is gone; left out: until removed. */
  readonly count?: number
  /** Share of the matching occasions, 0 to 1; left out: 1. */
  readonly probability?: number
}

/** What a fault could strike. */
export interface Occasion {
  readonly action?: string
  /** Id and name of the instance. */
  readonly instance?: readonly string[]
  readonly subnet?: string
  readonly accessKey?: string
}

/** The faults that are switched on. */
export interface FaultBoard {
  /** Returns the fault's id, to remove it. */
  add(fault: Fault): string
  /** True when there was such a fault. */
  remove(id: string): boolean
  clear(): void
  list(): readonly (Fault & { readonly id: string; readonly left: number | undefined })[]
  /** The effects of the given kinds that strike now, oldest first; uses up their counts. */
  strike<K extends Effect['kind']>(
    kinds: readonly K[],
    occasion: Occasion,
  ): readonly Extract<Effect, { readonly kind: K }>[]
  /** True when such a fault could strike; uses up nothing. */
  isSet(kind: Effect['kind'], occasion: Occasion): boolean
}

interface Entry {
  readonly id: string
  readonly fault: Fault
  left: number | undefined
}

export const createFaultBoard = (chance: Chance): FaultBoard => {
  let entries: readonly Entry[] = []
  let added = 0
  const happens = ({ fault, id }: Entry): boolean =>
    fault.probability === undefined || chance.unit(`fault/${id}`) < fault.probability
  return {
    add: fault => {
      const id = `fault-${++added}`
      entries = [...entries, { id, fault, left: fault.count }]
      return id
    },
    remove: id => {
      const before = entries.length
      entries = entries.filter(entry => entry.id !== id)
      return entries.length < before
    },
    clear: () => {
      entries = []
    },
    list: () => entries.map(({ id, fault, left }) => ({ ...fault, id, left })),
    strike: <K extends Effect['kind']>(kinds: readonly K[], occasion: Occasion) => {
      const struck = entries
        .filter(({ fault }) => kinds.some(kind => kind === fault.effect.kind))
        .filter(({ fault }) => matches(fault, occasion))
        .filter(happens)
      for (const entry of struck) if (entry.left !== undefined) entry.left--
      entries = entries.filter(entry => entry.left === undefined || entry.left > 0)
      return struck.map(({ fault }) => fault.effect as Extract<Effect, { readonly kind: K }>)
    },
    isSet: (kind, occasion) =>
      entries.some(({ fault }) => fault.effect.kind === kind && matches(fault, occasion)),
  }
}

const matches = (fault: Fault, occasion: Occasion): boolean =>
  (fault.action === undefined || fault.action === occasion.action) &&
  (fault.subnet === undefined || fault.subnet === occasion.subnet) &&
  (fault.accessKey === undefined || fault.accessKey === occasion.accessKey) &&
  (fault.instance === undefined || occasion.instance?.includes(fault.instance) === true)
