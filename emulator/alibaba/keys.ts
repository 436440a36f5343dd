// What STS credentials of instance roles look like on Alibaba Cloud, how long they live, and who is
// named in a denial.
import type { Chance } from '#emulator/model/chance.ts'
import { type AccessKey, type KeyRing, type RoleKeyStyle, keyRing } from '#emulator/wire/keys.ts'

const style: RoleKeyStyle = {
  // As the metadata service gives them.
  lifeMs: 6 * 3600_000,
  // New ones are there before the old ones have expired (ECS user guide, "Instance RAM roles").
  renewBeforeMs: 30 * 60_000,
  make: hex => ({ accessKeyId: `STS.${hex(24).toUpperCase()}`, secret: hex(44) }),
}

export const createKeyRing = (chance: Chance, keys: readonly AccessKey[]): KeyRing =>
  keyRing(chance, keys, style)

/** Who holds a key, as a denial names him. */
export const principalOf = ({
  accessKeyId,
  role,
}: AccessKey): { readonly type: 'SubUser' | 'AssumedRoleUser'; readonly name: string } =>
  role === undefined
    ? { type: 'SubUser', name: accessKeyId }
    : { type: 'AssumedRoleUser', name: `${role.name}:${role.instanceId}` }
