// Machines: launched with a primary NIC, ended with what is marked to end with them.
import type { Ip } from '#core/ip.ts'
import { createNic, forget } from './nics.ts'
import { found, refuse } from './refusal.ts'
import type { Instance, Nic, Tags } from './types.ts'
import { type World, delay, instanceOf, later, newId, nicsOfInstance } from './world.ts'
import { putInstance, putNic, settleNic } from './world.ts'

/** What to launch. */
export interface RunRequest {
  readonly name: string
  readonly netns: string
  readonly type: string
  readonly subnetId: string
  readonly groupIds: readonly string[]
  readonly primaryAddress: Ip | undefined
  readonly role: string | undefined
  readonly metadataHops: number
  readonly tags: Tags
  /** True: running at once with its NIC plugged, as if launched long ago. */
  readonly isBooted: boolean
}

/** Launches one machine with its primary NIC at device index 0. */
export const runInstance = (world: World, request: RunRequest): Instance => {
  const subnet = found(world.subnets.get(request.subnetId), 'subnet', request.subnetId)
  found(world.options.typeLimits(request.type), 'type', request.type)
  const nic = createNic(world, { ...request, description: '', lend4: none, lend6: none, tags: {} })
  const instance: Instance = {
    id: newId(world, 'instance'),
    name: request.name,
    type: request.type,
    zone: subnet.zone,
    vpcId: subnet.vpcId,
    subnetId: subnet.id,
    netns: request.netns,
    state: request.isBooted ? 'running' : 'pending',
    role: request.role,
    metadataHops: request.metadataHops,
    launchedAt: world.clock.now(),
    tags: request.tags,
  }
  if (!request.isBooted) world.knownAt.set(instance.id, world.clock.now() + delay(world, 'newIdMs'))
  putInstance(world, instance)
  plugPrimary(world, nic, instance)
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

/** The instance with that name; refuses when there is none that lives. */
export const instanceByName = (world: World, name: string): Instance => {
  const instance = [...world.instances.values()].find(
    other => other.name === name && other.state !== 'terminated',
  )
  if (instance === undefined) throw refuse({ kind: 'notFound', thing: 'instance', ids: [name] })
  return instance
}

const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

// The primary NIC has no attaching phase that anyone could see: the machine boots with it.
const plugPrimary = (world: World, nic: Nic, instance: Instance): void =>
  settleNic(world, {
    ...nic,
    attachment: {
      id: newId(world, 'attachment'),
      instanceId: instance.id,
      deviceIndex: 0,
      cardIndex: 0,
      state: 'attached',
      deleteOnTermination: true,
      attachedAt: world.clock.now(),
      isPlugged: true,
    },
  })

const finishBoot = (world: World, id: string): void => {
  const instance = world.instances.get(id)
  if (instance?.state === 'pending') putInstance(world, { ...instance, state: 'running' })
}
