// Keeps the packet fabric in step with the model. Changes only mark what is due; one worker then
// brings the fabric to the model's state of that moment, so nothing can be done in a wrong order.
import type { Cidr } from '#core/ip.ts'
import { latest } from './model/history.ts'
import type { Attachment, Nic } from './model/types.ts'
import { type Change, type World, blocksOf, delay, later } from './model/world.ts'
import type { Fabric, FabricNic, FabricSecurityGroup } from './ports.ts'

/** A fabric that follows a world. */
export interface Wires {
  /** Resolves when everything that is due has been done. */
  readonly idle: () => Promise<void>
  /** Stops following; the fabric itself is left to its owner. */
  readonly close: () => Promise<void>
}

interface Followed {
  readonly world: World
  readonly fabric: Fabric
  readonly due: Set<string>
  readonly instances: Set<string>
  /** What the fabric was last told of each plugged NIC. */
  readonly plugged: Map<string, FabricNic>
}

/** Brings over what exists and then follows every change; failures of the fabric are reported. */
export const connectFabric = (
  world: World,
  fabric: Fabric,
  onError: (error: unknown) => void,
): Wires => {
  const state: Followed = {
    world,
    fabric,
    due: new Set(),
    instances: new Set(),
    plugged: new Map(),
  }
  let worker: Promise<void> | undefined
  const wake = (): void => {
    worker ??= drain(state, onError).finally(() => {
      worker = undefined
      if (state.due.size > 0) wake()
    })
  }
  const mark = (id: string): void => {
    state.due.add(id)
    wake()
  }
  const follow = (change: Change): void => {
    const wait = isUpdate(state, change) ? delay(world, 'dataPlaneMs') : 0
    later(world, wait, () => mark(change.id))
  }
  world.listeners.add(follow)
  for (const id of [...world.instances.keys(), ...world.nics.keys()]) mark(id)
  const idle = async (): Promise<void> => {
    if (worker === undefined) return
    await worker
    return idle()
  }
  return {
    idle,
    close: async () => {
      world.listeners.delete(follow)
      state.due.clear()
      await idle()
    },
  }
}

// What the fabric should know of a NIC; undefined while no guest has it.
const fabricNic = (world: World, nic: Nic): FabricNic | undefined => {
  const { attachment } = nic
  const subnet = world.subnets.get(nic.subnetId)
  if (attachment?.isPlugged !== true || subnet === undefined) return undefined
  const { gateway, mtu } = world.options
  return {
    id: nic.id,
    instanceId: attachment.instanceId,
    mac: nic.mac,
    deviceIndex: attachment.deviceIndex,
    primary: attachment.deviceIndex === 0 && attachment.cardIndex === 0,
    subnet: subnet.cidr,
    gateway: gateway(subnet.cidr),
    subnet6: subnet.cidr6,
    gateway6: subnet.cidr6 && gateway(subnet.cidr6),
    mtu,
    deviceName: attachment.deviceName,
    fastPath: fastPathOf(world, attachment),
    primaryAddress: nic.primaryAddress,
    blocks: blocksOf(nic),
    sourceDestCheck: nic.sourceDestCheck,
    securityGroups: nic.groupIds.map(id => groupOf(world, id)),
  }
}

const fastPathOf = (world: World, attachment: Attachment): FabricNic['fastPath'] => {
  if (world.instances.get(attachment.instanceId)?.accelerated !== true) return 'none'
  return attachment.isSlow ? 'gone' : 'plugged'
}

const groupOf = (world: World, id: string): FabricSecurityGroup => {
  const group = world.groups.get(id)
  return { id, ingress: group?.ingress ?? [], egress: group?.egress ?? [] }
}

// A change of what a plugged NIC carries reaches the packets late; plugging has its own delays.
const isUpdate = ({ world, plugged }: Followed, change: Change): boolean => {
  if (change.kind !== 'nic' || !plugged.has(change.id)) return false
  return latest(world.nics.get(change.id) ?? [])?.attachment?.isPlugged === true
}

// Instances come before the NICs that are plugged into them and go after them.
const drain = async (state: Followed, onError: (error: unknown) => void): Promise<void> => {
  await Promise.resolve()
  while (state.due.size > 0) {
    const due = [...state.due]
    state.due.clear()
    const steps = [
      ...due.map(id => () => addInstance(state, id)),
      ...due.map(id => () => bringNic(state, id)),
      ...due.map(id => () => removeInstance(state, id)),
    ]
    for (const step of steps) await step().catch(onError)
  }
}

const addInstance = async (state: Followed, id: string): Promise<void> => {
  const instance = state.world.instances.get(id)
  if (instance === undefined || instance.state === 'terminated' || state.instances.has(id)) return
  await state.fabric.addInstance({ id, name: instance.name, netns: instance.netns })
  state.instances.add(id)
}

const removeInstance = async (state: Followed, id: string): Promise<void> => {
  if (state.world.instances.get(id)?.state !== 'terminated') return
  if (state.instances.delete(id)) await state.fabric.removeInstance(id)
}

const bringNic = async (state: Followed, id: string): Promise<void> => {
  const { world, fabric, plugged } = state
  const nic = latest(world.nics.get(id) ?? [])
  const wanted = nic && fabricNic(world, nic)
  const known = plugged.get(id)
  if (known !== undefined && known.instanceId !== wanted?.instanceId) {
    await fabric.unplug(id)
    plugged.delete(id)
  }
  if (wanted === undefined || JSON.stringify(known) === JSON.stringify(wanted)) return
  await clearBlocks(state, wanted)
  const isPlugged = plugged.has(id)
  await (isPlugged ? fabric.update(wanted) : fabric.plug(wanted))
  plugged.set(id, wanted)
}

// A block that moves between NICs leaves the old one first: no address ever has two owners.
const clearBlocks = async (state: Followed, wanted: FabricNic): Promise<void> => {
  const blocks = new Set<Cidr>(wanted.blocks)
  const others = [...state.plugged.values()].filter(
    other => other.id !== wanted.id && other.blocks.some(block => blocks.has(block)),
  )
  for (const other of others) await bringNic(state, other.id)
}
