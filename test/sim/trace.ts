// The history of one day as lines, and one hash over all of them: two runs of a seed are the same
// exactly when their hashes are.

import type { Clock } from '#core/ports.ts'
import { dayStart } from './clock.ts'

export type Trace = {
  note(line: string): void
  hash(): string
  /** The last lines, oldest first. */
  tail(): readonly string[]
}

/** Lines kept for a report. */
const tailMax = 400

export const createTrace = (clock: Clock, print?: (line: string) => void): Trace => {
  let [high, low] = [0x811c9dc5, 0x1b873593]
  let lines: string[] = []
  return {
    note: text => {
      const line = `${timeText(clock)} ${text}`
      for (let i = 0; i < line.length; i++) {
        const code = line.charCodeAt(i)
        high = Math.imul(high ^ code, 0x01000193)
        low = Math.imul(low ^ (code + i), 0x85ebca6b)
      }
      lines.push(line)
      if (lines.length > 2 * tailMax) lines = lines.slice(-tailMax)
      print?.(line)
    },
    hash: () => [high, low].map(word => (word >>> 0).toString(16).padStart(8, '0')).join(''),
    tail: () => lines.slice(-tailMax),
  }
}

/** Time since the start of the day, as in `1:02:03.004`. */
export const timeText = (clock: Clock): string => {
  const ms = clock.now() - dayStart
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  const seconds = `${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, '0')}`
  return `${Math.floor(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${seconds}`
}
