// The NICs of an instance as its metadata service knows them: later than the API does, and their
// further addresses later still.
import type { Nic } from '#emulator/model/types.ts'
import { type World, nicsSeen } from '#emulator/model/world.ts'

/** A NIC appears when the service learns of its attachment; the primary one is always there. */
export const attachedSeen = (world: World, instanceId: string): readonly Nic[] =>
  nicsSeen(world, 'metadata').filter(
    nic => nic.attachment?.instanceId === instanceId && nic.attachment.state === 'attached',
  )

/** What a NIC has beside its primary address. */
export type Blocks = Pick<Nic, 'addresses' | 'prefixes' | 'addresses6' | 'prefixes6'>

const noBlocks: Blocks = { addresses: [], prefixes: [], addresses6: [], prefixes6: [] }

/**
 * Before the service learns the further addresses of a new attachment it shows only the primary one
 * (log in amazon-vpc-cni-k8s issue 1872).
 */
export const blocksSeen = (world: World, nic: Nic): Blocks => {
  const seen = nicsSeen(world, 'metadataBlocks').find(other => other.id === nic.id)
  return seen?.attachment?.state === 'attached' ? seen : noBlocks
}
