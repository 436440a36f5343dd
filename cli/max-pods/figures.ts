// What machine types allow, from the committed table of published figures, and how a name that is
// not in it was probably meant. The table is a snapshot; `--live` asks the cloud instead.

import table from '../data/instance-limits.json' with { type: 'json' }

/** The clouds eniway knows. */
export const clouds = ['aws', 'azure', 'alibaba'] as const
export type CloudName = (typeof clouds)[number]

/** What decides how many pods a machine type carries. Addresses include a NIC's own. */
export type Figures = {
  readonly instanceType: string
  /** NICs of a machine, the primary included; on AWS those of the default network card. */
  readonly nics: number
  readonly ipv4: number
  /** Undefined: not published; 0: the type takes no IPv6 addresses. */
  readonly ipv6: number | undefined
  readonly takesPrefixes: boolean
  /** Network cards, where there can be several. */
  readonly networkCards: number
  /** What the cloud's own software publishes or computes; undefined where it does neither. */
  readonly published: number | undefined
  /** False: the IPv6 figure follows the family's rule, no published answer shows it. */
  readonly isIpv6Published: boolean
  /** Where the figures come from, in words. */
  readonly source: string
}

type Row = {
  readonly nics: number
  readonly ipv4?: number
  readonly ipv6?: number
  readonly ipv6ByRule?: boolean
  readonly prefixes?: boolean
  readonly networkCards?: number
  readonly published?: number
}

/** Private addresses of an Azure VM, and of each of its NICs, whatever its size. */
export const azureAddresses = 256

const tableSource = 'published figures that come with eniway; --live asks the cloud'

const rowsOf = (cloud: CloudName): Readonly<Record<string, Row>> => table[cloud]

/** Names of all types in the table, in its order. */
export const typeNames = (cloud: CloudName): readonly string[] => Object.keys(rowsOf(cloud))

/** Figures of a type, whatever the case of its name; undefined: it is not in the table. */
export const figuresOf = (cloud: CloudName, instanceType: string): Figures | undefined => {
  const plain = instanceType.toLowerCase()
  const rows = Object.entries(rowsOf(cloud))
  const found = rows.find(([name]) => name.toLowerCase() === plain)
  if (found === undefined) return undefined
  const [name, row] = found
  return {
    ...commonOf(cloud, name, row),
    networkCards: row.networkCards ?? 1,
    published: row.published,
    isIpv6Published: row.ipv6ByRule !== true,
    source: tableSource,
  }
}

// Azure's addresses are the same for every size, and its limit counts both families.
const commonOf = (cloud: CloudName, instanceType: string, row: Row) => ({
  instanceType,
  nics: row.nics,
  ipv4: row.ipv4 ?? azureAddresses,
  ipv6: cloud === 'azure' ? azureAddresses : row.ipv6,
  takesPrefixes: row.prefixes ?? true,
})

const nearMax = 3
const distanceMax = 3

/** Types whose names are nearest, best first: those of the same family before those like it. */
export const nearTypes = (cloud: CloudName, instanceType: string): readonly string[] => {
  const text = instanceType.toLowerCase()
  const family = familyOf(text)
  return typeNames(cloud)
    .map(name => ({
      name,
      isFamily: familyOf(name.toLowerCase()) === family,
      distance: distanceOf(text, name.toLowerCase()),
    }))
    .filter(({ isFamily, distance }) => isFamily || distance <= distanceMax)
    .toSorted((a, b) => a.distance - b.distance || Number(b.isFamily) - Number(a.isFamily))
    .slice(0, nearMax)
    .map(({ name }) => name)
}

/** The cloud that has a type of this name; undefined: none in the table. */
export const cloudOf = (instanceType: string): CloudName | undefined =>
  clouds.find(cloud => figuresOf(cloud, instanceType) !== undefined)

// `m5` of `m5.large`, `ecs.g7` of `ecs.g7.large`; Azure's names have the size in the middle.
const familyOf = (name: string): string =>
  name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : name.replace(/\d+/, '#')

// Levenshtein's distance; names are short.
const distanceOf = (a: string, b: string): number => {
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [row, letter] of a.split('').entries()) {
    const next = [row + 1]
    for (const [column, other] of b.split('').entries()) {
      const replaced = (last[column] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (last[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    last = next
  }
  return last[b.length] ?? 0
}
