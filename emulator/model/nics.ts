// The life of a NIC: create, attach, detach, delete, change. Every function checks first, then
// changes, so a refusal leaves no trace.
import { type Ip, hostCidr } from '#core/ip.ts'
import {
  type LendRequest,
  checkInstanceSlots,
  checkSlots,
  countOf,
  giveBack,
  lend,
} from './addresses.ts'
import { nameDevice } from './devices.ts'
import { found, refuse } from './refusal.ts'
import type { Attachment, Instance, Nic, Tags, TypeLimits } from './types.ts'
import { slots6Of, slotsOf } from './types.ts'
import type { World } from './world.ts'
import {
  allNics,
  blocksOf,
  delay,
  instanceOf,
  later,
  newId,
  nicOf,
  nicsOfInstance,
} from './world.ts'
import { occasionOf, putNic, spans } from './world.ts'

/** What a new NIC shall have. */
export interface CreateNicRequest {
  readonly subnetId: string
  readonly description: string
  /** Empty: the VPC's default group. */
  readonly groupIds: readonly string[]
  /** Undefined: the cloud chooses. */
  readonly primaryAddress: Ip | undefined
  readonly lend4: LendRequest
  readonly lend6: LendRequest
  readonly tags: Tags
  /** Left out: true. */
  readonly sourceDestCheck?: boolean
}

/** Creates an unattached NIC with all its addresses, or nothing at all. */
export const createNic = (world: World, request: CreateNicRequest): Nic => {
  const subnet = found(world.subnets.get(request.subnetId), 'subnet', request.subnetId)
  const groupIds = checkGroups(world, subnet.vpcId, request.groupIds)
  checkTags(world, request.tags)
  const { nicsMax } = world.options.quotas
  if (!(allNics(world).length < nicsMax)) throw refuse({ kind: 'nicQuotaExceeded', nicsMax })
  const draft = draftNic(world, { ...request, groupIds, vpcId: subnet.vpcId, zone: subnet.zone })
  checkSlots(world, draft, { ...request.lend4, family: 4, slots: countOf(request.lend4) })
  checkSlots(world, draft, { ...request.lend6, family: 6, slots: countOf(request.lend6) })
  const nic = lendToNew(world, draft, request)
  putNic(world, nic.id, nic)
  return nic
}

/** Attaches a NIC; the device appears in the guest some time after this returns. */
export const attachNic = (
  world: World,
  request: {
    readonly nicId: string
    readonly instanceId: string
    readonly deviceIndex: number
    readonly cardIndex: number
    readonly deleteOnTermination: boolean
  },
): Attachment => {
  const nic = nicOf(world, request.nicId)
  const instance = instanceOf(world, request.instanceId)
  checkAttach(world, { nic, instance, ...request })
  const attachment: Attachment = {
    id: newId(world, 'attachment'),
    instanceId: instance.id,
    deviceIndex: request.deviceIndex,
    cardIndex: request.cardIndex,
    state: 'attaching',
    deleteOnTermination: request.deleteOnTermination,
    attachedAt: world.clock.now(),
    isPlugged: false,
    deviceName: undefined,
    isSlow: false,
  }
  putNic(world, nic.id, { ...nic, attachment })
  completeAttach(world, nic.id, attachment)
  return attachment
}

/** Begins to detach; the NIC is `available` some time later. Refuses an instance's primary NIC. */
export const detachNic = (world: World, attachmentId: string): void => {
  const nic = found(nicByAttachment(world, attachmentId), 'attachment', attachmentId)
  const { attachment } = nic
  if (attachment === undefined) return
  checkHotPlug(world, nic.id, instanceOf(world, attachment.instanceId))
  if (attachment.deviceIndex === 0 && attachment.cardIndex === 0) {
    throw refuse({ kind: 'primaryNic', nicId: nic.id })
  }
  if (attachment.state !== 'detaching') {
    const detaching = { ...attachment, state: 'detaching', isPlugged: false } as const
    putNic(world, nic.id, { ...nic, attachment: detaching })
  }
  const occasion = occasionOf(world, attachment.instanceId)
  if (world.faults.strike(['detachStuck'], occasion).length > 0) return
  later(world, delay(world, 'detachingMs'), () =>
    changeAttached(world, nic.id, attachmentId, () => undefined),
  )
}

/** Deletes an unattached NIC and returns its addresses to the subnet. */
export const deleteNic = (world: World, nicId: string): void => {
  const nic = nicOf(world, nicId)
  if (nic.attachment !== undefined) {
    throw refuse({
      kind: 'nicAttached',
      nicId,
      isDetaching: nic.attachment.state === 'detaching',
    })
  }
  forget(world, nic)
}

/** Removes a NIC whatever its state: the instance that held it is gone. */
export const forget = (world: World, nic: Nic): void => {
  giveBack(world, nic.subnetId, blocksOf(nic))
  putNic(world, nic.id, undefined)
}

/** Changes one attribute. */
export const modifyNic = (
  world: World,
  nicId: string,
  change: Partial<Pick<Nic, 'description' | 'sourceDestCheck' | 'groupIds'>>,
): void => {
  const nic = nicOf(world, nicId)
  const groupIds = change.groupIds && checkGroups(world, nic.vpcId, change.groupIds)
  putNic(world, nicId, { ...nic, ...change, ...(groupIds && { groupIds }) })
}

/** Decides whether the NIC dies with its instance. */
export const setDeleteOnTermination = (
  world: World,
  request: { readonly nicId: string; readonly attachmentId: string; readonly value: boolean },
): void => {
  const nic = nicOf(world, request.nicId)
  if (nic.attachment?.id !== request.attachmentId) {
    throw refuse({ kind: 'notFound', thing: 'attachment', ids: [request.attachmentId] })
  }
  const attachment = { ...nic.attachment, deleteOnTermination: request.value }
  putNic(world, nic.id, { ...nic, attachment })
}

const nicByAttachment = (world: World, attachmentId: string): Nic | undefined =>
  allNics(world).find(nic => nic.attachment?.id === attachmentId)

/** Refuses more tags than a thing may have. */
export const checkTags = (world: World, tags: Tags): void => {
  const { tagsMax } = world.options.quotas
  if (!(Object.keys(tags).length <= tagsMax)) throw refuse({ kind: 'tagsExceeded', tagsMax })
}

const checkGroups = (world: World, vpcId: string, ids: readonly string[]): readonly string[] => {
  const { groupsPerNicMax } = world.options.quotas
  if (!(ids.length <= groupsPerNicMax)) {
    throw refuse({ kind: 'groupsExceeded', groupsMax: groupsPerNicMax })
  }
  for (const id of ids) {
    const group = found(world.groups.get(id), 'group', id)
    if (group.vpcId !== vpcId) throw refuse({ kind: 'vpcDiffers', id, vpcId })
  }
  return ids.length > 0 ? ids : [defaultGroup(world, vpcId)]
}

const defaultGroup = (world: World, vpcId: string): string => {
  const groups = [...world.groups.values()].filter(group => group.vpcId === vpcId)
  return found(
    groups.find(group => group.name === 'default'),
    'group',
    'default',
  ).id
}

const draftNic = (
  world: World,
  request: CreateNicRequest & { readonly vpcId: string; readonly zone: string },
): Nic => ({
  id: newId(world, 'nic'),
  vpcId: request.vpcId,
  subnetId: request.subnetId,
  zone: request.zone,
  mac: newMac(world),
  description: request.description,
  groupIds: request.groupIds,
  tags: request.tags,
  sourceDestCheck: request.sourceDestCheck ?? true,
  // Replaced before anyone sees it: the address is drawn only when all checks have passed.
  primaryAddress: '0.0.0.0' as Ip,
  addresses: [],
  prefixes: [],
  addresses6: [],
  prefixes6: [],
  attachment: undefined,
  availableAt: world.clock.now() + delay(world, 'pendingMs'),
})

const lendToNew = (world: World, draft: Nic, request: CreateNicRequest): Nic => {
  const { subnetId, primaryAddress, lend4, lend6 } = request
  const first = primaryAddress === undefined ? [] : [primaryAddress]
  const four = lend(world, subnetId, {
    ...lend4,
    family: 4,
    addresses: [...first, ...lend4.addresses],
    addressCount: lend4.addressCount + 1 - first.length,
  })
  try {
    const six = countOf(lend6) > 0 ? lend(world, subnetId, { ...lend6, family: 6 }) : undefined
    return withAddresses(draft, primaryAddress, { four, six })
  } catch (error) {
    giveBack(world, subnetId, [...four.addresses.map(hostCidr), ...four.prefixes])
    throw error
  }
}

const withAddresses = (
  draft: Nic,
  primary: Ip | undefined,
  lent: {
    readonly four: ReturnType<typeof lend>
    readonly six: ReturnType<typeof lend> | undefined
  },
): Nic => {
  // Without an explicit primary address the last drawn one is it: explicit ones keep their order.
  const primaryAddress = primary ?? lent.four.addresses.at(-1)
  if (primaryAddress === undefined) throw new Error(`${draft.id} was lent no primary address`)
  return {
    ...draft,
    primaryAddress,
    addresses: lent.four.addresses.filter(address => address !== primaryAddress),
    prefixes: lent.four.prefixes,
    addresses6: lent.six?.addresses ?? [],
    prefixes6: lent.six?.prefixes ?? [],
  }
}

// Locally administered and not multicast, as every cloud's generated addresses are.
const newMac = (world: World): string =>
  ['02', ...(world.chance.hex('mac', 10).match(/../g) ?? [])].join(':')

const checkAttach = (
  world: World,
  request: {
    readonly nic: Nic
    readonly instance: Instance
    readonly deviceIndex: number
    readonly cardIndex: number
  },
): void => {
  const { nic, instance } = request
  if (nic.attachment !== undefined) throw refuse({ kind: 'nicBusy', nicId: nic.id })
  if (!['running', 'pending', 'stopped'].includes(instance.state)) {
    throw refuse({ kind: 'instanceState', instanceId: instance.id, state: instance.state })
  }
  checkHotPlug(world, nic.id, instance)
  if (instance.vpcId !== nic.vpcId) {
    throw refuse({ kind: 'vpcDiffers', id: nic.id, vpcId: instance.vpcId })
  }
  if (!spans(world, nic.zone, instance.zone)) {
    throw refuse({ kind: 'zoneDiffers', nicId: nic.id, instanceId: instance.id })
  }
  checkPlace(world, request)
}

const checkHotPlug = (world: World, nicId: string, instance: Instance): void => {
  const isStill = instance.state === 'stopped'
  if (world.options.hotPlug || isStill) return
  throw refuse({ kind: 'hotPlugUnsupported', nicId, instanceId: instance.id })
}

const checkPlace = (world: World, request: Parameters<typeof checkAttach>[1]): void => {
  const { nic, instance, deviceIndex, cardIndex } = request
  const limits = found(world.options.typeLimits(instance.type), 'type', instance.type)
  const cardMax = limits.nicsPerCard[cardIndex]
  if (cardMax === undefined) throw refuse({ kind: 'cardMissing', type: instance.type, cardIndex })
  const others = nicsOfInstance(world, instance.id).map(other => other.attachment)
  const onCard = others.filter(other => other?.cardIndex === cardIndex)
  if (!(others.length < limits.nicsMax && onCard.length < cardMax)) {
    throw refuse({ kind: 'nicsExceeded', type: instance.type, count: others.length + 1 })
  }
  if (onCard.some(other => other?.deviceIndex === deviceIndex)) {
    throw refuse({ kind: 'deviceIndexTaken', instanceId: instance.id, deviceIndex })
  }
  checkLimits(nic, limits, instance.type)
  const slots = slotsOf(nic) + slots6Of(nic)
  checkInstanceSlots(world, { instanceId: instance.id, limits, slots })
}

const checkLimits = (nic: Nic, limits: TypeLimits, type: string): void => {
  const hasPrefix = nic.prefixes.length + nic.prefixes6.length > 0
  if (hasPrefix && !limits.hasPrefixes) throw refuse({ kind: 'prefixesUnsupported', type })
  if (slotsOf(nic) <= limits.slotsPerNic && slots6Of(nic) <= limits.slots6PerNic) return
  throw refuse({ kind: 'slotsExceeded', nicId: nic.id, slotsMax: limits.slotsPerNic })
}

const completeAttach = (world: World, nicId: string, attachment: Attachment): void => {
  const occasion = occasionOf(world, attachment.instanceId)
  if (world.faults.strike(['attachStuck'], occasion).length > 0) return
  const isMissing = world.faults.strike(['deviceMissing'], occasion).length > 0
  const deviceMs = delay(world, 'deviceMs')
  // A machine that is stopped meanwhile finds the device when it boots.
  const plug = (): void => {
    const instance = world.instances.get(attachment.instanceId)
    if (instance === undefined || instance.state === 'stopped') return
    changeAttached(world, nicId, attachment.id, now => ({ ...now, isPlugged: true }))
    nameDevice(world, instance, attachment)
  }
  later(world, delay(world, 'attachingMs'), () => {
    changeAttached(world, nicId, attachment.id, now => ({ ...now, state: 'attached' }))
    if (!isMissing) later(world, deviceMs, plug)
  })
}

// A step of an attachment's life that was planned earlier: nothing happens when the NIC has been
// detached, deleted or attached anew meanwhile.
const changeAttached = (
  world: World,
  nicId: string,
  ...[attachmentId, change]: [string, (now: Attachment) => Attachment | undefined]
): void => {
  const nic = allNics(world).find(other => other.id === nicId)
  if (nic?.attachment?.id !== attachmentId) return
  const attachment = change(nic.attachment)
  const overtaken = nic.attachment.state === 'detaching' && attachment !== undefined
  if (!overtaken) putNic(world, nicId, { ...nic, attachment })
}
