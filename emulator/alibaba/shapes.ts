// Things of the model as JSON objects of ECS and VPC answers, member by member as the API reference
// lists them. Lists hide one level down, under the name of their items.
import { availableCount } from '#emulator/model/addresses.ts'
import type { Instance, Nic, SecurityGroup, Subnet, Tags } from '#emulator/model/types.ts'
import { nicsSeen } from '#emulator/model/world.ts'
import type { CallContext, Members } from './action.ts'
import { noteOf, statusOf } from './notes.ts'
import { cpusOf, familyOf, memoryOf, typeRow } from './types.ts'

/** Seconds and Z, as ECS writes most times. */
export const isoTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

// DescribeInstances has no seconds.
const isoMinutes = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`

const tagSet = (tags: Tags): Members => ({
  Tag: Object.entries(tags)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ TagKey: key, TagValue: value })),
})

/** Primary: the NIC that the instance came with. */
export const nicType = (nic: Nic): 'Primary' | 'Secondary' =>
  nic.attachment?.deviceIndex === 0 ? 'Primary' : 'Secondary'

const blockSets = (nic: Nic): Members => ({
  PrivateIpSets: {
    PrivateIpSet: [nic.primaryAddress, ...nic.addresses].map(address => ({
      PrivateIpAddress: address,
      Primary: address === nic.primaryAddress,
    })),
  },
  Ipv4PrefixSets: { Ipv4PrefixSet: nic.prefixes.map(prefix => ({ Ipv4Prefix: prefix })) },
  Ipv6Sets: { Ipv6Set: nic.addresses6.map(address => ({ Ipv6Address: address })) },
  Ipv6PrefixSets: { Ipv6PrefixSet: nic.prefixes6.map(prefix => ({ Ipv6Prefix: prefix })) },
})

/** A NIC as CreateNetworkInterface answers it, and the common part of the describes. */
export const createdNic = ({ world, notes, ownerId }: CallContext, nic: Nic): Members => ({
  NetworkInterfaceId: nic.id,
  NetworkInterfaceName: noteOf(notes, nic).name,
  Description: nic.description,
  Status: statusOf(world, notes, nic),
  Type: nicType(nic),
  VpcId: nic.vpcId,
  VSwitchId: nic.subnetId,
  ZoneId: nic.zone,
  MacAddress: nic.mac,
  PrivateIpAddress: nic.primaryAddress,
  ...blockSets(nic),
  SecurityGroupIds: { SecurityGroupId: nic.groupIds },
  SourceDestCheck: nic.sourceDestCheck,
  Tags: tagSet(nic.tags),
  OwnerId: ownerId,
  ServiceManaged: false,
  ResourceGroupId: '',
})

/** A NIC as the describes show it. */
export const describedNic = (context: CallContext, nic: Nic): Members => {
  const note = noteOf(context.notes, nic)
  const { attachment } = nic
  return {
    ...createdNic(context, nic),
    InstanceId: attachment?.instanceId ?? '',
    Attachment: attachment === undefined ? {} : attachmentOf(attachment),
    DeleteOnRelease: attachment?.deleteOnTermination ?? note.deleteOnRelease ?? false,
    CreationTime: isoTime(note.createdAt),
    NetworkInterfaceTrafficMode: 'Standard',
    AssociatedPublicIp: {},
  }
}

const attachmentOf = ({ instanceId, deviceIndex }: NonNullable<Nic['attachment']>): Members => ({
  InstanceId: instanceId,
  DeviceIndex: deviceIndex,
  TrunkNetworkInterfaceId: '',
})

/** Status words of instances; a released one is listed as Stopping until it is gone. */
const instanceWords = {
  pending: 'Starting',
  running: 'Running',
  stopping: 'Stopping',
  stopped: 'Stopped',
  'shutting-down': 'Stopping',
  terminated: 'Deleted',
} as const

/** The word that DescribeInstances shows. */
export const instanceStatus = ({ state }: Instance): string => instanceWords[state]

/** An instance as DescribeInstances shows it. */
export const describedInstance = (context: CallContext, instance: Instance): Members => {
  const nics = nicsSeen(context.world, 'describe')
    .filter(nic => nic.attachment?.instanceId === instance.id)
    .toSorted((a, b) => (a.attachment?.deviceIndex ?? 0) - (b.attachment?.deviceIndex ?? 0))
  const primary = nics.find(nic => nicType(nic) === 'Primary')
  return {
    InstanceId: instance.id,
    InstanceName: instance.name,
    HostName: instance.name,
    Status: instanceStatus(instance),
    InstanceType: instance.type,
    InstanceTypeFamily: familyOf(instance.type),
    Cpu: cpusOf(instance.type),
    Memory: memoryOf(instance.type) * 1024,
    RegionId: context.region,
    ZoneId: instance.zone,
    CreationTime: isoMinutes(instance.launchedAt),
    StartTime: isoMinutes(instance.launchedAt),
    InstanceNetworkType: 'vpc',
    InstanceChargeType: 'PostPaid',
    OSType: 'linux',
    SecurityGroupIds: { SecurityGroupId: primary?.groupIds ?? [] },
    VpcAttributes: {
      VpcId: instance.vpcId,
      VSwitchId: instance.subnetId,
      NatIpAddress: '',
      PrivateIpAddress: { IpAddress: primary === undefined ? [] : [primary.primaryAddress] },
    },
    NetworkInterfaces: { NetworkInterface: nics.map(instanceNic) },
    MetadataOptions: {
      HttpEndpoint: 'enabled',
      HttpTokens: hasOptionalTokens(instance) ? 'optional' : 'required',
      HttpPutResponseHopLimit: instance.metadataHops,
    },
    Tags: tagSet(instance.tags),
    PublicIpAddress: { IpAddress: [] },
    InnerIpAddress: { IpAddress: [] },
    OperationLocks: { LockReason: [] },
    ResourceGroupId: '',
  }
}

/**
 * An instance with this tag serves its metadata without a token, too: ECS's HttpTokens=optional.
 */
export const hasOptionalTokens = ({ tags }: Instance): boolean => tags['HttpTokens'] === 'optional'

const instanceNic = (nic: Nic): Members => ({
  NetworkInterfaceId: nic.id,
  MacAddress: nic.mac,
  PrimaryIpAddress: nic.primaryAddress,
  Type: nicType(nic),
  ...blockSets(nic),
})

/** An instance type as DescribeInstanceTypes shows it. */
export const describedType = (name: string): Members => {
  const row = typeRow(name)
  if (row === undefined) throw new Error(`${name} is in the list of types and not in the table`)
  return {
    InstanceTypeId: name,
    InstanceTypeFamily: familyOf(name),
    CpuCoreCount: cpusOf(name),
    MemorySize: memoryOf(name),
    CpuArchitecture: 'X86',
    EniQuantity: row.maxInterfaces,
    EniTotalQuantity: row.totalInterfaces,
    EniTrunkSupported: row.trunk,
    EniPrivateIpAddressQuantity: row.ipv4PerInterface,
    EniIpv6AddressQuantity: row.ipv6PerInterface,
    EriQuantity: 0,
    GPUAmount: 0,
    GPUSpec: '',
  }
}

/** A security group as DescribeSecurityGroups shows it. */
export const describedGroup = (group: SecurityGroup): Members => ({
  SecurityGroupId: group.id,
  SecurityGroupName: group.name,
  Description: group.description,
  SecurityGroupType: 'normal',
  VpcId: group.vpcId,
  RuleCount: group.ingress.length + group.egress.length,
  ServiceManaged: false,
  ResourceGroupId: '',
  Tags: tagSet(group.tags),
})

/** A subnet as DescribeVSwitches shows it; VPC spells its tags and numbers in its own way. */
export const describedVSwitch = ({ world, ownerId }: CallContext, subnet: Subnet): Members => ({
  VSwitchId: subnet.id,
  VSwitchName: subnet.name,
  Description: '',
  Status: 'Available',
  VpcId: subnet.vpcId,
  ZoneId: subnet.zone,
  CidrBlock: subnet.cidr,
  Ipv6CidrBlock: subnet.cidr6 ?? '',
  EnabledIpv6: subnet.cidr6 !== undefined,
  AvailableIpAddressCount: availableCount(world, subnet.id),
  IsDefault: false,
  OwnerId: Number(ownerId),
  ResourceGroupId: '',
  NetworkAclId: '',
  Tags: { Tag: Object.entries(subnet.tags).map(([key, value]) => ({ Key: key, Value: value })) },
})

/** What one assign call lent, as its answer lists it. */
export const lentSets = (
  nicId: string,
  lent: { readonly addresses: readonly string[]; readonly prefixes: readonly string[] },
): Members => ({
  AssignedPrivateIpAddressesSet: {
    NetworkInterfaceId: nicId,
    PrivateIpSet: { PrivateIpAddress: lent.addresses },
    Ipv4PrefixSet: { Ipv4Prefixes: lent.prefixes },
  },
})

/** The same for IPv6. */
export const lentSets6 = (
  nicId: string,
  lent: { readonly addresses: readonly string[]; readonly prefixes: readonly string[] },
): Members => ({
  NetworkInterfaceId: nicId,
  Ipv6Sets: { Ipv6Address: lent.addresses },
  Ipv6PrefixSets: { Ipv6Prefix: lent.prefixes },
})
