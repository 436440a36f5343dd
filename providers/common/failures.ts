// What every provider says alike when a call fails: where it happened, how a status is understood,
// and the sentence for the user. Which code means what stands in each provider's own table.

import type { Failure, FailureKind } from '#core/ports.ts'

/** One call as the user should read it, and whether it can have changed anything. */
export type Site = {
  /** The cloud's name: `AssignPrivateIpAddresses`. */
  readonly call: string
  /** What it was about: `NIC eni-1`. */
  readonly on: string
  readonly isRead: boolean
}

/** A failure that no single call reported: a wait that took too long, a state that does not fit. */
export type OwnFailure = {
  readonly kind: FailureKind
  readonly code: string
  readonly text: string
}

/** A provider's table at work. */
export type Failures = {
  /** Turns whatever a call threw into a value; rethrows what is our own bug. */
  readonly failureOf: (site: Site, error: unknown) => Failure
  readonly ownFailure: (site: Site, what: OwnFailure) => Failure
}

/** The answer of a call that says something else than it must. */
export class MalformedError extends Error {
  override readonly name = 'MalformedResponse'
}

/** Bytes of the cloud's own text: an encoded authorization message has thousands. */
const textMax = 300

/** `CALL on THING failed: what the cloud said (Code); what to do`. */
export const sentenceOf = (
  site: Site,
  what: { readonly code: string; readonly text: string; readonly advice: string },
): string => {
  const line = what.text.split('\n', 1)[0]?.trim() ?? ''
  const text = line.length > textMax ? `${line.slice(0, textMax)}…` : line
  const said = text === '' || text === what.code ? what.code : `${text} (${what.code})`
  return `${site.call} on ${site.on} failed: ${said}; ${what.advice}`
}

/** A failure of our own as a value, with the advice that belongs to it. */
export const ownFailureOf = (site: Site, what: OwnFailure, advice: string): Failure => ({
  kind: what.kind,
  ambiguous: !site.isRead && what.kind === 'transient',
  call: site.call,
  code: what.code,
  message: sentenceOf(site, { ...what, advice }),
  retryAfterMs: undefined,
})

/** What an HTTP status means when its code is in no table. */
export const kindByStatus = (status: number | undefined): FailureKind => {
  if (status === 429) return 'throttled'
  if (status === undefined || status === 408 || status >= 500) return 'transient'
  return status >= 400 ? 'denied' : 'transient'
}

/** Codes of connections that were never made, so that nothing can have happened. */
export const unsentCodes: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

// What errors of Node's network code and of the SDKs carry; any of it may be absent.
type WireError = Error & { readonly code?: unknown; readonly syscall?: string }

/** True when the request certainly never left. */
export const isUnsent = (error: Error, code: string): boolean =>
  unsentCodes.has(code) || (error as WireError).syscall === 'connect'

/** True for errors of our own making, which no provider may turn into a failure. */
export const isBug = (error: Error): boolean =>
  (error as WireError).code === undefined &&
  (error instanceof TypeError ||
    error instanceof RangeError ||
    error.message.startsWith('broken invariant'))

/** A `Retry-After` in seconds (a date there is not understood) as milliseconds. */
export const retryAfterSeconds = (header: string | undefined): number | undefined => {
  const seconds = Number(header ?? Number.NaN)
  return seconds >= 0 ? seconds * 1000 : undefined
}
