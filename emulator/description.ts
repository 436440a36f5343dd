// What a composer says about the cloud it wants: a VPC with subnets, groups and instances by name.
// Names are for the composer; clients see the ids that are made from the seed.
import { type Cidr, type Ip, cidr } from '#core/ip.ts'
import { runInstance } from './model/instances.ts'
import type { Instance, ScaleSetMembership, Tags } from './model/types.ts'
import { addGroup, addSubnet, addVpc } from './model/vpc.ts'
import { type World, spans } from './model/world.ts'
import type { FabricRule } from './ports.ts'

/** A VPC as its owner would write it down. */
export interface Description {
  readonly cidrs: readonly Cidr[]
  readonly cidrs6?: readonly Cidr[]
  readonly tags?: Tags
  readonly subnets: readonly DescribedSubnet[]
  /** Beside the group `default`, which always exists: all from itself, all to everywhere. */
  readonly securityGroups?: readonly DescribedGroup[]
  readonly instances: readonly DescribedInstance[]
}

interface DescribedSubnet {
  readonly name: string
  readonly zone: string
  readonly cidr: Cidr
  readonly cidr6?: Cidr
  readonly tags?: Tags
}

export interface DescribedGroup {
  readonly name: string
  readonly ingress: readonly DescribedRule[]
  readonly egress: readonly DescribedRule[]
  readonly tags?: Tags
}

/** A rule whose peer is a prefix or the name of a group (its own included). */
export type DescribedRule = Omit<FabricRule, 'peer'> & {
  readonly peer: { readonly cidr: Cidr } | { readonly group: string }
}

export interface DescribedInstance {
  readonly name: string
  readonly type: string
  /** Name of a subnet. */
  readonly subnet: string
  /** Where subnets span their region: the machine's own zone. Left out: the subnet's. */
  readonly zone?: string
  /** Names of groups; empty or left out: `default`. */
  readonly groups?: readonly string[]
  /** Left out: `ew-` and the name. */
  readonly netns?: string
  readonly primaryAddress?: Ip
  /** Role whose credentials the metadata service gives out; left out: `eniway-node`; '' is none. */
  readonly role?: string
  /** Left out: 1, as EC2 does. */
  readonly metadataHops?: number
  readonly tags?: Tags
  /** NICs that it boots with beside the first one; where there is no hot plug, all it will have. */
  readonly secondaryNics?: readonly DescribedNic[]
  readonly scaleSet?: ScaleSetMembership
  /** Two devices with one MAC for each NIC; left out: false. */
  readonly accelerated?: boolean
  /** Devices get another name some time after they appear, as from udev; left out: false. */
  readonly renames?: boolean
  /** IPv6 addresses of the first NIC, the first of which is the machine's own; left out: 0. */
  readonly addressCount6?: number
}

/** A secondary NIC by names; `groups` left out: `default`. */
export interface DescribedNic {
  readonly subnet: string
  readonly groups?: readonly string[]
  readonly tags?: Tags
}

/** Ids by the names of the description. */
export interface Built {
  readonly vpcId: string
  readonly subnetIds: Readonly<Record<string, string>>
  readonly groupIds: Readonly<Record<string, string>>
  readonly instanceIds: Readonly<Record<string, string>>
}

/** Builds the described VPC in an empty world; its instances are running. */
export const buildVpc = (world: World, description: Description): Built => {
  const { cidrs, cidrs6 = [], tags = {} } = description
  const vpcId = addVpc(world, { cidrs, cidrs6, tags }).id
  const subnetIds = byName(description.subnets, subnet => {
    const { name, zone, cidr: range, cidr6, tags: own = {} } = subnet
    return addSubnet(world, { name, vpcId, zone, cidr: range, cidr6, tags: own }).id
  })
  const groupIds = buildGroups(world, vpcId, description.securityGroups ?? [])
  const instanceIds = byName(
    description.instances,
    instance => launch(world, instance, { subnetIds, groupIds, isBooted: true }).id,
  )
  return { vpcId, subnetIds, groupIds, instanceIds }
}

/** Launches a described instance into a VPC that was built before. */
export const launch = (
  world: World,
  instance: DescribedInstance,
  place: Pick<Built, 'subnetIds' | 'groupIds'> & { readonly isBooted: boolean },
): Instance => {
  const taken = [...world.instances.values()].some(
    other => other.name === instance.name && other.state !== 'terminated',
  )
  if (taken) throw new TypeError(`instance "${instance.name}" exists; choose another name`)
  return runInstance(world, {
    name: instance.name,
    netns: instance.netns ?? defaultNetns(instance.name),
    type: instance.type,
    ...placeOf(place, instance),
    zone: zoneOf(world, place, instance),
    secondaryNics: (instance.secondaryNics ?? []).map(nic => ({
      ...placeOf(place, nic),
      tags: nic.tags ?? {},
    })),
    scaleSet: instance.scaleSet,
    accelerated: instance.accelerated ?? false,
    renames: instance.renames ?? false,
    addressCount6: instance.addressCount6 ?? 0,
    primaryAddress: instance.primaryAddress,
    role: (instance.role ?? 'eniway-node') || undefined,
    metadataHops: instance.metadataHops ?? 1,
    tags: { Name: instance.name, ...instance.tags },
    isBooted: place.isBooted,
  })
}

const placeOf = (
  { subnetIds, groupIds }: Pick<Built, 'subnetIds' | 'groupIds'>,
  { subnet, groups = [] }: Pick<DescribedNic, 'subnet' | 'groups'>,
): { readonly subnetId: string; readonly groupIds: readonly string[] } => ({
  subnetId: lookUp(subnetIds, 'subnet', subnet),
  groupIds: groups.map(name => lookUp(groupIds, 'security group', name)),
})

const zoneOf = (
  world: World,
  { subnetIds }: Pick<Built, 'subnetIds'>,
  { name, subnet, zone }: DescribedInstance,
): string | undefined => {
  const place = world.subnets.get(lookUp(subnetIds, 'subnet', subnet))?.zone ?? ''
  if (zone === undefined || spans(world, place, zone)) return zone
  throw new TypeError(`instance "${name}" cannot be in ${zone}: its subnet lies in ${place}`)
}

/** Name of an instance's network namespace when nobody chose one. */
export const defaultNetns = (name: string): string => `ew-${name}`

const buildGroups = (
  world: World,
  vpcId: string,
  groups: readonly DescribedGroup[],
): Readonly<Record<string, string>> => {
  const ids: Record<string, string> = {}
  for (const group of [defaultGroup, ...groups]) {
    const { name, tags = {} } = group
    const rules = (id: string) => {
      ids[name] = id
      const resolved = (rule: DescribedRule): FabricRule => resolve(rule, ids)
      return { ingress: group.ingress.map(resolved), egress: group.egress.map(resolved) }
    }
    addGroup(world, { name, vpcId, description: `${name} group`, tags, rules })
  }
  return ids
}

const everything = { protocol: 'all', ports: undefined } as const

const defaultGroup: DescribedGroup = {
  name: 'default',
  ingress: [{ ...everything, peer: { group: 'default' } }],
  egress: [
    { ...everything, peer: { cidr: cidr('0.0.0.0/0') } },
    { ...everything, peer: { cidr: cidr('::/0') } },
  ],
}

// A rule can name its own group and those before it in the description.
const resolve = (rule: DescribedRule, ids: Readonly<Record<string, string>>): FabricRule => ({
  protocol: rule.protocol,
  ports: rule.ports,
  peer:
    'cidr' in rule.peer
      ? { kind: 'cidr', cidr: rule.peer.cidr }
      : { kind: 'group', id: lookUp(ids, 'security group', rule.peer.group) },
})

const byName = <T extends { readonly name: string }>(
  things: readonly T[],
  build: (thing: T) => string,
): Readonly<Record<string, string>> =>
  Object.fromEntries(things.map(thing => [thing.name, build(thing)]))

const lookUp = (ids: Readonly<Record<string, string>>, what: string, name: string): string => {
  const id = ids[name]
  if (id !== undefined) return id
  const known = Object.keys(ids).join(', ')
  throw new TypeError(`no ${what} is named "${name}"; known are: ${known === '' ? 'none' : known}`)
}
