// How many cloud calls this node may make: one token bucket per call class, with reserves so that
// pods that wait go before pre-warming, returning and sweeping. Times are passed in.

import type { CloudAction, Priority } from './action.ts'
import { after, assert, type Millis, millis } from './names.ts'

/** Calls that share a bucket. Clouds throttle per action; these are the groups a CNI makes. */
export type CallClass = 'describe' | 'lend' | 'return' | 'create' | 'attach' | 'detach' | 'delete'

export type Rate = {
  /** Calls in one burst. */
  readonly capacity: number
  readonly perSecond: number
}

export type Rates = { readonly [Class in CallClass]: Rate }

export type Bucket = {
  readonly tokens: number
  readonly updatedAt: Millis
  /** After a throttled answer no call of the class before this. */
  readonly blockedUntil: Millis
  readonly throttles: number
}

export type Budget = ReadonlyMap<CallClass, Bucket>

/** Fraction of a bucket that calls of this priority leave to more urgent ones. */
const reserves: { readonly [P in Priority]: number } = {
  blocking: 0,
  prewarming: 0.25,
  returning: 0.5,
  sweeping: 0.75,
}

const throttleBaseMs = 1_000
const throttleMaxMs = 60_000

export const callClassOf = (kind: CloudAction['kind']): CallClass => {
  switch (kind) {
    case 'describeNode':
    case 'observeCloud':
      return 'describe'
    case 'createNic':
      return 'create'
    case 'attachNic':
      return 'attach'
    case 'detachNic':
      return 'detach'
    case 'deleteNic':
      return 'delete'
    case 'lendBlocks':
      return 'lend'
    case 'returnBlocks':
      return 'return'
  }
}

/** When a call of this class and priority may be made: `now` at the earliest. */
export const availableAt = (
  budget: Budget,
  rates: Rates,
  call: { readonly class: CallClass; readonly priority: Priority; readonly now: Millis },
): Millis => {
  const rate = rates[call.class]
  const bucket = refilled(budget.get(call.class), rate, call.now)
  const needed = Math.min(rate.capacity, 1 + rate.capacity * reserves[call.priority])
  const missing = needed - bucket.tokens
  const filledAt =
    missing > 0 ? millis(Math.ceil(call.now + (missing / rate.perSecond) * 1000)) : call.now
  return millis(Math.max(filledAt, bucket.blockedUntil, call.now))
}

/** Takes one token; the caller has checked `availableAt`. */
export const spend = (
  budget: Budget,
  rates: Rates,
  call: { readonly class: CallClass; readonly now: Millis },
): Budget => {
  const bucket = refilled(budget.get(call.class), rates[call.class], call.now)
  return new Map(budget).set(call.class, { ...bucket, tokens: Math.max(0, bucket.tokens - 1) })
}

/** The cloud said "too fast": no call of the class for a growing, jittered while. */
export const throttled = (
  budget: Budget,
  rates: Rates,
  call: {
    readonly class: CallClass
    readonly now: Millis
    readonly jitter: number
    readonly retryAfterMs: number | undefined
  },
): Budget => {
  assert(call.jitter >= 0 && call.jitter < 1, `jitter ${call.jitter} is not in [0, 1)`)
  const bucket = refilled(budget.get(call.class), rates[call.class], call.now)
  const full = Math.min(throttleMaxMs, throttleBaseMs * 2 ** Math.min(bucket.throttles, 16))
  const waitMs = Math.max(call.retryAfterMs ?? 0, full * (0.5 + call.jitter / 2))
  return new Map(budget).set(call.class, {
    ...bucket,
    tokens: 0,
    blockedUntil: after(call.now, Math.ceil(waitMs)),
    throttles: bucket.throttles + 1,
  })
}

/** A call of the class was answered: the next throttle starts from the shortest wait again. */
export const succeeded = (budget: Budget, callClass: CallClass): Budget => {
  const bucket = budget.get(callClass)
  if (bucket === undefined || bucket.throttles === 0) return budget
  return new Map(budget).set(callClass, { ...bucket, throttles: 0 })
}

const refilled = (bucket: Bucket | undefined, rate: Rate, now: Millis): Bucket => {
  if (bucket === undefined) {
    return { tokens: rate.capacity, updatedAt: now, blockedUntil: millis(0), throttles: 0 }
  }
  const elapsedMs = Math.max(0, now - bucket.updatedAt)
  const tokens = Math.min(rate.capacity, bucket.tokens + (elapsedMs / 1000) * rate.perSecond)
  return { ...bucket, tokens, updatedAt: now }
}
