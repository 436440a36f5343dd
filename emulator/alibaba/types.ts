// Alibaba's machine types and what they can carry, from the committed table of documented figures.
import table from '#emulator/data/alibaba-instance-types.json' with { type: 'json' }
import type { TypeLimits } from '#emulator/model/types.ts'

/** One row of the table; `maxInterfaces` counts the primary NIC, `ipv4PerInterface` its address. */
export interface TypeRow {
  readonly maxInterfaces: number
  readonly totalInterfaces: number
  readonly trunk: boolean
  readonly ipv4PerInterface: number
  readonly ipv6PerInterface: number
}

const rows: Readonly<Record<string, TypeRow>> = table.types

/** Names of all known types, sorted. */
export const typeNames: readonly string[] = Object.keys(rows).toSorted()

/** The figures of one type; undefined when the table has no such type. */
export const typeRow = (type: string): TypeRow | undefined =>
  Object.hasOwn(rows, type) ? rows[type] : undefined

/** The limits of one type as the model wants them. */
export const typeLimits = (type: string): TypeLimits | undefined => {
  const row = typeRow(type)
  if (row === undefined) return undefined
  return {
    nicsMax: row.maxInterfaces,
    nicsPerCard: [row.maxInterfaces],
    slotsPerNic: row.ipv4PerInterface,
    slots6PerNic: row.ipv6PerInterface,
    // Prefixes depend on the region only (ECS user guide, "IP prefixes").
    hasPrefixes: true,
    isBareMetal: familyOf(type).startsWith('ecs.ebm'),
    cpus: cpusOf(type),
  }
}

/** `ecs.g7` of `ecs.g7.large`. */
export const familyOf = (type: string): string => type.slice(0, type.lastIndexOf('.'))

/** vCPUs by the naming rule of all families: large has 2, xlarge 4, Nxlarge 4 N. */
export const cpusOf = (type: string): number => {
  const size = type.slice(type.lastIndexOf('.') + 1)
  if (!size.endsWith('xlarge')) return 2
  return 4 * Number(/^\d+/.exec(size)?.[0] ?? 1)
}

/**
 * GiB of memory by the naming rule: compute families have 2 per vCPU, memory families 8, others 4.
 */
export const memoryOf = (type: string): number => {
  const letter = familyOf(type).slice('ecs.'.length, 'ecs.'.length + 1)
  const perCpu = { c: 2, r: 8 }[letter] ?? 4
  return perCpu * cpusOf(type)
}
