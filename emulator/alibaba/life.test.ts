// What happens after the answer: NICs attach, detach and vanish some time later, and describes show
// every state between; what never ends is ended, or ends when it is asked for again.
import { afterEach, describe, expect, test } from 'vitest'
import { stopInstance } from '#emulator/model/instances.ts'
import { type Sample, startSample } from './sample.ts'

const open: Sample[] = []

afterEach(async () => {
  for (const sample of open.splice(0)) await sample.emulator.close()
})

const start = async (options: Parameters<typeof startSample>[0] = {}): Promise<Sample> => {
  const sample = await startSample(options)
  open.push(sample)
  return sample
}

// The calls' own time is passed by moving the clock while they are waited for.
const during = async <T>(sample: Sample, call: Promise<T>): Promise<T> => {
  let isDone = false
  void call.finally(() => {
    isDone = true
  })
  while (!isDone) await sample.clock.advance(20)
  return call
}

const create = async (sample: Sample, params = {}): Promise<string> => {
  const { subnet, group } = sample.ids
  const request = { VSwitchId: subnet, SecurityGroupId: group, ...params }
  const reply = await during(sample, sample.rpc('CreateNetworkInterface', request))
  expect(reply.result).toBe('200 ok')
  return String(reply.read('NetworkInterfaceId'))
}

const statusOf = async (sample: Sample, nic: string): Promise<unknown> => {
  const reply = await during(
    sample,
    sample.rpc('DescribeNetworkInterfaces', { 'NetworkInterfaceId.1': nic }),
  )
  return reply.read('NetworkInterfaceSets.NetworkInterfaceSet.0.Status')
}

/** The statuses seen in the time that follows, each once. */
const seenWhile = async (sample: Sample, nic: string, ms: number): Promise<readonly unknown[]> => {
  const seen = []
  const end = sample.clock.now() + ms
  while (sample.clock.now() < end) {
    seen.push(await statusOf(sample, nic))
    await sample.clock.advance(100)
  }
  return [...new Set(seen)]
}

const on = (sample: Sample, nic: string) => ({
  NetworkInterfaceId: nic,
  InstanceId: sample.ids.nodeA,
})

test('a NIC attaches, detaches and is deleted, and shows each state on its way', async () => {
  const sample = await start({ latency: 'documented' })
  const nic = await create(sample)
  await sample.clock.advance(3000)
  expect(await statusOf(sample, nic)).toBe('Available')
  const call = async (action: string, params: object) =>
    (await during(sample, sample.rpc(action, { ...params }))).result
  expect(await call('AttachNetworkInterface', on(sample, nic))).toBe('200 ok')
  expect(await seenWhile(sample, nic, 12_000)).toEqual(['Available', 'Attaching', 'InUse'])
  expect(await call('DetachNetworkInterface', on(sample, nic))).toBe('200 ok')
  expect(await seenWhile(sample, nic, 12_000)).toEqual(['InUse', 'Detaching', 'Available'])
  expect(await call('DeleteNetworkInterface', { NetworkInterfaceId: nic })).toBe('200 ok')
  expect(await seenWhile(sample, nic, 5000)).toEqual(['Deleting', undefined])
})

test('five NICs of one instance may be on their way at a time', async () => {
  const sample = await start({ latency: 'documented' })
  const nics: string[] = []
  for (let i = 0; i < 6; i++) nics.push(await create(sample))
  await sample.clock.advance(3000)
  const results = await Promise.all(
    nics.map(nic =>
      during(
        sample,
        sample.rpc('AttachNetworkInterface', {
          NetworkInterfaceId: nic,
          InstanceId: sample.ids.large,
        }),
      ),
    ),
  )
  expect(results.map(({ result }) => result).toSorted()).toEqual([
    ...Array.from({ length: 5 }, () => '200 ok'),
    '403 Operation.Conflict',
  ])
})

test('device indexes are chosen by the cloud, and freed ones used again', async () => {
  const sample = await start()
  const nics = [await create(sample), await create(sample), await create(sample)]
  const attach = async (nic: string | undefined) =>
    sample.rpc('AttachNetworkInterface', {
      NetworkInterfaceId: nic ?? '',
      InstanceId: sample.ids.large,
    })
  for (const nic of nics) await attach(nic)
  const indexes = () =>
    nics.map(
      nic => sample.emulator.state().nics.find(one => one.id === nic)?.attachment?.deviceIndex,
    )
  expect(indexes()).toEqual([1, 2, 3])
  const { large } = sample.ids
  await sample.rpc('DetachNetworkInterface', {
    NetworkInterfaceId: nics[1] ?? '',
    InstanceId: large,
  })
  expect(indexes()).toEqual([1, undefined, 3])
  await attach(nics[1])
  expect(indexes()).toEqual([1, 2, 3])
})

describe('what gets stuck', () => {
  test('an attachment that never comes about is given up, and the NIC is Available', async () => {
    const sample = await start()
    sample.emulator.addFault({ effect: { kind: 'attachStuck' }, instance: 'node-a', count: 1 })
    const nic = await create(sample)
    await sample.rpc('AttachNetworkInterface', on(sample, nic))
    expect(await statusOf(sample, nic)).toBe('Attaching')
    const refused = await sample.rpc('DetachNetworkInterface', on(sample, nic))
    expect(refused.result).toBe('400 InvalidOperation.InvalidEniState')
    await sample.clock.advance(29_000)
    expect(await statusOf(sample, nic)).toBe('Attaching')
    await sample.clock.advance(2000)
    expect(await statusOf(sample, nic)).toBe('Available')
    await sample.rpc('AttachNetworkInterface', on(sample, nic))
    await sample.clock.advance(60_000)
    expect(await statusOf(sample, nic)).toBe('InUse')
  })

  test('a detachment that hangs is over when it is asked for again', async () => {
    const sample = await start()
    const nic = await create(sample)
    await sample.rpc('AttachNetworkInterface', on(sample, nic))
    sample.emulator.addFault({ effect: { kind: 'detachStuck' }, instance: 'node-a', count: 1 })
    expect((await sample.rpc('DetachNetworkInterface', on(sample, nic))).result).toBe('200 ok')
    await sample.clock.advance(3600_000)
    expect(await statusOf(sample, nic)).toBe('Detaching')
    expect((await sample.rpc('DetachNetworkInterface', on(sample, nic))).result).toBe('200 ok')
    expect(await statusOf(sample, nic)).toBe('Available')
  })
})

test('a NIC goes with its instance when it was told to, at creation or later', async () => {
  const sample = await start()
  const { emulator, rpc } = sample
  const going = await create(sample, { DeleteOnRelease: true })
  const staying = await create(sample)
  for (const nic of [going, staying]) await rpc('AttachNetworkInterface', on(sample, nic))
  const told = async (nic: string) =>
    (await rpc('DescribeNetworkInterfaces', { 'NetworkInterfaceId.1': nic })).read(
      'NetworkInterfaceSets.NetworkInterfaceSet.0.DeleteOnRelease',
    )
  expect([await told(going), await told(staying)]).toEqual([true, false])
  const modify = (nic: string, value: boolean) =>
    rpc('ModifyNetworkInterfaceAttribute', { NetworkInterfaceId: nic, DeleteOnRelease: value })
  await modify(staying, true)
  await modify(going, false)
  expect([await told(going), await told(staying)]).toEqual([false, true])
  emulator.terminateInstance('node-a')
  const late = await rpc('AttachNetworkInterface', on(sample, going))
  expect(late.result).toBe('404 InvalidEcsId.NotFound')
  expect([await statusOf(sample, going), await statusOf(sample, staying)]).toEqual([
    'Available',
    undefined,
  ])
})

test('NICs of an instance that starts or stops are left alone until it runs or stands still', async () => {
  const sample = await start({ latency: 'documented' })
  const nic = await create(sample)
  const attach = async () =>
    (await during(sample, sample.rpc('AttachNetworkInterface', on(sample, nic)))).result
  stopInstance(sample.emulator.world, sample.ids.nodeA)
  expect(await attach()).toBe('400 InvalidOperation.InvalidEcsState')
  const six = { NetworkInterfaceId: sample.ids.primary, Ipv6AddressCount: 1 }
  const assigned = await during(sample, sample.rpc('AssignIpv6Addresses', six))
  expect(assigned.result).toBe('400 InvalidOperation.InvalidEcsState')
  await sample.clock.advance(30_000)
  expect(await attach()).toBe('200 ok')
})
