import type { DescribeInstanceTypesResponseBodyInstanceTypesInstanceType as InstanceType } from '@alicloud/ecs20140526'
import { expect, test } from 'vitest'
import { limitsOf } from './limits.ts'

const check = (type: object, want: object) => expect(limitsOf(type as InstanceType)).toEqual(want)

test('ecs.g7.large: the NIC’s own IPv4 address takes a slot, of IPv6 only where there is one', () =>
  check(
    { eniQuantity: 3, eniPrivateIpAddressQuantity: 6, eniIpv6AddressQuantity: 6 },
    {
      nicsMax: 3,
      hotPlug: true,
      blocksPerNicMax: { 4: 5, 6: 6 },
      ownTakesPlaceIn: [6],
      blocksPerNodeMax: undefined,
      prefixes: true,
    },
  ))

test('a type with one address per NIC lends nothing beside it', () =>
  check(
    { eniQuantity: 2, eniPrivateIpAddressQuantity: 1 },
    {
      nicsMax: 2,
      hotPlug: true,
      blocksPerNicMax: { 4: 0, 6: 0 },
      ownTakesPlaceIn: [6],
      blocksPerNodeMax: undefined,
      prefixes: false,
    },
  ))
