// What the metadata service knows of a machine: the `compute` and `network` documents, whose NICs
// it learns later than ARM, and their further addresses later still.
import { baseOf, lengthOf } from '#core/ip.ts'
import type { Instance, Nic } from '#emulator/model/types.ts'
import { nicsSeen } from '#emulator/model/world.ts'
import type { Arm } from './arm.ts'
import { tenantId } from './account.ts'
import { nodeGroup, vmId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { vmGuid, vmName, zonesOf } from './shape-vm.ts'

/** `/metadata/instance`. */
export const instanceDocument = (arm: Arm, instance: Instance): JsonObject => ({
  compute: computeDocument(arm, instance),
  network: networkDocument(arm, instance),
})

const computeDocument = (arm: Arm, instance: Instance): JsonObject => {
  const { scaleSet } = instance
  const tags = Object.entries(instance.tags)
  return {
    azEnvironment: 'AzurePublicCloud',
    location: arm.location,
    name: vmName(arm, instance),
    osType: 'Linux',
    placementGroupId: '',
    platformFaultDomain: '0',
    platformUpdateDomain: '0',
    provider: 'Microsoft.Compute',
    resourceGroupName: nodeGroup,
    resourceId: vmId(arm, instance),
    subscriptionId: arm.subscriptionId,
    tags: tags.map(([name, value]) => `${name}:${value}`).join(';'),
    tagsList: tags.map(([name, value]) => ({ name, value })),
    tenantId,
    vmId: vmGuid(arm, instance),
    vmScaleSetName: scaleSet?.name ?? '',
    vmSize: instance.type,
    zone: zonesOf(instance)?.[0] ?? '',
  }
}

const networkDocument = (arm: Arm, instance: Instance): JsonObject => ({
  interface: nicsSeen(arm.world, 'metadata')
    .filter(nic => nic.attachment?.instanceId === instance.id)
    .toSorted((a, b) => (a.attachment?.deviceIndex ?? 0) - (b.attachment?.deviceIndex ?? 0))
    .map(nic => nicDocument(arm, nic)),
})

const nicDocument = (arm: Arm, nic: Nic): JsonObject => {
  const subnet = arm.world.subnets.get(nic.subnetId)
  const seen = nicsSeen(arm.world, 'metadataBlocks').find(other => other.id === nic.id)
  // Prefixes of NICs are not listed: the document knows single addresses only.
  const four = [nic.primaryAddress, ...(seen?.addresses ?? [])]
  const six = seen?.addresses6 ?? []
  const ranges = (cidr: NonNullable<typeof subnet>['cidr6']) =>
    cidr === undefined ? [] : [{ address: baseOf(cidr), prefix: String(lengthOf(cidr)) }]
  return {
    ipv4: {
      ipAddress: four.map(address => ({ privateIpAddress: address, publicIpAddress: '' })),
      subnet: ranges(subnet?.cidr),
    },
    ipv6: {
      ipAddress: six.map(address => ({ privateIpAddress: address })),
      ...(six.length > 0 && { subnet: ranges(subnet?.cidr6) }),
    },
    macAddress: nic.mac.replaceAll(':', '').toUpperCase(),
  }
}
