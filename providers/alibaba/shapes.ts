// The SDK's shapes made into ours. A secondary NIC's own address is given to pods like any other;
// it lives and dies with the NIC.

import type * as ecs from '@alicloud/ecs20140526'
import type { DescribeVSwitchesResponseBodyVSwitchesVSwitch as VSwitch } from '@alicloud/vpc20160428'
import { type Cidr, type Ip, bytesOf, baseOf, familyOf, hostCidr, ipFromBytes } from '#core/ip.ts'
import { lengthOf } from '#core/ip.ts'
import {
  type InstanceId,
  type NicId,
  type SecurityGroupId,
  type SubnetId,
  instanceId,
  nicId,
} from '#core/names.ts'
import { parseMac, securityGroupId, subnetId, token } from '#core/names.ts'
import type { CloudNic, Subnet } from '#core/ports.ts'
import { tagNames } from '../common/options.ts'
import type { TaggedSubnet } from '../common/selection.ts'
import { canonical, cidrFrom, ipFrom, present } from '../common/shapes.ts'

/** A NIC as ECS describes it. */
export type Nic = ecs.DescribeNetworkInterfacesResponseBodyNetworkInterfaceSetsNetworkInterfaceSet

export type Surroundings = {
  readonly instance: InstanceId
  /** Of the whole VPC: NICs of others may lie in any. */
  readonly subnets: ReadonlyMap<SubnetId, Subnet>
  /** Next hops for IPv6 that metadata has named. */
  readonly routers6: ReadonlyMap<SubnetId, Ip>
  /** Places on the instance of NICs that are attached to it. */
  readonly places: ReadonlyMap<NicId, number>
}

export const tagsOf = (nic: Nic): ReadonlyMap<string, string> =>
  new Map((nic.tags?.tag ?? []).map(tag => [tag.tagKey ?? '', tag.tagValue ?? '']))

export const subnetOf = (vSwitch: VSwitch): TaggedSubnet => ({
  id: subnetId(present(vSwitch.vSwitchId, 'VSwitchId')),
  zone: present(vSwitch.zoneId, 'ZoneId'),
  cidrs: [vSwitch.cidrBlock, vSwitch.ipv6CidrBlock].flatMap(text => (text ? [cidrFrom(text)] : [])),
  available: vSwitch.availableIpAddressCount ?? 0,
  tags: new Map((vSwitch.tags?.tag ?? []).map(tag => [tag.key ?? '', tag.value ?? ''])),
})

export const idOf = (nic: Nic): NicId =>
  nicId(present(nic.networkInterfaceId, 'NetworkInterfaceId'))

export const vSwitchOf = (nic: Nic): SubnetId => subnetId(present(nic.vSwitchId, 'VSwitchId'))

/** The instance a NIC is attached to, or on its way to or from. */
export const holderOf = (nic: Nic): string | undefined => {
  if (!attachedStates.has(nic.status ?? '')) return undefined
  // An attachment without instance belongs to a service of the cloud, such as a load balancer.
  return textOr(nic.instanceId) ?? textOr(nic.attachment?.instanceId)
}

export const groupsOf = (nic: Nic): readonly SecurityGroupId[] =>
  (nic.securityGroupIds?.securityGroupId ?? []).map(securityGroupId)

export const isPrimary = (nic: Nic): boolean => nic.type === 'Primary'

export const cloudNicOf = (nic: Nic, around: Surroundings): CloudNic => {
  const id = idOf(nic)
  const isFirst = isPrimary(nic)
  const subnet = vSwitchOf(nic)
  const own = ownOf(nic)
  const tokenText = tagsOf(nic).get(tagNames.token)
  return {
    id,
    mac: present(parseMac(nic.macAddress ?? ''), 'valid MacAddress'),
    subnet,
    securityGroups: groupsOf(nic),
    attachment: attachmentOf(nic, around.places.get(id) ?? 0),
    isPrimary: isFirst,
    isManaged: isManaged(nic),
    token: tokenText === undefined ? undefined : token(tokenText),
    primaryAddresses: isFirst ? own : [],
    gateways: gatewaysOf(around.subnets.get(subnet), around.routers6.get(subnet)),
    blocks: blocksOf(nic, isFirst ? own : []),
    fixedBlocks: isFirst ? [] : canonical(own.map(hostCidr)),
  }
}

const textOr = (text: string | undefined): string | undefined => (text ? text : undefined)

const attachedStates: ReadonlyMap<string, 'attaching' | 'attached' | 'detaching'> = new Map([
  ['Attaching', 'attaching'],
  ['InUse', 'attached'],
  ['Detaching', 'detaching'],
])

const attachmentOf = (nic: Nic, deviceIndex: number): CloudNic['attachment'] => {
  const kind = attachedStates.get(nic.status ?? '')
  const holder = holderOf(nic)
  if (kind === undefined || holder === undefined) return { kind: 'none' }
  // Left out by older answers; NICs are created with it.
  const isProtected = nic.deleteOnRelease !== false
  return { kind, instance: instanceId(holder), deviceIndex, isProtected }
}

// Put on NICs by other software that manages them itself (Terway's documentation).
const foreignTags: readonly (readonly [name: string, value: string])[] = [
  ['creator', 'terway'],
  ['creator', 'alibabacloud-erdma-controller'],
  ['terway.alibabacloud.com/excluded', 'true'],
]

// Trunk and member NICs carry pods of others, high-performance ones RDMA.
const isManaged = (nic: Nic): boolean => {
  const tags = tagsOf(nic)
  if ((tags.get(tagNames.unmanaged) ?? 'false') !== 'false') return false
  if (foreignTags.some(([name, value]) => tags.get(name) === value)) return false
  if (nic.serviceManaged === true || textOr(nic.attachment?.trunkNetworkInterfaceId)) return false
  const isPlain = (nic.networkInterfaceTrafficMode ?? 'Standard') === 'Standard'
  return isPlain && ['Primary', 'Secondary'].includes(nic.type ?? 'Secondary')
}

// The NIC's own IPv4 address; of IPv6 what is flagged so, and on the primary NIC the first one,
// which the guest takes by DHCPv6.
const ownOf = (nic: Nic): readonly Ip[] => {
  const listed = nic.privateIpSets?.privateIpSet?.find(({ primary }) => primary === true)
  const four = textOr(listed?.privateIpAddress) ?? textOr(nic.privateIpAddress)
  const sixes = nic.ipv6Sets?.ipv6Set ?? []
  const flagged = sixes.find(({ primary }) => primary === true)
  const six = flagged ?? (isPrimary(nic) ? sixes[0] : undefined)
  return [four, six?.ipv6Address].flatMap(text => (text ? [ipFrom(text)] : []))
}

const blocksOf = (nic: Nic, kept: readonly Ip[]): readonly Cidr[] => {
  const addresses = [
    nic.privateIpAddress,
    ...(nic.privateIpSets?.privateIpSet ?? []).map(({ privateIpAddress: text }) => text),
    ...(nic.ipv6Sets?.ipv6Set ?? []).map(({ ipv6Address: text }) => text),
  ].flatMap(text => (text ? [ipFrom(text)] : []))
  const prefixes = [
    ...(nic.ipv4PrefixSets?.ipv4PrefixSet ?? []).map(({ ipv4Prefix: text }) => text),
    ...(nic.ipv6PrefixSets?.ipv6PrefixSet ?? []).map(({ ipv6Prefix: text }) => text),
  ].flatMap(text => (text ? [cidrFrom(text)] : []))
  const lent = [...new Set(addresses)].filter(address => !kept.includes(address)).map(hostCidr)
  return canonical([...lent, ...prefixes])
}

// The last three addresses of a vSwitch are the cloud's, and the first of them its router; of IPv6
// it is the last nine (VPC user guide, "reserved IP addresses"; ECS user guide, `ipv6-gateway`).
const routerFromEnd = { 4: 3, 6: 9 } as const

const gatewaysOf = (subnet: Subnet | undefined, router6: Ip | undefined): readonly Ip[] =>
  (subnet?.cidrs ?? []).map(block =>
    familyOf(block) === 6 && router6 !== undefined ? router6 : routerOf(block),
  )

const routerOf = (block: Cidr): Ip => {
  const bytes = bytesOf(baseOf(block))
  for (let bit = lengthOf(block); bit < bytes.length * 8; bit++)
    bytes[bit >> 3]! |= 0x80 >> (bit & 7)
  bytes[bytes.length - 1]! -= routerFromEnd[familyOf(block)] - 1
  return ipFromBytes(bytes)
}
