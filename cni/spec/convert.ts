// From a result of any version to one of any other version. Two doors: one that keeps what the
// target can express and names the rest, and one that refuses to lose anything (section 5, "Result
// types"; points 146 to 151).

import { decodeResult } from './decode.ts'
import { encodeResult } from './encode.ts'
import { codes, failed, parsed, type Parsed } from './failure.ts'
import type { JsonObject } from './json.ts'
import type { Result } from './result.ts'
import { isVersion, type Version } from './versions.ts'

export type Conversion = {
  readonly to: Version
  /** The version of a result that does not say its own; without it such a one is read as `to`. */
  readonly from?: Version
}

export type Converted = {
  readonly value: JsonObject
  /** What the target cannot express: paths of the source such as `ips[1]`, `routes[0].mtu`. */
  readonly lost: readonly string[]
}

/**
 * Converts as the reference library does and names what was dropped. A result whose shape stays is
 * returned whole, keys that the specification does not know included. Fails with code 6 for a
 * result that cannot be read, with code 1 for one that the target cannot express at all.
 */
export const convertResult = (value: JsonObject, { to, from }: Conversion): Parsed<Converted> => {
  const source = decodeResult(value, from ?? to)
  if (source.kind === 'failed') return source
  const { cniVersion = '' } = value
  const own = typeof cniVersion === 'string' && isVersion(cniVersion) ? cniVersion : (from ?? to)
  if (own === to || hasShapeOf(own, to)) {
    return parsed({ value: { ...value, cniVersion: to }, lost: [] })
  }
  const target = encodeResult(source.value, to)
  if (target.kind === 'failed') return target
  const again = decodeResult(target.value, to)
  if (again.kind === 'failed') return again
  return parsed({ value: target.value, lost: lostParts(source.value, again.value) })
}

// Within the two old shapes a version is a label (point 151); 1.1.0 has more than 1.0.0.
const hasShapeOf = (one: Version, other: Version): boolean =>
  oldShapes.some(shape => shape.includes(one) && shape.includes(other))

const oldShapes: readonly (readonly Version[])[] = [
  ['0.1.0', '0.2.0'],
  ['0.3.0', '0.3.1', '0.4.0'],
]

/** Like convertResult, but a result that would lose anything is failure 1 naming what. */
export const convertExactly = (value: JsonObject, conversion: Conversion): Parsed<JsonObject> => {
  const converted = convertResult(value, conversion)
  if (converted.kind === 'failed') return converted
  const { lost } = converted.value
  if (lost.length === 0) return parsed(converted.value.value)
  return failed(
    codes.incompatibleVersion,
    `CNI ${conversion.to} cannot express ${lost.join(', ')} of this result; ` +
      'use a newer cniVersion, or convert without them',
  )
}

// Found by reading back what was written, so that nothing is forgotten. Every version has dns.
const lostParts = (source: Result, again: Result): readonly string[] => [
  ...lostOf('interfaces', source.interfaces, {
    again: again.interfaces,
    keyOf: ({ name, sandbox = '' }) => `${name} ${sandbox}`,
  }),
  ...lostOf('ips', source.ips, {
    again: again.ips,
    keyOf: ({ address, prefixLength }) => `${address}/${prefixLength}`,
  }),
  ...lostOf('routes', source.routes, {
    again: again.routes,
    keyOf: ({ destination, gateway = '' }) => `${destination} ${gateway}`,
  }),
]

type Comparison<T> = {
  readonly again: readonly T[]
  readonly keyOf: (entry: T) => string
}

const lostOf = <T extends object>(
  name: string,
  source: readonly T[],
  { again, keyOf }: Comparison<T>,
): readonly string[] => {
  // Entries of one key are matched in order: a second of the same is not found in the first.
  const left = [...again]
  return source.flatMap((entry, place) => {
    const found = left.findIndex(other => keyOf(other) === keyOf(entry))
    if (found < 0) return [`${name}[${place}]`]
    const [match] = left.splice(found, 1)
    const kept: Readonly<Record<string, unknown>> = { ...match }
    return Object.entries(entry)
      .filter(([key, value]) => kept[key] !== value)
      .map(([key]) => `${name}[${place}].${key === 'pciId' ? 'pciID' : key}`)
  })
}
