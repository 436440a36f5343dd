// The SDK's shapes made into ours. An answer that lacks what every answer has is malformed: some
// proxies answer 200 with a page of their own, which the SDK reads as an empty result.

import type {
  Subnet as Ec2Subnet,
  NetworkInterface,
  NetworkInterfaceAttachment,
  Tag,
} from '@aws-sdk/client-ec2'
import { type Cidr, type Ip, addressAt, familyOf, hostCidr, ip } from '#core/ip.ts'
import { type InstanceId, type SubnetId, instanceId, nicId, parseMac } from '#core/names.ts'
import { securityGroupId, subnetId, token } from '#core/names.ts'
import type { CloudNic, Subnet } from '#core/ports.ts'
import { tagNames } from '../common/options.ts'
import type { TaggedSubnet } from '../common/selection.ts'
import { canonical, cidrFrom, ipFrom, present } from '../common/shapes.ts'

export type Surroundings = {
  readonly instance: InstanceId
  readonly subnets: ReadonlyMap<SubnetId, Subnet>
}

/** Put on a NIC by its owner: leave it alone. The second is honoured by Amazon's CNI too. */
const unmanagedTags = [tagNames.unmanaged, 'node.k8s.amazonaws.com/no_manage']

export const tagsOf = (tags: readonly Tag[] | undefined): ReadonlyMap<string, string> =>
  new Map((tags ?? []).map(tag => [tag.Key ?? '', tag.Value ?? '']))

export const subnetOf = (subnet: Ec2Subnet): TaggedSubnet => ({
  id: subnetId(present(subnet.SubnetId, 'SubnetId')),
  zone: present(subnet.AvailabilityZone, 'AvailabilityZone'),
  cidrs: [subnet.CidrBlock, ...liveIpv6(subnet)].flatMap(text => text ?? []).map(cidrFrom),
  available: subnet.AvailableIpAddressCount ?? 0,
  tags: tagsOf(subnet.Tags),
})

export const cloudNicOf = (nic: NetworkInterface, around: Surroundings): CloudNic => {
  const tags = tagsOf(nic.TagSet)
  const attachment = attachmentOf(nic.Attachment)
  const isPrimary =
    isOnDefaultCard(nic) && attachment.kind !== 'none' && attachment.deviceIndex === 0
  const subnet = subnetId(present(nic.SubnetId, 'SubnetId'))
  const ownIpv6 = ownIpv6Of(nic, isPrimary)
  const tokenText = tags.get(tagNames.token)
  return {
    id: nicId(present(nic.NetworkInterfaceId, 'NetworkInterfaceId')),
    mac: present(parseMac(nic.MacAddress ?? ''), 'valid MacAddress'),
    subnet,
    securityGroups: (nic.Groups ?? []).flatMap(({ GroupId: id }) =>
      id ? securityGroupId(id) : [],
    ),
    attachment,
    isPrimary,
    isManaged: isManaged(nic, isPrimary),
    token: tokenText === undefined ? undefined : token(tokenText),
    primaryAddresses: [...ownIpv4Of(nic), ...ownIpv6],
    gateways: gatewaysOf(around.subnets.get(subnet)),
    blocks: blocksOf(nic, ownIpv6),
    fixedBlocks: [],
  }
}

const liveIpv6 = (subnet: Ec2Subnet): readonly (string | undefined)[] =>
  (subnet.Ipv6CidrBlockAssociationSet ?? [])
    .filter(({ Ipv6CidrBlockState: state }) => (state?.State ?? 'associated') === 'associated')
    .map(({ Ipv6CidrBlock: block }) => block)

const attachmentOf = (
  attachment: NetworkInterfaceAttachment | undefined,
): CloudNic['attachment'] => {
  const status = attachment?.Status
  // An attachment without instance belongs to a service of the cloud, such as a load balancer.
  if (attachment?.InstanceId === undefined || status === undefined || status === 'detached') {
    return { kind: 'none' }
  }
  return {
    kind: status,
    instance: instanceId(attachment.InstanceId),
    deviceIndex: attachment.DeviceIndex ?? 0,
    isProtected: attachment.DeleteOnTermination === true,
  }
}

// Every card has a device index 0; the instance's primary NIC is that of card 0.
const isOnDefaultCard = (nic: NetworkInterface): boolean =>
  (nic.Attachment?.NetworkCardIndex ?? 0) === 0

// Trunk, branch and EFA-only interfaces carry no pods of ours. A plain EFA one may be detached by
// nobody but its job, yet as the primary NIC it lends addresses like any other. Limits count the
// default network card only.
const isManaged = (nic: NetworkInterface, isPrimary: boolean): boolean => {
  const tags = tagsOf(nic.TagSet)
  if (unmanagedTags.some(name => (tags.get(name) ?? 'false') !== 'false')) return false
  if (nic.RequesterManaged === true || !isOnDefaultCard(nic)) return false
  const type = nic.InterfaceType ?? 'interface'
  return type === 'interface' || (type === 'efa' && isPrimary)
}

const ownIpv4Of = (nic: NetworkInterface): readonly Ip[] => {
  const listed = (nic.PrivateIpAddresses ?? []).filter(({ Primary: isOwn }) => isOwn === true)
  const texts = listed.flatMap(({ PrivateIpAddress: text }) => text ?? [])
  return (texts.length > 0 ? texts : [nic.PrivateIpAddress ?? []].flat()).map(ipFrom)
}

// The guest takes the first IPv6 address of the primary NIC by DHCPv6, flagged primary or not.
const ownIpv6Of = (nic: NetworkInterface, isPrimary: boolean): readonly Ip[] => {
  const listed = nic.Ipv6Addresses ?? []
  const own =
    listed.find(({ IsPrimaryIpv6: isOwn }) => isOwn === true) ?? (isPrimary ? listed[0] : undefined)
  return own?.Ipv6Address === undefined ? [] : [ipFrom(own.Ipv6Address)]
}

const blocksOf = (nic: NetworkInterface, ownIpv6: readonly Ip[]): readonly Cidr[] => {
  const secondary = (nic.PrivateIpAddresses ?? []).filter(({ Primary: isOwn }) => isOwn !== true)
  const addresses = [
    ...secondary.flatMap(({ PrivateIpAddress: text }) => text ?? []),
    ...(nic.Ipv6Addresses ?? []).flatMap(({ Ipv6Address: text }) => text ?? []),
  ].map(ipFrom)
  const prefixes = [
    ...(nic.Ipv4Prefixes ?? []).flatMap(({ Ipv4Prefix: text }) => text ?? []),
    ...(nic.Ipv6Prefixes ?? []).flatMap(({ Ipv6Prefix: text }) => text ?? []),
  ].map(cidrFrom)
  const lent = addresses.filter(address => !ownIpv6.includes(address)).map(hostCidr)
  return canonical([...lent, ...prefixes])
}

// VPC user guide: the router is the subnet's base plus one, and fe80:ec2::1 in every IPv6 subnet.
const gatewaysOf = (subnet: Subnet | undefined): readonly Ip[] =>
  (subnet?.cidrs ?? []).map(block => (familyOf(block) === 4 ? addressAt(block, 1) : ipv6Router))

const ipv6Router = ip('fe80:ec2::1')
