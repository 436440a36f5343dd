// Pages, filters, tags, and what a ClientToken remembers.
import { afterEach, expect, test } from 'vitest'
import { type Sample, startSample } from './sample.ts'

const open: Sample[] = []

afterEach(async () => {
  for (const sample of open.splice(0)) await sample.emulator.close()
})

const start = async (): Promise<Sample> => {
  const sample = await startSample()
  open.push(sample)
  return sample
}

const create = async ({ rpc, ids }: Sample, params = {}) =>
  rpc('CreateNetworkInterface', { VSwitchId: ids.subnet, SecurityGroupId: ids.group, ...params })

const setOf = async ({ rpc }: Sample, params = {}) => {
  const reply = await rpc('DescribeNetworkInterfaces', params)
  const set = reply.read('NetworkInterfaceSets.NetworkInterfaceSet') as readonly {
    readonly NetworkInterfaceId: string
  }[]
  return { reply, ids: set.map(nic => nic.NetworkInterfaceId) }
}

test('ten NICs a page unless more are asked for, at most 500; tokens lead through all', async () => {
  const sample = await start()
  for (let i = 0; i < 22; i++) await create(sample)
  const total = 25
  const first = await setOf(sample)
  expect(first.ids.length).toBe(10)
  expect(first.reply.read('TotalCount')).toBe(total)
  const third = await setOf(sample, { PageNumber: 3 })
  expect(third.ids.length).toBe(5)
  expect((await setOf(sample, { PageNumber: 4 })).ids).toEqual([])
  expect((await setOf(sample, { MaxResults: 3 })).ids.length).toBe(10)
  expect((await setOf(sample, { MaxResults: 9999 })).ids.length).toBe(total)
  const seen: string[] = []
  let token = ''
  do {
    const { ids, reply } = await setOf(sample, { MaxResults: 10, NextToken: token })
    seen.push(...ids)
    token = String(reply.read('NextToken'))
    // What is created meanwhile neither repeats nor hides what was there.
    await create(sample)
  } while (token !== '')
  expect(new Set(seen).size).toBe(seen.length)
  expect(seen.length).toBeGreaterThanOrEqual(total)
})

test('a token is good for the listing that it continues', async () => {
  const sample = await start()
  for (let i = 0; i < 10; i++) await create(sample)
  const { reply } = await setOf(sample, { MaxResults: 10 })
  const token = { MaxResults: 10, NextToken: String(reply.read('NextToken')) }
  expect((await setOf(sample, token)).ids.length).toBe(3)
  const other = await sample.rpc('DescribeNetworkInterfaces', { ...token, Type: 'Secondary' })
  expect(other.result).toBe('400 InvalidParameter')
})

test('instance types come a hundred a page at most', async () => {
  const { rpc } = await start()
  const page = await rpc('DescribeInstanceTypes', { MaxResults: 30 })
  expect(page.read('InstanceTypes.InstanceType.length')).toBe(30)
  const rest = await rpc('DescribeInstanceTypes', {
    MaxResults: 1600,
    NextToken: String(page.read('NextToken')),
  })
  expect(rest.read('InstanceTypes.InstanceType.length')).toBe(26)
  expect(rest.read('NextToken')).toBe('')
  const family = await rpc('DescribeInstanceTypes', { InstanceTypeFamily: 'ecs.c7' })
  expect(family.read('InstanceTypes.InstanceType.length')).toBe(9)
})

test('filters of NICs', async () => {
  const sample = await start()
  const { ids, emulator } = sample
  const tiny = emulator.ids.subnetIds['tiny'] ?? ''
  const made = await create(sample, {
    VSwitchId: tiny,
    NetworkInterfaceName: 'one',
    PrimaryIpAddress: '10.0.1.5',
    'PrivateIpAddress.1': '10.0.1.6',
    'Tag.1.Key': 'a',
    'Tag.1.Value': '1',
    'Tag.2.Key': 'b',
  })
  const nic = String(made.read('NetworkInterfaceId'))
  const finds = async (params: object) => expect((await setOf(sample, params)).ids).toEqual([nic])
  const misses = async (params: object) => expect((await setOf(sample, params)).ids).toEqual([])
  await finds({ 'NetworkInterfaceId.1': nic })
  await finds({ VSwitchId: tiny })
  await finds({ Type: 'Secondary' })
  await finds({ Status: 'Available' })
  await finds({ NetworkInterfaceName: 'one' })
  await finds({ PrimaryIpAddress: '10.0.1.5' })
  await finds({ 'PrivateIpAddress.1': '10.0.1.6' })
  await finds({ 'Tag.1.Key': 'a' })
  await finds({ 'Tag.1.Key': 'a', 'Tag.1.Value': '1', 'Tag.2.Key': 'b' })
  await finds({ VSwitchId: tiny, SecurityGroupId: ids.group, VpcId: emulator.ids.vpcId })
  await misses({ 'Tag.1.Key': 'a', 'Tag.1.Value': '2' })
  await misses({ 'PrivateIpAddress.1': '10.0.1.5' })
  await misses({ Type: 'Trunk' })
  await misses({ 'NetworkInterfaceId.1': nic, InstanceId: ids.nodeA })
  expect((await setOf(sample, { InstanceId: ids.nodeA })).ids).toEqual([ids.primary])
})

test('filters of instances and vSwitches; an empty list of ids finds nothing', async () => {
  const { rpc, emulator, ids } = await start()
  const counted = async (action: string, params: object) =>
    (await rpc(action, { ...params })).read('TotalCount')
  expect(await counted('DescribeInstances', {})).toBe(3)
  expect(await counted('DescribeInstances', { InstanceIds: '[]' })).toBe(0)
  expect(await counted('DescribeInstances', { InstanceIds: JSON.stringify([ids.nodeA]) })).toBe(1)
  expect(await counted('DescribeInstances', { ZoneId: 'cn-hangzhou-j' })).toBe(1)
  expect(await counted('DescribeInstances', { PrivateIpAddresses: '["10.0.0.20"]' })).toBe(1)
  expect(await counted('DescribeInstances', { 'Tag.1.Key': 'Name', 'Tag.1.Value': 'large' })).toBe(
    1,
  )
  emulator.terminateInstance('large')
  expect(await counted('DescribeInstances', {})).toBe(2)
  const { a = '', b = '' } = emulator.ids.subnetIds
  expect(await counted('DescribeVSwitches', { VSwitchId: `${a},${b}` })).toBe(2)
  expect(await counted('DescribeVSwitches', { ZoneId: 'cn-hangzhou-i' })).toBe(2)
  expect(await counted('DescribeSecurityGroups', { SecurityGroupIds: `["${ids.group}"]` })).toBe(1)
})

test('tags are set, listed and taken away; one bad id of several changes nothing', async () => {
  const { rpc, ids } = await start()
  const both = { ResourceType: 'eni', 'ResourceId.1': ids.primary, 'ResourceId.2': 'eni-bp1x' }
  expect((await rpc('TagResources', { ...both, 'Tag.1.Key': 'k' })).status).toBe(404)
  const one = { ResourceType: 'eni', 'ResourceId.1': ids.primary }
  const list = async () => (await rpc('ListTagResources', one)).read('TagResources.TagResource')
  expect(await list()).toEqual([])
  await rpc('TagResources', { ...one, 'Tag.1.Key': 'k', 'Tag.1.Value': 'v', 'Tag.2.Key': 'l' })
  const resource = { ResourceType: 'eni', ResourceId: ids.primary }
  expect(await list()).toEqual([
    { ...resource, TagKey: 'k', TagValue: 'v' },
    { ...resource, TagKey: 'l', TagValue: '' },
  ])
  await rpc('UntagResources', { ...one, 'TagKey.1': 'k' })
  expect(await list()).toEqual([{ ...resource, TagKey: 'l', TagValue: '' }])
  await rpc('UntagResources', { ...one, All: true })
  expect(await list()).toEqual([])
})

test('a ClientToken answers the same call again and refuses another', async () => {
  const sample = await start()
  const { rpc, emulator } = sample
  const count = () => emulator.state().nics.length
  const first = await create(sample, { ClientToken: 't' })
  const again = await create(sample, { ClientToken: 't' })
  expect(again.read('NetworkInterfaceId')).toBe(first.read('NetworkInterfaceId'))
  expect(again.read('RequestId')).not.toBe(first.read('RequestId'))
  expect(count()).toBe(4)
  const other = await create(sample, { ClientToken: 't', SecondaryPrivateIpAddressCount: 1 })
  expect(other.result).toBe('400 IdempotentParameterMismatch')
  const assign = (params: object) =>
    rpc('AssignPrivateIpAddresses', {
      NetworkInterfaceId: String(first.read('NetworkInterfaceId')),
      SecondaryPrivateIpAddressCount: 2,
      ...params,
    })
  const addresses = 'AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress'
  // The same token of another action is another token.
  const lent = await assign({ ClientToken: 't' })
  expect((await assign({ ClientToken: 't' })).read(addresses)).toEqual(lent.read(addresses))
  expect((await assign({})).read(addresses)).not.toEqual(lent.read(addresses))
  const nic = emulator.state().nics.find(({ id }) => id === first.read('NetworkInterfaceId'))
  expect(nic?.addresses.length).toBe(4)
})

test('a token outlives a reply that was lost, and a call that failed leaves none', async () => {
  const sample = await start()
  const { emulator } = sample
  const action = 'CreateNetworkInterface'
  emulator.addFault({ effect: { kind: 'loseReply' }, action, count: 1 })
  await expect(create(sample, { ClientToken: 't' })).rejects.toThrow(/ECONNRESET|hang up/)
  const again = await create(sample, { ClientToken: 't' })
  expect(again.result).toBe('200 ok')
  expect(emulator.state().nics.length).toBe(4)
  const wrong = { VSwitchId: 'vsw-bp1x', ClientToken: 'u' }
  expect((await create(sample, wrong)).status).toBe(404)
  expect((await create(sample, { ClientToken: 'u' })).result).toBe('200 ok')
})
