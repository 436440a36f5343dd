// The instance metadata service: documents about the machine, and tokens of its managed identity.
// Every request carries the header `Metadata: true` and none came through a proxy.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type Exchange, type MetadataParts, metadataServer } from '#emulator/wire/metadata.ts'
import type { Arm } from './arm.ts'
import { isAudience } from './auth.ts'
import { unknownResource } from './authority.ts'
import { instanceDocument } from './instance-document.ts'
import { type Json, type JsonObject, isObject } from './json.ts'
import type { MetadataThrottle } from './metadata-throttle.ts'

export interface MetadataOptions extends Pick<MetadataParts, 'ask'> {
  readonly arm: Arm
  readonly throttle: MetadataThrottle
  /** Address of ARM that tokens may be asked for beside the public one; undefined: unknown. */
  readonly endpoint: () => string | undefined
}

/** api-versions of `/metadata/instance`. */
export const instanceVersions = [
  '2017-04-02',
  '2017-08-01',
  '2017-12-01',
  '2018-02-01',
  '2018-10-01',
  '2019-02-01',
  '2019-06-01',
  '2019-08-15',
  '2019-11-01',
  '2020-06-01',
  '2020-09-01',
  '2020-12-01',
  '2021-01-01',
  '2021-02-01',
  '2021-05-01',
  '2021-10-01',
  '2021-11-15',
  '2021-12-13',
  '2023-07-01',
  '2023-11-15',
  '2025-04-07',
  '2025-07-24',
]

/** Lifetime of a managed identity's token. */
const tokenLifeMs = 24 * 3600_000

/** An HTTP server, not yet listening. */
export const createMetadataServer = (options: MetadataOptions): Server =>
  metadataServer(
    { world: options.arm.world, ask: options.ask },
    {
      // Only the machine's own address reaches the service, not those of its pods.
      isHeard: ({ state }, hops) => hops === 1 && state !== 'terminated',
      fail: (response, status) => reply(response, status, { error: 'Internal error' }),
      answer: exchange => answer(options, exchange),
    },
  )

const answer = (options: MetadataOptions, exchange: Exchange): void => {
  const { request, response, instance } = exchange
  const { world } = options.arm
  const url = new URL(request.url ?? '/', 'http://169.254.169.254')
  const path = url.pathname.replace(/\/+$/, '').toLowerCase()
  const isToken = path === '/metadata/identity/oauth2/token'
  const question = { instanceId: instance.id, kind: isToken ? 'token' : 'document' } as const
  if (!options.throttle(question, world.clock.now())) {
    return reply(response, 429, { error: 'Too many requests' })
  }
  const refused = refusedHeader(request)
  if (refused !== undefined) {
    return reply(response, 400, isToken ? badToken('invalid_request', refused) : bad(refused))
  }
  if (request.method !== 'GET') return reply(response, 405, bad('Method not allowed'))
  if (path === '/metadata/versions') return reply(response, 200, { apiVersions: instanceVersions })
  if (isToken) return giveToken(options, exchange, url.searchParams)
  if (path === '/metadata/instance' || path.startsWith('/metadata/instance/')) {
    return show(options, exchange, url)
  }
  return reply(response, 404, { error: 'Not found' })
}

const refusedHeader = ({ headers }: IncomingMessage): string | undefined => {
  if (headers['x-forwarded-for'] !== undefined) {
    return 'Request with X-Forwarded-For header is not allowed'
  }
  const value = headers['metadata']
  return String(value).toLowerCase() === 'true'
    ? undefined
    : 'Required metadata header not specified'
}

const show = (options: MetadataOptions, { response, instance }: Exchange, url: URL): void => {
  const version = url.searchParams.get('api-version')
  if (version === null || !instanceVersions.includes(version)) {
    const what = version === null ? 'was not specified in the request' : 'is not supported'
    const body = bad(`api-version ${what}. For more information refer to aka.ms/azureimds`)
    return reply(response, 400, {
      ...body,
      'newest-versions': instanceVersions.slice(-3).reverse(),
    })
  }
  const parts = url.pathname.split('/').filter(part => part !== '')
  const found = lookUp(instanceDocument(options.arm, instance), parts.slice(2))
  if (found === undefined) return reply(response, 404, { error: 'Not found' })
  const isText = url.searchParams.get('format')?.toLowerCase() === 'text'
  const isLeaf = typeof found !== 'object' || found === null
  if (isText) return text(response, isLeaf ? String(found) : listing(found))
  if (isLeaf) return reply(response, 400, bad('A leaf needs the query format=text'))
  return reply(response, 200, found)
}

const lookUp = (document: JsonObject, parts: readonly string[]): Json | undefined => {
  let here: Json | undefined = document
  for (const part of parts) {
    if (Array.isArray(here)) here = (here as readonly Json[])[Number(part)]
    else if (isObject(here)) here = member(here, part)
    else return undefined
  }
  return here
}

const member = (object: JsonObject, name: string): Json | undefined => {
  const found = Object.keys(object).find(key => key.toLowerCase() === name.toLowerCase())
  return found === undefined ? undefined : object[found]
}

// Directories are listed one name a line, directories with a slash.
const listing = (value: object): string =>
  Object.entries(value)
    .map(([name, child]) => (typeof child === 'object' && child !== null ? `${name}/` : name))
    .join('\n')

const giveToken = (
  { arm, endpoint }: MetadataOptions,
  { response, instance }: Exchange,
  query: URLSearchParams,
): void => {
  const refuse = (error: string, description: string): void =>
    reply(response, 400, badToken(error, description))
  if (query.get('api-version') === null) {
    return refuse('invalid_request', 'Required query variable api-version is missing')
  }
  const resource = query.get('resource')
  if (resource === null || resource === '') {
    return refuse('invalid_request', "Required audience parameter 'resource' not specified")
  }
  const identity = instance.role && arm.directory.managedIdentity(instance.role)
  const asked = query.get('client_id') ?? query.get('object_id') ?? query.get('msi_res_id')
  const isOwn =
    identity && (asked === null || [identity.clientId, identity.objectId].includes(asked))
  if (!identity || !isOwn) return refuse('invalid_request', 'Identity not found')
  const audience = resource.replace(/\/?\.default$/, '')
  if (!isAudience(audience, endpoint() ?? '')) {
    return refuse('invalid_resource', unknownResource(resource))
  }
  const now = arm.world.clock.now()
  const request = { principal: identity, audience, now, lifeMs: tokenLifeMs }
  const token = arm.directory.issue({ ...request, instanceId: instance.id })
  return reply(response, 200, {
    access_token: token.text,
    client_id: identity.clientId,
    expires_in: String(tokenLifeMs / 1000),
    expires_on: String(Math.floor(token.expiresAt / 1000)),
    ext_expires_in: String(tokenLifeMs / 1000),
    not_before: String(Math.floor(now / 1000)),
    resource,
    token_type: 'Bearer',
  })
}

const bad = (why: string): JsonObject => ({ error: `Bad request. ${why}` })

const badToken = (error: string, description: string): JsonObject => ({
  error,
  error_description: description,
})

const reply = (response: ServerResponse, status: number, body: Json): void => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', server: 'IMDS' })
  response.end(JSON.stringify(body))
}

const text = (response: ServerResponse, body: string): void => {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', server: 'IMDS' })
  response.end(body)
}
