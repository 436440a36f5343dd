// What the model and the fabric must know of Azure: quotas, reserved addresses, router, MTU.
import { ip } from '#core/ip.ts'
import type { Traits } from '#emulator/platform.ts'
import { routerAfterBase } from '#emulator/wire/traits.ts'
import { defaultAccount } from './account.ts'
import { sizeLimits } from './sizes.ts'

const idPrefixes = {
  vpc: 'vnet',
  subnet: 'subnet',
  group: 'nsg',
  instance: 'vm',
  nic: 'nic',
  attachment: 'attachment',
} as const

/** The location of a zone: `eastus-1` is zone 1 of `eastus`. */
export const locationOf = (zone: string): string => zone.replace(/-\d+$/, '')

/** Azure, for the model. */
export const azureTraits: Traits = {
  // Documented limits per subscription and region: NICs, ASGs per NIC beside its one NSG, tags.
  quotas: { nicsMax: 65_536, groupsPerNicMax: 21, tagsMax: 50 },
  typeLimits: sizeLimits,
  nameId: (kind, hex) => `${idPrefixes[kind]}-${hex.slice(0, 8)}`,
  // Network, router, two for DNS, broadcast (virtual network FAQ).
  reserved: { head: 4, tail: 1 },
  // Virtual network FAQ.
  gateway: routerAfterBase(ip('fe80::1234:5678:9abc')),
  mtu: 1500,
  // NICs are added to and removed from deallocated machines only.
  hotPlug: false,
  metadataHost: ip('169.254.169.254'),
  regionOf: locationOf,
  defaults: { instanceType: 'Standard_D4s_v5', zone: 'eastus-1', account: defaultAccount },
}
