// Pages of lists: a link to the rest that carries where to go on.
import { cutPage } from '#emulator/wire/pages.ts'
import type { Context, Reply } from './action.ts'
import { replyOf } from './action.ts'
import { ArmError } from './errors.ts'
import type { JsonObject } from './json.ts'

/** Things on one page. */
const pageSize = 50

/** One page of a list; `keyOf` orders it, so that changes between pages repeat nothing. */
export const pageOf = <T>(
  context: Pick<Context, 'origin' | 'id' | 'query'>,
  things: readonly T[],
  how: { readonly keyOf: (thing: T) => string; readonly show: (thing: T) => JsonObject },
): Reply => {
  const after = readToken(context.query.get('$skipToken'))
  const { items, next } = cutPage(things, how.keyOf, { after, size: pageSize })
  const nextLink = next === undefined ? undefined : linkTo(context, next)
  return replyOf(200, { value: items.map(how.show), nextLink })
}

const linkTo = (
  { origin, id, query }: Pick<Context, 'origin' | 'id' | 'query'>,
  after: string,
): string => {
  const next = new URLSearchParams(query)
  next.set('$skipToken', Buffer.from(JSON.stringify(after)).toString('base64url'))
  return `${origin}${id}?${next.toString()}`
}

const readToken = (token: string | null): string | undefined => {
  if (token === null) return undefined
  try {
    const value = JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown
    if (typeof value === 'string') return value
  } catch {
    throw invalidToken()
  }
  throw invalidToken()
}

const invalidToken = (): ArmError =>
  new ArmError('InvalidSkipToken', 'The provided skip token is not valid.')
