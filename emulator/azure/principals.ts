// Who calls: applications with a secret and the managed identities of machines, and the bearer
// tokens that were issued to them. As in Entra ID a token carries all that is needed to judge it:
// clients keep tokens for a whole process, longer than some emulators live.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Account } from '#emulator/accounts.ts'
import type { World } from '#emulator/model/world.ts'
import { tenantId } from './account.ts'
import { guidOf } from './guid.ts'
import { type JsonObject, isObject, parseJson, textOf } from './json.ts'

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

export const createDirectory = (options: {
  readonly accounts: readonly Account[]
  readonly deniedToRoles: Readonly<Record<string, readonly string[]>>
  /** Roles that machines have by now. */
  readonly roles: () => Iterable<string>
}): Directory => {
  const { accounts, deniedToRoles, roles } = options
  const applications = new Map(
    accounts.flatMap(account => account.keys).map(key => [key.accessKeyId, ofKey(key)]),
  )
  const managedIdentity = (role: string): Principal => ofRole(role, deniedToRoles[role] ?? [])
  const principal = (clientId: string): Principal | undefined =>
    applications.get(clientId) ??
    [...new Set(roles())].map(managedIdentity).find(identity => identity.clientId === clientId)
  return {
    application: clientId => applications.get(clientId),
    managedIdentity,
    issue: request => {
      const { now: issuedAt, lifeMs, ...rest } = request
      const token = {
        ...rest,
        instanceId: request.instanceId,
        issuedAt,
        expiresAt: issuedAt + lifeMs,
      }
      return { ...token, text: textOfToken(token) }
    },
    token: text => {
      const claims = claimsOf(text)
      const holder = claims && principal(textOf(claims['appid']) ?? '')
      if (claims === undefined || holder === undefined) return undefined
      return {
        text,
        principal: holder,
        audience: textOf(claims['aud']) ?? '',
        issuedAt: Number(claims['iat']) * 1000,
        expiresAt: Number(claims['exp']) * 1000,
        instanceId: textOf(claims['xms_mirid']),
      }
    },
  }
}

/** Roles of the machines of a world. */
export const rolesOf = (world: World): readonly string[] =>
  [...world.instances.values()].flatMap(({ role }) => role ?? [])

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

// A JSON web token with the claims of Entra ID's, signed with a key that every emulator has.
const textOfToken = (token: Omit<Token, 'text'>): string => {
  const { principal, audience, issuedAt, expiresAt, instanceId } = token
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
    xms_mirid: instanceId,
  }
  const signed = `${encode({ typ: 'JWT', alg: 'HS256' })}.${encode(claims)}`
  return `${signed}.${signatureOf(signed)}`
}

const claimsOf = (text: string): JsonObject | undefined => {
  const [head = '', body = '', signature = ''] = text.split('.')
  const expected = Buffer.from(signatureOf(`${head}.${body}`))
  const given = Buffer.from(signature)
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined
  const claims = parseJson(Buffer.from(body, 'base64url').toString())
  return isObject(claims) ? claims : undefined
}

const signatureOf = (signed: string): string =>
  createHmac('sha256', tenantId).update(signed).digest('base64url')

const seconds = (ms: number): number => Math.floor(ms / 1000)

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
