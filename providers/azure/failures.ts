// What Azure's refusals and the network's mishaps mean: from a code, a status and sometimes a text
// to the kinds the core decides on, and one sentence for the user.

import type { Failure, FailureKind } from '#core/ports.ts'
import { type OwnFailure, type Site, isBug, isUnsent } from '../common/failures.ts'
import { kindByStatus, ownFailureOf, retryAfterSeconds, sentenceOf } from '../common/failures.ts'
import { adviceFor, endings, kindByCode } from './codes.ts'

/** One entry of Resource Manager's error envelope. */
export type ArmErrorBody = {
  readonly code?: unknown
  readonly message?: unknown
  readonly details?: unknown
  readonly innererror?: unknown
}

/** A refusal by Resource Manager or one of its providers, or a failed long-running operation. */
export class ArmError extends Error {
  override readonly name = 'ArmError'
  readonly code: string
  /** Undefined when an operation failed after it had been accepted. */
  readonly status: number | undefined
  readonly retryAfter: string | undefined

  constructor(
    body: ArmErrorBody | undefined,
    wire: { readonly status?: number | undefined; readonly retryAfter?: string | undefined },
  ) {
    const { code, text } = saidBy(body)
    super(text)
    this.code = code ?? `HTTP ${wire.status ?? 'error'}`
    this.status = wire.status
    this.retryAfter = wire.retryAfter
  }
}

/** No token could be had: whatever the call was, it was never sent. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError'
  readonly code: string

  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Turns whatever a call threw into a value; rethrows what is our own bug. */
export const failureOf = (site: Site, error: unknown): Failure => {
  if (!(error instanceof Error) || isBug(error)) throw error
  const code = codeOf(error)
  const kind = kindOf(code, error)
  const advice = adviceOf({ kind, code, text: error.message })
  return {
    kind,
    ambiguous: !site.isRead && isAmbiguous(kind, code, error),
    call: site.call,
    code,
    message: sentenceOf(site, { code, text: error.message, advice }),
    retryAfterMs: error instanceof ArmError ? retryAfterSeconds(error.retryAfter) : undefined,
  }
}

export const ownFailure = (site: Site, what: OwnFailure): Failure =>
  ownFailureOf(site, what, adviceFor(what.kind, what.code))

// Envelopes nest: Compute and Network put the telling code into details or innererror.
const saidBy = (
  body: ArmErrorBody | undefined,
): { readonly code: string | undefined; readonly text: string } => {
  const codes: string[] = []
  const texts: string[] = []
  const visit = (entry: unknown, depth: number): void => {
    if (typeof entry !== 'object' || entry === null || depth > detailDepthMax) return
    const { code, message, details, innererror } = entry as ArmErrorBody
    if (typeof code === 'string' && code !== '') codes.push(code)
    if (typeof message === 'string' && message !== '') texts.push(message)
    if (Array.isArray(details)) for (const detail of details) visit(detail, depth + 1)
    visit(innererror, depth + 1)
  }
  visit(body, 0)
  const telling = codes.find(code => kindByCode.has(code) && !wrappers.has(code))
  return { code: telling ?? codes[0], text: texts.join(' ') }
}

const detailDepthMax = 4

// Codes that say little when another stands inside them.
const wrappers: ReadonlySet<string> = new Set([
  'BadRequest',
  'Conflict',
  'OperationNotAllowed',
  'InternalServerError',
  'InvalidRequestFormat',
  'RetryableError',
  'DeploymentFailed',
  'ResourceOperationFailure',
])

type WireError = Error & { readonly code?: unknown; readonly statusCode?: unknown }

const codeOf = (error: Error): string => {
  if (error.name === 'AbortError') return 'Aborted'
  const { code } = error as WireError
  // The SDK's name for an answer that is called JSON and is not.
  if (code === 'PARSE_ERROR') return 'MalformedResponse'
  if (typeof code === 'string' && code !== '') return code
  return error.name
}

const statusOf = (error: Error): number | undefined => {
  if (error instanceof ArmError) return error.status
  const { statusCode } = error as WireError
  return typeof statusCode === 'number' ? statusCode : undefined
}

const kindOf = (code: string, error: Error): FailureKind => {
  const status = statusOf(error)
  const exception = exceptions.find(
    row => row.code === code && (row.status ?? status) === status && row.text.test(error.message),
  )
  if (exception !== undefined) return exception.kind
  const listed = kindByCode.get(code) ?? endings.find(([pattern]) => pattern.test(code))?.[1]
  // A failed operation has no status, and what it says is final all the same.
  if (listed === undefined && error instanceof ArmError && status === undefined) return 'denied'
  return listed ?? kindByStatus(status)
}

// The same code means different things; status or text tells. Compute answers with
// OperationNotAllowed to quotas (409), to locks (409) and when it throttles (429, "Troubleshooting
// API throttling errors"). PreconditionFailed is an ETag only with 412.
const exceptions: readonly {
  readonly code: string
  readonly status?: number
  readonly text: RegExp
  readonly kind: FailureKind
}[] = [
  { code: 'OperationNotAllowed', status: 429, text: /./s, kind: 'throttled' },
  { code: 'OperationNotAllowed', text: /quota|exceed|maximum/i, kind: 'limit' },
  { code: 'ResourceNotFound', text: /referenced by/i, kind: 'denied' },
  { code: 'NotFound', text: /referenced by/i, kind: 'denied' },
]

// A refusal is certain. What broke on the way, or inside Azure, may have happened all the same;
// not when the connection or the token was never had. A failed operation has ended and is looked
// at before it is reported, so it is certain too.
const isAmbiguous = (kind: FailureKind, code: string, error: Error): boolean => {
  if (kind !== 'transient' || error instanceof CredentialError) return false
  const status = statusOf(error)
  if (status !== undefined) return status >= 500 || status < 400 || code === 'MalformedResponse'
  return error instanceof ArmError ? true : !isUnsent(error, code)
}

const adviceOf = (what: {
  readonly kind: FailureKind
  readonly code: string
  readonly text: string
}): string => {
  const missing = missingRight(what.code, what.text)
  if (missing === undefined) return adviceFor(what.kind, what.code)
  const scope = missing.scope === undefined ? '' : ` on ${missing.scope}`
  return `give the identity of this node a role with ${missing.action}${scope}`
}

/**
 * The action a role lacks and where, out of the sentence that is the only place where Azure says
 * so. The linked form names first what is allowed, then what is not.
 */
export const missingRight = (
  code: string,
  text: string,
): { readonly action: string; readonly scope: string | undefined } | undefined => {
  if (code === 'AuthorizationFailed') {
    const action = /perform action '([^']+)'/.exec(text)?.[1]
    const scope = /over scope '([^']+)'/.exec(text)?.[1]
    return action === undefined ? undefined : { action, scope }
  }
  if (code === 'LinkedAuthorizationFailed' || code === 'LinkedAccessCheckFailed') {
    const action = /not have permission to perform action(?:\(s\))? '([^']+)'/.exec(text)?.[1]
    const scope = /linked scope(?:\(s\))? '([^']+)'/.exec(text)?.[1]
    return action === undefined ? undefined : { action, scope }
  }
  return undefined
}
