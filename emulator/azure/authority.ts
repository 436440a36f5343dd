// The authority host: what clients with an application's secret ask for tokens, and the documents
// by which their library finds that place. Entra ID's v2.0 endpoints, as far as they are asked.
import type { Answer, WireCall } from '#emulator/wire/answer.ts'
import { tenantId } from './account.ts'
import { isAudience } from './auth.ts'
import { guidOf } from './guid.ts'
import type { JsonObject } from './json.ts'
import type { Directory, Principal } from './principals.ts'

/** Answers what is meant for the authority; undefined: it is a call of ARM's. */
export type Authority = (request: WireCall) => Answer | undefined

/** Lifetime of an application's token. */
const tokenLifeMs = 3600_000

export const createAuthority =
  (directory: Directory, now: () => number): Authority =>
  request => {
    const origin = `https://${request.headers.host ?? 'localhost'}`
    if (!URL.canParse(request.url, origin)) return undefined
    const { pathname } = new URL(request.url, origin)
    const [, tenant = '', rest = ''] = /^\/([^/]+)\/(.+)$/.exec(pathname) ?? []
    if (rest === 'discovery/instance') return json(200, instanceDocument(origin, tenant))
    if (!endpoints.includes(rest)) return undefined
    if (tenant.toLowerCase() !== tenantId) return unknownTenant(tenant)
    if (rest === 'v2.0/.well-known/openid-configuration') {
      return json(200, openidDocument(`${origin}/${tenant}`))
    }
    if (rest === 'discovery/v2.0/keys') return json(200, { keys: [] })
    if (request.method !== 'POST') return json(405, {})
    return grant({ directory, now, origin }, new URLSearchParams(request.body))
  }

const endpoints = [
  'v2.0/.well-known/openid-configuration',
  'discovery/v2.0/keys',
  'oauth2/v2.0/token',
]

const openidDocument = (base: string): JsonObject => ({
  token_endpoint: `${base}/oauth2/v2.0/token`,
  token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt'],
  jwks_uri: `${base}/discovery/v2.0/keys`,
  response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
  scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
  issuer: `${base}/v2.0`,
  authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
  end_session_endpoint: `${base}/oauth2/v2.0/logout`,
  tenant_region_scope: null,
})

const instanceDocument = (origin: string, tenant: string): JsonObject => {
  const { host } = new URL(origin)
  return {
    tenant_discovery_endpoint: `${origin}/${tenant}/v2.0/.well-known/openid-configuration`,
    'api-version': '1.1',
    metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
  }
}

interface Place {
  readonly directory: Directory
  readonly now: () => number
  readonly origin: string
}

const grant = (place: Place, form: URLSearchParams): Answer => {
  if (form.get('grant_type') !== 'client_credentials') {
    return refuse('unsupported_grant_type', 'AADSTS70003: The grant type is not supported.')
  }
  const clientId = form.get('client_id') ?? ''
  const principal = place.directory.application(clientId)
  if (principal === undefined) {
    return refuse(
      'unauthorized_client',
      `AADSTS700016: Application with identifier '${clientId}' was not found in the directory ` +
        `'${tenantId}'. This can happen if the application has not been installed by the ` +
        'administrator of the tenant.',
    )
  }
  if (form.get('client_secret') !== principal.secret) {
    const message =
      'AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the ' +
      'request is the client secret value, not the client secret ID.'
    return refuse('invalid_client', message, 401)
  }
  const scope = (form.get('scope') ?? '').split(' ').find(one => one.endsWith('/.default'))
  const audience = scope?.replace(/\/\.default$/, '')
  if (audience === undefined || !isAudience(audience, place.origin)) {
    return refuse('invalid_resource', unknownResource(form.get('scope') ?? ''))
  }
  return granted(place, principal, audience)
}

const granted = ({ directory, now }: Place, principal: Principal, audience: string): Answer => {
  const request = { principal, audience, now: now(), lifeMs: tokenLifeMs }
  const token = directory.issue(request)
  const seconds = tokenLifeMs / 1000
  const life = { expires_in: seconds, ext_expires_in: seconds }
  return json(200, { token_type: 'Bearer', ...life, access_token: token.text })
}

/** The sentence for a resource that nobody can ask a token for. */
export const unknownResource = (resource: string): string =>
  `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ` +
  `${tenantId}.`

const unknownTenant = (tenant: string): Answer =>
  refuse('invalid_tenant', `AADSTS90002: Tenant '${tenant}' not found.`)

const refuse = (error: string, description: string, status = 400): Answer =>
  json(status, {
    error,
    error_description: description,
    error_codes: [Number(/^AADSTS(\d+)/.exec(description)?.[1] ?? 0)],
    correlation_id: guidOf(description),
    trace_id: guidOf(error),
  })

const json = (status: number, body: JsonObject): Answer => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
  body: JSON.stringify(body),
})
