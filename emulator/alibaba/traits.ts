// What the model and the fabric must know of Alibaba Cloud: quotas, reserved addresses, gateways.
import {
  type Cidr,
  type Ip,
  addressAt,
  familyOf,
  ip,
  ipFromBytes,
  sizeOf,
  valueOf,
} from '#core/ip.ts'
import { baseOf } from '#core/ip.ts'
import type { IdKind } from '#emulator/model/world.ts'
import type { Traits } from '#emulator/platform.ts'
import { defaultAccount } from './account.ts'
import { typeLimits } from './types.ts'

const idPrefixes: Readonly<Record<IdKind, string>> = {
  vpc: 'vpc',
  subnet: 'vsw',
  group: 'sg',
  instance: 'i',
  nic: 'eni',
  // Attachments have no ids in ECS; this one never leaves the model.
  attachment: 'attach',
}

/** The first three characters of every id that was made in cn-hangzhou. */
const regionMark = 'bp1'

/** 17 digits and letters after the region's mark, as ECS makes them. */
const nameId = (kind: IdKind, hex: string): string => {
  const text = BigInt(`0x${hex}`).toString(36).padStart(17, '0')
  return `${idPrefixes[kind]}-${regionMark}${text.slice(-17)}`
}

/** Addresses that the cloud keeps at the end of a vSwitch; the gateway is the first of them. */
const reservedTail = 3
const reservedTail6 = 9

/**
 * `.253` of a /24, and `…:ffff:ffff:ffff:fff7` of a /64: the first of the last nine addresses, and
 * the example of ipv6-gateway in the ECS user guide, "Instance metadata".
 */
const gateway = (subnet: Cidr): Ip =>
  familyOf(subnet) === 4 ? addressAt(subnet, sizeOf(subnet) - reservedTail) : gateway6(subnet)

const gateway6 = (subnet: Cidr): Ip => {
  const hosts = (1n << BigInt(128 - Number(subnet.slice(subnet.indexOf('/') + 1)))) - 1n
  const value = valueOf(baseOf(subnet)) + hosts - BigInt(reservedTail6 - 1)
  return ipFromBytes(
    Uint8Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(8 * (15 - i))) & 0xffn)),
  )
}

/** The Region of a zone: `cn-hangzhou-i` and `ap-southeast-1a` lose their last letter. */
const regionOf = (zone: string): string => zone.replace(/-?[a-z]$/, '')

/** Alibaba Cloud, for the model. */
export const alibabaTraits: Traits = {
  // NICs: what the console grants an account that asks; security groups per NIC and tags: ECS user
  // guide, "Limits".
  quotas: { nicsMax: 5000, groupsPerNicMax: 10, tagsMax: 20 },
  typeLimits,
  nameId,
  // VPC user guide, "Reserved CIDR blocks": the first and the last three, and of IPv6 the last
  // nine.
  reserved: { head: 1, tail: reservedTail },
  reserved6: { head: 1, tail: reservedTail6 },
  gateway,
  mtu: 1500,
  hotPlug: true,
  metadataHost: ip('100.100.100.200'),
  regionOf,
  // "This is a synchronous operation. The newly created ENI … can be attached immediately."
  pace: { newIdMs: { min: 0, max: 0 } },
  defaults: { instanceType: 'ecs.g7.large', zone: 'cn-hangzhou-i', account: defaultAccount },
}
