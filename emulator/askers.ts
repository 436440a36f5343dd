// Who asks the metadata service, told by the address a question comes from, as inside a VPC.
import { type Cidr, type Ip, contains, familyOf, parseIp } from '#core/ip.ts'
import { type World, allNics, blocksOf } from './model/world.ts'
import type { Asker } from './platform.ts'

/** Finds the instance that owns an address of the VPC, however the address is written. */
export const instanceByAddress = (world: World, remoteAddress: string): Asker | undefined => {
  const address = parseIp(remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''))
  if (address === undefined) return undefined
  const nic = allNics(world).find(
    one => one.attachment?.isPlugged === true && owns(blocksOf(one), address),
  )
  const instanceId = nic?.attachment?.instanceId
  if (nic === undefined || instanceId === undefined) return undefined
  return { instanceId, hops: nic.primaryAddress === address ? 1 : 2 }
}

const owns = (blocks: readonly Cidr[], address: Ip): boolean =>
  blocks.some(block => familyOf(block) === familyOf(address) && contains(block, address))
