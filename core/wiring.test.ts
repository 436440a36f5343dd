// The kernel's objects for pods and NICs as text, and the difference to what was found.

import { expect, test } from 'vitest'
import { desiredHost, hostNameOf, podWiring } from './desired.ts'
import { ip } from './ip.ts'
import { mac, nicId } from './names.ts'
import { filledNode, keyOf, type TestNode } from './testing.ts'
import {
  desiredObjects,
  diffObjects,
  type HostObjects,
  type PodWiring,
  type PresentNic,
  render,
} from './wiring.ts'

const primary: PresentNic = {
  slot: 1,
  mac: mac('02:00:00:00:00:01'),
  isPrimary: true,
  primaryAddresses: [ip('10.0.16.4'), ip('2001:db8::4')],
  gateways: [ip('10.0.16.1')],
  device: { ifindex: 2, name: 'eth0', mac: mac('02:00:00:00:00:01'), mtu: 9001 },
}
const secondary: PresentNic = {
  slot: 2,
  mac: mac('02:00:00:00:00:02'),
  isPrimary: false,
  primaryAddresses: [ip('10.0.16.5')],
  gateways: [ip('10.0.16.1')],
  device: { ifindex: 3, name: 'eth1', mac: mac('02:00:00:00:00:02'), mtu: 9001 },
}

const pod = (name: string, slot: number, ...ips: readonly string[]) => ({
  sandbox: keyOf(name),
  netns: `/ns/${name}`,
  ifName: 'eth0',
  slot,
  ips: ips.map(ip),
  mtu: 9001,
  hostIfindex: 1000 + slot,
  hostName: `ewy${name}`,
  hostMac: mac('0a:58:a9:fe:01:01'),
  podMac: mac('0a:58:0a:00:11:07'),
})

const wanted = (nics: readonly PresentNic[], pods: readonly PodWiring[]): HostObjects =>
  desiredObjects(
    { nics, pods, delegated: [] },
    nics.find(nic => nic.isPrimary)?.primaryAddresses ?? [],
  )

const check = (objects: HostObjects, want: readonly string[]) =>
  expect(render(objects).split('\n')).toEqual(want.length === 0 ? [''] : want)

const nicLines = [
  'rule 512: inet4 lookup 200',
  'rule 1024: inet4 fwmark 0x1000000 lookup 201',
  'rule 1024: inet4 fwmark 0x2000000 lookup 202',
  'address 10.0.16.5 dev 3',
]
const tableLines = [
  'route 10.0.16.1/32 dev 2 table 201',
  'route 0.0.0.0/0 via 10.0.16.1 dev 2 table 201',
  'route 10.0.16.1/32 dev 3 table 202',
  'route 0.0.0.0/0 via 10.0.16.1 dev 3 table 202',
]

test('two NICs without pods: one rule each and one for all pods', () =>
  check(wanted([primary, secondary], []), [...nicLines, ...tableLines]))

// Alibaba gives pods a secondary NIC's own address.
test('a secondary NIC without an address of its own carries that of the node', () => {
  const bare = { ...secondary, primaryAddresses: [] }
  expect(wanted([primary, bare], []).addresses).toEqual([{ device: 3, ip: '10.0.16.4' }])
  const six = { ...bare, gateways: [ip('fe80::1')] }
  expect(wanted([primary, six], []).addresses).toEqual([])
})

test('a pod on the primary NIC', () =>
  check(wanted([primary], [pod('a', 1, '10.0.17.7')]), [
    'rule 512: inet4 lookup 200',
    'rule 1024: inet4 fwmark 0x1000000 lookup 201',
    'route 10.0.17.7/32 dev 1001 table 200 src 10.0.16.4',
    'route 10.0.16.1/32 dev 2 table 201',
    'route 0.0.0.0/0 via 10.0.16.1 dev 2 table 201',
    'neighbour 10.0.17.7 dev 1001 lladdr 0a:58:0a:00:11:07',
    'pod 10.0.17.7 on 1001 through slot 1',
  ]))

test('a pod on a secondary NIC: the same rules, the node still talks to it from its own address', () =>
  check(wanted([primary, secondary], [pod('a', 2, '10.0.17.7')]), [
    ...nicLines,
    'route 10.0.17.7/32 dev 1002 table 200 src 10.0.16.4',
    ...tableLines,
    'neighbour 10.0.17.7 dev 1002 lladdr 0a:58:0a:00:11:07',
    'pod 10.0.17.7 on 1002 through slot 2',
  ]))

test('a pod of both families', () =>
  check(wanted([], [pod('a', 1, '10.0.17.7', '2001:db8::7')]), [
    'route 10.0.17.7/32 dev 1001 table 200',
    'route 2001:db8::7/128 dev 1001 table 200',
    'neighbour 10.0.17.7 dev 1001 lladdr 0a:58:0a:00:11:07',
    'neighbour 2001:db8::7 dev 1001 lladdr 0a:58:0a:00:11:07',
    'pod 10.0.17.7 on 1001 through slot 1',
    'pod 2001:db8::7 on 1001 through slot 1',
  ]))

test('a subnet of both families has rules and tables for both', () => {
  const both = { ...primary, gateways: [ip('10.0.16.1'), ip('fe80::1')] }
  check(wanted([both], []), [
    'rule 512: inet4 lookup 200',
    'rule 1024: inet4 fwmark 0x1000000 lookup 201',
    'rule 512: inet6 lookup 200',
    'rule 1024: inet6 fwmark 0x1000000 lookup 201',
    'route 10.0.16.1/32 dev 2 table 201',
    'route 0.0.0.0/0 via 10.0.16.1 dev 2 table 201',
    'route fe80::1/128 dev 2 table 201',
    'route ::/0 via fe80::1 dev 2 table 201',
  ])
})

// The promise of the layout: rules grow with NICs alone.
test('the number of rules does not depend on pods', () => {
  const rules = (pods: number) =>
    wanted(
      [primary, secondary],
      Array.from({ length: pods }, (_, i) => pod(`p${i}`, 1 + (i % 2), `10.0.18.${i}`)),
    ).rules.length
  expect([rules(0), rules(10), rules(250)]).toEqual([3, 3, 3])
})

test('links of 127 slots fit the mark, and marks keep to their bits', () => {
  const last = wanted([{ ...secondary, slot: 127 }], [])
  check({ ...last, routes: [], addresses: [] }, [
    'rule 512: inet4 lookup 200',
    'rule 1024: inet4 fwmark 0x7f000000 lookup 327',
  ])
})

const all = wanted([primary, secondary], [pod('a', 2, '10.0.17.7')])
const nothing: HostObjects = {
  routes: [],
  rules: [],
  neighbours: [],
  elements: [],
  delegated: [],
  addresses: [],
}
const never = () => false

test('the difference to itself is empty, in any order', () => {
  const turned: HostObjects = { ...all, routes: [...all.routes].reverse() }
  const { missing, excess } = diffObjects(turned, all, never)
  check(missing, [])
  check(excess, [])
})

test('on an empty kernel everything is missing, and nothing too much', () => {
  const { missing, excess } = diffObjects(nothing, all, never)
  check(missing, render(all).split('\n'))
  check(excess, [])
})

test('what is not wanted goes: routes, rules, elements; neighbours and addresses go with links', () => {
  const { missing, excess } = diffObjects(all, nothing, never)
  check(missing, [])
  const { routes, rules, elements } = all
  expect(excess).toEqual({ ...nothing, routes, rules, elements })
})

test('what lies on a foreign device stays', () => {
  const { excess } = diffObjects(all, nothing, device => device === 1002)
  check(excess, [...nicLines.slice(0, 3), ...tableLines])
})

test('an object that differs in one thing is replaced', () => {
  const [route, ...others] = all.routes
  const found = { ...all, routes: [{ ...route!, source: ip('10.0.16.9') }, ...others] }
  const { missing, excess } = diffObjects(found, all, never)
  check(missing, ['route 10.0.17.7/32 dev 1002 table 200 src 10.0.16.4'])
  // Adding it replaced the other: a removal would find the new one.
  check(excess, [])
})

test('a NIC whose IPv6 gateway is an address of the subnet, and one without any address of its own', () => {
  const global = { ...secondary, primaryAddresses: [], gateways: [ip('2001:db8::fff7')] }
  check(wanted([global], []), [
    'rule 512: inet6 lookup 200',
    'rule 1024: inet6 fwmark 0x2000000 lookup 202',
    'route 2001:db8::fff7/128 dev 3 table 202',
    'route ::/0 via 2001:db8::fff7 dev 3 table 202',
  ])
})

test('a node whose pods have no IPv6 takes nothing of it, whatever its subnet has', () => {
  const gateways = (families: readonly (4 | 6)[]) =>
    desiredHost(filledNode({ families }).state).nics[0]?.gateways
  expect(gateways([4])).toEqual(['10.0.16.1'])
  expect(gateways([6])).toEqual(['10.0.16.1', 'fe80::1'])
  expect(gateways([4, 6])).toEqual(['10.0.16.1', 'fe80::1'])
})

const withPod = (): TestNode => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  node.work()
  return node
}

test('the wiring of a pod is found from its attachment alone', () => {
  const wiring = podWiring(withPod().state.sandboxes.get(keyOf('a'))!)
  expect(wiring).toMatchObject({
    netns: '/ns/a',
    ifName: 'eth0',
    slot: 1,
    ips: ['10.0.17.0'],
    hostMac: '0a:58:a9:fe:01:01',
    podMac: '0a:58:0a:00:11:00',
    hostName: hostNameOf(keyOf('a')),
  })
})

test('names of host ends fit a device and differ', () => {
  const names = Array.from({ length: 2_000 }, (_, i) => hostNameOf(keyOf(`container-${i}`)))
  expect(new Set(names).size).toBe(2_000)
  for (const name of names) expect(name).toMatch(/^ewy[0-9a-f]{12}$/)
  // Fixed: DEL after an upgrade must find the link.
  expect(hostNameOf(keyOf('container-1'))).toBe(hostNameOf(keyOf('container-1')))
})

test('the host wants wired pods only, links of deleted pods gone, and NICs also while they come', () => {
  const node = withPod()
  const host = () => desiredHost(node.state)
  expect(host().pods.map(({ sandbox }) => sandbox)).toEqual(['a/eth0'])
  expect(host().nat).toEqual({ isEnabled: true, insideCidrs: ['10.0.0.0/16'] })
  node.kernel.deletesAtOnce = false
  const [link] = node.kernel.links.keys()
  node.del('a')
  node.turn()
  expect(host().pods).toEqual([])
  expect(host().leavingLinks).toEqual([link])
  node.apply({ kind: 'linkDeleted', ifindex: link! })
  expect(host().leavingLinks).toEqual([])
  node.kernel.hidden.add(nicId('eni-1'))
  node.pass(15_000)
  expect(host().nics.map(({ slot }) => slot)).toEqual([1])
})

test('a link of a pod nobody knows is left alone', () => {
  const node = withPod()
  node.kernel.links.set(99, { key: keyOf('ghost'), ips: [ip('10.0.17.1')] })
  node.pass(15_000)
  expect(desiredHost(node.state).leavingLinks).toEqual([])
})
