// Who calls: access keys of accounts and STS credentials of instance roles, and what each may not
// do.
import type { Account } from '#emulator/accounts.ts'
import type { Chance } from '#emulator/model/chance.ts'

/** One access key. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly accountId: string
  /** With a secret the signature is verified; without, only the key's existence is. */
  readonly secret: string | undefined
  /** Required beside the keys of roles. */
  readonly securityToken: string | undefined
  /** Milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Actions that answer Forbidden.RAM; `*` denies all. */
  readonly deniedActions: readonly string[]
  /** Named in a denial. */
  readonly principal: { readonly type: 'SubUser' | 'AssumedRoleUser'; readonly name: string }
  /** The instance whose role this is; undefined: not a role's key. */
  readonly instanceId: string | undefined
}

/** The keys that exist. */
export interface KeyRing {
  readonly find: (accessKeyId: string) => AccessKey | undefined
  /** Current credentials of an instance's role; new ones some time before they expire. */
  readonly roleKey: (request: RoleKeyRequest) => RoleKey
}

/** A role's key: temporary. */
interface RoleKey extends AccessKey {
  readonly issuedAt: number
  readonly expiresAt: number
  readonly secret: string
  readonly securityToken: string
}

interface RoleKeyRequest {
  readonly instanceId: string
  readonly role: string
  readonly accountId: string
  readonly deniedActions: readonly string[]
  readonly now: number
}

/** Lifetime of role credentials, as the metadata service gives them. */
const roleKeyLifeMs = 6 * 3600_000
/**
 * New ones are handed out before the old ones have expired (ECS user guide, "Instance RAM roles").
 */
const renewBeforeMs = 30 * 60_000

/** The keys of accounts, as `createKeyRing` wants them. */
export const accountKeys = (account: Account): readonly AccessKey[] =>
  account.keys.map(key => ({
    accessKeyId: key.accessKeyId,
    accountId: account.id,
    secret: key.secretAccessKey,
    securityToken: undefined,
    expiresAt: undefined,
    deniedActions: key.deniedActions ?? [],
    principal: { type: 'SubUser', name: key.accessKeyId },
    instanceId: undefined,
  }))

export const createKeyRing = (chance: Chance, keys: readonly AccessKey[]): KeyRing => {
  const known = new Map(keys.map(key => [key.accessKeyId, key]))
  const current = new Map<string, RoleKey>()
  return {
    find: id => known.get(id),
    roleKey: request => {
      const held = current.get(request.instanceId)
      if (held !== undefined && request.now < held.expiresAt - renewBeforeMs) return held
      const key = newRoleKey(chance, request)
      current.set(request.instanceId, key)
      known.set(key.accessKeyId, key)
      return key
    },
  }
}

const newRoleKey = (chance: Chance, request: RoleKeyRequest): RoleKey => {
  const stream = `credentials/${request.instanceId}`
  return {
    accessKeyId: `STS.${chance.hex(stream, 24).toUpperCase()}`,
    accountId: request.accountId,
    secret: chance.hex(stream, 44),
    securityToken: Buffer.from(chance.hex(stream, 64)).toString('base64'),
    issuedAt: request.now,
    expiresAt: request.now + roleKeyLifeMs,
    deniedActions: request.deniedActions,
    principal: { type: 'AssumedRoleUser', name: `${request.role}:${request.instanceId}` },
    instanceId: request.instanceId,
  }
}
