// One token bucket per call class: bursts, refill, what is left to the urgent, and throttling.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Priority } from './action.ts'
import { availableAt, type Budget, callClassOf, spend, succeeded, throttled } from './budget.ts'
import { defaultConfig } from './initial.ts'
import { millis } from './names.ts'

const rates = {
  ...defaultConfig.rates,
  lend: { capacity: 8, perSecond: 2 },
  attach: { capacity: 1, perSecond: 0.5 },
}

const spent = (calls: number, from: Budget = new Map(), atMs = 0): Budget =>
  Array.from({ length: calls }).reduce<Budget>(
    budget => spend(budget, rates, { class: 'lend', now: millis(atMs) }),
    from,
  )

/** Milliseconds a call has to wait. */
const wait = (budget: Budget, priority: Priority, atMs = 0) =>
  availableAt(budget, rates, { class: 'lend', priority, now: millis(atMs) }) - atMs
const attachWait = (budget: Budget, priority: Priority) =>
  availableAt(budget, rates, { class: 'attach', priority, now: millis(0) })

const check = (calls: number, want: readonly number[]) => {
  const budget = spent(calls)
  const priorities = ['blocking', 'prewarming', 'returning', 'sweeping'] as const
  expect(priorities.map(priority => wait(budget, priority))).toEqual(want)
}

test.each([
  // Of 8 tokens the classes leave 0, 2, 4 and 6 to more urgent ones; one token takes 500 ms.
  { calls: 0, want: [0, 0, 0, 0] },
  { calls: 1, want: [0, 0, 0, 0] },
  { calls: 2, want: [0, 0, 0, 500] },
  { calls: 4, want: [0, 0, 500, 1500] },
  { calls: 6, want: [0, 500, 1500, 2500] },
  { calls: 8, want: [500, 1500, 2500, 3500] },
])('after $calls calls the four priorities wait $want ms', ({ calls, want }) => check(calls, want))

test('a full bucket of one token serves every priority', () => {
  expect(attachWait(new Map(), 'sweeping')).toBe(0)
  const budget = spend(new Map(), rates, { class: 'attach', now: millis(0) })
  expect(attachWait(budget, 'blocking')).toBe(2_000)
  expect(attachWait(budget, 'sweeping')).toBe(2_000)
})

test('it refills with time, up to its capacity and not beyond', () => {
  const empty = spent(8)
  expect(wait(empty, 'blocking', 499)).toBe(1)
  expect(wait(empty, 'blocking', 500)).toBe(0)
  expect(wait(spent(8, empty, 3_600_000), 'blocking', 3_600_000)).toBe(500)
})

test('a clock that stands or steps back gives no tokens and takes none', () => {
  const empty = spent(8, new Map(), 10_000)
  expect(wait(empty, 'blocking', 9_000)).toBe(500)
})

test('classes do not share a bucket', () => expect(attachWait(spent(8), 'blocking')).toBe(0))

test.each([
  { before: 0, jitter: 0, retryAfterMs: undefined, want: 500 },
  { before: 0, jitter: 0.5, retryAfterMs: undefined, want: 750 },
  { before: 1, jitter: 0, retryAfterMs: undefined, want: 1_000 },
  { before: 3, jitter: 0.999, retryAfterMs: undefined, want: 7_996 },
  // At most a minute.
  { before: 10, jitter: 0, retryAfterMs: undefined, want: 30_000 },
  { before: 40, jitter: 0.999, retryAfterMs: undefined, want: 59_970 },
  // What the cloud asks for is the least.
  { before: 0, jitter: 0, retryAfterMs: 5_000, want: 5_000 },
  { before: 10, jitter: 0, retryAfterMs: 5_000, want: 30_000 },
])(
  'throttled after $before times, jitter $jitter, Retry-After $retryAfterMs: $want ms',
  ({ before, jitter, retryAfterMs, want }) => {
    let budget: Budget = new Map()
    for (let i = 0; i <= before; i++) {
      const last = i === before ? { jitter, retryAfterMs } : { jitter: 0, retryAfterMs: undefined }
      budget = throttled(budget, rates, { class: 'lend', now: millis(0), ...last })
    }
    expect(budget.get('lend')?.blockedUntil).toBe(want)
    // An empty bucket is the other reason to wait; the longer one counts.
    expect(wait(budget, 'blocking')).toBe(Math.max(500, want))
  },
)

test('an answer makes the next throttle short again, but does not lift this one', () => {
  const call = { class: 'lend', now: millis(0), jitter: 0, retryAfterMs: undefined } as const
  const twice = throttled(throttled(new Map(), rates, call), rates, call)
  const calm = succeeded(twice, 'lend')
  expect(calm.get('lend')?.blockedUntil).toBe(1_000)
  expect(throttled(calm, rates, call).get('lend')?.blockedUntil).toBe(500)
  expect(succeeded(calm, 'lend')).toBe(calm)
})

test('a jitter outside [0, 1) is a programmer error', () => {
  const call = { class: 'lend', now: millis(0), jitter: 1, retryAfterMs: undefined } as const
  expect(() => throttled(new Map(), rates, call)).toThrow('jitter 1 is not in [0, 1)')
})

test('every call has its class', () => {
  const kinds = ['describeNode', 'observeCloud', 'createNic', 'attachNic'] as const
  const others = ['detachNic', 'deleteNic', 'lendBlocks', 'returnBlocks'] as const
  expect([...kinds, ...others].map(callClassOf).join(' ')).toBe(
    'describe describe create attach detach delete lend return',
  )
})

// What the budget is for: the account sees at most a burst and then the rate.
test('calls made as soon as allowed stay below capacity + rate × time', () =>
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 700 }), { maxLength: 60 }), gaps => {
      let budget: Budget = new Map()
      let now = 0
      let calls = 0
      for (const gap of gaps) {
        now += gap
        const at = wait(budget, 'blocking', now) + now
        budget = spend(budget, rates, { class: 'lend', now: millis(at) })
        now = at
        calls++
        expect(calls).toBeLessThanOrEqual(8 + (2 * now) / 1000 + 1e-6)
      }
    }),
  ))
