// Real time. Wall-clock time at the start plus monotonic time since, so that it never runs
// backwards when somebody sets the machine's clock.

import { type Millis, millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'

/** Longest delay setTimeout takes; a later time is reached in several steps. */
const timerMaxMs = 2 ** 31 - 1

export const createClock = (): Clock => {
  const now = (): Millis => millis(Math.floor(performance.timeOrigin + performance.now()))
  return {
    now,
    soon: run => void setImmediate(run),
    at: (time, run) => {
      let timer: NodeJS.Timeout
      const arm = (): void => {
        const waitMs = time - now()
        const isReached = waitMs <= timerMaxMs
        timer = setTimeout(isReached ? run : arm, Math.max(0, Math.min(waitMs, timerMaxMs)))
      }
      arm()
      return () => clearTimeout(timer)
    },
  }
}
