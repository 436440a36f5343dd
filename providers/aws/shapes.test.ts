import type { NetworkInterface } from '@aws-sdk/client-ec2'
import { describe, expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { instanceId, subnetId } from '#core/names.ts'
import { MalformedError } from '../common/failures.ts'
import { cloudNicOf, subnetOf } from './shapes.ts'

const subnet = {
  id: subnetId('subnet-1'),
  zone: 'z',
  cidrs: [cidr('10.0.0.0/24'), cidr('2001:db8::/64')],
  available: 9,
}
const around = { instance: instanceId('i-1'), subnets: new Map([[subnet.id, subnet]]) }

const plain: NetworkInterface = {
  NetworkInterfaceId: 'eni-1',
  MacAddress: '02:AB:00:00:00:01',
  SubnetId: 'subnet-1',
  InterfaceType: 'interface',
  Status: 'in-use',
  Groups: [{ GroupId: 'sg-1', GroupName: 'a' }],
  Attachment: {
    AttachmentId: 'eni-attach-1',
    InstanceId: 'i-1',
    DeviceIndex: 1,
    NetworkCardIndex: 0,
    Status: 'attached',
    DeleteOnTermination: true,
  },
  PrivateIpAddresses: [
    { PrivateIpAddress: '10.0.0.9', Primary: true },
    { PrivateIpAddress: '10.0.0.200', Primary: false },
    { PrivateIpAddress: '10.0.0.30', Primary: false },
  ],
  TagSet: [{ Key: 'eniway.io/token', Value: 't1' }],
}
const primary = { ...plain.Attachment, DeviceIndex: 0 }
const nic = (changes: Partial<NetworkInterface> = {}) =>
  cloudNicOf({ ...plain, ...changes }, around)

test('a NIC as the core sees it', () =>
  expect(nic()).toEqual({
    id: 'eni-1',
    mac: '02:ab:00:00:00:01',
    subnet: 'subnet-1',
    securityGroups: ['sg-1'],
    attachment: { kind: 'attached', instance: 'i-1', deviceIndex: 1, isProtected: true },
    isPrimary: false,
    isManaged: true,
    token: 't1',
    primaryAddresses: ['10.0.0.9'],
    gateways: ['10.0.0.1', 'fe80:ec2::1'],
    blocks: ['10.0.0.30/32', '10.0.0.200/32'],
    fixedBlocks: [],
  }))

test('prefixes and both families stand in the order of their numbers', () =>
  expect(
    nic({
      Ipv4Prefixes: [{ Ipv4Prefix: '10.0.0.48/28' }],
      Ipv6Addresses: [{ Ipv6Address: '2001:DB8:0::7' }],
      Ipv6Prefixes: [{ Ipv6Prefix: '2001:db8:0:0:1::/80' }],
    }).blocks,
  ).toEqual([
    '10.0.0.30/32',
    '10.0.0.48/28',
    '10.0.0.200/32',
    '2001:db8::7/128',
    '2001:db8:0:0:1::/80',
  ]))

describe('the NIC’s own IPv6 address is not a block', () => {
  const Ipv6Addresses = [{ Ipv6Address: '2001:db8::7' }, { Ipv6Address: '2001:db8::8' }]
  test('on the primary NIC it is the first', () =>
    expect(nic({ Ipv6Addresses, Attachment: primary }).primaryAddresses).toEqual([
      '10.0.0.9',
      '2001:db8::7',
    ]))
  test('or the one flagged as primary', () => {
    const flagged = [Ipv6Addresses[0]!, { Ipv6Address: '2001:db8::8', IsPrimaryIpv6: true }]
    const found = nic({ Ipv6Addresses: flagged })
    expect(found.primaryAddresses).toEqual(['10.0.0.9', '2001:db8::8'])
    expect(found.blocks).toContain('2001:db8::7/128')
    expect(found.blocks).not.toContain('2001:db8::8/128')
  })
  test('other NICs have none of their own', () =>
    expect(nic({ Ipv6Addresses }).blocks).toContain('2001:db8::7/128'))
})

describe('attachment', () => {
  test.each(['attaching', 'attached', 'detaching'] as const)('%s', Status =>
    expect(nic({ Attachment: { ...plain.Attachment, Status } }).attachment.kind).toBe(Status),
  )
  test('detached, absent or of a service is none', () => {
    const { InstanceId: _, ...ofService } = plain.Attachment!
    const { Attachment: __, ...without } = plain
    expect(nic({ Attachment: { ...plain.Attachment, Status: 'detached' } }).attachment.kind).toBe(
      'none',
    )
    expect(nic({ Attachment: ofService }).attachment.kind).toBe('none')
    expect(cloudNicOf(without, around).attachment.kind).toBe('none')
  })
  test('unprotected until EC2 deletes it with the instance', () =>
    expect(
      nic({ Attachment: { ...plain.Attachment, DeleteOnTermination: false } }).attachment,
    ).toMatchObject({ isProtected: false }))
})

describe('managed', () => {
  const tagged = (Key: string, Value: string) => nic({ TagSet: [{ Key, Value }] }).isManaged
  test.each([
    ['node.k8s.amazonaws.com/no_manage', 'true', false],
    ['node.k8s.amazonaws.com/no_manage', 'false', true],
    ['eniway.io/unmanaged', 'true', false],
    ['eniway.io/unmanaged', '', false],
    ['Name', 'x', true],
  ] as const)('with tag %s=%s: %s', (...[name, value, want]) =>
    expect(tagged(name, value)).toBe(want),
  )
  test.each(['trunk', 'branch', 'efa-only', 'efa', 'lambda'] as const)('not of type %s', type =>
    expect(nic({ InterfaceType: type }).isManaged).toBe(false),
  )
  test('the primary NIC may be of type efa', () =>
    expect(nic({ InterfaceType: 'efa', Attachment: primary }).isManaged).toBe(true))
  test('not on another network card, not when a service owns it', () => {
    const card = { ...plain.Attachment, NetworkCardIndex: 1 }
    expect(nic({ Attachment: card }).isManaged).toBe(false)
    expect(nic({ Attachment: { ...card, DeviceIndex: 0 } }).isPrimary).toBe(false)
    expect(nic({ RequesterManaged: true }).isManaged).toBe(false)
  })
})

test.each([{ MacAddress: 'x' }, { NetworkInterfaceId: undefined }, { SubnetId: undefined }])(
  'without what every NIC has (%j) the answer is malformed',
  changes => expect(() => nic(changes as Partial<NetworkInterface>)).toThrow(MalformedError),
)

test('a NIC in an unknown subnet has no gateway', () =>
  expect(nic({ SubnetId: 'subnet-2' }).gateways).toEqual([]))

test('a subnet has its live IPv6 prefixes only', () =>
  expect(
    subnetOf({
      SubnetId: 'subnet-1',
      AvailabilityZone: 'z',
      CidrBlock: '10.0.0.0/24',
      AvailableIpAddressCount: 7,
      Tags: [{ Key: 'a', Value: 'b' }],
      Ipv6CidrBlockAssociationSet: [
        { Ipv6CidrBlock: '2001:db8:1::/64', Ipv6CidrBlockState: { State: 'disassociated' } },
        { Ipv6CidrBlock: '2001:db8::/64', Ipv6CidrBlockState: { State: 'associated' } },
      ],
    }),
  ).toEqual({
    id: 'subnet-1',
    zone: 'z',
    cidrs: ['10.0.0.0/24', '2001:db8::/64'],
    available: 7,
    tags: new Map([['a', 'b']]),
  }))
