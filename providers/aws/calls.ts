// How a call ends: its value, or a thrown CallFailed that carries the failure as a value. Throwing
// stays inside this folder; the Cloud's methods return outcomes.

import { type Failure, type Outcome, failed, ok } from '#core/ports.ts'
import { type Site, failureOf, ownFailure } from './failures.ts'

/** An operating error on its way to the edge of this folder. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed'
  readonly failure: Failure

  constructor(failure: Failure, cause?: unknown) {
    super(failure.message, { cause })
    this.failure = failure
  }
}

/** Runs one call; settles at once when the signal aborts, also while credentials are fetched. */
export const call = async <Value>(
  site: Site,
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> => {
  if (signal.aborted) throw unsent(site)
  try {
    return await abortable(signal, work())
  } catch (error) {
    if (error instanceof CallFailed) throw error
    throw new CallFailed(failureOf(site, error), error)
  }
}

/** The end of a Cloud method: operating errors become values; anything else is a bug and passes. */
export const outcomeOf = async <Value>(work: () => Promise<Value>): Promise<Outcome<Value>> => {
  try {
    return ok(await work())
  } catch (error) {
    if (error instanceof CallFailed) return failed(error.failure)
    throw error
  }
}

/** The same failure, after an earlier step has already taken effect. */
export const afterEffect = (error: unknown): unknown =>
  error instanceof CallFailed
    ? new CallFailed({ ...error.failure, ambiguous: true }, error.cause)
    : error

/** An abort before anything was sent: certainly without effect. */
export const unsent = (site: Site): CallFailed => {
  const what = { kind: 'transient', code: 'Aborted', text: 'aborted before it was sent' } as const
  return new CallFailed({ ...ownFailure(site, what), ambiguous: false })
}

// The listener goes with the call: a signal may live as long as the daemon.
const abortable = <Value>(signal: AbortSignal, working: Promise<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => {
      const error = new Error('aborted')
      error.name = 'AbortError'
      reject(error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    working.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
