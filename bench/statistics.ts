// The few figures a benchmark draws from its samples.

/** The sample at or above which the given share of all samples lies: nearest rank, no blending. */
export const percentile = (samples: readonly number[], share: number): number => {
  const sorted = [...samples].sort((a, b) => a - b)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  const value = sorted[rank - 1]
  if (value === undefined) throw new RangeError('no samples to take a percentile of')
  return value
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5)

export const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, sample) => sum + sample, 0) / samples.length

export const maximum = (samples: readonly number[]): number => percentile(samples, 1)

/** Three significant digits: more would claim a precision that the machine does not have. */
export const rounded = (value: number): number => Number(value.toPrecision(3))
