// The instance metadata service, version 2: a session token first, then plain-text paths. It shows
// the instance's NICs later than the EC2 API does, and their further addresses later still.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { World } from '#emulator/model/world.ts'
import { occasionOf } from '#emulator/model/world.ts'
import type { Asker } from '#emulator/platform.ts'
import type { KeyRing } from './keys.ts'
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

/** Bounds of X-aws-ec2-metadata-token-ttl-seconds. */
const ttlMaxSeconds = 21_600

/** Tokens held per server; the oldest is forgotten first. */
const tokensMax = 10_000

/** An HTTP server, not yet listening. */
export const createMetadataServer = (options: MetadataOptions): Server => {
  const tokens = new Map<string, Token>()
  return createServer((request, response) => {
    const asker = options.ask(request.socket.remoteAddress ?? '')
    const instance = options.world.instances.get(asker?.instanceId ?? '')
    // Replies to a caller too many hops away die on the way: the caller sees silence.
    if (asker === undefined || instance === undefined || asker.hops > instance.metadataHops) {
      request.socket.destroy()
      return
    }
    const isGone = instance.state === 'terminated' || instance.state === 'stopped'
    if (isGone) return void request.socket.destroy()
    answer(options, { request, response, instanceId: instance.id, tokens })
  })
}

interface Token {
  readonly instanceId: string
  readonly expiresAt: number
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly instanceId: string
  readonly tokens: Map<string, Token>
}

const answer = (options: MetadataOptions, exchange: Exchange): void => {
  const { request, response } = exchange
  request.resume()
  const { world } = options
  const [failed] = world.faults.strike(['metadataFail'], occasionOf(world, exchange.instanceId))
  if (failed !== undefined) return reply(response, failed.status)
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  if (path === '/latest/api/token') return grantToken(options, exchange)
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(response, 405)
  if (!hasToken(options, exchange)) return reply(response, 401)
  const found = lookUp(metadataTree(options, exchange.instanceId), path)
  return found === undefined ? reply(response, 404) : reply(response, 200, found)
}

const grantToken = (options: MetadataOptions, exchange: Exchange): void => {
  const { request, response, tokens, instanceId } = exchange
  if (request.method !== 'PUT') return reply(response, 405)
  // A PUT that came through a proxy is refused (EC2 user guide, "Use IMDSv2").
  if (request.headers['x-forwarded-for'] !== undefined) return reply(response, 403)
  const text = String(request.headers['x-aws-ec2-metadata-token-ttl-seconds'] ?? '')
  const ttl = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (!(ttl >= 1 && ttl <= ttlMaxSeconds)) return reply(response, 400)
  const { clock, chance } = options.world
  const token = Buffer.from(chance.hex(`token/${instanceId}`, 60), 'hex').toString('base64')
  tokens.set(token, { instanceId, expiresAt: clock.now() + ttl * 1000 })
  const oldest = tokens.keys().next().value
  if (tokens.size > tokensMax && oldest !== undefined) tokens.delete(oldest)
  response.setHeader('x-aws-ec2-metadata-token-ttl-seconds', String(ttl))
  return reply(response, 200, token)
}

const hasToken = (options: MetadataOptions, { request, tokens, instanceId }: Exchange): boolean => {
  const token = tokens.get(String(request.headers['x-aws-ec2-metadata-token'] ?? ''))
  return token?.instanceId === instanceId && options.world.clock.now() < token.expiresAt
}

const reply = (response: ServerResponse, status: number, body = ''): void => {
  response.writeHead(status, { 'content-type': 'text/plain', server: 'EC2ws' })
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
