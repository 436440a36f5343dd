// The model's values as EC2's XML. Members and their order follow the API reference's examples;
// unknown members are ignored by clients, missing ones are not.
import { availableCount } from '#emulator/model/addresses.ts'
import { type Instance, type Nic, type SecurityGroup, nicStatus } from '#emulator/model/types.ts'
import type { Subnet, Tags, Vpc } from '#emulator/model/types.ts'
import { type World, nicsSeen } from '#emulator/model/world.ts'
import type { FabricRule } from '#emulator/ports.ts'
import { typeLimits } from './types.ts'
import { type Element, el, list, maybe } from './xml.ts'

type Members = readonly (Element | undefined)[]

/** EC2's time format: milliseconds, Z. */
export const isoTime = (ms: number): string => new Date(ms).toISOString()

const tagSet = (tags: Tags): Element =>
  list('tagSet', Object.entries(tags).toSorted(byKey), ([key, value]) => [
    el('key', key),
    el('value', value),
  ])

/** Members of `networkInterface` and of the items of `networkInterfaceSet`. */
export const nicMembers = (world: World, ownerId: string, nic: Nic): Members => [
  el('networkInterfaceId', nic.id),
  el('subnetId', nic.subnetId),
  el('vpcId', nic.vpcId),
  el('availabilityZone', nic.zone),
  el('description', nic.description),
  el('ownerId', ownerId),
  el('requesterManaged', false),
  el('status', nicStatus(nic, world.clock.now())),
  el('macAddress', nic.mac),
  el('privateIpAddress', nic.primaryAddress),
  el('privateDnsName', dnsName(nic.primaryAddress)),
  el('sourceDestCheck', nic.sourceDestCheck),
  groupSet(world, nic.groupIds),
  nic.attachment && attachmentOf(nic.attachment, ownerId),
  tagSet(nic.tags),
  list('privateIpAddressesSet', [nic.primaryAddress, ...nic.addresses], address => [
    el('privateIpAddress', address),
    el('privateDnsName', dnsName(address)),
    el('primary', address === nic.primaryAddress),
  ]),
  list('ipv4PrefixSet', nic.prefixes, prefix => [el('ipv4Prefix', prefix)]),
  list('ipv6AddressesSet', nic.addresses6, address => [el('ipv6Address', address)]),
  list('ipv6PrefixSet', nic.prefixes6, prefix => [el('ipv6Prefix', prefix)]),
  el('interfaceType', 'interface'),
]

export const subnetMembers = (world: World, ownerId: string, subnet: Subnet): Members => [
  el('subnetId', subnet.id),
  el('subnetArn', arn(subnet.zone, ownerId, `subnet/${subnet.id}`)),
  el('state', 'available'),
  el('ownerId', ownerId),
  el('vpcId', subnet.vpcId),
  el('cidrBlock', subnet.cidr),
  list('ipv6CidrBlockAssociationSet', subnet.cidr6 === undefined ? [] : [subnet.cidr6], block => [
    el('ipv6CidrBlock', block),
    el('associationId', `subnet-cidr-assoc-${subnet.id.slice('subnet-'.length)}`),
    el('ipv6CidrBlockState', el('state', 'associated')),
  ]),
  el('availableIpAddressCount', availableCount(world, subnet.id)),
  el('availabilityZone', subnet.zone),
  el('defaultForAz', false),
  el('mapPublicIpOnLaunch', false),
  el('assignIpv6AddressOnCreation', false),
  tagSet(subnet.tags),
]

export const vpcMembers = (ownerId: string, vpc: Vpc): Members => [
  el('vpcId', vpc.id),
  el('ownerId', ownerId),
  el('state', 'available'),
  maybe('cidrBlock', vpc.cidrs[0]),
  list('cidrBlockAssociationSet', vpc.cidrs, block => [
    el('cidrBlock', block),
    el('cidrBlockState', el('state', 'associated')),
  ]),
  list('ipv6CidrBlockAssociationSet', vpc.cidrs6, block => [
    el('ipv6CidrBlock', block),
    el('ipv6CidrBlockState', el('state', 'associated')),
  ]),
  el('instanceTenancy', 'default'),
  el('isDefault', false),
  tagSet(vpc.tags),
]

export const groupMembers = (ownerId: string, group: SecurityGroup): Members => [
  el('groupId', group.id),
  el('groupName', group.name),
  el('groupDescription', group.description),
  el('ownerId', ownerId),
  el('vpcId', group.vpcId),
  list('ipPermissions', group.ingress, rule => permission(ownerId, rule)),
  list('ipPermissionsEgress', group.egress, rule => permission(ownerId, rule)),
  tagSet(group.tags),
]

export const instanceMembers = (world: World, ownerId: string, instance: Instance): Members => {
  const nics = nicsSeen(world, 'describe')
    .filter(nic => nic.attachment?.instanceId === instance.id)
    .toSorted((a, b) => (a.attachment?.deviceIndex ?? 0) - (b.attachment?.deviceIndex ?? 0))
  const primary = nics.find(nic => nic.attachment?.deviceIndex === 0)
  return [
    el('instanceId', instance.id),
    el('imageId', 'ami-0123456789abcdef0'),
    stateElement('instanceState', instance),
    maybe('privateDnsName', primary && dnsName(primary.primaryAddress)),
    el('instanceType', instance.type),
    el('launchTime', isoTime(instance.launchedAt)),
    el('placement', el('availabilityZone', instance.zone), el('tenancy', 'default')),
    el('subnetId', instance.subnetId),
    el('vpcId', instance.vpcId),
    maybe('privateIpAddress', primary?.primaryAddress),
    el('sourceDestCheck', primary?.sourceDestCheck ?? true),
    groupSet(world, primary?.groupIds ?? []),
    el('architecture', 'x86_64'),
    tagSet(instance.tags),
    list('networkInterfaceSet', nics, nic => nicMembers(world, ownerId, nic)),
  ]
}

/** `instanceState` and the like: EC2 sends a number and a name. */
export const stateElement = (name: string, instance: Pick<Instance, 'state'>): Element =>
  el(name, el('code', stateCodes[instance.state]), el('name', instance.state))

const stateCodes = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const

/** Members of `instanceTypeSet` items; undefined for an unknown type. */
export const typeMembers = (name: string): Members | undefined => {
  const limits = typeLimits(name)
  if (limits === undefined) return undefined
  const isNitro = limits.hasPrefixes && !limits.isBareMetal
  const hypervisor = isNitro ? 'nitro' : 'xen'
  return [
    el('instanceType', name),
    el('bareMetal', limits.isBareMetal),
    maybe('hypervisor', limits.isBareMetal ? undefined : hypervisor),
    el('vCpuInfo', el('defaultVCpus', limits.cpus)),
    el(
      'networkInfo',
      el('maximumNetworkInterfaces', limits.nicsMax),
      el('maximumNetworkCards', limits.nicsPerCard.length),
      el('defaultNetworkCardIndex', 0),
      list('networkCards', [...limits.nicsPerCard.entries()], ([index, count]) => [
        el('networkCardIndex', index),
        el('maximumNetworkInterfaces', count),
      ]),
      el('ipv4AddressesPerInterface', limits.slotsPerNic),
      el('ipv6AddressesPerInterface', limits.slots6PerNic),
      el('ipv6Supported', limits.slots6PerNic > 0),
    ),
  ]
}

const attachmentOf = (attachment: NonNullable<Nic['attachment']>, ownerId: string): Element =>
  el(
    'attachment',
    el('attachmentId', attachment.id),
    el('instanceId', attachment.instanceId),
    el('instanceOwnerId', ownerId),
    el('deviceIndex', attachment.deviceIndex),
    el('networkCardIndex', attachment.cardIndex),
    el('status', attachment.state),
    el('attachTime', isoTime(attachment.attachedAt)),
    el('deleteOnTermination', attachment.deleteOnTermination),
  )

const groupSet = (world: World, ids: readonly string[]): Element =>
  list('groupSet', ids, id => [el('groupId', id), maybe('groupName', world.groups.get(id)?.name)])

const permission = (ownerId: string, rule: FabricRule): Members => [
  el('ipProtocol', rule.protocol === 'all' ? '-1' : rule.protocol),
  maybe('fromPort', rule.ports?.from ?? (rule.protocol === 'icmp' ? -1 : undefined)),
  maybe('toPort', rule.ports?.to ?? (rule.protocol === 'icmp' ? -1 : undefined)),
  list('groups', rule.peer.kind === 'group' ? [rule.peer.id] : [], id => [
    el('userId', ownerId),
    el('groupId', id),
  ]),
  list('ipRanges', cidrPeers(rule, 4), block => [el('cidrIp', block)]),
  list('ipv6Ranges', cidrPeers(rule, 6), block => [el('cidrIpv6', block)]),
]

const cidrPeers = ({ peer }: FabricRule, family: 4 | 6): readonly string[] =>
  peer.kind === 'cidr' && peer.cidr.includes(':') === (family === 6) ? [peer.cidr] : []

const dnsName = (address: string): string => `ip-${address.replaceAll('.', '-')}.ec2.internal`

const arn = (zone: string, ownerId: string, rest: string): string =>
  `arn:aws:ec2:${regionOf(zone)}:${ownerId}:${rest}`

/** The Region of a zone: its name without the last letter. */
export const regionOf = (zone: string): string => zone.slice(0, -1)

const byKey = (a: readonly [string, string], b: readonly [string, string]): number =>
  a[0] < b[0] ? -1 : 1
