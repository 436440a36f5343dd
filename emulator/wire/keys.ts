// Who signs calls: access keys of accounts, and the temporary ones that instances get for their
// roles. What a key looks like and how long it lives, each cloud says.
import type { Account } from '#emulator/accounts.ts'
import type { Chance } from '#emulator/model/chance.ts'

/** One access key. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly accountId: string
  /** With a secret the signature is verified; without, only the key's existence is. */
  readonly secret: string | undefined
  /** Required beside the keys of roles. */
  readonly sessionToken: string | undefined
  /** Milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Actions that are refused; `*` denies all. */
  readonly deniedActions: readonly string[]
  /** The role and whose it is; undefined: an account's own key. */
  readonly role: { readonly name: string; readonly instanceId: string } | undefined
}

/** The keys that exist. */
export interface KeyRing {
  readonly find: (accessKeyId: string) => AccessKey | undefined
  /** Current credentials of an instance's role; new ones some time before they expire. */
  readonly roleKey: (request: RoleKeyRequest) => RoleKey
}

/** A role's key: temporary. */
export interface RoleKey extends AccessKey {
  readonly secret: string
  readonly sessionToken: string
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

/** How a cloud makes keys of roles. */
export interface RoleKeyStyle {
  readonly lifeMs: number
  /** New ones are handed out so long before the old ones expire. */
  readonly renewBeforeMs: number
  /** Makes id and secret of random lower-case hexadecimal digits. */
  readonly make: (hex: (digits: number) => string) => {
    readonly accessKeyId: string
    readonly secret: string
  }
}

/** A ring of these keys, and of those that it gives to roles. */
export const keyRing = (
  chance: Chance,
  keys: readonly AccessKey[],
  style: RoleKeyStyle,
): KeyRing => {
  const known = new Map(keys.map(key => [key.accessKeyId, key]))
  const current = new Map<string, RoleKey>()
  return {
    find: id => known.get(id),
    roleKey: request => {
      const held = current.get(request.instanceId)
      if (held !== undefined && request.now < held.expiresAt - style.renewBeforeMs) return held
      const key = newRoleKey(chance, request, style)
      current.set(request.instanceId, key)
      known.set(key.accessKeyId, key)
      return key
    },
  }
}

/** The keys of an account, as a ring wants them. */
export const accountKeys = (account: Account): readonly AccessKey[] =>
  account.keys.map(key => ({
    accessKeyId: key.accessKeyId,
    accountId: account.id,
    secret: key.secretAccessKey,
    sessionToken: undefined,
    expiresAt: undefined,
    deniedActions: key.deniedActions ?? [],
    role: undefined,
  }))

/** True when nobody has denied the action to the key. */
export const isAllowed = ({ deniedActions }: AccessKey, action: string): boolean =>
  !deniedActions.includes(action) && !deniedActions.includes('*')

const newRoleKey = (chance: Chance, request: RoleKeyRequest, style: RoleKeyStyle): RoleKey => {
  const hex = (digits: number): string => chance.hex(`credentials/${request.instanceId}`, digits)
  return {
    ...style.make(hex),
    sessionToken: Buffer.from(hex(64)).toString('base64'),
    accountId: request.accountId,
    issuedAt: request.now,
    expiresAt: request.now + style.lifeMs,
    deniedActions: request.deniedActions,
    role: { name: request.role, instanceId: request.instanceId },
  }
}
