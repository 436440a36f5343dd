// What keys of instance roles look like on AWS, how long they live, and who is named in a denial.
import type { Chance } from '#emulator/model/chance.ts'
import { type AccessKey, type KeyRing, type RoleKeyStyle, keyRing } from '#emulator/wire/keys.ts'

const style: RoleKeyStyle = {
  // As the metadata service gives them.
  lifeMs: 6 * 3600_000,
  // IAM guide: new credentials are there at least five minutes before the old ones expire.
  renewBeforeMs: 15 * 60_000,
  make: hex => ({ accessKeyId: `ASIA${hex(16).toUpperCase()}`, secret: hex(40) }),
}

export const createKeyRing = (chance: Chance, keys: readonly AccessKey[]): KeyRing =>
  keyRing(chance, keys, style)

/** Who holds a key, as messages name him. */
export const arnOf = ({ accountId, accessKeyId, role }: AccessKey): string =>
  role === undefined
    ? `arn:aws:iam::${accountId}:user/${accessKeyId}`
    : `arn:aws:sts::${accountId}:assumed-role/${role.name}/${role.instanceId}`
