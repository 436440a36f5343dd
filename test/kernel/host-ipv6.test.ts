// Pods with IPv6, with and without IPv4, through what the Host makes: they reach everybody through
// the NIC that owns their address, answers leave where the question came in, nobody lies about its
// address or plays router, and what somebody removes is put back.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { probe, startEcho } from '#emulator/fabric/node.ts'
import type { PodWiring } from '#core/wiring.ts'
import { until } from '../e2e/containerd/process.ts'
import {
  batch,
  desired6,
  dumpNode,
  gateways6,
  insideHost,
  insideHost6,
  makeLab,
  nicAddress6,
  outsideHost6,
  podOf,
  startHost,
  type HostProcess,
  type Lab,
} from './host-lab.ts'
import { ipJson, makeNamespace, prepare, run, runIn, type Namespace } from './netlink-lab.ts'

const port = 7007

let lab: Lab
let host: HostProcess
let first: PodWiring
let second: PodWiring
/** Without IPv4. */
let bare: PodWiring
const closers: (() => Promise<void>)[] = []

beforeAll(async () => {
  prepare(['ip', 'nft'])
  lab = makeLab({ hasIpv6: true })
  host = startHost(lab)
  first = podOf([4, 6], 1, { number: 5, netns: makeNamespace().path })
  second = podOf([4, 6], 2, { number: 5, netns: makeNamespace().path })
  // Docker makes its namespaces so.
  const shut = makeNamespace()
  for (const where of ['all', 'default']) {
    runIn(shut, 'sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${where}/disable_ipv6`)
  }
  bare = podOf([6], 2, { number: 6, netns: shut.path })
  await host.reconcile(desired6([]))
  await untilNeighboursAreHeard()
  expect(await host.wire(first, second, bare)).toEqual(pods().map(() => ({ kind: 'ok' })))
  await listen(lab.vpc.name, insideHost, insideHost6, outsideHost6)
  await listen(lab.node.name, nicAddress6)
  for (const pod of pods()) await listen(nameOf(pod), ...pod.ips)
})

afterAll(async () => {
  for (const close of closers) await close()
  await host?.end()
})

// Duplicate-address detection of a NIC's link-local address takes a second.
const untilNeighboursAreHeard = () =>
  until('the NICs have link-local addresses', async () => {
    const shown = runIn(lab.node, 'ip', '-6', '-o', 'address', 'show', 'dev', 'eth1')
    return shown.includes('scope link') && !shown.includes('tentative')
  })

const pods = (): readonly PodWiring[] => [first, second, bare]
const nameOf = (pod: PodWiring): string => pod.netns.split('/').at(-1) ?? ''
const inside = (pod: PodWiring): Namespace => ({ path: pod.netns, name: nameOf(pod), fd: -1 })
const ip6 = (pod: PodWiring): string => pod.ips.at(-1) ?? ''
const node = (...words: readonly string[]): string =>
  runIn(lab.node, 'sh', '-c', words.join(' ')).trim()

const listen = async (netns: string, ...addresses: readonly string[]): Promise<void> => {
  const echo = await startEcho({ netns, port, addresses })
  closers.push(() => echo.close())
}

type Question = {
  readonly to: string
  readonly from?: string
  readonly port?: number
  readonly ms?: number
}

// Who the other side saw, over both protocols, or why there was no answer.
const ask = async (netns: string, question: Question): Promise<readonly string[]> => {
  const options = { netns, port, ms: 1500, ...question }
  const results = await Promise.all([
    probe({ ...options, protocol: 'udp' }),
    probe({ ...options, protocol: 'tcp' }),
  ])
  return results.map(result => (result.ok ? result.reply.from : result.error))
}

const twice = (text: string) => [text, text]

describe('a pod of both families', () => {
  test('inside: both addresses usable at once, both defaults, both neighbours', () => {
    const shown = runIn(inside(first), 'ip', '-o', 'address', 'show', 'dev', 'eth0')
    expect(shown).toContain('inet 10.0.1.5/32 ')
    expect(shown).toMatch(/inet6 2001:db8:0:1::5\/128 scope global nodad (?!.*tentative)/)
    expect(runIn(inside(first), 'ip', 'route')).toContain('default via 169.254.1.1 dev eth0')
    expect(runIn(inside(first), 'ip', '-6', 'route')).toMatch(
      /default via fe80::1 dev eth0 proto 226/,
    )
    const neighbours = runIn(inside(first), 'ip', 'neighbour', 'show', 'nud', 'permanent')
    expect(
      neighbours
        .trim()
        .split('\n')
        .map(line => line.trim())
        .sort(),
    ).toEqual([
      `169.254.1.1 dev eth0 lladdr ${first.hostMac} PERMANENT`,
      `fe80::1 dev eth0 lladdr ${first.hostMac} PERMANENT`,
    ])
  })

  test('outside: a route, a neighbour and a map element for each address', () => {
    const dump = dumpNode(lab)
    for (const line of [
      `10.0.1.5 dev ${first.hostName} table 200 proto 226 scope link src 10.0.0.10`,
      `2001:db8:0:1::5 dev ${first.hostName} table 200 proto 226 src ${nicAddress6} metric 1024 pref medium`,
      `2001:db8:0:1::5 dev ${first.hostName} lladdr ${first.podMac} extern_learn`,
      `element "${first.hostName}" . 2001:db8:0:1::5 : goto pod_1`,
    ]) {
      expect(dump.split('\n')).toContain(line)
    }
  })
})

test('a pod that is unwired, or whose wiring fails half-way, leaves nothing of either family', async () => {
  const untilGone = (link: number) =>
    until('its link is deleted', async () => (await host.gone()).includes(link))
  const before = dumpNode(lab)
  const netns = makeNamespace()
  const pod = podOf([4, 6], 2, { number: 77, netns: netns.path })
  expect(await host.wire(pod)).toEqual([{ kind: 'ok' }])
  expect(dumpNode(lab)).toContain('2001:db8:0:2::4d')
  expect(await host.unwire(pod)).toEqual([{ kind: 'ok' }])
  await untilGone(pod.hostIfindex)
  expect(dumpNode(lab)).toBe(before)
  // Its NIC has no chain: the last step fails, for both maps.
  const [outcome] = await host.wire({ ...pod, slot: 9, hostIfindex: pod.hostIfindex + 1 })
  expect(outcome?.kind).toBe('failed')
  await until('it is undone', async () => dumpNode(lab) === before)
  expect(runIn(netns, 'ip', '-o', 'link').trim().split('\n')).toHaveLength(1)
})

test('the node forwards, goes on listening to the router of its primary NIC, and to no pod', () => {
  expect(node('cat /proc/sys/net/ipv6/conf/all/forwarding')).toBe('1')
  expect(node('cat /proc/sys/net/ipv6/conf/eth0/accept_ra')).toBe('2')
  expect(node('cat /proc/sys/net/ipv6/conf/eth1/accept_ra')).toBe('1')
  expect(node(`cat /proc/sys/net/ipv6/conf/${first.hostName}/accept_ra`)).toBe('0')
  expect(node('ip -6 route show default')).toContain(`via ${gateways6.linkLocal} dev eth0`)
})

test('pods reach hosts inside and outside the VPC with their own address, never translated', async () => {
  for (const pod of pods()) {
    for (const to of [insideHost6, outsideHost6]) {
      expect(await ask(nameOf(pod), { to })).toEqual(twice(ip6(pod)))
    }
  }
})

test('hosts reach pods', async () => {
  for (const pod of pods()) {
    for (const from of [insideHost6, outsideHost6]) {
      expect(await ask(lab.vpc.name, { to: ip6(pod), from })).toEqual(twice(from))
    }
  }
})

test('IPv4 of a pod with both goes on as without IPv6', async () => {
  expect(await ask(nameOf(second), { to: insideHost })).toEqual(twice('10.0.2.5'))
  expect(await ask(nameOf(first), { to: '10.0.2.5' })).toEqual(twice('10.0.1.5'))
})

test('pods of one node reach each other, and the node, and the node them', async () => {
  for (const [from, to] of [
    [first, second],
    [second, bare],
    [bare, first],
  ] as const) {
    expect(await ask(nameOf(from), { to: ip6(to) })).toEqual(twice(ip6(from)))
  }
  for (const pod of pods()) {
    expect(await ask(nameOf(pod), { to: nicAddress6 })).toEqual(twice(ip6(pod)))
    expect(await ask(lab.node.name, { to: ip6(pod) })).toEqual(twice(nicAddress6))
  }
})

test('a pod that takes another address is heard by nobody', async () => {
  const others = ['2001:db8:0:2::66', '2001:db8:0:1::5', '2001:db9::66']
  batch(
    inside(second),
    others.map(address => `address add ${address}/128 dev lo nodad`),
  )
  const questions = others.flatMap(from =>
    [insideHost6, nicAddress6, outsideHost6].map(to => ({ from, to, ms: 600 })),
  )
  const heard = await Promise.all(questions.map(question => ask(nameOf(second), question)))
  expect(heard).toEqual(questions.map(() => twice('timeout')))
  batch(
    inside(second),
    others.map(address => `address delete ${address}/128 dev lo`),
  )
  const counted = node('nft list chain inet eniway from_pods')
  expect(counted).toMatch(/counter packets [1-9]\d* .* comment "spoofed"/)
})

test('what a pod’s kernel says by itself is no spoofing', async () => {
  const quiet = podOf([6], 1, { number: 9, netns: makeNamespace().path })
  const counted = (): string =>
    /spoofed.*|packets \d+/.exec(node('nft list chain inet eniway from_pods'))?.[0] ?? ''
  const before = counted()
  await host.wire(quiet)
  await until('it has a link-local address', async () => {
    const shown = runIn(inside(quiet), 'ip', '-6', 'address', 'show', 'dev', 'eth0')
    return shown.includes('scope link') && !shown.includes('tentative')
  })
  expect(counted()).toBe(before)
  await host.unwire(quiet)
})

test('NodePort: the answer leaves through the NIC that was asked', async () => {
  run(
    'nsenter',
    [`--net=${lab.node.path}`, 'nft', '-f', '-'],
    `table ip6 nodeport {
       chain pre {
         type nat hook prerouting priority -100;
         ip6 daddr ${nicAddress6} tcp dport 30080 dnat to [${ip6(second)}]:${port}
         ip6 daddr ${nicAddress6} udp dport 30080 dnat to [${ip6(second)}]:${port}
       }
     }`,
  )
  for (const from of [insideHost6, outsideHost6]) {
    const question = { to: nicAddress6, port: 30_080, from }
    expect(await ask(lab.vpc.name, question)).toEqual(twice(from))
  }
})

test('a packet that is too big for a link far away is told to the pod', () => {
  batch(lab.vpc, [
    'link add far mtu 1400 type veth peer name further mtu 1400',
    'link set far up',
    'link set further up',
    'route add 2001:db9:1::/64 dev far',
  ])
  const ping = 'ping -6 -c 2 -i 0.3 -W 1 -s 3000 -M do 2001:db9:1::1 2>&1 || true'
  expect(runIn(inside(second), 'sh', '-c', ping)).toMatch(/mtu[=: ]+1400/)
})

const damages: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['rule of the pods', () => node('ip -6 rule del pref 512'), /^rule 512: inet6 lookup 200$/],
  [
    'rule of a NIC',
    () => node('ip -6 rule del pref 1024 fwmark 0x2000000/0x7f000000'),
    /^rule 1024: inet6 fwmark 0x2000000 lookup 202$/,
  ],
  [
    'route of a pod',
    () => node('ip -6 route del 2001:db8:0:2::5 table 200'),
    /^route 2001:db8:0:2::5\/128 dev \d+ table 200 src 2001:db8::10$/,
  ],
  [
    'default of a NIC’s table',
    () => node('ip -6 route del default table 202'),
    /^route ::\/0 via fe80::1234:5678:9abc dev \d+ table 202$/,
  ],
  [
    'every table of ours',
    () => node('ip -6 route flush table 200; ip -6 route flush table 202'),
    /^route /,
  ],
  [
    'route of a pod, without its source',
    () => node(`ip -6 route replace 2001:db8:0:2::5 dev ${second.hostName} table 200 proto 226`),
    /^route 2001:db8:0:2::5\/128 dev \d+ table 200 src 2001:db8::10$/,
  ],
  [
    'neighbour of a pod',
    () => node(`ip neighbour del 2001:db8:0:2::5 dev ${second.hostName}`),
    /^neighbour 2001:db8:0:2::5 dev \d+ lladdr /,
  ],
  [
    'map element',
    () => node(`nft delete element inet eniway pods6 '{ ${second.hostName} . 2001:db8:0:2::5 }'`),
    /^pod 2001:db8:0:2::5 on \d+ through slot 2$/,
  ],
  ['secondary NIC down', () => node('ip link set eth1 down'), /^route ::\/0 .* table 202$/],
  [
    'link of a pod down',
    () => node(`ip link set ${second.hostName} down`),
    /^route 2001:db8:0:2::5\/128 /,
  ],
]

test.for(damages)('repairs: %s', async ([, damage, line]) => {
  const wanted = desired6(pods())
  const settle = async (): Promise<string> => {
    let last = ''
    await until('nothing changes any more', async () => {
      await host.reconcile(wanted)
      return last === (last = dumpNode(lab))
    })
    return last
  }
  const before = await settle()
  damage()
  const repaired: string[] = []
  await until('it is as before', async () => {
    const report = await host.reconcile(wanted)
    expect(report.failures).toEqual([])
    repaired.push(...report.repaired)
    return dumpNode(lab) === before
  }).catch(() => expect(dumpNode(lab)).toBe(before))
  expect(repaired).toContainEqual(expect.stringMatching(line))
})

test('forwarding that somebody turned off is turned on', async () => {
  node('echo 0 > /proc/sys/net/ipv6/conf/all/forwarding')
  await host.reconcile(desired6(pods()))
  expect(node('cat /proc/sys/net/ipv6/conf/all/forwarding')).toBe('1')
})

test('a gateway that is an address of the subnet serves as well', async () => {
  const report = await host.reconcile(desired6(pods(), 'global'))
  expect(report.failures).toEqual([])
  expect(node('ip -6 route show table 202')).toContain(`default via ${gateways6.global} dev eth1`)
  expect(node('ip -6 route show table 202')).not.toContain(gateways6.linkLocal)
  await untilNeighboursAreHeard()
  for (const pod of [second, bare]) {
    expect(await ask(nameOf(pod), { to: outsideHost6 })).toEqual(twice(ip6(pod)))
  }
  await host.reconcile(desired6(pods()))
})

test('the node’s own IPv6 address comes late: its packets to pods have it from then on', async () => {
  node(`ip address del ${nicAddress6}/64 dev eth0`)
  const without = await host.reconcile(desired6(pods()))
  expect(without.failures).toEqual([])
  expect(await ask(nameOf(first), { to: ip6(second) })).toEqual(twice(ip6(first)))
  node(`ip address add ${nicAddress6}/64 dev eth0 nodad`)
  await host.reconcile(desired6(pods()))
  const routes = ipJson(lab.node, '-6', 'route', 'show', 'table', '200')
  expect(routes.map(({ prefsrc }) => prefsrc)).toEqual(pods().map(() => nicAddress6))
})
