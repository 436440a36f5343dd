// IPv6 through the packet plane, with the router of each cloud: neighbour discovery, forwarding by
// owner, source check, security groups, the internet. Guests are configured by hand with ip(8).
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ip, ip } from '#core/ip.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { type Internet, openInternet } from '#emulator/fabric/internet.ts'
import { cleanup } from '#emulator/fabric/netns.ts'
import { type Helper, nodeBinary, probe, startEcho } from '#emulator/fabric/node.ts'
import type { FabricCounters } from '#emulator/fabric/ruleset.ts'
import type { ProbeResult } from '#emulator/fabric/tools/probe.ts'
import { blocks, newVpc, nicOf, openGroup, outOnlyGroup } from '#test/kernel/support/fabric.ts'
import type { Vpc } from '#test/kernel/support/fabric.ts'

const port = 8080

/** How each cloud's guests know their router, for a subnet 2001:db8:N::/64. */
const routers: Readonly<Record<string, (subnet: number) => Ip>> = {
  aws: () => ip('fe80:ec2::1'),
  azure: () => ip('fe80::1234:5678:9abc'),
  alibaba: subnet => ip(`2001:db8:${subnet}:0:ffff:ffff:ffff:fffd`),
}

describe.each(Object.entries(routers))('with the router of %s', (_, routerOf) => {
  const main = nicOf('a', { subnet: 1, host: 10 }, { gateway6: routerOf(1), mtu: 1500 })
  const second = nicOf(
    'a',
    { subnet: 2, host: 20 },
    {
      deviceIndex: 1,
      primary: false,
      gateway6: routerOf(2),
      mtu: 1500,
      blocks: blocks('10.0.2.20', '2001:db8:2::21', '2001:db8:2:0:80::/80'),
    },
  )
  const other = nicOf('b', { subnet: 2, host: 10 }, { gateway6: routerOf(2), mtu: 1500 })
  const shut = nicOf(
    'c',
    { subnet: 2, host: 30 },
    { gateway6: routerOf(2), securityGroups: [outOnlyGroup] },
  )
  // One pod out of an address, one out of a prefix, and one that nobody was lent.
  const [single, fromPrefix, stray] = ['2001:db8:2::21', '2001:db8:2:0:80::7', '2001:db8:2::99']

  let vpc: Vpc
  let internet: Internet
  const helpers: Helper[] = []

  beforeAll(async () => {
    vpc = await newVpc()
    internet = await openInternet(vpc.run)
    for (const instance of ['a', 'b', 'c']) await vpc.add(instance)
    for (const nic of [main, second, other, shut]) await vpc.fabric.plug(nic)
    for (const instance of ['b', 'c']) {
      helpers.push(await startEcho({ netns: vpc.netns(instance), port, addresses: ['::'] }))
    }
    // IPv6 alone on this NIC: no IPv4 address, as for a node whose pods have none.
    await vpc.ip(
      'a',
      ...[single, fromPrefix, stray].map(pod => `address add ${pod}/128 dev lo`),
      'link set eth1 up',
      `route add default via ${routerOf(2)} dev eth1 table 202 onlink`,
    )
    await rule('add from 2001:db8:2::/64 lookup 202 pref 512')
    helpers.push(await startEcho({ netns: vpc.netns('a'), port, addresses: [fromPrefix ?? ''] }))
    // The kernel checks its own link-local address before it asks for neighbours with it.
    await until(async () => !(await addressesOf('a')).includes('tentative'))
  })

  afterAll(async () => {
    for (const helper of helpers) await helper.close()
    await internet?.close()
    await vpc?.fabric.close()
    if (vpc !== undefined) expect(await cleanup(vpc.run)).toEqual([])
  })

  // A batch of ip(8) takes rules for IPv4 only.
  const rule = (line: string) =>
    runCommand({ netns: vpc.netns('a'), argv: ['ip', '-6', 'rule', ...line.split(' ')] })

  const addressesOf = (instance: string) =>
    runCommand({ netns: vpc.netns(instance), argv: ['ip', '-6', 'address'] })

  const ask = (
    to: string,
    from: string,
    { protocol = 'udp', ms = 700 }: { protocol?: 'udp' | 'tcp'; ms?: number } = {},
  ): Promise<ProbeResult> => probe({ netns: vpc.netns('a'), protocol, from, to, port, ms })

  const passes = async (to: string, from: string): Promise<void> => {
    for (const protocol of ['udp', 'tcp'] as const) {
      const result = await ask(to, from, { protocol, ms: 3000 })
      expect(result).toMatchObject({ ok: true, reply: { from } })
    }
  }

  const drops = async (counter: keyof FabricCounters, question: () => Promise<ProbeResult>) => {
    const before = await vpc.fabric.counters()
    expect(await question()).toEqual({ ok: false, error: 'timeout' })
    expect((await vpc.fabric.counters())[counter]).toBeGreaterThan(before[counter])
  }

  test('the router is found by neighbour discovery', async () => {
    await passes('2001:db8:2::10', '2001:db8:1::10')
    const argv = ['ip', '-6', 'neighbour', 'show', routerOf(1), 'dev', 'eth0']
    expect(await runCommand({ netns: vpc.netns('a'), argv })).toContain('02:ec:02:00:00:01')
  })

  test('no other next hop is answered', async () => {
    const others = ['fe80::1', 'fe80:ec2::1', 'fe80::1234:5678:9abc']
    for (const to of others.filter(address => address !== routerOf(1))) {
      const question = { netns: vpc.netns('a'), protocol: 'tcp', port: 9, ms: 500 } as const
      const result = await probe({ ...question, to: `${to}%eth0` })
      expect(result).toEqual({ ok: false, error: 'timeout' })
    }
  })

  test('pods pass from a NIC without any address of its own', async () => {
    const device = (await vpc.devices('a')).find(({ ifname }) => ifname === 'eth1')
    const own = device?.addr_info.filter(({ local }) => !local.startsWith('fe80'))
    expect(own).toEqual([])
    await passes('2001:db8:2::10', single ?? '')
    await passes('2001:db8:2::10', fromPrefix ?? '')
  })

  test('the router stays found when its neighbour entry has aged', async () => {
    await passes('2001:db8:2::10', single ?? '')
    // In this state the kernel asks the router itself, and not everyone.
    await vpc.ip('a', `neighbour change ${routerOf(2)} dev eth1 nud probe`)
    const argv = ['ip', '-6', 'neighbour', 'show', routerOf(2), 'dev', 'eth1']
    const shown = () => runCommand({ netns: vpc.netns('a'), argv })
    await until(async () => !(await shown()).includes('PROBE'))
    expect(await shown()).toContain('REACHABLE')
  })

  test('an address that the NIC was not lent is dropped', () =>
    drops('spoofed', () => ask('2001:db8:2::10', stray ?? '')))

  test('an owned address is dropped on the wrong NIC', async () => {
    await rule(`add from ${single} lookup main pref 100`)
    await drops('spoofed', () => ask('2001:db8:2::10', single ?? ''))
    await rule(`del from ${single} lookup main pref 100`)
  })

  test('what nobody owns is dropped, in the subnet and beyond', async () => {
    await drops('unowned', () => ask('2001:db8:2::77', '2001:db8:1::10'))
    await drops('unowned', () => ask('fd12::1', '2001:db8:1::10'))
  })

  test('security groups hold, by prefix and by group', async () => {
    const from = '2001:db8:1::10'
    await drops('forbidden', () => ask('2001:db8:2::30', from))
    const udp = { protocol: 'udp', ports: { from: port, to: port } } as const
    const peer = { kind: 'group', id: openGroup.id } as const
    const group = { ...outOnlyGroup, ingress: [{ ...udp, peer }] }
    await vpc.fabric.update({ ...shut, securityGroups: [group] })
    expect(await ask('2001:db8:2::30', from, { ms: 3000 })).toMatchObject({ ok: true })
    expect(await ask('2001:db8:2::30', fromPrefix ?? '', { ms: 3000 })).toMatchObject({ ok: true })
    await drops('forbidden', () => ask('2001:db8:2::30', from, { protocol: 'tcp' }))
    await vpc.fabric.update(shut)
  })

  test('the internet is reached without translation, by both protocols', async () => {
    for (const [protocol, from] of [
      ['udp', single ?? ''],
      ['tcp', fromPrefix ?? ''],
    ] as const) {
      const [netns, to] = [vpc.netns('a'), internet.address6]
      const result = await probe({ netns, protocol, from, to, port: internet.udpPort, ms: 3000 })
      expect(result).toMatchObject({ ok: true, reply: { from } })
    }
  })

  test('the internet reaches pods as their groups say, and nothing that nobody owns', async () => {
    const { netns } = internet
    const question = { netns, protocol: 'udp', port, ms: 700 } as const
    expect(await probe({ ...question, to: fromPrefix ?? '', ms: 3000 })).toMatchObject({
      ok: true,
      reply: { from: internet.address6 },
    })
    await drops('forbidden', () => probe({ ...question, to: '2001:db8:2::30' }))
    await drops('unowned', () => probe({ ...question, to: stray ?? '' }))
  })

  test('a packet too large for the internet is answered so, and smaller ones follow', async () => {
    await vpc.ip('b', 'link set eth0 mtu 9000')
    const script = `
      const s = require('node:net').connect(${internet.tcpPort}, '${internet.address6}')
      let text = ''
      s.on('connect', () => s.write('x'.repeat(20000)))
      s.on('data', d => (text += d))
      s.on('end', () => { console.log(JSON.parse(text).data.length > 0); process.exit() })`
    const argv = [nodeBinary(), '-e', script]
    expect(await runCommand({ netns: vpc.netns('b'), argv })).toBe('true\n')
    await vpc.ip('b', 'link set eth0 mtu 1500')
  })
})

const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
  while (!(await isTrue())) await sleep(50)
}
