// Trying again inside one Cloud call, bounded in count and time: reads that broke on the way, and
// waits for what the cloud has promised but does not show yet. Mutations are repeated by the core
// alone; the SDKs themselves repeat nothing.

import pRetry from 'p-retry'
import type { Failure } from '#core/ports.ts'

/** How long something is worth trying again. */
export type Patience = {
  readonly isWorthwhile: (failure: Failure) => boolean
  readonly retries: number
  readonly firstMs: number
  readonly longestMs: number
  /** The whole wait; undefined when the number of retries is limit enough. */
  readonly totalMs?: number
}

const isTransient = (failure: Failure): boolean => failure.kind === 'transient'

/** For idempotent reads. A throttled read is the core's business, which owns the budget. */
export const readPatience: Patience = {
  isWorthwhile: isTransient,
  retries: 3,
  firstMs: 100,
  longestMs: 2000,
}

/**
 * A new id may be unknown to other calls for seconds (EC2 developer guide, eventual consistency).
 * NotFound is a certain refusal, so the same call may be sent again.
 */
export const visibilityPatience: Patience = {
  isWorthwhile: failure => failure.kind === 'notFound',
  retries: 7,
  firstMs: 100,
  longestMs: 2000,
}

/** The code of a failure that only says: the description is not yet as it must become. */
export const staleCode = 'StaleDescription'

/** For a description that contradicts what a mutation just said: most lags are over by then. */
export const stalePatience: Patience = {
  isWorthwhile: failure => failure.code === staleCode,
  retries: 4,
  firstMs: 100,
  longestMs: 800,
}

/** Visibility and broken reads together, for reading something that is new. */
export const newPatience: Patience = {
  ...visibilityPatience,
  isWorthwhile: failure => failure.kind === 'notFound' || isTransient(failure),
}

/** Repeats while the failure found in an error is worth it; rejects with the last error. */
export const retrying = <Value>(
  how: {
    readonly patience: Patience
    /** Told of every error; undefined when it carries no failure. */
    readonly failureIn: (error: unknown) => Failure | undefined
  },
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> =>
  pRetry(work, {
    retries: how.patience.retries,
    minTimeout: how.patience.firstMs,
    maxTimeout: how.patience.longestMs,
    maxRetryTime: how.patience.totalMs ?? Number.POSITIVE_INFINITY,
    factor: 2,
    randomize: true,
    signal,
    onFailedAttempt: ({ error }) => void how.failureIn(error),
    shouldRetry: ({ error }) => {
      const failure = how.failureIn(error)
      return failure !== undefined && how.patience.isWorthwhile(failure) && !signal.aborted
    },
  })
