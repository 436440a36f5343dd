// The emulator's only door to time, so that tests can replace hours by a few microtasks.
import { createClock } from '#runtime/clock.ts'

/** Milliseconds since the epoch, and a way to wait for some of them. */
export interface Clock {
  now(): number
  /** Resolves after `ms`; a waiting sleep alone does not keep the process alive. */
  sleep(ms: number): Promise<void>
}

const clock = createClock()

/** Real time. */
export const systemClock: Clock = {
  now: () => clock.now(),
  sleep: ms => new Promise(resolve => setTimeout(resolve, ms).unref()),
}

/** A clock that stands still until a test moves it. */
export interface VirtualClock extends Clock {
  /** Moves time on, waking sleepers in the order of their due times. */
  advance(ms: number): Promise<void>
}

/** Starts at the given time: 2026-01-01T00:00:00Z unless told otherwise. */
export const virtualClock = (startMs: number = Date.UTC(2026, 0, 1)): VirtualClock => {
  let now = startMs
  let sleepers: { readonly due: number; readonly wake: () => void }[] = []
  const sleep = (ms: number): Promise<void> =>
    new Promise(wake => {
      sleepers.push({ due: now + ms, wake })
      // The sort is stable: of two sleepers with one due time the earlier caller wakes first.
      sleepers.sort((a, b) => a.due - b.due)
    })
  const advance = async (ms: number): Promise<void> => {
    const end = now + ms
    await settle()
    for (let next = sleepers[0]; next !== undefined && next.due <= end; next = sleepers[0]) {
      sleepers = sleepers.slice(1)
      now = next.due
      next.wake()
      await settle()
    }
    now = end
  }
  return { now: () => now, sleep, advance }
}

// One turn of the event loop lets every promise that is ready run, and those that they make ready.
const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
