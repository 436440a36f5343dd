// The reads of what lies still: virtual networks, subnets and security groups.
import type { SecurityGroup, Subnet, Vpc } from '#emulator/model/types.ts'
import { allNics } from '#emulator/model/world.ts'
import type { FabricRule } from '#emulator/ports.ts'
import { type Action, type Context, replyOf } from './action.ts'
import type { Arm } from './arm.ts'
import { ArmError, resourceNotFound } from './errors.ts'
import { guidOf } from './guid.ts'
import { asgId, isCovered, networkGroup, nsgId, subnetId, vnetId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { pageOf } from './pages.ts'
import { idOfNic, recordOf, visibleGroups } from './records.ts'

/**
 * A subnet with more configurations than this shows none at all (a maintainer of the network
 * provider in Cilium's pull request 36379; the figure itself is not public).
 */
export const listedConfigsMax = 100

export const readVnet: Action = {
  name: 'virtualNetworks/read',
  kind: 'describe',
  work: context => replyOf(200, vnetJson(context.arm, foundVnet(context))),
}

export const listVnets: Action = {
  name: 'virtualNetworks/read',
  kind: 'describe',
  work: context =>
    pageOf(context, isHere(context) ? [...context.arm.world.vpcs.values()] : [], {
      keyOf: vpc => vpc.id,
      show: vpc => vnetJson(context.arm, vpc),
    }),
}

export const readSubnet: Action = {
  name: 'subnets/read',
  kind: 'describe',
  work: context => {
    const { arm } = context
    const name = context.names[1] ?? ''
    const subnet = subnetsOf(arm, foundVnet(context)).find(
      one => one.name.toLowerCase() === name.toLowerCase(),
    )
    if (subnet === undefined) {
      throw new ArmError('NotFound', `Resource ${context.id} not found.`)
    }
    return replyOf(200, subnetJson(arm, subnet))
  },
}

export const listSubnets: Action = {
  name: 'subnets/read',
  kind: 'describe',
  work: context =>
    pageOf(context, subnetsOf(context.arm, foundVnet(context)), {
      keyOf: subnet => subnet.name.toLowerCase(),
      show: subnet => subnetJson(context.arm, subnet),
    }),
}

// Both kinds of security groups are read alike: the model's one group shows as either.
const readGroup = (
  name: Action['name'],
  type: string,
  show: (arm: Arm, group: SecurityGroup) => JsonObject,
): Action => ({
  name,
  kind: 'describe',
  work: context => replyOf(200, show(context.arm, foundGroup(context, type))),
})

const listGroups = (
  name: Action['name'],
  show: (arm: Arm, group: SecurityGroup) => JsonObject,
): Action => ({
  name,
  kind: 'describe',
  work: context =>
    pageOf(context, isHere(context) ? visibleGroups(context.arm) : [], {
      keyOf: group => group.name.toLowerCase(),
      show: group => show(context.arm, group),
    }),
})

export const readNsg = readGroup(
  'networkSecurityGroups/read',
  'Microsoft.Network/networkSecurityGroups',
  (arm, group) => nsgJson(arm, group),
)

export const listNsgs = listGroups('networkSecurityGroups/read', (arm, group) =>
  nsgJson(arm, group),
)

export const readAsg = readGroup(
  'applicationSecurityGroups/read',
  'Microsoft.Network/applicationSecurityGroups',
  (arm, group) => asgJson(arm, group),
)

export const listAsgs = listGroups('applicationSecurityGroups/read', (arm, group) =>
  asgJson(arm, group),
)

const isHere = ({ group }: Context): boolean => isCovered(networkGroup, group)

const foundVnet = (context: Context): Vpc => {
  const name = context.names[0] ?? ''
  const all = isHere(context) ? [...context.arm.world.vpcs.values()] : []
  const vpc = all.find(({ id }) => id.toLowerCase() === name.toLowerCase())
  if (vpc !== undefined) return vpc
  throw resourceNotFound('Microsoft.Network/virtualNetworks', name, context.group ?? '')
}

const foundGroup = (context: Context, type: string): SecurityGroup => {
  const name = context.names[0] ?? ''
  const all = isHere(context) ? visibleGroups(context.arm) : []
  const group = all.find(one => one.name.toLowerCase() === name.toLowerCase())
  if (group === undefined) throw resourceNotFound(type, name, context.group ?? '')
  return group
}

const subnetsOf = (arm: Arm, vpc: Vpc): readonly Subnet[] =>
  [...arm.world.subnets.values()].filter(({ vpcId }) => vpcId === vpc.id)

const vnetJson = (arm: Arm, vpc: Vpc): JsonObject => ({
  name: vpc.id,
  id: vnetId(arm, vpc),
  etag: etagOf(arm, vpc.id),
  type: 'Microsoft.Network/virtualNetworks',
  location: arm.location,
  tags: vpc.tags,
  properties: {
    provisioningState: 'Succeeded',
    resourceGuid: guidOf(`${arm.world.options.seed}/${vpc.id}`),
    addressSpace: { addressPrefixes: [...vpc.cidrs, ...vpc.cidrs6] },
    subnets: subnetsOf(arm, vpc).map(subnet => subnetJson(arm, subnet)),
    virtualNetworkPeerings: [],
    enableDdosProtection: false,
  },
})

const subnetJson = (arm: Arm, subnet: Subnet): JsonObject => {
  const { name, cidr, cidr6 } = subnet
  const configs = configIdsOf(arm, subnet)
  return {
    name,
    id: subnetId(arm, subnet),
    etag: etagOf(arm, `${subnet.id}/${configs.join()}`),
    type: 'Microsoft.Network/virtualNetworks/subnets',
    properties: {
      provisioningState: 'Succeeded',
      ...(cidr6 === undefined ? { addressPrefix: cidr } : { addressPrefixes: [cidr, cidr6] }),
      ipConfigurations:
        configs.length === 0 || configs.length > listedConfigsMax
          ? undefined
          : configs.map(id => ({ id })),
      delegations: [],
      privateEndpointNetworkPolicies: 'Disabled',
      privateLinkServiceNetworkPolicies: 'Enabled',
    },
  }
}

const configIdsOf = (arm: Arm, subnet: Subnet): readonly string[] =>
  allNics(arm.world)
    .filter(nic => nic.subnetId === subnet.id)
    .flatMap(nic => {
      const record = recordOf(arm, nic)
      const id = idOfNic(arm, { nic, record })
      return record.configs.map(config => `${id}/ipConfigurations/${config.name}`)
    })

const etagOf = (arm: Arm, what: string): string =>
  `W/"${guidOf(`${arm.world.options.seed}/${what}`)}"`

const nsgJson = (arm: Arm, group: SecurityGroup): JsonObject => {
  const id = nsgId(arm, group)
  const rules = [
    ...group.ingress.map((rule, i) => ruleJson(arm, { id, rule, direction: 'Inbound', i })),
    ...group.egress.map((rule, i) => ruleJson(arm, { id, rule, direction: 'Outbound', i })),
  ]
  return {
    name: group.name,
    id,
    etag: etagOf(arm, group.id),
    type: 'Microsoft.Network/networkSecurityGroups',
    location: arm.location,
    tags: group.tags,
    properties: {
      provisioningState: 'Succeeded',
      resourceGuid: guidOf(`${arm.world.options.seed}/${group.id}`),
      securityRules: rules,
      defaultSecurityRules: [],
    },
  }
}

const asgJson = (arm: Arm, group: SecurityGroup): JsonObject => ({
  name: group.name,
  id: asgId(arm, group),
  etag: etagOf(arm, `asg/${group.id}`),
  type: 'Microsoft.Network/applicationSecurityGroups',
  location: arm.location,
  tags: group.tags,
  properties: {
    provisioningState: 'Succeeded',
    resourceGuid: guidOf(`${arm.world.options.seed}/asg/${group.id}`),
  },
})

const ruleJson = (
  arm: Arm,
  parts: {
    readonly id: string
    readonly rule: FabricRule
    readonly direction: 'Inbound' | 'Outbound'
    readonly i: number
  },
): JsonObject => {
  const { id, rule, direction, i } = parts
  const name = `${direction.toLowerCase()}-${i}`
  const { source, destination } = sidesOf(arm, rule, direction)
  return {
    name,
    id: `${id}/securityRules/${name}`,
    type: 'Microsoft.Network/networkSecurityGroups/securityRules',
    properties: {
      provisioningState: 'Succeeded',
      protocol: protocols[rule.protocol],
      sourcePortRange: '*',
      destinationPortRange: rule.ports === undefined ? '*' : `${rule.ports.from}-${rule.ports.to}`,
      ...source,
      ...destination,
      access: 'Allow',
      priority: 100 + i,
      direction,
    },
  }
}

const protocols = { all: '*', tcp: 'Tcp', udp: 'Udp', icmp: 'Icmp' } as const

// A peer that is a group is an application security group in Azure's words.
const sidesOf = (
  arm: Arm,
  { peer }: FabricRule,
  direction: 'Inbound' | 'Outbound',
): { readonly source: JsonObject; readonly destination: JsonObject } => {
  const side = direction === 'Inbound' ? 'source' : 'destination'
  const other = direction === 'Inbound' ? 'destination' : 'source'
  const group = peer.kind === 'group' ? arm.world.groups.get(peer.id) : undefined
  const peerJson: JsonObject =
    peer.kind === 'cidr'
      ? { [`${side}AddressPrefix`]: peer.cidr }
      : { [`${side}ApplicationSecurityGroups`]: group ? [{ id: asgId(arm, group) }] : [] }
  const rest = { [`${other}AddressPrefix`]: '*' }
  return direction === 'Inbound'
    ? { source: peerJson, destination: rest }
    : { source: rest, destination: peerJson }
}
