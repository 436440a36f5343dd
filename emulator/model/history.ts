// What different observers see of one thing that changes. The truth is the newest version; the
// describe calls and the metadata service each catch up with it at their own time.

/** Who looks. `metadataBlocks` is the list of further addresses, which lags the NIC itself. */
export type View = 'describe' | 'metadata' | 'metadataBlocks'

/** A value (undefined: deleted) and the time from which each observer sees it. */
export interface Version<T> {
  readonly value: T | undefined
  readonly from: Readonly<Record<View, number>>
}

/** Oldest first; never empty. */
export type History<T> = readonly Version<T>[]

/** The truth. */
export const latest = <T>(history: History<T>): T | undefined => history.at(-1)?.value

/** The newest version that this observer sees; time only brings newer ones. */
export const seenBy = <T>(history: History<T>, view: View, now: number): T | undefined =>
  history.findLast(version => version.from[view] <= now)?.value

/** Appends a version and forgets those that no observer can see any more. */
export const append = <T>(history: History<T>, next: Version<T>, now: number): History<T> => {
  const all = [...history, next]
  const views: readonly View[] = ['describe', 'metadata', 'metadataBlocks']
  const needed = views.map(view => all.findLastIndex(version => version.from[view] <= now))
  return all.slice(Math.max(0, Math.min(...needed)))
}
