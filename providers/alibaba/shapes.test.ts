import { describe, expect, test } from 'vitest'
import { cidr, ip } from '#core/ip.ts'
import { instanceId, nicId, subnetId } from '#core/names.ts'
import { MalformedError } from '../common/failures.ts'
import { type Nic, cloudNicOf, holderOf, subnetOf } from './shapes.ts'

const subnet = {
  id: subnetId('vsw-1'),
  zone: 'z',
  cidrs: [cidr('10.0.0.0/24'), cidr('2001:db8::/64')],
  available: 9,
}
const around = {
  instance: instanceId('i-1'),
  subnets: new Map([[subnet.id, subnet]]),
  routers6: new Map(),
  places: new Map([[nicId('eni-1'), 2]]),
}

const plain = {
  networkInterfaceId: 'eni-1',
  macAddress: '00:16:3E:12:00:01',
  vSwitchId: 'vsw-1',
  type: 'Secondary',
  status: 'InUse',
  instanceId: 'i-1',
  deleteOnRelease: true,
  networkInterfaceTrafficMode: 'Standard',
  securityGroupIds: { securityGroupId: ['sg-1'] },
  privateIpAddress: '10.0.0.9',
  privateIpSets: {
    privateIpSet: [
      { privateIpAddress: '10.0.0.9', primary: true },
      { privateIpAddress: '10.0.0.200', primary: false },
      { privateIpAddress: '10.0.0.30', primary: false },
    ],
  },
  tags: { tag: [{ tagKey: 'eniway.io/token', tagValue: 't1' }] },
}
const nic = (changes: object = {}) => cloudNicOf({ ...plain, ...changes } as Nic, around)
const ipv6Sets = { ipv6Set: [{ ipv6Address: '2001:db8::7' }, { ipv6Address: '2001:DB8::8' }] }

test('a secondary NIC gives its own address to pods, and keeps it', () =>
  expect(nic()).toEqual({
    id: 'eni-1',
    mac: '00:16:3e:12:00:01',
    subnet: 'vsw-1',
    securityGroups: ['sg-1'],
    attachment: { kind: 'attached', instance: 'i-1', deviceIndex: 2, isProtected: true },
    isPrimary: false,
    isManaged: true,
    token: 't1',
    primaryAddresses: [],
    gateways: ['10.0.0.253', '2001:db8::ffff:ffff:ffff:fff7'],
    blocks: ['10.0.0.9/32', '10.0.0.30/32', '10.0.0.200/32'],
    fixedBlocks: ['10.0.0.9/32'],
  }))

test('the primary NIC keeps its own addresses for the node', () => {
  const seen = nic({ type: 'Primary', ipv6Sets })
  expect(seen).toMatchObject({
    isPrimary: true,
    primaryAddresses: ['10.0.0.9', '2001:db8::7'],
    blocks: ['10.0.0.30/32', '10.0.0.200/32', '2001:db8::8/128'],
    fixedBlocks: [],
  })
})

test('prefixes and both families stand in the order of their numbers', () =>
  expect(
    nic({
      ipv4PrefixSets: { ipv4PrefixSet: [{ ipv4Prefix: '10.0.0.48/28' }] },
      ipv6Sets,
      ipv6PrefixSets: { ipv6PrefixSet: [{ ipv6Prefix: '2001:db8:0:0:1::/80' }] },
    }).blocks,
  ).toEqual([
    '10.0.0.9/32',
    '10.0.0.30/32',
    '10.0.0.48/28',
    '10.0.0.200/32',
    '2001:db8::7/128',
    '2001:db8::8/128',
    '2001:db8:0:0:1::/80',
  ]))

test('an IPv6 address flagged as the NIC’s own is fixed', () => {
  const own = { ipv6Set: [...ipv6Sets.ipv6Set, { ipv6Address: '2001:db8::1', primary: true }] }
  expect(nic({ ipv6Sets: own }).fixedBlocks).toEqual(['10.0.0.9/32', '2001:db8::1/128'])
})

test('metadata outweighs the rule for the IPv6 router', () => {
  const routers6 = new Map([[subnet.id, ip('2001:db8::fd')]])
  const seen = cloudNicOf(plain as unknown as Nic, { ...around, routers6 })
  expect(seen.gateways).toEqual(['10.0.0.253', '2001:db8::fd'])
})

test.each([
  ['10.0.16.0/20', '10.0.31.253'],
  ['192.168.7.248/29', '192.168.7.253'],
  ['2001:db8:0:100::/64', '2001:db8:0:100:ffff:ffff:ffff:fff7'],
])('the router of %s is %s', (block, want) => {
  const subnets = new Map([[subnet.id, { ...subnet, cidrs: [cidr(block)] }]])
  expect(cloudNicOf(plain as unknown as Nic, { ...around, subnets }).gateways).toEqual([want])
})

describe('attachment', () => {
  test.each([
    ['Attaching', 'attaching'],
    ['InUse', 'attached'],
    ['Detaching', 'detaching'],
    ['Available', 'none'],
    ['Deleting', 'none'],
  ])('%s is %s', (status, want) => expect(nic({ status }).attachment.kind).toBe(want))

  test('of a service of the cloud is none', () =>
    expect(nic({ instanceId: '' }).attachment.kind).toBe('none'))
  test('may be named in the attachment alone', () =>
    expect(holderOf({ ...plain, instanceId: '', attachment: { instanceId: 'i-2' } } as Nic)).toBe(
      'i-2',
    ))
  test('is unprotected when the NIC outlives the instance', () =>
    expect(nic({ deleteOnRelease: false }).attachment).toMatchObject({ isProtected: false }))
})

describe('managed', () => {
  const tagged = (tagKey: string, tagValue: string) =>
    nic({ tags: { tag: [{ tagKey, tagValue }] } }).isManaged
  test.each([
    ['eniway.io/unmanaged', 'true', false],
    ['eniway.io/unmanaged', '', false],
    ['eniway.io/unmanaged', 'false', true],
    ['creator', 'terway', false],
    ['creator', 'alibabacloud-erdma-controller', false],
    ['creator', 'me', true],
    ['terway.alibabacloud.com/excluded', 'true', false],
    ['Name', 'x', true],
  ] as const)('with tag %s=%s: %s', (...[name, value, want]) =>
    expect(tagged(name, value)).toBe(want),
  )
  test.each([
    ['a trunk', { type: 'Trunk' }],
    ['a member', { type: 'Member' }],
    ['a member by its trunk', { attachment: { trunkNetworkInterfaceId: 'eni-2' } }],
    ['one for RDMA', { networkInterfaceTrafficMode: 'HighPerformance' }],
    ['one of a service', { serviceManaged: true }],
  ])('%s is not', (_, changes) => expect(nic(changes).isManaged).toBe(false))
})

test.each([{ macAddress: 'x' }, { networkInterfaceId: undefined }, { vSwitchId: undefined }])(
  'without what every NIC has (%j) the answer is malformed',
  changes => expect(() => nic(changes)).toThrow(MalformedError),
)

test('a NIC in an unknown vSwitch has no gateway', () =>
  expect(nic({ vSwitchId: 'vsw-2' }).gateways).toEqual([]))

test('a vSwitch', () =>
  expect(
    subnetOf({
      vSwitchId: 'vsw-1',
      zoneId: 'z',
      cidrBlock: '10.0.0.0/24',
      ipv6CidrBlock: '',
      availableIpAddressCount: 7,
      tags: { tag: [{ key: 'a', value: 'b' }] },
    } as Parameters<typeof subnetOf>[0]),
  ).toEqual({
    id: 'vsw-1',
    zone: 'z',
    cidrs: ['10.0.0.0/24'],
    available: 7,
    tags: new Map([['a', 'b']]),
  }))
