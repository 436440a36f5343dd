// `Filter.N.Name` and `Filter.N.Value.M`: all filters must match, any of a filter's values may.
// Values may hold the wildcards * and ? (EC2 user guide, "Filter your resources").
import type { Tags } from '#emulator/model/types.ts'
import { Ec2Error } from './errors.ts'
import { type Params, invalidValue } from './params.ts'

/** A filter's name and the values of which one must match. */
export interface Filter {
  readonly name: string
  readonly values: readonly string[]
}

/** A thing's values under each filter name that its kind knows. */
export type Fields<T> = Readonly<Record<string, (thing: T) => readonly (string | undefined)[]>>

/** Filters per request, and values in all of them together: documented limits. */
const filtersMax = 50
const valuesMax = 200

export const readFilters = (params: Params): readonly Filter[] => {
  const filters = params.structures('Filter').map(filter => ({
    name: filter.required('Name'),
    values: filter.list('Value'),
  }))
  if (!(filters.length <= filtersMax)) {
    throw new Ec2Error('FilterLimitExceeded', `More than ${filtersMax} filters were specified`)
  }
  const count = filters.reduce((sum, filter) => sum + filter.values.length, 0)
  if (!(count <= valuesMax)) {
    throw new Ec2Error('FilterLimitExceeded', `More than ${valuesMax} filter values were specified`)
  }
  for (const { name, values } of filters) {
    if (values.length === 0) throw invalidValue('Filter.Value', '', `Filter ${name} has no value.`)
  }
  return filters
}

/** Refuses filters that a kind of thing does not have; tags are filters of every kind. */
export const checkFilters = (filters: readonly Filter[], fields: Fields<never>): void => {
  for (const { name } of filters) {
    const isTag = name.startsWith('tag:') || name === 'tag-key'
    if (!isTag && !Object.hasOwn(fields, name)) {
      throw new Ec2Error('InvalidParameterValue', `The filter '${name}' is invalid`)
    }
  }
}

/** The things that all filters let through. */
export const applyFilters = <T extends { readonly tags?: Tags }>(
  things: readonly T[],
  filters: readonly Filter[],
  fields: Fields<T>,
): readonly T[] =>
  things.filter(thing =>
    filters.every(filter => matches(valuesOf(thing, filter.name, fields), filter)),
  )

const valuesOf = <T extends { readonly tags?: Tags }>(
  thing: T,
  name: string,
  fields: Fields<T>,
): readonly (string | undefined)[] => {
  const tags = thing.tags ?? {}
  if (name === 'tag-key') return Object.keys(tags)
  if (name.startsWith('tag:')) {
    const key = name.slice('tag:'.length)
    return Object.hasOwn(tags, key) ? [tags[key]] : []
  }
  return fields[name]?.(thing) ?? []
}

const matches = (found: readonly (string | undefined)[], { values }: Filter): boolean =>
  values.some(pattern => found.some(value => value !== undefined && wildcard(pattern).test(value)))

const literal = (char: string): string => char.replace(/[$()*+.?[\\\]^{|}]/, String.raw`\$&`)

const wildcard = (pattern: string): RegExp => {
  const source = pattern.replaceAll(/\\[*?\\]|[\s\S]/g, part => {
    if (part === '*') return '[^]*'
    if (part === '?') return '[^]'
    return literal(part.length === 2 ? part.slice(1) : part)
  })
  return new RegExp(`^${source}$`)
}
