// One requirement on runtimes, and how it is tried.

import type { Level } from '../judge.ts'
import type { Notes } from './notes.ts'
import type { Place } from './place.ts'

/** Does something in a fresh place and notes what comes of it. */
export type Trial = (place: Place, notes: Notes) => Promise<void>

export type RuntimePoint = {
  /** Number in the list of requirements that docs/conformance.md prints. */
  readonly id: number
  readonly level: Level
  /** Where in the specification. */
  readonly section: string
  /** The requirement in our words. */
  readonly text: string
  /** A text says why it cannot be tried. */
  readonly trials: readonly Trial[] | string
}
