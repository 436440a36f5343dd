// Machines: launched with a primary NIC, ended with what is marked to end with them.
import type { Ip } from '#core/ip.ts'
import { type CreateNicRequest, createNic, forget } from './nics.ts'
import { found, refuse } from './refusal.ts'
import { nameDevice } from './devices.ts'
import type { Attachment, Instance, Nic, ScaleSetMembership, Tags } from './types.ts'
import { type World, delay, instanceOf, later, newId, nicsOfInstance } from './world.ts'
import { putInstance, putNic, settleNic } from './world.ts'

/** What to launch. */
export interface RunRequest {
  readonly name: string
  readonly netns: string
  readonly type: string
  readonly subnetId: string
  /** Left out: the subnet's. */
  readonly zone?: string | undefined
  readonly groupIds: readonly string[]
  readonly primaryAddress: Ip | undefined
  readonly role: string | undefined
  readonly metadataHops: number
  readonly tags: Tags
  /** NICs that it boots with beside the primary one, at the next device indexes. */
  readonly secondaryNics?: readonly BootNic[]
  readonly scaleSet?: ScaleSetMembership | undefined
  /** Left out: false. */
  readonly accelerated?: boolean
  /** Left out: false. */
  readonly renames?: boolean
  /** IPv6 addresses of the primary NIC; left out: 0. */
  readonly addressCount6?: number
  /** True: running at once with its NICs plugged, as if launched long ago. */
  readonly isBooted: boolean
}

/** A secondary NIC that is there at boot. */
export type BootNic = Pick<CreateNicRequest, 'subnetId' | 'groupIds' | 'tags'>

/** Launches one machine with its primary NIC at device index 0, or nothing at all. */
export const runInstance = (world: World, request: RunRequest): Instance => {
  const subnet = found(world.subnets.get(request.subnetId), 'subnet', request.subnetId)
  const nics = createBootNics(world, request)
  const instance: Instance = {
    id: newId(world, 'instance'),
    name: request.name,
    type: request.type,
    zone: request.zone ?? subnet.zone,
    vpcId: subnet.vpcId,
    subnetId: subnet.id,
    netns: request.netns,
    state: request.isBooted ? 'running' : 'pending',
    role: request.role,
    metadataHops: request.metadataHops,
    launchedAt: world.clock.now(),
    tags: request.tags,
    scaleSet: request.scaleSet,
    accelerated: request.accelerated ?? false,
    renames: request.renames ?? false,
  }
  if (!request.isBooted) world.knownAt.set(instance.id, world.clock.now() + delay(world, 'newIdMs'))
  putInstance(world, instance)
  for (const [deviceIndex, nic] of nics.entries()) plugAtBoot(world, nic, { instance, deviceIndex })
  if (!request.isBooted) later(world, delay(world, 'bootMs'), () => finishBoot(world, instance.id))
  return instance
}

/** Ends a machine: NICs marked deleteOnTermination vanish with it, others become available. */
export const terminateInstance = (world: World, id: string): Instance => {
  const instance = instanceOf(world, id)
  if (instance.state === 'shutting-down' || instance.state === 'terminated') return instance
  const ending: Instance = { ...instance, state: 'shutting-down' }
  putInstance(world, ending)
  later(world, delay(world, 'terminatingMs'), () => {
    for (const nic of nicsOfInstance(world, id)) {
      if (nic.attachment?.deleteOnTermination === true) forget(world, nic)
      else putNic(world, nic.id, { ...nic, attachment: undefined })
    }
    putInstance(world, { ...ending, state: 'terminated' })
  })
  return ending
}

/** Stops a machine: it keeps its NICs, and their devices vanish. Stopping twice does nothing. */
export const stopInstance = (world: World, id: string): Instance => {
  const instance = instanceOf(world, id)
  if (instance.state === 'stopping' || instance.state === 'stopped') return instance
  if (instance.state !== 'running') throw badState(instance)
  const stopping: Instance = { ...instance, state: 'stopping' }
  putInstance(world, stopping)
  later(world, delay(world, 'terminatingMs'), () => {
    if (world.instances.get(id)?.state !== 'stopping') return
    setPlugged(world, id, false)
    putInstance(world, { ...instanceOf(world, id), state: 'stopped' })
  })
  return stopping
}

/** Starts a stopped machine: it boots with every NIC that is attached to it by now. */
export const startInstance = (world: World, id: string): Instance => {
  const instance = instanceOf(world, id)
  if (instance.state === 'pending' || instance.state === 'running') return instance
  if (instance.state !== 'stopped') throw badState(instance)
  const pending: Instance = { ...instance, state: 'pending' }
  putInstance(world, pending)
  setPlugged(world, id, true)
  later(world, delay(world, 'bootMs'), () => finishBoot(world, id))
  return pending
}

/** The instance with that name; refuses when there is none that lives. */
export const instanceByName = (world: World, name: string): Instance => {
  const instance = [...world.instances.values()].find(
    other => other.name === name && other.state !== 'terminated',
  )
  if (instance === undefined) throw refuse({ kind: 'notFound', thing: 'instance', ids: [name] })
  return instance
}

const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

// All of them or none: what was made before one is refused is forgotten again.
const createBootNics = (world: World, request: RunRequest): readonly Nic[] => {
  const { type, secondaryNics = [] } = request
  const { nicsMax } = found(world.options.typeLimits(type), 'type', type)
  const count = 1 + secondaryNics.length
  if (!(count <= nicsMax)) throw refuse({ kind: 'nicsExceeded', type, count })
  const common = { description: '', lend4: none, lend6: none }
  const lend6 = { ...none, addressCount: request.addressCount6 ?? 0 }
  const made = [createNic(world, { ...request, ...common, lend6, tags: {} })]
  try {
    for (const nic of secondaryNics) {
      made.push(createNic(world, { ...nic, ...common, primaryAddress: undefined }))
    }
  } catch (error) {
    for (const nic of made) forget(world, nic)
    throw error
  }
  return made
}

// These NICs have no attaching phase that anyone could see: the machine boots with them.
const plugAtBoot = (
  world: World,
  nic: Nic,
  { instance, deviceIndex }: { readonly instance: Instance; readonly deviceIndex: number },
): void => {
  const attachment: Attachment = {
    id: newId(world, 'attachment'),
    instanceId: instance.id,
    deviceIndex,
    cardIndex: 0,
    state: 'attached',
    deleteOnTermination: true,
    attachedAt: world.clock.now(),
    isPlugged: true,
    deviceName: undefined,
    isSlow: false,
  }
  settleNic(world, { ...nic, attachment })
  nameDevice(world, instance, attachment)
}

// A device that appears anew has the kernel's name first.
const setPlugged = (world: World, id: string, isPlugged: boolean): void => {
  for (const nic of nicsOfInstance(world, id)) {
    if (nic.attachment?.state !== 'attached') continue
    const fresh = { isPlugged, deviceName: undefined, isSlow: false }
    const attachment: Attachment = { ...nic.attachment, ...fresh }
    putNic(world, nic.id, { ...nic, attachment })
    if (isPlugged) nameDevice(world, instanceOf(world, id), attachment)
  }
}

const badState = ({ id, state }: Instance): Error =>
  refuse({ kind: 'instanceState', instanceId: id, state })

const finishBoot = (world: World, id: string): void => {
  const instance = world.instances.get(id)
  if (instance?.state === 'pending') putInstance(world, { ...instance, state: 'running' })
}
