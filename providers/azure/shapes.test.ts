import { describe, expect, test } from 'vitest'
import { instanceId, subnetId } from '#core/names.ts'
import type { Subnet } from '#core/ports.ts'
import { MalformedError } from '../common/failures.ts'
import { type Known, type RawConfig, type RawNic, blockOf, cloudNicOf } from './shapes.ts'
import { foreignCountOf, subnetOf } from './shapes.ts'

const config = (name: string, address: string | undefined, more: object = {}): RawConfig => ({
  name,
  properties: {
    provisioningState: 'Succeeded',
    subnet: { id: '/VNet/Subnets/A' },
    ...(address === undefined ? {} : { privateIPAddress: address }),
    ...more,
  },
})
const own = config('ipconfig1', '10.0.0.4', { primary: true })
const nicWith = (configs: readonly RawConfig[], more: Partial<RawNic> = {}): RawNic => ({
  id: '/Subscriptions/S/NIC-1',
  properties: { macAddress: '00-0D-3A-AA-BB-CC', ipConfigurations: configs },
  ...more,
})

const subnet: Subnet = subnetOf(
  {
    id: '/vnet/subnets/a',
    properties: { addressPrefixes: ['10.0.0.0/24', '2001:db8::/64'], ipConfigurations: [{}, {}] },
  },
  'eastus-1',
)
const seen = (
  nic: RawNic,
  { deviceIndex = 1, known }: { deviceIndex?: number; known?: Known } = {},
) =>
  cloudNicOf(nic, {
    instance: instanceId('vm'),
    deviceIndex,
    subnets: new Map([[subnet.id, subnet]]),
    known,
  })

test('a NIC as the core sees it', () =>
  expect(
    seen(
      nicWith([
        own,
        config('ipconfig6', '2001:DB8:0::5', { privateIPAddressVersion: 'IPv6' }),
        config('eniway-2', '10.0.0.64/28', { privateIPAddressPrefixLength: 28 }),
        config('eniway-1', '10.0.0.9'),
        config('eniway-3', '2001:db8::9', { privateIPAddressVersion: 'IPv6' }),
        config('ipconfig2', '10.0.0.50'),
        config('Cilium-abcdefgh', '10.0.0.51'),
      ]),
    ),
  ).toEqual({
    id: '/subscriptions/s/nic-1',
    mac: '00:0d:3a:aa:bb:cc',
    subnet: '/vnet/subnets/a',
    securityGroups: [],
    attachment: { kind: 'attached', instance: 'vm', deviceIndex: 1, isProtected: true },
    isPrimary: false,
    isManaged: false,
    token: undefined,
    primaryAddresses: ['10.0.0.4', '2001:db8::5'],
    gateways: ['10.0.0.1', 'fe80::1234:5678:9abc'],
    blocks: ['10.0.0.9/32', '10.0.0.64/28', '2001:db8::9/128'],
    fixedBlocks: [],
  }))

describe('which NICs are managed', () => {
  // Azure allows no slash in a tag's name; names are compared without regard to case.
  test.each([
    [{}, 0, true],
    [{}, 1, false],
    [{ 'eniway.io_pods': 'true' }, 1, true],
    [{ 'Eniway.IO_Pods': 'true' }, 1, true],
    [{ 'eniway.io_pods': 'false' }, 1, false],
    [{ 'eniway.io_pods': 'true', 'eniway.io_unmanaged': 'true' }, 1, false],
    [{ 'eniway.io_unmanaged': 'true' }, 0, false],
    [{ 'eniway.io_unmanaged': 'false' }, 0, true],
  ] as const)('tags %j at index %i: %s', (tags, deviceIndex, want) =>
    expect(seen(nicWith([own], { tags }), { deviceIndex }).isManaged).toBe(want),
  )
})

describe('which configurations count', () => {
  const failed = { provisioningState: 'Failed' }
  const deleting = { provisioningState: 'Deleting' }
  const updating = config('eniway-1', '10.0.0.9', { provisioningState: 'Updating' })
  test.each([
    ['Succeeded', config('eniway-1', '10.0.0.9'), new Set<string>(), 1],
    ['Failed', config('eniway-1', '10.0.0.9', failed), undefined, 0],
    ['Updating, known to have succeeded', updating, new Set(['eniway-1']), 1],
    ['Updating, new', updating, new Set<string>(), 0],
    ['Updating, at the first look', updating, undefined, 1],
    ['Deleting, known', config('eniway-1', '10.0.0.9', deleting), new Set(['eniway-1']), 0],
    ['Failed, known', config('eniway-1', '10.0.0.9', failed), new Set(['eniway-1']), 1],
    ['without an address yet', config('eniway-1', undefined), undefined, 0],
    ['of somebody else', config('eniway-x', '10.0.0.9'), undefined, 0],
  ] as const)('%s', (...[, one, known, want]) =>
    expect(seen(nicWith([own, one]), known === undefined ? {} : { known }).blocks).toHaveLength(
      want,
    ),
  )

  test('a NIC that failed as a whole does not lose what it holds', () => {
    const nic = nicWith([own, config('eniway-1', '10.0.0.9', failed)])
    const all = { ...nic, properties: { ...nic.properties, ...failed } }
    expect(seen(all).blocks).toHaveLength(1)
    expect(seen(all, { known: new Set() }).blocks).toHaveLength(0)
  })

  test('those of others take their places all the same', () =>
    expect(foreignCountOf(nicWith([own, updating, config('theirs', '10.0.0.8')]))).toBe(2))
})

// The NIC shows a prefix, a scale set's model the address alone, maybe in the middle.
test.each([
  ['10.0.0.16/28', 28, '10.0.0.16/28'],
  ['10.0.0.16/28', undefined, '10.0.0.16/28'],
  ['10.0.0.21', 28, '10.0.0.16/28'],
  ['10.0.0.21', undefined, '10.0.0.21/32'],
  ['2001:db8::1', undefined, '2001:db8::1/128'],
] as const)('%s of length %s is the block %s', (address, length, want) =>
  expect(blockOf(config('x', address, length && { privateIPAddressPrefixLength: length }))).toBe(
    want,
  ),
)

describe('subnets', () => {
  test('five addresses of each prefix are Azure’s', () =>
    expect(subnet).toEqual({
      id: subnetId('/vnet/subnets/a'),
      zone: 'eastus-1',
      cidrs: ['10.0.0.0/24', '2001:db8::/64'],
      available: 256 - 5 - 2,
    }))

  // The list of a crowded subnet is left out: that is not an empty subnet, nor a full one.
  test('a list that is left out says nothing', () => {
    const properties = { addressPrefix: '10.0.0.0/28', ipConfigurations: null }
    expect(subnetOf({ id: '/a', properties }, 'z').available).toBe(11)
  })

  test('the gateway is that of the prefix the NIC lies in', () => {
    const cidrs = subnetOf(
      { id: '/vnet/subnets/a', properties: { addressPrefixes: ['10.9.0.0/24', '10.0.0.0/24'] } },
      'z',
    )
    const around = { instance: instanceId('vm'), deviceIndex: 0, known: undefined }
    const subnets = new Map([[cidrs.id, cidrs]])
    expect(cloudNicOf(nicWith([own]), { ...around, subnets }).gateways).toEqual(['10.0.0.1'])
  })
})

describe('answers that are none', () => {
  test.each([
    ['no configurations', { id: '/n', properties: {} }],
    ['configurations that are no list', { id: '/n', properties: { ipConfigurations: 'x' } }],
    ['a hole in the list', { id: '/n', properties: { ipConfigurations: [null] } }],
    ['no MAC', { id: '/n', properties: { ipConfigurations: [own] } }],
    ['an empty list', nicWith([])],
    ['an address that is none', nicWith([config('ipconfig1', '10.0.0', { primary: true })])],
  ])('%s', (_, nic) => expect(() => seen(nic as unknown as RawNic)).toThrow(MalformedError))
})
