// The versions of the CNI specification: which exist, how they are read, compared, and when a verb
// was introduced.

/** Every version of the specification, oldest first. */
export const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

export type Version = (typeof versions)[number]

/** What we answer in when the caller's version cannot be read. */
export const newestVersion: Version = '1.1.0'

/** A configuration without `cniVersion` is read as this one. */
export const impliedVersion: Version = '0.1.0'

/** Exact text only: "1.0" does not name 1.0.0. */
export const isVersion = (text: string): text is Version =>
  (versions as readonly string[]).includes(text)

/** One to three dotted integers, missing parts are 0, empty is 0.1.0; undefined otherwise. */
export const parseVersion = (text: string): readonly [number, number, number] | undefined => {
  if (text === '') return [0, 1, 0]
  if (!/^\d{1,9}(\.\d{1,9}){0,2}$/.test(text)) return undefined
  const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
  return [major, minor, patch]
}

/** True when the version is the given one or newer. */
export const isAtLeast = (version: Version, least: Version): boolean =>
  versions.indexOf(version) >= versions.indexOf(least)
