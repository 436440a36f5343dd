// How a call ends: its value, or a thrown CallFailed that carries the failure as a value. Throwing
// stays inside providers/; the Cloud's methods return outcomes.

import { type Failure, type Outcome, failed, ok } from '#core/ports.ts'
import type { Failures, Site } from './failures.ts'
import { type Patience, readPatience, retrying } from './retry.ts'

/** An operating error on its way to the edge of providers/. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed'
  readonly failure: Failure

  constructor(failure: Failure, cause?: unknown) {
    super(failure.message, { cause })
    this.failure = failure
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

/** Undefined instead of a failure of this kind. */
export const tolerating = async <Value>(
  kind: Failure['kind'],
  work: () => Promise<Value>,
): Promise<Value | undefined> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CallFailed && error.failure.kind === kind) return undefined
    throw error
  }
}

type Described = Omit<Site, 'isRead'>

/** The ways in which one provider calls its cloud. */
export type Calls = {
  /** Runs one call; settles at once when the signal aborts, also while credentials are fetched. */
  call<Value>(site: Site, signal: AbortSignal, work: () => Promise<Value>): Promise<Value>
  /** One idempotent read with its retries. */
  read<Value>(site: Described, signal: AbortSignal, work: () => Promise<Value>): Promise<Value>
  /** Runs the work until it succeeds or patience ends; rejects with the last failure. */
  patiently<Value>(
    at: { readonly site: Site; readonly patience: Patience },
    signal: AbortSignal,
    work: () => Promise<Value>,
  ): Promise<Value>
  /** An abort before anything was sent: certainly without effect. */
  unsent(site: Site): CallFailed
}

/** The same manners for every provider, with its own table of failures. */
export const createCalls = ({ failureOf, ownFailure }: Failures): Calls => {
  const calls: Calls = {
    call: async (site, signal, work) => {
      if (signal.aborted) throw calls.unsent(site)
      try {
        return await abortable(signal, work())
      } catch (error) {
        if (error instanceof CallFailed) throw error
        throw new CallFailed(failureOf(site, error), error)
      }
    },
    read: (described, signal, work) => {
      const site = { ...described, isRead: true }
      const once = () => calls.call(site, signal, work)
      return calls.patiently({ site, patience: readPatience }, signal, once)
    },
    patiently: async ({ site, patience }, signal, work) => {
      let last: CallFailed | undefined
      const watched = (error: unknown): Failure | undefined => {
        if (!(error instanceof CallFailed)) return undefined
        last = error
        return error.failure
      }
      try {
        return await retrying({ patience, failureIn: watched }, signal, work)
      } catch (error) {
        // An abort during the pause rejects with the signal's reason; the failure says more.
        throw signal.aborted ? (last ?? calls.unsent(site)) : error
      }
    },
    unsent: site => {
      const what = {
        kind: 'transient',
        code: 'Aborted',
        text: 'aborted before it was sent',
      } as const
      return new CallFailed({ ...ownFailure(site, what), ambiguous: false })
    },
  }
  return calls
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
