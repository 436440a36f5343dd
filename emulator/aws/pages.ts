// Pagination of describes: MaxResults, an opaque NextToken bound to the request it continues, and
// the rule that a list of ids cannot be paginated.
import { cutPage, listingKey, readMark, writeMark } from '#emulator/wire/pages.ts'
import { Ec2Error } from './errors.ts'
import type { Params } from './params.ts'

/** Bounds of MaxResults for one action. */
export interface PageLimits {
  readonly min: number
  readonly max: number
}

/** What a request asks for; `key` is the same for every page of one listing. */
export interface PageRequest {
  readonly size: number | undefined
  readonly after: string | undefined
  readonly key: string
}

/** Reads and checks the paging parameters. `listing` is all that tells one listing from another. */
export const readPage = (params: Params, limits: PageLimits, listing: string): PageRequest => {
  const size = params.integer('MaxResults')
  const token = params.text('NextToken')
  const isInside = size === undefined || (size >= limits.min && size <= limits.max)
  if (!isInside) {
    throw new Ec2Error(
      'InvalidMaxResults',
      `Value ( ${size} ) for parameter maxResults is invalid. Expecting a value between ` +
        `${limits.min} and ${limits.max}.`,
    )
  }
  const key = listingKey(listing)
  return { size, after: token === undefined ? undefined : decode(token, key), key }
}

/** Refuses paging together with a list of ids. */
export const refuseIdsWithPages = (ids: readonly string[], params: Params, name: string): void => {
  if (ids.length === 0 || params.text('MaxResults') === undefined) return
  throw new Ec2Error(
    'InvalidParameterCombination',
    `The parameter ${name} cannot be used with the parameter maxResults`,
  )
}

/** One page of things in the order of their ids, so that changes between pages repeat nothing. */
export const pageOf = <T>(
  things: readonly T[],
  idOf: (thing: T) => string,
  page: PageRequest,
): { readonly items: readonly T[]; readonly nextToken: string | undefined } => {
  const { items, next } = cutPage(things, idOf, page)
  return { items, nextToken: next === undefined ? undefined : writeMark(next, page.key) }
}

const decode = (token: string, key: string): string => {
  const after = readMark(token, key)
  if (after === undefined) throw new Ec2Error('InvalidNextToken', 'The token is not valid.')
  return after
}
