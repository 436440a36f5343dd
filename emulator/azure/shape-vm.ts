// Machines and scale sets as Azure's JSON.
import type { Instance, Nic } from '#emulator/model/types.ts'
import { nicsOfInstance } from '#emulator/model/world.ts'
import type { Arm } from './arm.ts'
import { guidOf } from './guid.ts'
import { asgId, membersOf, nsgId, scaleSetId, scaleSetIndex, subnetId, vmId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { isoTime, runningOn } from './operations.ts'
import { groupsOf, idOfNic, recordOf } from './records.ts'
import { sizeLimits } from './sizes.ts'

/** A gallery that another subscription owns, as images of managed clusters are. */
export const imageId =
  '/subscriptions/00000000-0000-4000-8000-00000000a2ff/resourceGroups/images/providers/' +
  'Microsoft.Compute/galleries/nodes/images/ubuntu/versions/1.0.0'

/** Name of a machine as Azure shows it. */
export const vmName = (arm: Arm, instance: Instance): string => {
  const { scaleSet } = instance
  return scaleSet?.mode === 'uniform'
    ? `${scaleSet.name}_${scaleSetIndex(arm.world, instance)}`
    : instance.name
}

/** The machine's unique id, which the metadata service shows too. */
export const vmGuid = (arm: Arm, instance: Instance): string =>
  guidOf(`${arm.world.options.seed}/${instance.id}`)

/** A machine, a member of a flexible scale set included. */
export const vmJson = (arm: Arm, instance: Instance, hasView: boolean): JsonObject => {
  const { scaleSet } = instance
  const properties = commonProperties(arm, instance)
  return {
    name: instance.name,
    id: vmId(arm, instance),
    type: 'Microsoft.Compute/virtualMachines',
    ...commonMembers(arm, instance),
    etag: `"${revisionOf(arm, instance)}"`,
    properties: {
      ...properties,
      virtualMachineScaleSet: scaleSet && { id: scaleSetId(arm, scaleSet.name) },
      instanceView: hasView ? instanceView(instance) : undefined,
    },
  }
}

/** A member of a uniform scale set, whose NICs are part of it. */
export const memberJson = (arm: Arm, instance: Instance, hasView: boolean): JsonObject => {
  const size = instance.type
  return {
    name: vmName(arm, instance),
    id: vmId(arm, instance),
    instanceId: String(scaleSetIndex(arm.world, instance)),
    type: 'Microsoft.Compute/virtualMachineScaleSets/virtualMachines',
    ...commonMembers(arm, instance),
    sku: { name: size, tier: 'Standard' },
    etag: `"${revisionOf(arm, instance)}"`,
    properties: {
      ...commonProperties(arm, instance),
      latestModelApplied: true,
      modelDefinitionApplied: 'VirtualMachineScaleSet',
      networkProfileConfiguration: {
        networkInterfaceConfigurations: nicsOfInstance(arm.world, instance.id).map(nic =>
          nicConfiguration(arm, nic),
        ),
      },
      instanceView: hasView ? instanceView(instance) : undefined,
    },
  }
}

export const scaleSetJson = (arm: Arm, name: string): JsonObject => {
  const members = membersOf(arm.world, name).filter(({ state }) => state !== 'terminated')
  const [first] = members
  const mode = first?.scaleSet?.mode === 'uniform' ? 'Uniform' : 'Flexible'
  return {
    name: first?.scaleSet?.name ?? name,
    id: scaleSetId(arm, first?.scaleSet?.name ?? name),
    type: 'Microsoft.Compute/virtualMachineScaleSets',
    location: arm.location,
    sku: { name: first?.type, tier: 'Standard', capacity: members.length },
    properties: {
      provisioningState: 'Succeeded',
      orchestrationMode: mode,
      singlePlacementGroup: false,
      uniqueId: guidOf(`${arm.world.options.seed}/${name}`),
    },
  }
}

/** States of a machine as `Microsoft.Compute/…/instanceView` shows them. */
export const instanceView = (instance: Instance): JsonObject => ({
  statuses: [
    { code: 'ProvisioningState/succeeded', level: 'Info', displayStatus: 'Provisioning succeeded' },
    {
      code: `PowerState/${powerStates[instance.state]}`,
      level: 'Info',
      displayStatus: `VM ${powerStates[instance.state]}`,
    },
  ],
})

const powerStates: Readonly<Record<Instance['state'], string>> = {
  pending: 'starting',
  running: 'running',
  stopping: 'deallocating',
  stopped: 'deallocated',
  'shutting-down': 'deallocating',
  terminated: 'deallocated',
}

const commonMembers = (arm: Arm, instance: Instance): JsonObject => ({
  location: arm.location,
  zones: zonesOf(instance),
  tags: instance.tags,
  identity: instance.role === undefined ? undefined : identityOf(arm, instance.role),
})

/** `eastus-2` is zone 2; a place without number is no zone. */
export const zonesOf = (instance: Pick<Instance, 'zone'>): readonly string[] | undefined => {
  const zone = /-(\d+)$/.exec(instance.zone)?.[1]
  return zone === undefined ? undefined : [zone]
}

const identityOf = (arm: Arm, role: string): JsonObject => ({
  type: 'SystemAssigned',
  principalId: arm.directory.managedIdentity(role).objectId,
})

const commonProperties = (arm: Arm, instance: Instance): JsonObject => ({
  vmId: vmGuid(arm, instance),
  hardwareProfile: { vmSize: instance.type },
  storageProfile: {
    imageReference: { id: imageId, exactVersion: '1.0.0' },
    osDisk: { osType: 'Linux', createOption: 'FromImage', caching: 'ReadWrite' },
    dataDisks: [],
  },
  osProfile: {
    computerName: instance.name,
    adminUsername: 'azureuser',
    linuxConfiguration: { disablePasswordAuthentication: true },
  },
  networkProfile: {
    networkInterfaces: nicsOfInstance(arm.world, instance.id).map(nic => ({
      id: idOfNic(arm, { nic, record: recordOf(arm, nic) }),
      properties: {
        primary: nic.attachment?.deviceIndex === 0,
        deleteOption: nic.attachment?.deleteOnTermination === true ? 'Delete' : 'Detach',
      },
    })),
  },
  provisioningState: provisioningState(arm, instance),
  timeCreated: isoTime(instance.launchedAt),
})

const provisioningState = (arm: Arm, instance: Instance): string => {
  if (instance.state === 'pending') return 'Creating'
  if (instance.state === 'shutting-down') return 'Deleting'
  const isBusy = runningOn(arm, vmId(arm, instance)) !== undefined
  return isBusy ? 'Updating' : 'Succeeded'
}

const revisionOf = (arm: Arm, instance: Instance): number =>
  nicsOfInstance(arm.world, instance.id).reduce((sum, nic) => sum + recordOf(arm, nic).revision, 1)

// A scale set's configurations name no addresses: those are found at the NIC.
const nicConfiguration = (arm: Arm, nic: Nic): JsonObject => {
  const record = recordOf(arm, nic)
  const { nsg, asgs } = groupsOf(arm, nic)
  const subnet = arm.world.subnets.get(nic.subnetId)
  const owner = arm.world.instances.get(nic.attachment?.instanceId ?? '')
  return {
    name: record.name,
    properties: {
      ...record.more,
      primary: nic.attachment?.deviceIndex === 0,
      enableAcceleratedNetworking: owner?.accelerated ?? false,
      networkSecurityGroup: nsg && { id: nsgId(arm, nsg) },
      dnsSettings: { dnsServers: [] },
      enableIPForwarding: !nic.sourceDestCheck,
      ipConfigurations: record.configs.map(config => ({
        name: config.name,
        properties: {
          ...config.more,
          subnet: subnet && { id: subnetId(arm, subnet) },
          primary: config.isPrimary,
          privateIPAddressVersion: config.family === 4 ? 'IPv4' : 'IPv6',
          applicationSecurityGroups:
            asgs.length === 0 ? undefined : asgs.map(group => ({ id: asgId(arm, group) })),
        },
      })),
    },
  }
}

/** One size in the list of SKUs. */
export const skuJson = (arm: Arm, name: string): JsonObject => {
  const limits = sizeLimits(name)
  const zones = ['1', '2', '3']
  return {
    resourceType: 'virtualMachines',
    name,
    tier: 'Standard',
    size: name.replace(/^Standard_/, ''),
    family: `standard${/_([A-Z]+)/.exec(name)?.[1] ?? ''}Family`,
    locations: [arm.location],
    locationInfo: [{ location: arm.location, zones, zoneDetails: [] }],
    capabilities: [
      { name: 'vCPUs', value: String(limits?.cpus ?? 0) },
      { name: 'CpuArchitectureType', value: /\dp/.test(name) ? 'Arm64' : 'x64' },
      { name: 'AcceleratedNetworkingEnabled', value: 'True' },
      { name: 'MaxNetworkInterfaces', value: String(limits?.nicsMax ?? 0) },
    ],
    restrictions: [],
  }
}
