// What went wrong lately, in words for the user. Shown by status, why and ADD errors; nothing is
// ever decided on it.

import type { Millis } from './names.ts'
import type { Failure } from './ports.ts'
import type { Problem, State } from './state.ts'

/** Oldest problems are forgotten beyond this many subjects. */
const problemsMax = 50

/** Notes a problem about a subject; the same subject again raises its count. */
export const noteProblem = (
  state: State,
  subject: string,
  news: { readonly text: string; readonly kind: Problem['kind']; readonly at: Millis },
): State => {
  const known = state.problems.get(subject)
  const problems = new Map(state.problems)
  // Deleted first, so that the map stays in order of the last occurrence.
  problems.delete(subject)
  problems.set(subject, {
    text: news.text,
    kind: news.kind,
    firstAt: known?.firstAt ?? news.at,
    lastAt: news.at,
    count: (known?.count ?? 0) + 1,
  })
  for (const oldest of problems.keys()) {
    if (problems.size <= problemsMax) break
    problems.delete(oldest)
  }
  return { ...state, problems }
}

/** The subject works again. */
export const clearProblem = (state: State, subject: string): State => {
  if (!state.problems.has(subject)) return state
  const problems = new Map(state.problems)
  problems.delete(subject)
  return { ...state, problems }
}

/**
 * One sentence of what failed, where, why and what to do. `what` reads `lend addresses to eni-1`.
 */
export const describeFailure = (what: string, failure: Failure): string =>
  `cannot ${what}: ${failure.message === '' ? bareCause(failure) : failure.message}`

// A provider's message says call, cause and advice in the cloud's own terms.
const bareCause = (failure: Failure): string =>
  `${failure.call} answered ${failure.code}; ${adviceOf(failure)}`

const adviceOf = (failure: Failure): string => {
  switch (failure.kind) {
    case 'throttled':
      return 'the account makes too many calls; calls are spaced out, raise the API limit or lower the warm target'
    case 'exhausted':
      return 'other subnets are tried; add a subnet or lower the warm target'
    case 'fragmented':
      return 'single addresses are tried; reserve a prefix range in the subnet to keep /28 blocks'
    case 'limit':
      return 'the limit of the instance or account is reached; use a larger instance type or raise the quota'
    case 'conflict':
      return 'something else changed it at the same time; it is observed and tried again'
    case 'notFound':
      return 'it may be gone or not yet visible; it is observed and tried again'
    case 'denied':
      return `allow ${failure.call} in the permissions of the node's role`
    case 'transient':
      return 'it is observed and tried again'
  }
}
