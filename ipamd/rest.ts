// Notices when a daemon that had work has none, which is the time to give memory back: nobody waits
// then, and on most nodes it is most of the time.

import { after, type Millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'

export type RestParts = {
  readonly clock: Clock
  /** Called when a rest begins, and now and then while it lasts. */
  readonly onRest: () => void
}

export type Rest = {
  /** Something happened; called often. */
  busy(): void
  stop(): void
}

/** Longer than pods of one deployment are apart. */
export const quietMs = 10_000
/** A rest is worth its pause after so many events; an observation alone is a handful. */
export const eventsMin = 100
/** Comparing the kernel leaves garbage, too. */
export const againMs = 120_000

/** The start of a process counts as work. */
export const createRest = ({ clock, onRest }: RestParts): Rest => {
  let events = 0
  let lastAt: Millis = clock.now()
  let cancel: () => void
  const lookAt = (at: Millis): void => void (cancel = clock.at(at, look))
  const look = (): void => {
    const restAt = after(lastAt, quietMs)
    if (clock.now() < restAt) return lookAt(restAt)
    events = 0
    onRest()
    lookAt(after(clock.now(), againMs))
  }
  lookAt(after(lastAt, quietMs))
  return {
    busy: () => {
      lastAt = clock.now()
      events += 1
      if (events !== eventsMin) return
      cancel()
      lookAt(after(lastAt, quietMs))
    },
    stop: () => cancel(),
  }
}
