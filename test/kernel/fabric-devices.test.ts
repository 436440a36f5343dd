// The devices of a guest as clouds really show them: two with one MAC where NICs are accelerated,
// names that change after the device has appeared, a fast path that vanishes and comes back, MTUs
// that differ, and nothing configured on arrival.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCommand } from '#emulator/fabric/command.ts'
import { cleanup } from '#emulator/fabric/netns.ts'
import { type Helper, nodeBinary, probe, startEcho } from '#emulator/fabric/node.ts'
import type { FabricNic } from '#emulator/ports.ts'
import { newVpc, nicOf } from '#test/kernel/support/fabric.ts'
import type { Vpc } from '#test/kernel/support/fabric.ts'

const port = 8080

let vpc: Vpc
const helpers: Helper[] = []

const fast = { fastPath: 'plugged', mtu: 1500 } as const
const primary = nicOf('a', { subnet: 1, host: 10 }, fast)
const other = nicOf('b', { subnet: 1, host: 20 }, { mtu: 1500 })
const spare = nicOf('a', { subnet: 2, host: 30 }, { ...fast, deviceIndex: 1, primary: false })

beforeAll(async () => {
  vpc = await newVpc()
  for (const instance of ['a', 'b']) await vpc.add(instance)
  for (const nic of [primary, other]) await vpc.fabric.plug(nic)
  helpers.push(await startEcho({ netns: vpc.netns('b'), port, addresses: ['::'] }))
})

afterAll(async () => {
  for (const helper of helpers) await helper.close()
  await vpc?.fabric.close()
  if (vpc !== undefined) expect(await cleanup(vpc.run)).toEqual([])
})

interface Shown {
  readonly ifname: string
  readonly ifindex: number
  readonly address: string
  readonly master?: string
  readonly mtu: number
  readonly operstate: string
  readonly flags: readonly string[]
}

const links = async (instance: string): Promise<readonly Shown[]> => {
  const argv = ['ip', '-j', 'link', 'show']
  const shown = JSON.parse(await runCommand({ netns: vpc.netns(instance), argv })) as Shown[]
  return shown.filter(({ ifname }) => ifname !== 'lo')
}

const withMac = async ({ instanceId, mac }: FabricNic): Promise<readonly Shown[]> =>
  (await links(instanceId)).filter(({ address }) => address === mac)

const checkNames = async (nic: FabricNic, want: readonly string[]) =>
  expect(
    (await withMac(nic)).map(({ ifname, master = '-' }) => `${ifname} ${master}`).sort(),
  ).toEqual(want)

const passes = async (to: string): Promise<void> => {
  const question = { netns: vpc.netns('a'), protocol: 'tcp', to, port, ms: 3000 } as const
  expect(await probe(question)).toMatchObject({ ok: true })
}

describe('an accelerated NIC', () => {
  test('is two devices with one MAC, the fast one below the other', async () => {
    await checkNames(primary, ['enP1s1 eth0', 'eth0 -'])
    for (const { mtu, flags } of await withMac(primary)) {
      expect(mtu).toBe(1500)
      expect(flags).toContain('UP')
    }
  })

  test('carries both families through the master', async () => {
    await passes('10.0.1.20')
    await passes('2001:db8:1::20')
  })

  test('carries nothing for who takes the fast device for the NIC', async () => {
    await vpc.fabric.plug(spare)
    await vpc.ip(
      'a',
      'address add 10.0.2.30/32 dev enP2s1',
      'route add 10.0.2.1 dev enP2s1 scope link table 202',
      'route add default via 10.0.2.1 dev enP2s1 table 202',
      'rule add from 10.0.2.30 lookup 202 pref 512',
    )
    const question = { netns: vpc.netns('a'), protocol: 'udp', to: '10.0.1.20', port } as const
    const ask = (ms: number) => probe({ ...question, from: '10.0.2.30', ms })
    expect(await ask(700)).toMatchObject({ ok: false })
    await vpc.ip(
      'a',
      'address del 10.0.2.30/32 dev enP2s1',
      'address add 10.0.2.30/32 dev eth1',
      'link set eth1 up',
      'route add 10.0.2.1 dev eth1 scope link table 202',
      'route add default via 10.0.2.1 dev eth1 table 202',
    )
    expect(await ask(3000)).toMatchObject({ ok: true })
    await vpc.ip('a', 'rule del from 10.0.2.30 lookup 202 pref 512')
    await vpc.fabric.unplug(spare.id)
  })

  test('comes down and unconfigured later, and goes with both devices', async () => {
    await vpc.fabric.plug(spare)
    await checkNames(spare, ['enP2s1 eth1', 'eth1 -'])
    const master = (await vpc.devices('a')).find(({ ifname }) => ifname === 'eth1')
    expect(master).toMatchObject({ mtu: 1500, addr_info: [] })
    expect(master?.flags).not.toContain('UP')
    await vpc.fabric.unplug(spare.id)
    expect((await links('a')).map(({ ifname }) => ifname).sort()).toEqual(['enP1s1', 'eth0'])
  })

  test('loses the fast device for a while, and nothing else', async () => {
    const [before] = (await withMac(primary)).filter(({ master }) => master !== undefined)
    const [master] = (await withMac(primary)).filter(link => link.master === undefined)
    const routes = () => runCommand({ netns: vpc.netns('a'), argv: ['ip', 'route'] })
    const known = await routes()
    await vpc.fabric.update({ ...primary, fastPath: 'gone' })
    await checkNames(primary, ['eth0 -'])
    await passes('10.0.1.20')
    await passes('2001:db8:1::20')
    await vpc.fabric.update(primary)
    await checkNames(primary, ['enP1s1 eth0', 'eth0 -'])
    await passes('10.0.1.20')
    const after = await withMac(primary)
    expect(after.find(({ ifname }) => ifname === 'eth0')?.ifindex).toBe(master?.ifindex)
    expect(after.find(({ ifname }) => ifname === 'enP1s1')?.ifindex).not.toBe(before?.ifindex)
    expect(await routes()).toBe(known)
  })

  test('keeps to its addresses while the fast device is gone', async () => {
    const block = [...primary.blocks, ...nicOf('a', { subnet: 1, host: 11 }).blocks]
    await vpc.fabric.update({ ...primary, fastPath: 'gone', blocks: block })
    await vpc.ip('a', 'address add 10.0.1.11/32 dev lo', 'address add 10.0.1.12/32 dev lo')
    const question = { netns: vpc.netns('a'), protocol: 'udp', to: '10.0.1.20', port } as const
    expect(await probe({ ...question, from: '10.0.1.11', ms: 3000 })).toMatchObject({ ok: true })
    expect(await probe({ ...question, from: '10.0.1.12', ms: 500 })).toMatchObject({ ok: false })
    await vpc.fabric.update(primary)
    expect(await probe({ ...question, from: '10.0.1.11', ms: 500 })).toMatchObject({ ok: false })
    await vpc.ip('a', 'address del 10.0.1.11/32 dev lo', 'address del 10.0.1.12/32 dev lo')
  })
})

describe('a renamed device', () => {
  test('keeps index, addresses and traffic, also when it is up', async () => {
    const [before] = await withMac(other)
    await vpc.fabric.update({ ...other, deviceName: 'ens5' })
    const [after] = await withMac(other)
    expect(after).toMatchObject({ ifname: 'ens5', ifindex: before?.ifindex })
    await passes('10.0.1.20')
    await passes('2001:db8:1::20')
    await vpc.fabric.update({ ...other, deviceName: 'ens5' })
    await vpc.fabric.update(other)
    await checkNames(other, ['eth0 -'])
  })

  test('is found below its name when it goes', async () => {
    const renamed = { ...spare, deviceName: 'ens6' }
    await vpc.fabric.plug(spare)
    await vpc.fabric.update(renamed)
    await checkNames(spare, ['enP2s1 ens6', 'ens6 -'])
    await vpc.fabric.update({ ...renamed, fastPath: 'gone' })
    await vpc.fabric.update(renamed)
    await checkNames(spare, ['enP2s1 ens6', 'ens6 -'])
    await vpc.fabric.unplug(spare.id)
    expect((await links('a')).map(({ ifname }) => ifname).sort()).toEqual(['enP1s1', 'eth0'])
  })

  test('keeps its name when another device has the new one', async () => {
    await vpc.ip('a', 'link add ens6 type veth peer name taken')
    await vpc.fabric.plug({ ...spare, fastPath: 'none', deviceName: 'ens6' })
    await checkNames(spare, ['eth1 -'])
    await vpc.fabric.unplug(spare.id)
    await vpc.ip('a', 'link del ens6')
  })
})

test('a device has the MTU of its cloud, and larger packets are answered', async () => {
  const jumbo = nicOf('b', { subnet: 3, host: 40 }, { deviceIndex: 1, primary: false, mtu: 9001 })
  await vpc.fabric.plug(jumbo)
  const mtus = (await links('b')).map(({ ifname, mtu }) => `${ifname} ${mtu}`).sort()
  expect(mtus).toEqual(['eth0 1500', 'eth1 9001'])
  // A jumbo sender towards a small receiver: the router says how much fits.
  await vpc.ip(
    'b',
    'address add 10.0.3.40/32 dev eth1',
    'link set eth1 up',
    'route add 10.0.3.1 dev eth1 scope link table 203',
    'route add default via 10.0.3.1 dev eth1 table 203',
    'rule add from 10.0.3.40 lookup 203 pref 512',
  )
  helpers.push(await startEcho({ netns: vpc.netns('a'), port, addresses: ['0.0.0.0'] }))
  const script = `
    const s = require('node:dgram').createSocket('udp4')
    s.on('message', m => { console.log(JSON.parse(m).data.length); process.exit() })
    const send = () => s.send('x'.repeat(8000), ${port}, '10.0.1.10', () => undefined)
    s.bind(0, '10.0.3.40', () => setInterval(send, 100))`
  const netns = vpc.netns('b')
  expect(await runCommand({ netns, argv: [nodeBinary(), '-e', script] })).toBe('8000\n')
  const argv = ['ip', 'route', 'get', '10.0.1.10', 'from', '10.0.3.40']
  expect(await runCommand({ netns, argv })).toContain('mtu 1500')
  await vpc.fabric.unplug(jumbo.id)
})
