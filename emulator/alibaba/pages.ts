// Pagination of describes: the old way by page number and size, and the new one by MaxResults and a
// NextToken that is bound to the listing it continues.
import { cutPage, listingKey, readMark, writeMark } from '#emulator/wire/pages.ts'
import { invalidParameter } from './errors.ts'
import type { Params } from './params.ts'

/** What one action allows; sizes beyond the bounds are taken as the nearest bound. */
export interface PageLimits {
  readonly defaultSize: number
  readonly pageSizeMax: number
  /** Undefined: the action has no tokens. */
  readonly results: { readonly min: number; readonly max: number } | undefined
}

/** What a request asks for. */
export type PageRequest =
  | {
      readonly kind: 'number'
      readonly number: number
      readonly size: number
      readonly key: string
    }
  | { readonly kind: 'token'; readonly size: number; readonly after: string; readonly key: string }

/** Reads the paging parameters. `listing` is all that tells one listing from another. */
export const readPage = (params: Params, limits: PageLimits, listing: string): PageRequest => {
  const { defaultSize, pageSizeMax, results } = limits
  const key = listingKey(listing)
  const size = params.integer('MaxResults')
  const token = params.text('NextToken')
  if (results !== undefined && (size !== undefined || token !== undefined)) {
    const { min, max } = results
    const bounded = Math.min(max, Math.max(min, size ?? defaultSize))
    return {
      kind: 'token',
      size: bounded,
      after: token === undefined ? '' : decode(token, key),
      key,
    }
  }
  const number = params.integer('PageNumber') ?? 1
  const pageSize = params.integer('PageSize') ?? defaultSize
  if (!(number >= 1)) throw invalidParameter('PageNumber')
  if (!(pageSize >= 1 && pageSize <= pageSizeMax)) {
    throw invalidParameter('PageSize', `Valid values: 1 to ${pageSizeMax}.`)
  }
  return { kind: 'number', number, size: pageSize, key }
}

/** One page, and the members of the answer that tell where it stands. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly place: Readonly<Record<string, string | number>>
}

/** One page of things in the order of their ids, so that changes between pages repeat nothing. */
export const pageOf = <T>(
  things: readonly T[],
  idOf: (thing: T) => string,
  page: PageRequest,
): Page<T> => {
  const { size, key } = page
  const skip = page.kind === 'number' ? (page.number - 1) * size : 0
  const after = page.kind === 'token' ? page.after : undefined
  const { items, next } = cutPage(things, idOf, { after, skip, size })
  const nextToken = next === undefined ? '' : writeMark(next, key)
  if (page.kind === 'token') return { items, place: { NextToken: nextToken } }
  const place = { PageNumber: page.number, PageSize: size, TotalCount: things.length }
  return { items, place: { ...place, NextToken: nextToken } }
}

const decode = (token: string, key: string): string => {
  const after = readMark(token, key)
  if (after === undefined) throw invalidParameter('NextToken')
  return after
}
