// Which version of the specification a configuration is used with (section 1, "Configuration
// format"; points 1 to 5).

import { invalid } from './config.ts'
import { parsed, type Parsed } from './failure.ts'
import { isVersion, impliedVersion, newestVersion, parseVersion, versions } from './versions.ts'

/** The two keys as they were read, which may hold anything. */
export type VersionKeys = {
  readonly cniVersion?: unknown
  readonly cniVersions?: unknown
}

/**
 * The highest of both keys that there is and that is not newer than `newest`. When there is no such
 * one, or `cniVersions` is empty or absent, `cniVersion` as it stands, even when it is newer: the
 * plugins then say what they think of it. A configuration without either is of 0.1.0.
 */
export const chooseVersion = (
  { cniVersion = '', cniVersions = [] }: VersionKeys,
  newest: string = newestVersion,
): Parsed<string> => {
  if (!isReadable(cniVersion)) return invalid('cniVersion', cniVersion, example)
  if (!Array.isArray(cniVersions)) {
    return invalid('cniVersions', cniVersions, 'a list of versions')
  }
  const place = cniVersions.findIndex(entry => entry === '' || !isReadable(entry))
  if (place >= 0) return invalid(`cniVersions[${place}]`, cniVersions[place], example)
  const listed = cniVersions as readonly string[]
  const single = cniVersion === '' ? [] : [cniVersion]
  const usable = [...single, ...listed].filter(text => isSupported(text, newest))
  const highest = usable.toSorted((a, b) => compareVersions(a, b) || byName(a, b)).at(-1)
  const chosen = listed.length === 0 ? undefined : highest
  return parsed(chosen ?? (cniVersion === '' ? impliedVersion : cniVersion))
}

// "1.0" is read as 1.0.0; a version between two that there are is nobody's.
const isSupported = (text: string, newest: string): boolean =>
  compareVersions(text, newest) <= 0 && versions.some(known => compareVersions(known, text) === 0)

// Of equal ones ("1.0", "1.0.0") the exact name is last: plugins compare texts (point 45).
const byName = (a: string, b: string): number => Number(isVersion(a)) - Number(isVersion(b))

/** Orders version texts by number: "1.0" and "1.0.0" are equal. What cannot be read is 0.0.0. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [parseVersion(a) ?? nothing, parseVersion(b) ?? nothing]
  const differing = left.findIndex((part, place) => part !== right[place])
  return differing < 0 ? 0 : (left[differing] ?? 0) - (right[differing] ?? 0)
}

const nothing = [0, 0, 0] as const

const isReadable = (value: unknown): value is string =>
  typeof value === 'string' && parseVersion(value) !== undefined

const example = `a version such as "${newestVersion}"`
