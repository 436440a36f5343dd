// Which subnets new NICs may lie in, the same rules for every cloud where that is a choice.

import type { SubnetId } from '#core/names.ts'
import type { Subnet } from '#core/ports.ts'
import type { SubnetSelection } from './options.ts'

/** A subnet with what selection needs. */
export type TaggedSubnet = Subnet & { readonly tags: ReadonlyMap<string, string> }

const roleTag = 'kubernetes.io/role/cni'

/** Those of the selection, best first; `primary` is the subnet of the primary NIC. */
export const choose = (
  all: readonly TaggedSubnet[],
  selection: SubnetSelection,
  primary: SubnetId,
): readonly TaggedSubnet[] => {
  switch (selection.kind) {
    case 'ids':
      return selection.ids.flatMap(id => all.find(subnet => subnet.id === id) ?? [])
    case 'tags':
      return roomiestFirst(all.filter(({ tags }) => carries(tags, selection.tags)))
    case 'default':
      return roomiestFirst(all.filter(({ id, tags }) => id === primary || hasRole(tags)))
  }
}

// The value 0 is a wish to be left out, as Amazon's CNI reads it.
const hasRole = (tags: ReadonlyMap<string, string>): boolean =>
  tags.has(roleTag) && tags.get(roleTag) !== '0'

const carries = (
  tags: ReadonlyMap<string, string>,
  wanted: Readonly<Record<string, string>>,
): boolean =>
  Object.entries(wanted).every(([name, value]) =>
    value === '' ? tags.has(name) : tags.get(name) === value,
  )

const roomiestFirst = (subnets: readonly TaggedSubnet[]): readonly TaggedSubnet[] =>
  subnets.toSorted((a, b) => b.available - a.available || (a.id < b.id ? -1 : 1))

/** As the core sees it. */
export const withoutTags = ({ id, zone, cidrs, available }: TaggedSubnet): Subnet => ({
  id,
  zone,
  cidrs,
  available,
})

/** The selection as the end of a sentence: `none of them is …`. */
export const wordsOf = (selection: SubnetSelection): string => {
  switch (selection.kind) {
    case 'ids':
      return `one of ${selection.ids.join(', ')}`
    case 'tags':
      return `tagged ${JSON.stringify(selection.tags)}`
    case 'default':
      return `the primary NIC's or tagged ${roleTag}`
  }
}
