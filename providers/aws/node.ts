// Who we are: the instance as its metadata knows it, and the facts that EC2 adds to it.

import type { EC2Client, NetworkInterface } from '@aws-sdk/client-ec2'
import { type Cidr } from '#core/ip.ts'
import { type InstanceId, type SecurityGroupId, instanceId, subnetId } from '#core/names.ts'
import type { NodeFacts } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import { cidrFrom, present } from '../common/shapes.ts'
import { ownFailure } from './failures.ts'
import { cloudNicOf } from './shapes.ts'
import { describeNicsOf } from './describe.ts'
import type { LimitsSource } from './limits.ts'
import type { Metadata } from './metadata.ts'
import type { SubnetSelection } from '../common/options.ts'
import { remembering } from '../common/remembering.ts'
import { type SubnetSource, selectSubnets } from './subnets.ts'

/** What never changes while the instance runs. */
export type Identity = {
  readonly instanceId: InstanceId
  readonly instanceType: string
  readonly zone: string
  readonly vpc: string
  /** Metadata path of the primary NIC. */
  readonly primaryPath: string
}

export type IdentitySource = (signal: AbortSignal) => Promise<Identity>

/** Asks once and remembers. */
export const createIdentity = (metadata: Metadata): IdentitySource =>
  remembering(signal => identify(metadata, signal))

const identify = async (metadata: Metadata, signal: AbortSignal): Promise<Identity> => {
  const paths = ['instance-id', 'instance-type', 'placement/availability-zone', 'mac'] as const
  const texts = await Promise.all(paths.map(path => metadata.need(path, signal)))
  const [id = '', instanceType = '', zone = '', mac = ''] = texts
  const primaryPath = `network/interfaces/macs/${mac}`
  const vpc = await metadata.need(`${primaryPath}/vpc-id`, signal)
  return { instanceId: instanceId(id), instanceType, zone, vpc, primaryPath }
}

export type NodeParts = {
  readonly node: string
  readonly client: EC2Client
  readonly metadata: Metadata
  readonly identity: IdentitySource
  readonly limits: LimitsSource
  readonly subnets: SubnetSource
  readonly selection: SubnetSelection
  /** Empty: those of the primary NIC. */
  readonly securityGroups: readonly SecurityGroupId[]
}

/** Everything EC2 says of this node that decisions need. */
export const describeNode = async (parts: NodeParts, signal: AbortSignal): Promise<NodeFacts> => {
  const identity = await parts.identity(signal)
  const [limits, all, nics, vpc] = await Promise.all([
    parts.limits(identity.instanceType, signal),
    parts.subnets(identity, signal),
    describeNicsOf(parts.client, identity.instanceId, signal),
    vpcOf(parts.metadata, identity, signal),
  ])
  const primary = primaryOf(nics, identity)
  const groups = cloudNicOf(primary, { instance: identity.instanceId, subnets: all }).securityGroups
  return {
    node: parts.node,
    instanceId: identity.instanceId,
    instanceType: identity.instanceType,
    zone: identity.zone,
    limits,
    vpc,
    subnets: selectSubnets(all, parts.selection, primarySubnetOf(primary)),
    securityGroups: parts.securityGroups.length > 0 ? parts.securityGroups : groups,
  }
}

export const primarySubnetOf = (primary: NetworkInterface) =>
  subnetId(present(primary.SubnetId, 'SubnetId'))

/** The NIC at device index 0 of the default card, which every instance has. */
export const primaryOf = (
  nics: readonly NetworkInterface[],
  identity: Identity,
): NetworkInterface => {
  const primary = nics.find(
    ({ Attachment: attachment }) =>
      attachment?.DeviceIndex === 0 && (attachment.NetworkCardIndex ?? 0) === 0,
  )
  if (primary !== undefined) return primary
  const site = {
    call: 'DescribeNetworkInterfaces',
    on: `instance ${identity.instanceId}`,
    isRead: true,
  }
  const text = 'no primary NIC is listed'
  throw new CallFailed(ownFailure(site, { kind: 'transient', code: 'NoPrimaryNic', text }))
}

// The VPC's prefixes come from metadata, which spares every node the right to describe VPCs.
const vpcOf = async (
  metadata: Metadata,
  { primaryPath }: Identity,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const lists = await Promise.all([
    metadata.list(`${primaryPath}/vpc-ipv4-cidr-blocks`, signal),
    metadata.list(`${primaryPath}/vpc-ipv6-cidr-blocks`, signal),
  ])
  return lists.flat().map(cidrFrom)
}
