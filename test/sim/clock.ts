// Virtual time. Steps run in order of time, then of insertion, and every promise a step settled is
// followed to its end before the next step, so that one seed gives one history.

import { after, type Millis, millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'

export type Scheduler = {
  /** What the daemon under test sees. */
  readonly clock: Clock
  /** Runs once after a span of virtual time; the returned function cancels it. */
  in(ms: number, run: () => void): () => void
  /** Resolves after a span of virtual time. */
  sleep(ms: number): Promise<void>
  /** Runs every step up to and including the given time. */
  run(until: Millis): Promise<void>
  /** Makes `run` return before its next step. */
  halt(): void
}

type Step = {
  readonly time: number
  readonly order: number
  run: (() => void) | undefined
}

/** Steps without a millisecond passing: more means that something spins. */
const stepsAtOnceMax = 50_000

/** Start of every simulated day. */
export const dayStart = millis(1_700_000_000_000)

export const createScheduler = (start: Millis = dayStart): Scheduler => {
  const steps: Step[] = []
  let now = start
  let order = 0
  let stepsNow = 0
  let hasSettled = false
  let isHalted = false

  const at = (time: number, run: () => void): (() => void) => {
    const step: Step = { time: Math.max(time, now), order: order++, run }
    push(steps, step)
    return () => {
      step.run = undefined
    }
  }
  const inMs = (ms: number, run: () => void): (() => void) => at(after(now, Math.round(ms)), run)

  const takeStep = (until: Millis): Step | undefined => {
    const first = steps[0]
    return first !== undefined && first.time <= until ? pop(steps) : undefined
  }

  return {
    clock: { now: () => now, soon: run => void at(now, run), at },
    in: inMs,
    sleep: ms =>
      new Promise(resolve => {
        inMs(ms, () => {
          hasSettled = true
          resolve()
        })
      }),
    run: async until => {
      for (;;) {
        const step = isHalted ? undefined : takeStep(until)
        if (step === undefined) break
        if (step.run === undefined) continue
        stepsNow = step.time === now ? stepsNow + 1 : 0
        if (!(stepsNow < stepsAtOnceMax)) throw new Error(`${stepsNow} steps and no time passed`)
        now = millis(step.time)
        step.run()
        if (!hasSettled) continue
        hasSettled = false
        await microtasksDone()
      }
      if (!isHalted) now = until
    },
    halt: () => {
      isHalted = true
    },
  }
}

// An immediate runs only after the queue of microtasks is empty.
const microtasksDone = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

const isBefore = (a: Step, b: Step): boolean =>
  a.time < b.time || (a.time === b.time && a.order < b.order)

// A binary heap: children of i lie at 2i+1 and 2i+2.
const push = (heap: Step[], step: Step): void => {
  let i = heap.push(step) - 1
  while (i > 0) {
    const up = (i - 1) >> 1
    const parent = heap[up]
    if (parent === undefined || !isBefore(step, parent)) break
    heap[i] = parent
    i = up
  }
  heap[i] = step
}

const pop = (heap: Step[]): Step | undefined => {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let i = 0
  for (;;) {
    const [left, right] = [heap[2 * i + 1], heap[2 * i + 2]]
    const isRight = right !== undefined && left !== undefined && isBefore(right, left)
    const child = isRight ? right : left
    if (child === undefined || !isBefore(child, last)) break
    heap[i] = child
    i = 2 * i + (isRight ? 2 : 1)
  }
  heap[i] = last
  return first
}
