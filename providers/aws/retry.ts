// Trying again inside one Cloud call, bounded in count and time: reads that broke on the way, and
// waits for what the cloud has promised but does not show yet. Mutations are repeated by the core
// alone; the SDK itself repeats nothing.

import pRetry from 'p-retry'
import type { Failure } from '#core/ports.ts'
import { CallFailed, call, unsent } from './calls.ts'
import type { Site } from './failures.ts'

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

// A new id may be unknown to other calls for seconds (EC2 developer guide, eventual consistency).
// NotFound is a certain refusal, so the same call may be sent again.
export const visibilityPatience: Patience = {
  isWorthwhile: failure => failure.kind === 'notFound',
  retries: 7,
  firstMs: 100,
  longestMs: 2000,
}

/** For a description that contradicts what a mutation just said: most lags are over by then. */
export const stalePatience: Patience = {
  isWorthwhile: failure => failure.code === staleCode,
  retries: 4,
  firstMs: 100,
  longestMs: 800,
}

/** The code of a failure that only says: the description is not yet as it must become. */
export const staleCode = 'StaleDescription'

/** Visibility and broken reads together, for reading something that is new. */
export const newPatience: Patience = {
  ...visibilityPatience,
  isWorthwhile: failure => failure.kind === 'notFound' || isTransient(failure),
}

/** Runs the work until it succeeds or patience ends; rejects with the last failure, or on abort. */
export const patiently = async <Value>(
  { site, patience }: { readonly site: Site; readonly patience: Patience },
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> => {
  let last: CallFailed | undefined
  try {
    return await pRetry(work, {
      retries: patience.retries,
      minTimeout: patience.firstMs,
      maxTimeout: patience.longestMs,
      maxRetryTime: patience.totalMs ?? Number.POSITIVE_INFINITY,
      factor: 2,
      randomize: true,
      signal,
      onFailedAttempt: ({ error }) => void (last = error instanceof CallFailed ? error : last),
      shouldRetry: ({ error }) =>
        error instanceof CallFailed && patience.isWorthwhile(error.failure) && !signal.aborted,
    })
  } catch (error) {
    // An abort during the pause rejects with the signal's reason; the failure says more.
    throw signal.aborted ? (last ?? unsent(site)) : error
  }
}

/** One idempotent read with its retries. */
export const read = <Value>(
  described: Omit<Site, 'isRead'>,
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> => {
  const site = { ...described, isRead: true }
  return patiently({ site, patience: readPatience }, signal, () => call(site, signal, work))
}
