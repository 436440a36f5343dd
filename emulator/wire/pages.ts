// Pages of listings: things in the order of their keys, so that changes between two pages repeat
// nothing, and opaque marks of where to go on, each bound to the listing it continues.
import { createHash } from 'node:crypto'

/** Where a page begins and how long it is. */
export interface PageCut {
  /** Left out or undefined: from the first. */
  readonly after?: string | undefined
  /** Things to leave out at the beginning. */
  readonly skip?: number
  /** Undefined: all. */
  readonly size: number | undefined
}

/** One page; `next` is what the page after it is `after`, undefined for the last one. */
export const cutPage = <T>(
  things: readonly T[],
  keyOf: (thing: T) => string,
  { after, skip = 0, size }: PageCut,
): { readonly items: readonly T[]; readonly next: string | undefined } => {
  const sorted = things.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).slice(skip)
  const rest = after === undefined ? sorted : sorted.filter(thing => keyOf(thing) > after)
  const items = size === undefined ? rest : rest.slice(0, size)
  const last = items.at(-1)
  const isMore = items.length < rest.length && last !== undefined
  return { items, next: isMore ? keyOf(last) : undefined }
}

/** A short name of a listing; `listing` is all that tells one from another. */
export const listingKey = (listing: string): string =>
  createHash('sha256').update(listing).digest('hex').slice(0, 16)

/** The mark to go on after something of a listing. */
export const writeMark = (after: string, key: string): string =>
  Buffer.from(JSON.stringify([key, after])).toString('base64')

/** What to go on after; undefined when the mark is none, or another listing's. */
export const readMark = (mark: string, key: string): string | undefined => {
  try {
    const value = JSON.parse(Buffer.from(mark, 'base64').toString()) as unknown
    const isOwn = Array.isArray(value) && value[0] === key && typeof value[1] === 'string'
    return isOwn ? (value[1] as string) : undefined
  } catch {
    return undefined
  }
}
