// AWS's machine types and what they can carry, from the committed table of documented figures.
import table from '#emulator/data/aws-instance-types.json' with { type: 'json' }
import type { TypeLimits } from '#emulator/model/types.ts'

interface Row {
  readonly maxInterfaces: number
  readonly ipv4PerInterface: number
  readonly ipv6PerInterface?: number
  readonly interfacesPerCard?: readonly number[]
  readonly prefixDelegation: boolean
}

const rows = table.types as Readonly<Record<string, Row>>

/** Names of all known types, sorted. */
export const typeNames: readonly string[] = Object.keys(rows).toSorted()

/** The limits of one type; undefined when the table has no such type. */
export const typeLimits = (type: string): TypeLimits | undefined => {
  const row = Object.hasOwn(rows, type) ? rows[type] : undefined
  if (row === undefined) return undefined
  return {
    nicsMax: row.maxInterfaces,
    nicsPerCard: row.interfacesPerCard ?? [row.maxInterfaces],
    slotsPerNic: row.ipv4PerInterface,
    slots6PerNic: row.ipv6PerInterface ?? 0,
    hasPrefixes: row.prefixDelegation,
    isBareMetal: type.includes('.metal'),
    cpus: cpusOf(type),
  }
}

// By the naming rule of current families: large has 2 vCPUs, xlarge 4, Nxlarge 4 N. Bare metal and
// the burstable small sizes are approximate; nothing but DescribeInstanceTypes shows the number.
const cpusOf = (type: string): number => {
  const size = type.split('.', 2)[1] ?? ''
  if (size.includes('metal')) return 96
  if (!size.endsWith('xlarge')) return 2
  return 4 * Number(/^\d+/.exec(size)?.[0] ?? 1)
}
