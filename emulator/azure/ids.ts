// ARM ids of the model's things. Everything lies in two resource groups, as in most clusters:
// machines and their NICs in one, the network in another that somebody else owns.
import type { Instance, Nic, SecurityGroup, Subnet, Vpc } from '#emulator/model/types.ts'
import type { World } from '#emulator/model/world.ts'

/** Group of machines, scale sets and NICs. */
export const nodeGroup = 'eniway-nodes'
/** Group of virtual networks and security groups. */
export const networkGroup = 'eniway-network'

/** True for a list of things of `own`: one of that group, or of the whole subscription. */
export const isCovered = (own: string, listed: string | undefined): boolean =>
  listed === undefined || listed.toLowerCase() === own

/** Where ids lead: a subscription's things in a world. */
export interface IdScope {
  readonly world: World
  readonly subscriptionId: string
}

/** `/subscriptions/…/resourceGroups/{group}/providers/{rest}`. */
export const inGroup = (scope: IdScope, group: string, rest: string): string =>
  `/subscriptions/${scope.subscriptionId}/resourceGroups/${group}/providers/${rest}`

export const vnetId = (scope: IdScope, vpc: Pick<Vpc, 'id'>): string =>
  inGroup(scope, networkGroup, `Microsoft.Network/virtualNetworks/${vpc.id}`)

export const subnetId = (scope: IdScope, subnet: Pick<Subnet, 'name' | 'vpcId'>): string =>
  `${vnetId(scope, { id: subnet.vpcId })}/subnets/${subnet.name}`

export const nsgId = (scope: IdScope, group: Pick<SecurityGroup, 'name'>): string =>
  inGroup(scope, networkGroup, `Microsoft.Network/networkSecurityGroups/${group.name}`)

export const asgId = (scope: IdScope, group: Pick<SecurityGroup, 'name'>): string =>
  inGroup(scope, networkGroup, `Microsoft.Network/applicationSecurityGroups/${group.name}`)

export const scaleSetId = (scope: IdScope, name: string): string =>
  inGroup(scope, nodeGroup, `Microsoft.Compute/virtualMachineScaleSets/${name}`)

/** A machine's id: through its scale set when that is uniform. */
export const vmId = (scope: IdScope, instance: Instance): string => {
  const { scaleSet } = instance
  if (scaleSet?.mode !== 'uniform') {
    return inGroup(scope, nodeGroup, `Microsoft.Compute/virtualMachines/${instance.name}`)
  }
  const index = scaleSetIndex(scope.world, instance)
  return `${scaleSetId(scope, scaleSet.name)}/virtualMachines/${index}`
}

/** A machine's number in its scale set: the order of launching, never used again. */
export const scaleSetIndex = (world: World, instance: Instance): number =>
  membersOf(world, instance.scaleSet?.name ?? '').findIndex(other => other.id === instance.id)

/** Every machine that ever was in a scale set, in the order of launching. */
export const membersOf = (world: World, scaleSet: string): readonly Instance[] =>
  [...world.instances.values()].filter(
    ({ scaleSet: set }) => set?.name.toLowerCase() === scaleSet.toLowerCase(),
  )

/** The member with that number, while it lives. */
export const memberAt = (world: World, scaleSet: string, index: string): Instance | undefined => {
  const member = /^\d{1,6}$/.test(index) ? membersOf(world, scaleSet)[Number(index)] : undefined
  return member?.state === 'terminated' ? undefined : member
}

/** A NIC's name: a uniform scale set names it after its configuration, `nic0`, `nic1`, … */
export const nicName = (scope: IdScope, nic: Nic): string =>
  uniformOwner(scope.world, nic) === undefined ? nic.id : `nic${nic.attachment?.deviceIndex}`

/** A NIC's id; `name` is the one that its record holds. */
export const nicId = (scope: IdScope, nic: Nic, name: string): string => {
  const owner = uniformOwner(scope.world, nic)
  if (owner !== undefined) return `${vmId(scope, owner)}/networkInterfaces/${name}`
  return inGroup(scope, nodeGroup, `Microsoft.Network/networkInterfaces/${name}`)
}

/** The member of a uniform scale set that owns a NIC. */
export const uniformOwner = (world: World, nic: Nic): Instance | undefined => {
  const owner = world.instances.get(nic.attachment?.instanceId ?? '')
  return owner?.scaleSet?.mode === 'uniform' ? owner : undefined
}

/** Ids are the same whatever their case (ARM documentation). */
export const isSameId = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
