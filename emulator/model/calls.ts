// Counts calls by action and result, for those who ask what a client has cost.

/** Result codes: `ok`, an EC2 error code, or the name of the fault that spoiled the answer. */
export type CallCounts = Readonly<Record<string, Readonly<Record<string, number>>>>

export interface CallLog {
  readonly note: (action: string, result: string) => void
  readonly counts: () => CallCounts
  /** Sum over all results, by action. */
  readonly totals: () => Readonly<Record<string, number>>
}

export const createCallLog = (): CallLog => {
  const seen = new Map<string, Map<string, number>>()
  const sorted = <T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] =>
    [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return {
    note: (action, result) => {
      const results = seen.get(action) ?? new Map<string, number>()
      seen.set(action, results.set(result, (results.get(result) ?? 0) + 1))
    },
    counts: () =>
      Object.fromEntries(
        sorted(seen).map(([action, results]) => [action, Object.fromEntries(sorted(results))]),
      ),
    totals: () =>
      Object.fromEntries(
        sorted(seen).map(([action, results]) => [
          action,
          [...results.values()].reduce((sum, count) => sum + count, 0),
        ]),
      ),
  }
}
