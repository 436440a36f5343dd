// Keeps what Azure knows of NICs in step with the model, which others change too: a test, the
// admin face, the end of a machine.
import { type Cidr, baseOf, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import type { Nic, SecurityGroup, Subnet } from '#emulator/model/types.ts'
import { addGroup } from '#emulator/model/vpc.ts'
import { allNics, blocksOf } from '#emulator/model/world.ts'
import { everywhere } from '#core/ip.ts'
import type { Arm, ArmNic, IpConfig, NicRecord } from './arm.ts'
import { guidOf } from './guid.ts'
import { asgId, isSameId, nicId, nicName, nsgId, subnetId, uniformOwner } from './ids.ts'

/** The record of a NIC, brought up to date with the model first. */
export const recordOf = (arm: Arm, nic: Nic): NicRecord => {
  const known = arm.records.get(nic.id) ?? newRecord(arm, nic)
  const configs = configsOf(known, nic)
  const isSame = JSON.stringify(configs) === JSON.stringify(known.configs)
  const record = isSame ? known : { ...known, configs, revision: known.revision + 1 }
  arm.records.set(nic.id, record)
  return record
}

/** Stores a record with the next revision. */
export const putRecord = (
  arm: Arm,
  nicOfModel: string,
  record: Omit<NicRecord, 'revision'>,
): void => {
  const revision = (arm.records.get(nicOfModel)?.revision ?? 0) + 1
  arm.records.set(nicOfModel, { ...record, revision })
}

/** Every NIC that is a resource of its own: not those of uniform scale sets. */
export const plainNics = (arm: Arm): readonly ArmNic[] =>
  allNics(arm.world)
    .filter(nic => uniformOwner(arm.world, nic) === undefined)
    .map(nic => ({ nic, record: recordOf(arm, nic) }))

/** The NIC with that name. */
export const nicByName = (arm: Arm, name: string): ArmNic | undefined => {
  const isIt = (nic: Nic): boolean =>
    (arm.records.get(nic.id)?.name ?? nic.id).toLowerCase() === name.toLowerCase() &&
    uniformOwner(arm.world, nic) === undefined
  const nic = allNics(arm.world).find(isIt)
  return nic && { nic, record: recordOf(arm, nic) }
}

/** ARM id of a NIC. */
export const idOfNic = (arm: Arm, { nic, record }: ArmNic): string => nicId(arm, nic, record.name)

/** Changes with every change of what the NIC's resource shows. */
export const etagOf = (arm: Arm, { nic, record }: ArmNic): string => {
  const { attachment, ...rest } = nic
  const seen = [arm.world.options.seed, rest, attachment?.instanceId, record.revision]
  return `W/"${guidOf(JSON.stringify(seen))}"`
}

export const subnetByArmId = (arm: Arm, id: string): Subnet | undefined =>
  [...arm.world.subnets.values()].find(subnet => isSameId(subnetId(arm, subnet), id))

export const nsgByArmId = (arm: Arm, id: string): SecurityGroup | undefined =>
  visibleGroups(arm).find(group => isSameId(nsgId(arm, group), id))

/** Any group can be used as an application security group: membership, whatever its rules. */
export const asgByArmId = (arm: Arm, id: string): SecurityGroup | undefined =>
  visibleGroups(arm).find(group => isSameId(asgId(arm, group), id))

/** Groups that clients see. */
export const visibleGroups = (arm: Arm): readonly SecurityGroup[] =>
  [...arm.world.groups.values()].filter(group => group.name !== openName)

const openName = '(no network security group)'

/**
 * What the model gives to a NIC without network security group: Azure lets everything pass then,
 * the packet plane nothing.
 */
export const openGroup = (arm: Arm, vpcId: string): SecurityGroup => {
  const isOpen = (group: SecurityGroup): boolean => group.name === openName && group.vpcId === vpcId
  const known = [...arm.world.groups.values()].find(isOpen)
  const rules = ([4, 6] as const).map(family => ({
    protocol: 'all' as const,
    ports: undefined,
    peer: { kind: 'cidr' as const, cidr: everywhere(family) },
  }))
  const made = { name: openName, vpcId, description: '', tags: {} }
  return known ?? addGroup(arm.world, { ...made, rules: () => ({ ingress: rules, egress: rules }) })
}

/** The NIC's network security group and its application security groups. */
export const groupsOf = (
  arm: Arm,
  nic: Nic,
): { readonly nsg: SecurityGroup | undefined; readonly asgs: readonly SecurityGroup[] } => {
  const groups = nic.groupIds.map(id => arm.world.groups.get(id)).filter(one => one !== undefined)
  const [first, ...asgs] = groups
  return { nsg: first?.name === openName ? undefined : first, asgs }
}

const newRecord = (arm: Arm, nic: Nic): NicRecord => ({
  name: nicName(arm, nic),
  configs: [],
  state: 'Succeeded',
  more: {},
  leaving: [],
  revision: 0,
})

const configsOf = (record: NicRecord, nic: Nic): readonly IpConfig[] => {
  const held = blocksOf(nic).filter(block => !record.leaving.includes(block))
  const kept = record.configs.filter(
    ({ block, state }) => block === undefined || state === 'Updating' || held.includes(block),
  )
  const named = new Set(kept.map(({ block }) => block))
  const names = new Set(kept.map(({ name }) => name.toLowerCase()))
  const found = held.filter(block => !named.has(block))
  return [...kept, ...found.map(block => foundConfig(block, names))].map(config => ({
    ...config,
    isPrimary: config.block === hostCidr(nic.primaryAddress) || isNewPrimary(config),
  }))
}

// While an operation runs the record leads and the model follows.
const isNewPrimary = ({ isPrimary, state }: IpConfig): boolean => isPrimary && state === 'Updating'

// Azure's portal names configurations so.
const foundConfig = (block: Cidr, names: Set<string>): IpConfig => {
  const free = (number: number): string =>
    names.has(`ipconfig${number}`) ? free(number + 1) : `ipconfig${number}`
  const name = free(1)
  names.add(name)
  const family = familyOf(block)
  const rest = { method: 'Dynamic', state: 'Succeeded', more: {}, isPrimary: false } as const
  return { name, block, family, ...rest }
}

/** True for a prefix, false for a single address. */
export const isPrefix = (block: Cidr): boolean =>
  lengthOf(block) < lengthOf(hostCidr(baseOf(block)))
