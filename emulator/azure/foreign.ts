// Somebody else's write between a client's read and its own: one more configuration and a tag, as
// a colleague at the portal would leave them.
import { baseOf, hostCidr } from '#core/ip.ts'
import { lend } from '#emulator/model/addresses.ts'
import { putNic } from '#emulator/model/world.ts'
import type { Arm, ArmNic } from './arm.ts'
import { putRecord, recordOf } from './records.ts'

/** What a foreign write leaves: configurations are called so, with a number. */
export const foreignName = 'foreign'

/** Changes the NIC behind the caller's back; nothing when it does not exist. */
export const forestall = (arm: Arm, armNic: ArmNic | undefined): void => {
  if (armNic === undefined) return
  const { nic } = armNic
  const { addresses } = lend(arm.world, nic.subnetId, {
    family: 4,
    addresses: [],
    addressCount: 1,
    prefixes: [],
    prefixCount: 0,
  })
  const tags = { ...nic.tags, [foreignName]: 'here' }
  const changed = { ...nic, addresses: [...nic.addresses, ...addresses], tags }
  putNic(arm.world, nic.id, changed)
  const record = recordOf(arm, changed)
  const blocks = new Set(addresses.map(hostCidr))
  putRecord(arm, nic.id, {
    ...record,
    configs: record.configs.map(config =>
      config.block !== undefined && blocks.has(config.block)
        ? { ...config, name: `${foreignName}-${baseOf(config.block).replaceAll('.', '-')}` }
        : config,
    ),
  })
}
