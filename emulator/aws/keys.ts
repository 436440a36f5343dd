// Who calls: access keys of accounts and of instance roles, and what each of them may not do.
import type { Chance } from '#emulator/model/chance.ts'

/** One access key. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly accountId: string
  /** With a secret the signature is verified; without, only the key's existence is. */
  readonly secretAccessKey: string | undefined
  /** Required beside keys of roles. */
  readonly sessionToken: string | undefined
  /** Milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Actions that answer UnauthorizedOperation; `*` denies all. */
  readonly deniedActions: readonly string[]
  /** Named in the message of a denial. */
  readonly arn: string
  /** The instance whose role this is; undefined: not a role's key. */
  readonly instanceId: string | undefined
}

/** The keys that exist. */
export interface KeyRing {
  readonly find: (accessKeyId: string) => AccessKey | undefined
  /** Current credentials of an instance's role; new ones some minutes before they expire. */
  readonly roleKey: (request: RoleKeyRequest) => RoleKey
}

/** A role's key: temporary. */
interface RoleKey extends AccessKey {
  readonly issuedAt: number
  readonly expiresAt: number
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
/** IAM guide: new credentials are there at least five minutes before the old ones expire. */
const renewBeforeMs = 15 * 60_000

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
    accessKeyId: `ASIA${chance.hex(stream, 16).toUpperCase()}`,
    accountId: request.accountId,
    secretAccessKey: chance.hex(stream, 40),
    sessionToken: Buffer.from(chance.hex(stream, 64)).toString('base64'),
    issuedAt: request.now,
    expiresAt: request.now + roleKeyLifeMs,
    deniedActions: request.deniedActions,
    instanceId: request.instanceId,
    arn: `arn:aws:sts::${request.accountId}:assumed-role/${request.role}/${request.instanceId}`,
  }
}
