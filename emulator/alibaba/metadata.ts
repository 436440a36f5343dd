// The instance metadata service: a session token first (when the instance insists), then plain-text
// paths. It shows the instance's NICs later than the ECS API does, and their further addresses
// later still. ECS user guide, "Instance metadata".
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { Instance } from '#emulator/model/types.ts'
import { type World, occasionOf } from '#emulator/model/world.ts'
import type { Asker } from '#emulator/platform.ts'
import type { KeyRing } from './keys.ts'
import { hasOptionalTokens } from './shapes.ts'
import { type Tree, metadataTree } from './tree.ts'

export interface MetadataOptions {
  readonly world: World
  readonly keys: KeyRing
  readonly ownerId: string
  readonly region: string
  readonly deniedToRoles: Readonly<Record<string, readonly string[]>>
  /** The instance behind a remote address; undefined: nobody's, the connection is dropped. */
  readonly ask: (remoteAddress: string) => Asker | undefined
}

/** Bounds of X-aliyun-ecs-metadata-token-ttl-seconds. */
const ttlMaxSeconds = 21_600

/** Tokens held per server; the oldest is forgotten first. */
const tokensMax = 10_000

/** An HTTP server, not yet listening. */
export const createMetadataServer = (options: MetadataOptions): Server => {
  const tokens = new Map<string, Token>()
  return createServer((request, response) => {
    const asker = options.ask(request.socket.remoteAddress ?? '')
    const instance = options.world.instances.get(asker?.instanceId ?? '')
    if (asker === undefined || instance === undefined || instance.state === 'terminated') {
      request.socket.destroy()
      return
    }
    answer(options, { request, response, instance, hops: asker.hops, tokens })
  })
}

interface Token {
  readonly instanceId: string
  readonly expiresAt: number
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly instance: Instance
  readonly hops: number
  readonly tokens: Map<string, Token>
}

const answer = (options: MetadataOptions, exchange: Exchange): void => {
  const { request, response, instance } = exchange
  request.resume()
  const { world } = options
  const [failed] = world.faults.strike(['metadataFail'], occasionOf(world, instance.id))
  if (failed !== undefined) return reply(response, failed.status)
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  if (path === '/latest/api/token') return grantToken(options, exchange)
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(response, 405)
  const refused = tokenTrouble(options, exchange)
  if (refused !== undefined) return reply(response, refused)
  const found = lookUp(metadataTree(options, instance.id), path)
  return found === undefined ? reply(response, 404) : reply(response, 200, found)
}

const grantToken = (options: MetadataOptions, exchange: Exchange): void => {
  const { request, response, tokens, instance, hops } = exchange
  if (request.method !== 'PUT') return reply(response, 405)
  // HttpPutResponseHopLimit: a token on its way to a caller too far off dies, and he hears nothing.
  if (hops > instance.metadataHops) {
    request.socket.destroy()
    return
  }
  if (request.headers['x-forwarded-for'] !== undefined) return reply(response, 403)
  const text = String(request.headers['x-aliyun-ecs-metadata-token-ttl-seconds'] ?? '')
  const ttl = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (!(ttl >= 1 && ttl <= ttlMaxSeconds)) return reply(response, 400)
  const { clock, chance } = options.world
  const token = Buffer.from(chance.hex(`token/${instance.id}`, 60), 'hex').toString('base64')
  tokens.set(token, { instanceId: instance.id, expiresAt: clock.now() + ttl * 1000 })
  const oldest = tokens.keys().next().value
  if (tokens.size > tokensMax && oldest !== undefined) tokens.delete(oldest)
  return reply(response, 200, token)
}

// 403 without a token where one is enforced, 401 with one that is unknown or too old.
const tokenTrouble = (
  options: MetadataOptions,
  { request, tokens, instance }: Exchange,
): 401 | 403 | undefined => {
  const text = request.headers['x-aliyun-ecs-metadata-token']
  if (text === undefined) return hasOptionalTokens(instance) ? undefined : 403
  const token = tokens.get(String(text))
  const isGood = token?.instanceId === instance.id && options.world.clock.now() < token.expiresAt
  return isGood ? undefined : 401
}

const reply = (response: ServerResponse, status: number, body = ''): void => {
  response.writeHead(status, { 'content-type': 'text/plain' })
  response.end(body)
}

// `foo` and `foo/` are the same; a directory lists its entries, sub-directories with a slash.
const lookUp = (tree: Tree, path: string): string | undefined => {
  const parts = path.split('/').filter(part => part !== '')
  let here: Tree | string | undefined = tree
  for (const part of parts) {
    if (typeof here !== 'object') return undefined
    here = Object.hasOwn(here, part) ? here[part] : undefined
  }
  if (typeof here !== 'object') return here
  return Object.entries(here)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => (typeof value === 'object' ? `${name}/` : name))
    .join('\n')
}
