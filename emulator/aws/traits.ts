// What the model and the fabric must know of AWS: its quotas, reserved addresses, router, MTU.
import { ip } from '#core/ip.ts'
import type { Traits } from '#emulator/platform.ts'
import { routerAfterBase } from '#emulator/wire/traits.ts'
import { defaultAccount } from './account.ts'
import { regionOf } from './shapes.ts'
import { typeLimits } from './types.ts'

const idPrefixes = {
  vpc: 'vpc',
  subnet: 'subnet',
  group: 'sg',
  instance: 'i',
  nic: 'eni',
  attachment: 'eni-attach',
} as const

/** AWS, for the model. */
export const awsTraits: Traits = {
  // Documented defaults: EC2 "NICs per Region", VPC "Security groups per NIC", tags.
  quotas: { nicsMax: 5000, groupsPerNicMax: 5, tagsMax: 50 },
  typeLimits,
  nameId: (kind, hex) => `${idPrefixes[kind]}-${hex.slice(0, 17)}`,
  // The first four addresses and the last one (VPC user guide, "Subnet sizing").
  reserved: { head: 4, tail: 1 },
  // VPC user guide, "Subnet sizing".
  gateway: routerAfterBase(ip('fe80:ec2::1')),
  // EC2 user guide, "Jumbo frames".
  mtu: 9001,
  hotPlug: true,
  metadataHost: ip('169.254.169.254'),
  regionOf,
  defaults: { instanceType: 'm5.large', zone: 'us-east-1a', account: defaultAccount },
}
