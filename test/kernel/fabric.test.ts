// The packet plane against the real kernel: what a cloud's network lets through and what it drops.
// Guests are configured by hand with ip(8), so that the fabric is judged without our own daemon.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCommand } from '#emulator/fabric/command.ts'
import type { FabricCounters } from '#emulator/fabric/ruleset.ts'
import { openInternet } from '#emulator/fabric/internet.ts'
import type { Internet } from '#emulator/fabric/internet.ts'
import { apiHost } from '#emulator/fabric/layout.ts'
import { cleanup, netnsNames } from '#emulator/fabric/netns.ts'
import { nodeBinary, probe, startEcho } from '#emulator/fabric/node.ts'
import type { Helper } from '#emulator/fabric/node.ts'
import type { ProbeResult } from '#emulator/fabric/tools/probe.ts'
import { cidr } from '#core/ip.ts'
import { blocks, newVpc, nicOf, outOnlyGroup } from '#test/kernel/support/fabric.ts'
import type { Vpc } from '#test/kernel/support/fabric.ts'

const port = 8080
const secondary = nicOf(
  'a',
  { subnet: 2, host: 20 },
  { deviceIndex: 1, primary: false, blocks: blocks('10.0.2.20', '10.0.2.21', '10.0.2.32/28') },
)
const first = nicOf(
  'a',
  { subnet: 1, host: 10 },
  {
    blocks: blocks('10.0.1.10', '10.0.1.11', '2001:db8:1::10'),
  },
)
const other = nicOf('b', { subnet: 2, host: 10 })
const shut = nicOf('c', { subnet: 2, host: 30 }, { securityGroups: [outOnlyGroup] })

let vpc: Vpc
let internet: Internet
const helpers: Helper[] = []

beforeAll(async () => {
  vpc = await newVpc()
  internet = await openInternet(vpc.run)
  for (const instance of ['a', 'b', 'c']) await vpc.add(instance)
  for (const nic of [first, secondary, other, shut]) await vpc.fabric.plug(nic)
  for (const instance of ['b', 'c']) {
    const addresses = ['0.0.0.0', '::']
    helpers.push(
      await startEcho({ netns: vpc.netns(instance), port, addresses: addresses.slice(1) }),
    )
  }
  // What a node agent would do: pod addresses on lo, and a table per NIC chosen by source.
  await vpc.ip(
    'a',
    ...['10.0.1.11', '10.0.2.21', '10.0.2.33', '10.0.9.9'].map(
      pod => `address add ${pod}/32 dev lo`,
    ),
    'address add 10.0.2.20/32 dev eth1',
    'link set eth1 up',
    'route add 10.0.2.1 dev eth1 scope link table 202',
    'route add default via 10.0.2.1 dev eth1 table 202',
    'rule add from 10.0.2.20 lookup 202',
    'rule add from 10.0.2.21 lookup 202',
    'rule add from 10.0.2.32/28 lookup 202',
  )
})

afterAll(async () => {
  for (const helper of helpers) await helper.close()
  await internet?.close()
  await vpc?.fabric.close()
  if (vpc !== undefined) expect(await cleanup(vpc.run)).toEqual([])
})

const ask = (to: string, from?: string, ms = 700): Promise<ProbeResult> =>
  probe({
    netns: vpc.netns('a'),
    protocol: 'udp',
    to,
    port,
    ms,
    ...(from === undefined ? {} : { from }),
  })

const passes = async (to: string, from: string): Promise<void> =>
  expect(await ask(to, from, 3000)).toMatchObject({ ok: true, reply: { from: seen(from) } })

// Dual-stack sockets show IPv4 peers in mapped form.
const seen = (from: string): string => (from.includes(':') ? from : `::ffff:${from}`)

const drops = async (counter: keyof FabricCounters, question: () => Promise<ProbeResult>) => {
  const before = await vpc.fabric.counters()
  expect(await question()).toEqual({ ok: false, error: 'timeout' })
  expect((await vpc.fabric.counters())[counter]).toBeGreaterThan(before[counter])
}

describe('addresses', () => {
  test('the first NIC is configured as DHCP would, later ones appear down', async () => {
    const devices = await vpc.devices('a')
    const [eth0, eth1] = ['eth0', 'eth1'].map(name => devices.find(d => d.ifname === name))
    expect(eth0).toMatchObject({ address: first.mac, mtu: 9001 })
    expect(eth0?.addr_info).toContainEqual(
      expect.objectContaining({ local: '10.0.1.10', prefixlen: 24 }),
    )
    expect(eth1).toMatchObject({ address: secondary.mac, mtu: 9001 })
  })

  test('both families pass across subnets', async () => {
    await passes('10.0.2.10', '10.0.1.10')
    await passes('2001:db8:2::10', '2001:db8:1::10')
  })

  test('a pod address passes from the NIC that owns it', async () => {
    await passes('10.0.2.10', '10.0.1.11')
    await passes('10.0.2.10', '10.0.2.21')
  })

  test('an address out of a prefix passes', () => passes('10.0.2.10', '10.0.2.33'))

  test('a large packet passes whole between instances', async () => {
    const netns = vpc.netns('a')
    const script = `
      const s = require('node:dgram').createSocket('udp4')
      s.on('message', m => { console.log(JSON.parse(m).data.length); process.exit() })
      s.send('x'.repeat(8800), ${port}, '10.0.2.10')`
    expect(await runCommand({ netns, argv: [nodeBinary(), '-e', script] })).toBe('8800\n')
  })
})

describe('source check', () => {
  test('an address that no NIC of the instance owns is dropped', () =>
    drops('spoofed', () => ask('10.0.2.10', '10.0.9.9')))

  test('an owned address is dropped on the wrong NIC', async () => {
    await vpc.ip('a', 'rule add from 10.0.2.21 lookup main pref 100')
    await drops('spoofed', () => ask('10.0.2.10', '10.0.2.21'))
    await vpc.ip('a', 'rule del from 10.0.2.21 lookup main pref 100')
  })

  test('a forged MAC is dropped', async () => {
    await vpc.ip('a', 'link set eth1 address 02:00:00:00:00:99')
    await drops('spoofed', () => ask('10.0.2.10', '10.0.2.20'))
    await vpc.ip('a', `link set eth1 address ${secondary.mac}`)
    await passes('10.0.2.10', '10.0.2.20')
  })

  test('sourceDestCheck off lifts it, on restores it', async () => {
    // The answer has nowhere to go, but it is no longer the fabric that stops the question.
    await vpc.fabric.update({ ...first, sourceDestCheck: false })
    const before = await vpc.fabric.counters()
    await ask('10.0.2.10', '10.0.9.9')
    expect((await vpc.fabric.counters()).spoofed).toBe(before.spoofed)
    await vpc.fabric.update(first)
    await drops('spoofed', () => ask('10.0.2.10', '10.0.9.9'))
  })
})

describe('security groups', () => {
  const rule = (peer: 'sg-out' | 'sg-open' | '10.0.1.0/24', from = port) => ({
    protocol: 'udp' as const,
    ports: { from, to: from + 1 },
    peer: peer.startsWith('sg')
      ? { kind: 'group' as const, id: peer }
      : { kind: 'cidr' as const, cidr: cidr(peer) },
  })
  const withRules = (...ingress: ReturnType<typeof rule>[]) =>
    vpc.fabric.update({ ...shut, securityGroups: [{ ...outOnlyGroup, ingress }] })

  test('nothing comes in without a rule', () =>
    drops('forbidden', () => ask('10.0.2.30', '10.0.1.10')))

  test('a prefix as peer', async () => {
    await withRules(rule('10.0.1.0/24'))
    await passes('10.0.2.30', '10.0.1.10')
    await drops('forbidden', () => ask('10.0.2.30', '10.0.2.20'))
  })

  test('a group as peer covers members prefixes, and only its ports', async () => {
    await withRules(rule('sg-open'))
    await passes('10.0.2.30', '10.0.2.33')
    await passes('10.0.2.30', '10.0.1.11')
    await withRules(rule('sg-open', 9000))
    await drops('forbidden', () => ask('10.0.2.30', '10.0.2.33'))
    await withRules(rule('sg-out'))
    await drops('forbidden', () => ask('10.0.2.30', '10.0.2.20'))
  })

  test('replies pass a group that lets nothing in', async () => {
    await withRules()
    const netns = vpc.netns('c')
    const result = await probe({ netns, protocol: 'tcp', to: '10.0.2.10', port })
    expect(result).toMatchObject({ ok: true, reply: { from: '::ffff:10.0.2.30' } })
  })

  test('egress is checked at the sender', async () => {
    await vpc.fabric.update({
      ...first,
      securityGroups: [{ ...outOnlyGroup, id: 'sg-no', egress: [] }],
    })
    await drops('forbidden', () => ask('10.0.2.10', '10.0.1.10'))
    await vpc.fabric.update(first)
    await passes('10.0.2.10', '10.0.1.10')
  })
})

describe('the router', () => {
  test('answers for the gateway', async () => {
    const netns = vpc.netns('a')
    for (const to of ['10.0.1.1', 'fe80::1%eth0']) {
      // A refused connection is an answer: no ping(8) needed.
      const refused = { ok: false, error: 'ECONNREFUSED' }
      expect(await probe({ netns, protocol: 'tcp', to, port: 9 })).toEqual(refused)
    }
  })

  test('answers ARP for an on-link neighbour, not for an address nobody owns', async () => {
    await passes('10.0.2.10', '10.0.2.20')
    const before = await vpc.fabric.counters()
    await ask('10.0.3.77', '10.0.1.10')
    expect((await vpc.fabric.counters()).unowned).toBeGreaterThan(before.unowned)
  })

  test('metadata and API addresses lead to the fabric itself', async () => {
    const service = await startEcho({
      netns: vpc.fabric.netns,
      port,
      addresses: ['169.254.169.254', apiHost],
    })
    helpers.push(service)
    for (const to of ['169.254.169.254', apiHost]) {
      const answer = await ask(to, '10.0.1.10', 3000)
      expect(answer).toMatchObject({ ok: true, reply: { from: '10.0.1.10', to } })
    }
  })
})

describe('the internet', () => {
  const out = (from: string, ms = 700) =>
    probe({ netns: vpc.netns('a'), protocol: 'udp', to: internet.address, port: 7007, from, ms })

  test('sees the primary address of the primary NIC', async () =>
    expect(await out('10.0.1.10', 3000)).toMatchObject({ ok: true, reply: { from: '10.0.1.10' } }))

  test('does not see any other private address', async () => {
    for (const from of ['10.0.1.11', '10.0.2.20', '10.0.2.21']) {
      await drops('noPublicAddress', () => out(from))
    }
  })

  test('sees IPv6 addresses as they are', async () => {
    const [netns, to] = [vpc.netns('a'), internet.address6]
    const from = '2001:db8:1::10'
    const result = await probe({ netns, protocol: 'tcp', from, to, port: internet.tcpPort })
    expect(result).toMatchObject({ ok: true, reply: { from } })
  })

  test('does not see link-local traffic', () =>
    drops('unowned', () =>
      probe({ netns: vpc.netns('a'), protocol: 'udp', to: '169.254.7.7', port, ms: 500 }),
    ))
})

describe('hot plug', () => {
  const spare = nicOf('b', { subnet: 1, host: 40 }, { deviceIndex: 3, primary: false })
  const names = async () => (await vpc.devices('b')).map(device => device.ifname)

  test('a NIC appears down and without address, and vanishes', async () => {
    await vpc.fabric.plug(spare)
    const device = (await vpc.devices('b')).find(({ ifname }) => ifname === 'eth3')
    expect(device).toMatchObject({ address: spare.mac, addr_info: [] })
    expect(device?.flags).not.toContain('UP')
    await vpc.fabric.unplug(spare.id)
    await vpc.fabric.unplug(spare.id)
    expect(await names()).not.toContain('eth3')
  })

  test('a hundred times leaves nothing behind', async () => {
    const argv = ['nft', 'list', 'table', 'inet', 'fabric']
    const table = () => runCommand({ netns: vpc.fabric.netns, argv })
    const routes = () => runCommand({ netns: vpc.fabric.netns, argv: ['ip', 'route'] })
    const plain = (text: string) => text.replaceAll(/packets \d+ bytes \d+/g, '')
    const before = [plain(await table()), await routes()]
    for (let round = 0; round < 100; round++) {
      await vpc.fabric.plug(spare)
      await vpc.fabric.unplug(spare.id)
    }
    expect([plain(await table()), await routes()]).toEqual(before)
  })

  test('a plug that fails half-way keeps nothing', async () => {
    await vpc.ip('b', 'link add eth3 type veth peer name taken')
    await expect(vpc.fabric.plug(spare)).rejects.toThrow(/cannot plug eni-1-40/)
    await vpc.ip('b', 'link del eth3')
    await vpc.fabric.plug(spare)
    expect(await names()).toContain('eth3')
    await vpc.fabric.unplug(spare.id)
  })

  test('an address that moves to another NIC is routed there in either order of updates', async () => {
    const moving = blocks('10.0.2.77')
    const has = { ...other, blocks: [...other.blocks, ...moving] }
    await vpc.fabric.update({ ...secondary, blocks: [...secondary.blocks, ...moving] })
    await vpc.fabric.update(has)
    await vpc.fabric.update(secondary)
    await vpc.ip('b', 'address add 10.0.2.77/32 dev lo')
    const address = { netns: vpc.netns('b'), port: 8081, addresses: ['10.0.2.77'] }
    helpers.push(await startEcho(address))
    const question = { protocol: 'udp', to: '10.0.2.77', port: 8081 } as const
    expect(await probe({ netns: vpc.netns('a'), ...question })).toMatchObject({ ok: true })
    await vpc.fabric.update(other)
    await drops('unowned', () => ask('10.0.2.77', '10.0.1.10'))
  })

  test('an adopted namespace outlives the fabric, without its devices', async () => {
    const adopting = await newVpc()
    const netns = adopting.netns('e')
    await runCommand({ netns: undefined, argv: ['ip', 'netns', 'add', netns] })
    await adopting.add('e')
    await adopting.fabric.plug(nicOf('e', { subnet: 1, host: 50 }))
    expect(await adopting.devices('e')).toHaveLength(2)
    await adopting.fabric.close()
    expect((await adopting.devices('e')).map(device => device.ifname)).toEqual(['lo'])
    expect(await cleanup(adopting.run)).toEqual([netns])
  })

  test('instances that go take their namespaces along', async () => {
    await vpc.add('d')
    await vpc.fabric.plug({ ...spare, instanceId: 'd' })
    await vpc.fabric.unplug(spare.id)
    await vpc.fabric.removeInstance('d')
    expect(await netnsNames()).not.toContain(vpc.netns('d'))
  })
})
