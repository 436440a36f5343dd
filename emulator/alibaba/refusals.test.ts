// Every way in which a call is refused, by its code and status: who calls, what is asked, what
// there is, and what there is room for.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Sample, sampleKey, startSample, unsigned } from './sample.ts'

let sample: Sample

beforeAll(async () => {
  sample = await startSample({
    accounts: [
      {
        id: '1234567890123456',
        keys: [
          { accessKeyId: sampleKey },
          { accessKeyId: 'LTAIDENIED', deniedActions: ['DescribeVSwitches'] },
        ],
      },
    ],
  })
})

afterAll(() => sample.emulator.close())

const checkWith =
  (headers: Readonly<Record<string, string>>) =>
  async (action: string, params: object, want: string) => {
    const reply = await sample.rpc(action, { ...params }, headers)
    expect(`${action}: ${reply.result}`).toBe(`${action}: ${want}`)
    return reply
  }

const check = checkWith({})

const none = `bp1${'0'.repeat(17)}`

const create = async (params: object = {}): Promise<string> => {
  const { subnet, group } = sample.ids
  const request = { VSwitchId: subnet, SecurityGroupId: group, ...params }
  return String(
    (await check('CreateNetworkInterface', request, '200 ok')).read('NetworkInterfaceId'),
  )
}

const attached = async (params: object = {}): Promise<string> => {
  const nic = await create(params)
  const request = { NetworkInterfaceId: nic, InstanceId: sample.ids.large }
  await check('AttachNetworkInterface', request, '200 ok')
  return nic
}

test('which action', async () => {
  await check('DescribeRegions', {}, '404 InvalidAction.NotFound')
  await check('toString', {}, '404 InvalidAction.NotFound')
  await check('', {}, '400 MissingParameter')
  await checkWith({ 'x-acs-version': '2016-04-28' })('DescribeInstances', {}, '400 InvalidVersion')
  await checkWith({ 'x-acs-version': '2014-05-26' })('DescribeVSwitches', {}, '400 InvalidVersion')
  await checkWith({ 'x-acs-date': '' })('DescribeInstances', {}, '400 MissingParameter')
  await checkWith({
    'x-acs-date': '2026-01-01T00:15:01Z',
  })('DescribeInstances', {}, '400 InvalidTimeStamp.Expired')
  await check('DescribeInstances', { Unheard: 'of' }, '200 ok')
})

test('which Region', async () => {
  await check('DescribeInstances', { RegionId: '' }, '400 MissingParameter')
  await check('DescribeInstances', { RegionId: 'cn-beijing' }, '404 InvalidRegionId.NotFound')
  await check('DescribeInstanceTypes', { RegionId: '' }, '200 ok')
  await check('DescribeVSwitches', { RegionId: '' }, '200 ok')
})

test('who may: a denial says who lacks what', async () => {
  const checkDenied = checkWith({ authorization: unsigned('LTAIDENIED') })
  await checkDenied('DescribeInstances', {}, '200 ok')
  const reply = await checkDenied('DescribeVSwitches', {}, '403 Forbidden.RAM')
  expect(reply.read('Message')).toContain('vpc:DescribeVSwitches')
  expect(reply.read('AccessDeniedDetail')).toEqual({
    AuthAction: 'vpc:DescribeVSwitches',
    AuthPrincipalType: 'SubUser',
    AuthPrincipalDisplayName: 'LTAIDENIED',
    AuthPrincipalOwnerId: '1234567890123456',
    NoPermissionType: 'ImplicitDeny',
    PolicyType: 'AccountLevelIdentityBasedPolicy',
  })
})

describe('what is asked', () => {
  test('of CreateNetworkInterface', async () => {
    const { subnet, group } = sample.ids
    const asking = (params: object, want: string) =>
      check(
        'CreateNetworkInterface',
        { VSwitchId: subnet, SecurityGroupId: group, ...params },
        want,
      )
    await asking({ VSwitchId: '' }, '400 MissingParameter')
    await asking({ SecurityGroupId: '' }, '400 MissingParameter')
    await asking({ 'SecurityGroupIds.1': group }, '400 InvalidParameter.Conflict')
    await asking({ SecondaryPrivateIpAddressCount: 0 }, '400 InvalidParameter')
    await asking({ SecondaryPrivateIpAddressCount: 50 }, '400 InvalidParameter')
    await asking({ SecondaryPrivateIpAddressCount: 'x' }, '400 InvalidParameter')
    await asking({ Ipv6AddressCount: 11 }, '400 InvalidParameter')
    await asking({ Ipv4PrefixCount: 11 }, '400 InvalidParameter')
    const both = { SecondaryPrivateIpAddressCount: 1, Ipv4PrefixCount: 1 }
    await asking(both, '400 InvalidParameter.Conflict')
    await asking({ Ipv6AddressCount: 1, Ipv6PrefixCount: 1 }, '400 InvalidParameter.Conflict')
    await asking({ PrimaryIpAddress: '10.9.9.9' }, '403 InvalidVSwitchId.IpInvalid')
    await asking({ PrimaryIpAddress: '10.0.0.253' }, '400 InvalidPrivateIpAddress.Duplicated')
    await asking({ PrimaryIpAddress: '10.0.0.10' }, '400 InvalidPrivateIpAddress.Duplicated')
    await asking({ 'Ipv6Address.1': '10.0.0.9' }, '403 InvalidIp.Address')
    const twice = { 'PrivateIpAddress.1': '10.0.0.99', 'PrivateIpAddress.2': '10.0.0.99' }
    await asking(twice, '403 InvalidIp.IpRepeated')
    await asking({ InstanceType: 'Trunk' }, '400 UnsupportedParameter')
    await asking({ Description: 'x' }, '400 InvalidParameter')
    await asking({ 'Tag.1.Key': 'acs:x' }, '400 InvalidTagKey.Malformed')
    await asking({ 'Tag.1.Key': 'x', 'Tag.2.Key': 'x' }, '400 Duplicate.TagKey')
    await asking({ 'Tag.1.Key': 'x', 'Tag.1.Value': 'http://x' }, '400 InvalidTagValue.Malformed')
    await asking({ 'Tag.1.Key': 'x', DeleteOnRelease: 'maybe' }, '400 InvalidParameter')
    await asking({ ClientToken: 'ü' }, '400 InvalidParameter')
    const tags = Array.from({ length: 21 }, (_, i) => [`Tag.${i + 1}.Key`, `k${i}`])
    await asking(Object.fromEntries(tags), '400 InvalidParameter')
  })

  test('of the address calls', async () => {
    const nic = { NetworkInterfaceId: sample.ids.primary }
    await check('AssignPrivateIpAddresses', nic, '400 MissingParameter')
    await check('AssignIpv6Addresses', nic, '400 MissingParameter')
    await check('UnassignPrivateIpAddresses', nic, '400 MissingParameter')
    await check('AssignPrivateIpAddresses', { NetworkInterfaceId: 'x' }, '400 InvalidParams.EniId')
    const many = { ...nic, Ipv6AddressCount: 11 }
    await check('AssignIpv6Addresses', many, '400 InvalidParameter')
    const mixed = { ...nic, SecondaryPrivateIpAddressCount: 1, 'Ipv4Prefix.1': '10.0.0.64/28' }
    await check('AssignPrivateIpAddresses', mixed, '400 InvalidParameter.Conflict')
    const bad = { ...nic, 'Ipv4Prefix.1': '10.0.0.1/28' }
    await check('AssignPrivateIpAddresses', bad, '400 InvalidParameter')
  })

  test('of the describes', async () => {
    const nics = 'DescribeNetworkInterfaces'
    await check(nics, { Status: 'Sleeping' }, '400 InvalidParameter')
    await check(nics, { Type: 'Tertiary' }, '400 InvalidParameter')
    await check(nics, { NextToken: 'x' }, '400 InvalidParameter')
    await check(nics, { PageSize: 101 }, '400 InvalidParameter')
    const ids = Array.from({ length: 101 }, (_, i) => [
      `NetworkInterfaceId.${i + 1}`,
      `eni-${none}`,
    ])
    await check(nics, Object.fromEntries(ids), '400 InvalidParameter')
    await check('DescribeInstances', { InstanceIds: 'i-1' }, '400 InvalidParameter')
    const types = Array.from({ length: 11 }, (_, i) => [`InstanceTypes.${i + 1}`, 'ecs.g7.large'])
    await check('DescribeInstanceTypes', Object.fromEntries(types), '400 InvalidParameter')
    await check('TagResources', { ResourceType: 'moon' }, '400 InvalidParameter')
  })
})

test('what there is', async () => {
  const { subnet, group, primary, nodeA } = sample.ids
  const nic = { NetworkInterfaceId: `eni-${none}` }
  const machine = { InstanceId: nodeA }
  const create404 = (params: object, want: string) =>
    check('CreateNetworkInterface', { VSwitchId: subnet, SecurityGroupId: group, ...params }, want)
  await create404({ VSwitchId: `vsw-${none}` }, '404 InvalidVSwitchId.NotFound')
  await create404({ SecurityGroupId: `sg-${none}` }, '404 InvalidSecurityGroupId.NotFound')
  for (const action of ['DeleteNetworkInterface', 'DescribeNetworkInterfaceAttribute']) {
    await check(action, nic, '404 InvalidEniId.NotFound')
  }
  await check('AttachNetworkInterface', { ...nic, ...machine }, '404 InvalidEniId.NotFound')
  await check('DetachNetworkInterface', { ...nic, ...machine }, '404 InvalidEniId.NotFound')
  await check('ModifyNetworkInterfaceAttribute', nic, '404 InvalidEniId.NotFound')
  const count = { ...nic, SecondaryPrivateIpAddressCount: 1 }
  await check('AssignPrivateIpAddresses', count, '404 InvalidEniId.NotFound')
  const nowhere = { NetworkInterfaceId: await create(), InstanceId: `i-${none}` }
  await check('AttachNetworkInterface', nowhere, '404 InvalidEcsId.NotFound')
  const gone = { NetworkInterfaceId: primary, 'PrivateIpAddress.1': '10.0.0.77' }
  await check('UnassignPrivateIpAddresses', gone, '403 InvalidIp.IpUnassigned')
  const own = { NetworkInterfaceId: primary, 'PrivateIpAddress.1': '10.0.0.10' }
  await check('UnassignPrivateIpAddresses', own, '400 InvalidParameter')
  // Describes leave out what is not there.
  const found = await check(
    'DescribeNetworkInterfaces',
    { 'NetworkInterfaceId.1': `eni-${none}` },
    '200 ok',
  )
  expect(found.read('TotalCount')).toBe(0)
  const types = await check('DescribeInstanceTypes', { 'InstanceTypes.1': 'ecs.x9.huge' }, '200 ok')
  expect(types.read('InstanceTypes.InstanceType')).toEqual([])
})

describe('what there is room for', () => {
  test('NICs of an instance, and addresses of a NIC that is attached', async () => {
    const { nodeA } = sample.ids
    const attach = async (nic: string, want: string) =>
      check('AttachNetworkInterface', { NetworkInterfaceId: nic, InstanceId: nodeA }, want)
    const full = await create({ SecondaryPrivateIpAddressCount: 5, Ipv6AddressCount: 6 })
    await attach(
      await create({ SecondaryPrivateIpAddressCount: 6 }),
      '403 InvalidOperation.Ipv4CountExceeded',
    )
    await attach(await create({ Ipv6AddressCount: 7 }), '403 InvalidOperation.Ipv6CountExceeded')
    await attach(full, '200 ok')
    await attach(full, '400 InvalidOperation.InvalidEniState')
    const one = { NetworkInterfaceId: full, SecondaryPrivateIpAddressCount: 1 }
    await check('AssignPrivateIpAddresses', one, '403 InvalidOperation.Ipv4CountExceeded')
    const prefix = { NetworkInterfaceId: full, Ipv4PrefixCount: 1 }
    await check('AssignPrivateIpAddresses', prefix, '403 InvalidOperation.Ipv4CountExceeded')
    const six = { NetworkInterfaceId: full, Ipv6AddressCount: 1 }
    await check('AssignIpv6Addresses', six, '403 InvalidOperation.Ipv6CountExceeded')
    await attach(await create(), '200 ok')
    await attach(await create(), '403 EniPerInstanceLimitExceeded')
  })

  test('addresses of a NIC that is not attached: 50 with its own, and 10 of IPv6', async () => {
    const nic = await create({ SecondaryPrivateIpAddressCount: 49, Ipv6AddressCount: 10 })
    const one = { NetworkInterfaceId: nic, SecondaryPrivateIpAddressCount: 1 }
    await check('AssignPrivateIpAddresses', one, '403 MaxEniPrivateIpsCountExceeded')
    const six = { NetworkInterfaceId: nic, Ipv6AddressCount: 1 }
    await check('AssignIpv6Addresses', six, '403 MaxEniIpv6IpsCountExceeded')
  })

  test('places: zone, VPC, a vSwitch without IPv6, addresses of others', async () => {
    const { ids } = sample.emulator
    const other = await create({ VSwitchId: ids.subnetIds['b'] ?? '' })
    const abroad = { NetworkInterfaceId: other, InstanceId: sample.ids.large }
    await check('AttachNetworkInterface', abroad, '403 InvalidOperation.AvailabilityZoneMismatch')
    const six = { NetworkInterfaceId: other, Ipv6AddressCount: 1 }
    await check('AssignIpv6Addresses', six, '403 InvalidVSwitch.Ipv6NotTurnOn')
    const nic = await attached()
    const assign = (params: object, want: string) =>
      check('AssignPrivateIpAddresses', { NetworkInterfaceId: nic, ...params }, want)
    await assign({ 'PrivateIpAddress.1': '10.0.0.10' }, '403 InvalidIp.IpAssigned')
    await assign({ 'PrivateIpAddress.1': '10.0.2.77' }, '403 InvalidVSwitchId.IpInvalid')
    await assign({ 'Ipv4Prefix.1': '10.0.0.0/28' }, '403 InvalidIp.IpAssigned')
    await assign({ Ipv4PrefixCount: 10 }, '403 InvalidVSwitchId.IpNotEnough')
  })

  test('the primary NIC stays, and so does one that is attached elsewhere', async () => {
    const { primary, nodeA, large } = sample.ids
    const own = { NetworkInterfaceId: primary, InstanceId: nodeA }
    await check('DetachNetworkInterface', own, '400 InvalidOperation.DetachPrimaryEniNotAllowed')
    await check('DeleteNetworkInterface', own, '400 InvalidOperation.InvalidEniState')
    const nic = await attached()
    const wrong = { NetworkInterfaceId: nic, InstanceId: nodeA }
    await check('DetachNetworkInterface', wrong, '400 InvalidOperation.InvalidEniState')
    await check('DetachNetworkInterface', { ...wrong, InstanceId: large }, '200 ok')
    const free = { NetworkInterfaceId: nic, InstanceId: large }
    await check('DetachNetworkInterface', free, '400 InvalidOperation.InvalidEniState')
  })

  test('security groups and tags', async () => {
    const nic = await create()
    const groups = Array.from({ length: 11 }, (_, i) => [
      `SecurityGroupId.${i + 1}`,
      sample.ids.group,
    ])
    const request = { NetworkInterfaceId: nic, ...Object.fromEntries(groups) }
    await check('ModifyNetworkInterfaceAttribute', request, '400 JoinedGroupLimitExceed')
    const tags = (from: number) =>
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`Tag.${i + 1}.Key`, `k${from + i}`]))
    const resource = { ResourceType: 'eni', 'ResourceId.1': nic }
    await check('TagResources', { ...resource, ...tags(0) }, '200 ok')
    await check('TagResources', { ...resource, ...tags(1) }, '403 QuotaExceed.Tags')
    const unknown = { ResourceType: 'eni', 'ResourceId.1': `eni-${none}`, ...tags(0) }
    await check('TagResources', unknown, '404 InvalidResourceId.NotFound')
  })
})

test('over the limit of a minute: Throttling.User, until the next one begins', async () => {
  const { subnet, group } = sample.ids
  const few = await startSample({ throttleFactor: 2 / 500 })
  const request = { VSwitchId: subnet, SecurityGroupId: group }
  const results: string[] = []
  for (let i = 0; i < 3; i++)
    results.push((await few.rpc('CreateNetworkInterface', request)).result)
  expect(results).toEqual(['200 ok', '200 ok', '400 Throttling.User'])
  await few.clock.advance(60_000)
  expect((await few.rpc('CreateNetworkInterface', request)).result).toBe('200 ok')
  expect(few.emulator.results()['CreateNetworkInterface']).toEqual({ ok: 3, 'Throttling.User': 1 })
  await few.emulator.close()
})
