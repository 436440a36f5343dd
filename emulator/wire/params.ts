// Values in a flat form: numbered names, whole numbers and flags. What is said of a bad one, each
// face decides.

/** The numbers N of the names that begin with `start`, then N, then a dot or nothing; sorted. */
export const indexesOf = (names: Iterable<string>, start: string): readonly number[] => {
  const found = [...names]
    .filter(name => name.startsWith(start))
    .map(name => Number(/^\d{1,4}(?=\.|$)/.exec(name.slice(start.length))?.[0] ?? 0))
    .filter(index => index > 0)
  return [...new Set(found)].toSorted((a, b) => a - b)
}

/** A whole number; throws what `bad` makes of anything else. */
export const integerOf = (
  value: string | undefined,
  bad: (value: string) => Error,
): number | undefined => {
  if (value === undefined) return undefined
  if (!/^-?\d{1,9}$/.test(value)) throw bad(value)
  return Number(value)
}

/** `true` or `false`; throws what `bad` makes of anything else. */
export const flagOf = (
  value: string | undefined,
  bad: (value: string) => Error,
): boolean | undefined => {
  if (value === undefined) return undefined
  if (value === 'true') return true
  if (value === 'false') return false
  throw bad(value)
}
