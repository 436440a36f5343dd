// Figures of a series of measured times.

/** Count, median and 99th percentile in milliseconds, as the report prints them. */
export type Percentiles = { readonly count: number; readonly p50: number; readonly p99: number }

/** Nearest-rank percentiles, rounded to a hundredth; zeros when there is no value. */
export const percentilesOf = (values: readonly number[]): Percentiles => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => {
    const rank = Math.max(1, Math.ceil(share * sorted.length))
    return Math.round((sorted[rank - 1] ?? 0) * 100) / 100
  }
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) }
}
