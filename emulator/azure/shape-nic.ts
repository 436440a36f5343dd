// A NIC as Azure's JSON. Members follow published answers of the network provider.
import { baseOf, lengthOf } from '#core/ip.ts'
import type { Nic } from '#emulator/model/types.ts'
import type { Arm, ArmNic, IpConfig } from './arm.ts'
import { guidOf } from './guid.ts'
import { asgId, nsgId, subnetId, uniformOwner, vmId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { etagOf, groupsOf, idOfNic, isPrefix } from './records.ts'

/** Properties that Azure shows although no client set them; what a client sets replaces them. */
const defaults: JsonObject = {
  dnsSettings: { dnsServers: [], appliedDnsServers: [] },
  enableAcceleratedNetworking: false,
  disableTcpStateTracking: false,
  vnetEncryptionSupported: false,
  hostedWorkloads: [],
  tapConfigurations: [],
  nicType: 'Standard',
  allowPort25Out: true,
  auxiliaryMode: 'None',
  auxiliarySku: 'None',
}

/** The resource; `hasPrefixes` is false in api-versions that know no prefixes on NICs. */
export const nicJson = (arm: Arm, armNic: ArmNic, hasPrefixes = true): JsonObject => {
  const { nic, record } = armNic
  const id = idOfNic(arm, armNic)
  const etag = etagOf(arm, armNic)
  const { nsg } = groupsOf(arm, nic)
  const owner = arm.world.instances.get(nic.attachment?.instanceId ?? '')
  return {
    name: record.name,
    id,
    etag,
    // A scale set's NICs show neither type nor tags: they belong to the machine.
    ...(uniformOwner(arm.world, nic) === undefined && {
      type: 'Microsoft.Network/networkInterfaces',
      location: arm.location,
      tags: Object.keys(nic.tags).length > 0 ? nic.tags : undefined,
    }),
    properties: {
      ...defaults,
      ...(owner?.accelerated === true && { enableAcceleratedNetworking: true }),
      ...record.more,
      provisioningState: record.state,
      resourceGuid: guidOf(`${arm.world.options.seed}/${nic.id}`),
      ipConfigurations: record.configs.map(config =>
        configJson(arm, { id, etag, nic, config, hasPrefixes }),
      ),
      macAddress: owner === undefined ? undefined : macText(nic),
      enableIPForwarding: !nic.sourceDestCheck,
      networkSecurityGroup: nsg && { id: nsgId(arm, nsg) },
      primary: nic.attachment && nic.attachment.deviceIndex === 0,
      virtualMachine: owner && { id: vmId(arm, owner) },
    },
  }
}

const configJson = (
  arm: Arm,
  parts: {
    readonly id: string
    readonly etag: string
    readonly nic: Nic
    readonly config: IpConfig
    readonly hasPrefixes: boolean
  },
): JsonObject => {
  const { id, etag, nic, config, hasPrefixes } = parts
  const { name, block } = config
  const subnet = arm.world.subnets.get(nic.subnetId)
  const { asgs } = groupsOf(arm, nic)
  const isBlock = block !== undefined && isPrefix(block)
  return {
    name,
    id: `${id}/ipConfigurations/${name}`,
    etag,
    type: 'Microsoft.Network/networkInterfaces/ipConfigurations',
    properties: {
      ...config.more,
      provisioningState: config.state,
      // A prefix is shown as one (example of the network provider's specification).
      privateIPAddress: block && (isBlock ? block : baseOf(block)),
      privateIPAddressPrefixLength: isBlock && hasPrefixes ? lengthOf(block) : undefined,
      privateIPAllocationMethod: config.method,
      subnet: subnet && { id: subnetId(arm, subnet) },
      primary: config.isPrimary,
      privateIPAddressVersion: config.family === 4 ? 'IPv4' : 'IPv6',
      applicationSecurityGroups:
        asgs.length === 0 ? undefined : asgs.map(group => ({ id: asgId(arm, group) })),
    },
  }
}

const macText = (nic: Nic): string => nic.mac.replaceAll(':', '-').toUpperCase()
