// Azure's VM sizes and what they can carry, from the committed table of documented figures.
import table from '#emulator/data/azure-vm-sizes.json' with { type: 'json' }
import type { TypeLimits } from '#emulator/model/types.ts'

interface Row {
  readonly maxInterfaces: number
  readonly ipv4PerInterface: number
  readonly ipv4PerVm: number
}

const rows = table.sizes as Readonly<Record<string, Row>>

/** Names of all known sizes, sorted. */
export const sizeNames: readonly string[] = Object.keys(rows).toSorted()

/** The limits of one size; undefined when the table has no such size. Case does not matter. */
export const sizeLimits = (size: string): TypeLimits | undefined => {
  const row = byName.get(size.toLowerCase())
  if (row === undefined) return undefined
  return {
    nicsMax: row.maxInterfaces,
    nicsPerCard: [row.maxInterfaces],
    slotsPerNic: row.ipv4PerInterface,
    // The limit counts configurations of both families; one of them is the primary IPv4 address.
    slots6PerNic: row.ipv4PerInterface - 1,
    slotsPerInstanceMax: row.ipv4PerVm,
    hasPrefixes: true,
    isBareMetal: false,
    cpus: cpusOf(size),
  }
}

const byName = new Map(Object.entries(rows).map(([name, row]) => [name.toLowerCase(), row]))

/** The number in a size's name: `Standard_D4s_v5` has 4. Constrained sizes are not in the table. */
const cpusOf = (size: string): number => Number(/^[a-z]+_[a-z]+(\d+)/i.exec(size)?.[1] ?? 1)
