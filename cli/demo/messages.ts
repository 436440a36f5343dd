// What the command and the process that plays say to each other.

import type { Play } from './options.ts'
import type { Report } from './report.ts'

/** To the keeper; a closed channel means `stop` too, unless the run is kept by then. */
export type ToKeeper = { readonly kind: 'play'; readonly play: Play } | { readonly kind: 'stop' }

export type FromKeeper =
  /** For people, in the order in which it happens. */
  | { readonly kind: 'text'; readonly text: string }
  /** The last message: everything is removed, or kept running on purpose. */
  | {
      readonly kind: 'ended'
      readonly report: Report
      readonly problems: readonly string[]
      readonly isKept: boolean
    }
