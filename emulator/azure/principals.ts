// Who calls: applications with a secret and the managed identities of machines, and the bearer
// tokens that were issued to them.
import type { Account } from '#emulator/accounts.ts'
import type { Chance } from '#emulator/model/chance.ts'
import { tenantId } from './account.ts'
import { guidOf } from './guid.ts'

/** An application or managed identity. */
export interface Principal {
  /** Application id; faults name it as their access key. */
  readonly clientId: string
  readonly objectId: string
  /** Undefined for managed identities. */
  readonly secret: string | undefined
  /** Actions that answer AuthorizationFailed, as `isDenied` reads them. */
  readonly deniedActions: readonly string[]
}

/** An issued bearer token. Times are milliseconds. */
export interface Token {
  readonly text: string
  readonly principal: Principal
  readonly audience: string
  readonly issuedAt: number
  readonly expiresAt: number
  /** The machine it was issued to; undefined: an application. */
  readonly instanceId: string | undefined
}

export interface TokenRequest {
  readonly principal: Principal
  readonly audience: string
  readonly now: number
  readonly lifeMs: number
  readonly instanceId?: string
}

/** Principals and tokens of one emulated tenant. */
export interface Directory {
  readonly application: (clientId: string) => Principal | undefined
  /** The identity that machines with this role share. */
  readonly managedIdentity: (role: string) => Principal
  readonly issue: (request: TokenRequest) => Token
  readonly token: (text: string) => Token | undefined
}

/** Tokens held; the oldest is forgotten first. */
const tokensMax = 10_000

export const createDirectory = (
  chance: Chance,
  options: {
    readonly accounts: readonly Account[]
    readonly deniedToRoles: Readonly<Record<string, readonly string[]>>
  },
): Directory => {
  const applications = new Map(
    options.accounts.flatMap(account => account.keys).map(key => [key.accessKeyId, ofKey(key)]),
  )
  const identities = new Map<string, Principal>()
  const tokens = new Map<string, Token>()
  return {
    application: clientId => applications.get(clientId),
    managedIdentity: role => {
      const known = identities.get(role)
      const identity = known ?? ofRole(role, options.deniedToRoles[role] ?? [])
      identities.set(role, identity)
      return identity
    },
    issue: request => {
      const token = newToken(chance, request)
      tokens.set(token.text, token)
      const oldest = tokens.keys().next().value
      if (tokens.size > tokensMax && oldest !== undefined) tokens.delete(oldest)
      return token
    },
    token: text => tokens.get(text),
  }
}

const ofKey = (key: Account['keys'][number]): Principal => ({
  clientId: key.accessKeyId,
  objectId: guidOf(`object/${key.accessKeyId}`),
  secret: key.secretAccessKey ?? 'any',
  deniedActions: key.deniedActions ?? [],
})

const ofRole = (role: string, deniedActions: readonly string[]): Principal => ({
  clientId: guidOf(`client/${role}`),
  objectId: guidOf(`identity/${role}`),
  secret: undefined,
  deniedActions,
})

// Looks like the JSON web tokens of Entra ID, so that clients that look inside find their times;
// the last part is random instead of a signature.
const newToken = (chance: Chance, request: TokenRequest): Token => {
  const { principal, audience, now: issuedAt, lifeMs, instanceId } = request
  const expiresAt = issuedAt + lifeMs
  const claims = {
    aud: audience,
    iss: `https://sts.windows.net/${tenantId}/`,
    iat: seconds(issuedAt),
    nbf: seconds(issuedAt),
    exp: seconds(expiresAt),
    appid: principal.clientId,
    oid: principal.objectId,
    sub: principal.objectId,
    tid: tenantId,
    ver: '1.0',
  }
  const parts = [encode({ typ: 'JWT', alg: 'RS256', kid: 'emulator' }), encode(claims)]
  const text = [...parts, chance.hex(`token/${principal.clientId}`, 64)].join('.')
  return { text, principal, audience, issuedAt, expiresAt, instanceId }
}

const seconds = (ms: number): number => Math.floor(ms / 1000)

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
