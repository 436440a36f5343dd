// Notices when a daemon that had work has none, which is the time to give memory back: nobody waits
// then, and on most nodes it is most of the time.

import { after, type Millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'

export type RestParts = {
  readonly clock: Clock
  /** Called once when a rest begins. */
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

/** The start of a process counts as work. */
export const createRest = ({ clock, onRest }: RestParts): Rest => {
  let events = eventsMin
  let lastAt: Millis = clock.now()
  let cancel: (() => void) | undefined
  const look = (): void => {
    const restAt = after(lastAt, quietMs)
    if (clock.now() < restAt) return void (cancel = clock.at(restAt, look))
    cancel = undefined
    events = 0
    onRest()
  }
  cancel = clock.at(after(lastAt, quietMs), look)
  return {
    busy: () => {
      lastAt = clock.now()
      events += 1
      if (cancel === undefined && !(events < eventsMin)) {
        cancel = clock.at(after(lastAt, quietMs), look)
      }
    },
    stop: () => cancel?.(),
  }
}
