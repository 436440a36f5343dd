// CNI errors as values. A failure is decided where it is noticed and becomes the JSON error object
// of the specification (section "Error") only when it is printed.

/** The codes of CNI 1.1.0, two that only the reference library knows, and our own from 100 on. */
export const codes = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  // Not in the text of the specification; the reference library uses it for its own-namespace
  // guard.
  invalidNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  // 0 to 99 belong to the specification.
  internal: 100,
  checkFailed: 101,
} as const

/** Why a call failed: a CNI code, one sentence, and more words for those who look closer. */
export type Failure = {
  readonly kind: 'failed'
  readonly code: number
  readonly message: string
  /** Empty when the message says everything. */
  readonly details: string
}

/** What a parser answers: the value, or the failure the caller passes on unchanged. */
export type Parsed<T> = { readonly kind: 'parsed'; readonly value: T } | Failure

/** Builds a failure; `details` may be left out. */
export const failed = (code: number, message: string, details = ''): Failure => ({
  kind: 'failed',
  code,
  message,
  details,
})

/** Builds the successful answer of a parser. */
export const parsed = <T>(value: T): { readonly kind: 'parsed'; readonly value: T } => ({
  kind: 'parsed',
  value,
})

/** The JSON error object of the specification. Readers must accept one without `cniVersion`. */
export type ErrorObject = {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** The error object to print on stdout, stamped with the version the caller speaks. */
export const errorObject = (failure: Failure, cniVersion: string): ErrorObject => ({
  cniVersion,
  code: failure.code,
  msg: failure.message,
  ...(failure.details === '' ? {} : { details: failure.details }),
})
