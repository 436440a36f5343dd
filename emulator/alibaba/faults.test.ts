// Troubles on purpose as a client of this face meets them.
import { afterEach, expect, test } from 'vitest'
import type { Fault } from '#emulator/model/faults.ts'
import { type Sample, startSample } from './sample.ts'

const open: Sample[] = []

afterEach(async () => {
  for (const sample of open.splice(0)) await sample.emulator.close()
})

const start = async (fault: Fault): Promise<Sample> => {
  const sample = await startSample()
  open.push(sample)
  sample.emulator.addFault(fault)
  return sample
}

const create = ({ rpc, ids }: Sample, params = {}) =>
  rpc('CreateNetworkInterface', { VSwitchId: ids.subnet, SecurityGroupId: ids.group, ...params })

test('partial: a call by number gets less; what is named is granted', async () => {
  const sample = await start({ effect: { kind: 'partial', granted: 2 } })
  const made = await create(sample, { SecondaryPrivateIpAddressCount: 5, Ipv6AddressCount: 5 })
  expect(made.read('PrivateIpSets.PrivateIpSet.length')).toBe(3)
  expect(made.read('Ipv6Sets.Ipv6Set.length')).toBe(2)
  const nic = { NetworkInterfaceId: String(made.read('NetworkInterfaceId')) }
  const set = 'AssignedPrivateIpAddressesSet'
  const named = Object.fromEntries([1, 2, 3].map(n => [`PrivateIpAddress.${n}`, `10.0.0.20${n}`]))
  const all = await sample.rpc('AssignPrivateIpAddresses', { ...nic, ...named })
  expect(all.read(`${set}.PrivateIpSet.PrivateIpAddress.length`)).toBe(3)
  const lent = await sample.rpc('AssignPrivateIpAddresses', { ...nic, Ipv4PrefixCount: 3 })
  expect(lent.read(`${set}.Ipv4PrefixSet.Ipv4Prefixes.length`)).toBe(2)
})

test('a vSwitch that is full, or without a free prefix, has one code for both', async () => {
  const full = await start({ effect: { kind: 'subnetExhausted' } })
  expect((await create(full)).result).toBe('403 InvalidVSwitchId.IpNotEnough')
  const left = await full.rpc('DescribeVSwitches', { VSwitchId: full.ids.subnet })
  expect(left.read('VSwitches.VSwitch.0.AvailableIpAddressCount')).toBe(0)
  const broken = await start({ effect: { kind: 'subnetFragmented' } })
  const refused = await create(broken, { Ipv4PrefixCount: 1 })
  expect(refused.result).toBe('403 InvalidVSwitchId.IpNotEnough')
  expect((await create(broken, { SecondaryPrivateIpAddressCount: 3 })).result).toBe('200 ok')
})

test('codes by name get the status that belongs to them', async () => {
  const codes = {
    ServiceUnavailable: 503,
    InternalError: 500,
    'QuotaExceeded.PrivateIpAddress': 403,
    'Operation.Conflict': 403,
    'Throttling.User': 400,
    IdempotentFailed: 400,
  }
  for (const [code, status] of Object.entries(codes)) {
    const sample = await start({ effect: { kind: 'fail', code }, count: 1 })
    expect((await create(sample)).result).toBe(`${status} ${code}`)
  }
})

test('only the instance that a call is about is struck, named or by its NIC', async () => {
  const sample = await start({ effect: { kind: 'throttle' }, instance: 'node-a' })
  const { rpc, ids, emulator } = sample
  const primaryOf = (id: string) =>
    emulator.state().nics.find(nic => nic.attachment?.instanceId === id)?.id ?? ''
  const assign = async (nic: string) =>
    (await rpc('AssignPrivateIpAddresses', { NetworkInterfaceId: nic, Ipv4PrefixCount: 1 })).result
  expect(await assign(ids.primary)).toBe('400 Throttling.Api')
  expect(await assign(primaryOf(ids.large))).toBe('200 ok')
  const one = JSON.stringify([ids.nodeA])
  expect((await rpc('DescribeInstances', { InstanceIds: one })).result).toBe('400 Throttling.Api')
  expect((await rpc('DescribeInstances')).result).toBe('200 ok')
})

test('a call that hangs is never answered, and one that is late changes nothing before', async () => {
  const action = 'CreateNetworkInterface'
  const sample = await start({ effect: { kind: 'hang' }, action, count: 1 })
  const { emulator, clock } = sample
  let isAnswered = false
  const hanging = create(sample).then(
    () => (isAnswered = true),
    () => undefined,
  )
  while (emulator.calls()[action] === undefined) await clock.advance(1)
  await clock.advance(3600_000)
  expect(isAnswered).toBe(false)
  emulator.addFault({ effect: { kind: 'delay', ms: 5000 }, action, count: 1 })
  const late = create(sample)
  while (emulator.faults.list().length > 0) await clock.advance(1)
  await clock.advance(4900)
  expect(emulator.state().nics.length).toBe(3)
  await clock.advance(200)
  expect((await late).result).toBe('200 ok')
  expect(emulator.state().nics.length).toBe(4)
  await emulator.close()
  await hanging
  open.splice(0)
})

test('a device that never appears: the NIC is in use all the same', async () => {
  const sample = await start({ effect: { kind: 'deviceMissing' }, instance: 'node-a' })
  const { rpc, ids, emulator } = sample
  const nic = String((await create(sample)).read('NetworkInterfaceId'))
  await rpc('AttachNetworkInterface', { NetworkInterfaceId: nic, InstanceId: ids.nodeA })
  const seen = await rpc('DescribeNetworkInterfaces', { 'NetworkInterfaceId.1': nic })
  expect(seen.read('NetworkInterfaceSets.NetworkInterfaceSet.0.Status')).toBe('InUse')
  expect(emulator.state().nics.find(({ id }) => id === nic)?.attachment?.isPlugged).toBe(false)
})
