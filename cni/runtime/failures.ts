// How a runtime's own failures are told apart from those of plugins: codes from 110 on, which no
// plugin of ours uses, and who failed in front of what a plugin said.

import { failed, type Failure, type Parsed } from '../spec/failure.ts'

/** Beside the codes of the specification, which keep their meaning. */
export const runtimeCodes = {
  /** No regular file of that name in CNI_PATH. */
  pluginMissing: 110,
  /** It ended badly without an error object, or could not be started. */
  pluginFailed: 111,
  pluginTimedOut: 112,
  /** The caller gave up. */
  aborted: 113,
  /** The cache holds another attachment under the same file name. */
  cacheConflict: 114,
  /** The container has an interface of that name already, as far as is remembered. */
  alreadyAdded: 115,
} as const

/** Puts where it happened in front; code and details stay. */
export const within = <T>(where: string, outcome: Parsed<T>): Parsed<T> =>
  outcome.kind === 'failed' ? named(where, outcome) : outcome

/** Puts where it happened in front of one failure. */
export const named = (where: string, { code, message, details }: Failure): Failure =>
  failed(code, `${where}: ${message}`, details)

/** What an exception of Node says. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
