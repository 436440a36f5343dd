// Pagination of describes: the old way by page number and size, and the new one by MaxResults and a
// NextToken that is bound to the listing it continues.
import { createHash } from 'node:crypto'
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
  const key = createHash('sha256').update(listing).digest('hex').slice(0, 16)
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
  const sorted = things.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
  const { size, key } = page
  const rest =
    page.kind === 'number'
      ? sorted.slice((page.number - 1) * size)
      : sorted.filter(thing => idOf(thing) > page.after)
  const items = rest.slice(0, size)
  const last = items.at(-1)
  const isMore = items.length < rest.length && last !== undefined
  const nextToken = isMore ? encode(idOf(last), key) : ''
  if (page.kind === 'token') return { items, place: { NextToken: nextToken } }
  const place = { PageNumber: page.number, PageSize: size, TotalCount: things.length }
  return { items, place: { ...place, NextToken: nextToken } }
}

const encode = (after: string, key: string): string =>
  Buffer.from(JSON.stringify([key, after])).toString('base64')

const decode = (token: string, key: string): string => {
  try {
    const value = JSON.parse(Buffer.from(token, 'base64').toString()) as unknown
    if (Array.isArray(value) && value[0] === key && typeof value[1] === 'string') return value[1]
  } catch {
    throw invalidParameter('NextToken')
  }
  throw invalidParameter('NextToken')
}
