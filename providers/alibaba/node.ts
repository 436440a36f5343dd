// Who we are: the instance as its metadata knows it, and the facts that ECS adds to it.

import { type Cidr, type Ip, contains } from '#core/ip.ts'
import { type InstanceId, type SecurityGroupId, type SubnetId, instanceId } from '#core/names.ts'
import type { NodeFacts } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import type { SubnetSelection } from '../common/options.ts'
import { remembering } from '../common/remembering.ts'
import { cidrFrom, ipFrom } from '../common/shapes.ts'
import type { Client } from './client.ts'
import { describeNicsOf } from './describe.ts'
import { ownFailure } from './failures.ts'
import type { LimitsSource } from './limits.ts'
import type { Metadata } from './metadata.ts'
import type { TaggedSubnet } from '../common/selection.ts'
import { type Nic, groupsOf, holderOf, isPrimary, vSwitchOf } from './shapes.ts'
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
  const paths = ['instance-id', 'instance/instance-type', 'zone-id', 'vpc-id', 'mac'] as const
  const texts = await Promise.all(paths.map(path => metadata.need(path, signal)))
  const [id = '', instanceType = '', zone = '', vpc = '', mac = ''] = texts
  const primaryPath = pathOf(mac)
  return { instanceId: instanceId(id), instanceType, zone, vpc, primaryPath }
}

const pathOf = (mac: string): string => `network/interfaces/macs/${mac}`

export type NodeParts = {
  readonly node: string
  readonly client: Client
  readonly metadata: Metadata
  readonly identity: IdentitySource
  readonly limits: LimitsSource
  readonly subnets: SubnetSource
  readonly selection: SubnetSelection
  /** Empty: those of the primary NIC. */
  readonly securityGroups: readonly SecurityGroupId[]
}

/** Everything ECS says of this node that decisions need. */
export const describeNode = async (parts: NodeParts, signal: AbortSignal): Promise<NodeFacts> => {
  const identity = await parts.identity(signal)
  const [limits, all, nics, prefixes] = await Promise.all([
    parts.limits(identity.instanceType, signal),
    parts.subnets(identity.vpc, signal),
    describeNicsOf(parts.client, identity.instanceId, signal),
    prefixesOf(parts.metadata, identity, signal),
  ])
  const primary = primaryOf(nics, identity)
  const place = { zone: identity.zone, primary: vSwitchOf(primary) }
  const groups = groupsOf(primary)
  return {
    node: parts.node,
    instanceId: identity.instanceId,
    instanceType: identity.instanceType,
    zone: identity.zone,
    limits,
    vpc: withSubnets(prefixes, all),
    subnets: selectSubnets(all, parts.selection, place),
    securityGroups: parts.securityGroups.length > 0 ? parts.securityGroups : groups,
  }
}

/** The NIC that every instance has. */
export const primaryOf = (nics: readonly Nic[], identity: Identity): Nic => {
  const primary = nics.find(nic => isPrimary(nic) && holderOf(nic) === identity.instanceId)
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
const prefixesOf = async (
  metadata: Metadata,
  { primaryPath }: Identity,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const [four, six] = await Promise.all([
    metadata.need(`${primaryPath}/vpc-cidr-block`, signal),
    metadata.list(`${primaryPath}/vpc-ipv6-cidr-blocks`, signal),
  ])
  return [four, ...six].map(cidrFrom)
}

// Metadata knows the VPC's first prefix, and those of IPv6 once the instance has such an address;
// what is missing shows in the vSwitches of all zones.
const withSubnets = (
  prefixes: readonly Cidr[],
  all: ReadonlyMap<SubnetId, TaggedSubnet>,
): readonly Cidr[] => {
  const added = [...all.values()]
    .flatMap(({ cidrs }) => cidrs)
    .filter(block => !prefixes.some(prefix => contains(prefix, block)))
  return [...new Set([...prefixes, ...added])]
}

export type RouterSource = (
  nics: readonly Nic[],
  signal: AbortSignal,
) => Promise<ReadonlyMap<SubnetId, Ip>>

/** IPv6 next hops of the vSwitches these NICs lie in, as far as metadata names them by now. */
export const createRouters = (metadata: Metadata): RouterSource => {
  const known = new Map<SubnetId, Ip>()
  return async (nics, signal) => {
    const news = nics.filter(
      nic => holderOf(nic) !== undefined && hasIpv6(nic) && !known.has(vSwitchOf(nic)),
    )
    await Promise.all(
      news.map(async nic => {
        const path = `${pathOf(nic.macAddress?.toLowerCase() ?? '')}/ipv6-gateway`
        const text = await metadata.glance(path, signal)
        if (text) known.set(vSwitchOf(nic), ipFrom(text))
      }),
    )
    return known
  }
}

const hasIpv6 = (nic: Nic): boolean =>
  (nic.ipv6Sets?.ipv6Set?.length ?? 0) + (nic.ipv6PrefixSets?.ipv6PrefixSet?.length ?? 0) > 0
