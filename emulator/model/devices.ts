// What happens to a NIC's device in the guest after it has appeared: a new name, and a fast path
// that vanishes and comes back. The fabric carries it out; no cloud call shows any of it.
import { refuse } from './refusal.ts'
import type { Attachment, Instance } from './types.ts'
import {
  type World,
  delay,
  instanceOf,
  later,
  nicsOfInstance,
  occasionOf,
  putNic,
} from './world.ts'

/** Renames a device some time from now, where its guest does so or a fault says so. */
export const nameDevice = (world: World, instance: Instance, attachment: Attachment): void => {
  const struck = world.faults.strike(['deviceRenamed'], occasionOf(world, instance.id))
  if (!instance.renames && struck.length === 0) return
  const deviceName = `ens${firstSlot + attachment.deviceIndex}`
  later(world, delay(world, 'renameMs'), () =>
    changeDevices(world, instance.id, now => (now.id === attachment.id ? { deviceName } : {})),
  )
}

/**
 * Takes the fast path from an accelerated machine for a while, as maintenance of its host does.
 * Its NICs keep their addresses, and packets pass by the slow path.
 */
export const maintain = (world: World, instanceId: string, ms: number): void => {
  const { accelerated, state } = instanceOf(world, instanceId)
  if (!accelerated || state !== 'running') {
    throw refuse({ kind: 'instanceState', instanceId, state: accelerated ? state : 'plain' })
  }
  changeDevices(world, instanceId, () => ({ isSlow: true }))
  later(world, ms, () => changeDevices(world, instanceId, () => ({ isSlow: false })))
}

/** PCI slot of the first NIC, as Xen and Nitro guests show it: `ens5`. */
const firstSlot = 5

const changeDevices = (
  world: World,
  instanceId: string,
  change: (now: Attachment) => Partial<Attachment>,
): void => {
  for (const nic of nicsOfInstance(world, instanceId)) {
    const { attachment } = nic
    if (attachment?.isPlugged !== true) continue
    const next = { ...attachment, ...change(attachment) }
    const isSame = next.deviceName === attachment.deviceName && next.isSlow === attachment.isSlow
    if (!isSame) putNic(world, nic.id, { ...nic, attachment: next })
  }
}
