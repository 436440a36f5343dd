// Metadata services with sessions: a token is granted to a PUT, and plain-text paths are shown to
// who brings it. What stands under the paths, and what happens without a token, each cloud says.
import type { Server, ServerResponse } from 'node:http'
import type { Instance } from '#emulator/model/types.ts'
import type { World } from '#emulator/model/world.ts'
import type { Headers } from './answer.ts'
import type { KeyRing, RoleKey } from './keys.ts'
import { type Exchange, type MetadataParts, metadataServer } from './metadata.ts'
import { type SessionTokens, createSessionTokens } from './session-tokens.ts'
import { type Tree, textAt } from './tree.ts'

/** What such a service shows: instances, their place, and the credentials of their roles. */
export interface MetadataOptions extends MetadataParts {
  readonly keys: KeyRing
  readonly ownerId: string
  readonly region: string
  readonly deniedToRoles: Readonly<Record<string, readonly string[]>>
}

/** The credentials that an instance finds now; undefined without a role. */
export const credentialsTree = (
  options: MetadataOptions,
  { id: instanceId, role }: Instance,
  documentOf: (key: RoleKey) => object,
): Tree | undefined => {
  if (role === undefined) return undefined
  const accountId = options.ownerId
  const deniedActions = options.deniedToRoles[role] ?? []
  const now = options.world.clock.now()
  const key = options.keys.roleKey({ instanceId, role, accountId, deniedActions, now })
  return { 'security-credentials': { [role]: JSON.stringify(documentOf(key), undefined, 2) } }
}

/** How one cloud's service speaks. */
export interface SessionManners {
  readonly world: World
  /** False: the caller hears nothing. */
  readonly isHeard: (instance: Instance, hops: number) => boolean
  /** Headers of every reply. */
  readonly headers: Headers
  /** The header that carries the token, and the one that asks for its seconds. */
  readonly tokenHeader: string
  readonly ttlHeader: string
  /** True: a grant repeats the seconds in the same header. */
  readonly isTtlRepeated: boolean
  /** The status for who brings no token; undefined: he needs none. */
  readonly withoutToken: (instance: Instance) => number | undefined
  readonly treeOf: (instance: Instance) => Tree
}

/** Bounds of a token's life; both clouds that have sessions give six hours at most. */
const ttlMaxSeconds = 21_600

/** An HTTP server, not yet listening. */
export const sessionMetadataServer = (
  { ask }: Pick<MetadataParts, 'ask'>,
  manners: SessionManners,
): Server => {
  const { world, isHeard } = manners
  const tokens = createSessionTokens(world)
  return metadataServer(
    { world, ask },
    {
      isHeard,
      fail: (response, status) => reply({ manners, response }, status),
      answer: exchange => answer({ ...exchange, manners, tokens }),
    },
  )
}

interface Question extends Exchange {
  readonly manners: SessionManners
  readonly tokens: SessionTokens
}

const answer = (question: Question): void => {
  const { request, instance, manners } = question
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  if (path === '/latest/api/token') return grantToken(question)
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(question, 405)
  const refused = tokenTrouble(question)
  if (refused !== undefined) return reply(question, refused)
  const found = textAt(manners.treeOf(instance), path)
  return found === undefined ? reply(question, 404) : reply(question, 200, found)
}

const grantToken = (question: Question): void => {
  const { request, response, tokens, instance, hops, manners } = question
  if (request.method !== 'PUT') return reply(question, 405)
  // A token on its way to a caller too many hops away dies, and he hears nothing.
  if (hops > instance.metadataHops) {
    request.socket.destroy()
    return
  }
  // A PUT that came through a proxy is refused.
  if (request.headers['x-forwarded-for'] !== undefined) return reply(question, 403)
  const text = String(request.headers[manners.ttlHeader] ?? '')
  const ttl = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (!(ttl >= 1 && ttl <= ttlMaxSeconds)) return reply(question, 400)
  const token = tokens.grant(instance.id, ttl)
  if (manners.isTtlRepeated) response.setHeader(manners.ttlHeader, String(ttl))
  return reply(question, 200, token)
}

// 401 with a token that is unknown, another's or too old.
const tokenTrouble = ({ request, instance, manners, tokens }: Question): number | undefined => {
  const token = request.headers[manners.tokenHeader]
  if (token === undefined) return manners.withoutToken(instance)
  return tokens.isGood(instance.id, String(token)) ? undefined : 401
}

const reply = (
  { manners, response }: { readonly manners: SessionManners; readonly response: ServerResponse },
  status: number,
  body = '',
): void => {
  response.writeHead(status, manners.headers)
  response.end(body)
}
