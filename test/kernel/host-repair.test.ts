// The Host puts back what somebody else removed or changed, one thing at a time, leaves alone what
// is not its own, and does nothing when nothing is wrong.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PodWiring } from '#core/wiring.ts'
import { until } from '../e2e/containerd/process.ts'
import {
  batch,
  desired,
  dumpNode,
  makeLab,
  podGroup,
  podOn,
  startHost,
  type HostProcess,
  type Lab,
} from './host-lab.ts'
import { makeNamespace, prepare, runIn } from './netlink-lab.ts'

let lab: Lab
let host: HostProcess
let pods: readonly PodWiring[]

beforeAll(async () => {
  prepare(['ip', 'nft'])
  lab = makeLab()
  host = startHost(lab)
  pods = [podOn(1, 5, makeNamespace().path), podOn(2, 5, makeNamespace().path)]
  await host.reconcile(desired([]))
  expect(await host.wire(...pods)).toEqual(pods.map(() => ({ kind: 'ok' })))
  await untilQuiet()
})

afterAll(() => host?.end())

// Carriers come up by and by, and the rules are listed in the background.
const untilQuiet = async (): Promise<string> => {
  let last = ''
  await until('nothing changes any more', async () => {
    await host.reconcile(desired(pods))
    return last === (last = dumpNode(lab, { handles: true }))
  })
  return last
}

const node = (...words: readonly string[]): void =>
  void runIn(lab.node, 'sh', '-c', words.join(' '))

const handleOf = (text: string): string => {
  const listed = runIn(lab.node, 'nft', '-a', 'list', 'table', 'inet', 'eniway')
  const line = listed.split('\n').find(each => each.includes(text)) ?? ''
  return /# handle (\d+)/.exec(line)?.[1] ?? ''
}

const podLink = (index: number): string => pods[index]?.hostName ?? ''

test('nothing is wrong: nothing changes, not even the handle of a rule', async () => {
  const before = await untilQuiet()
  for (let i = 0; i < 3; i++) {
    const report = await host.reconcile(desired(pods))
    expect([report.repaired, report.failures, report.strays]).toEqual([[], [], []])
    expect(report.wiredSlots).toEqual([1, 2])
  }
  expect(dumpNode(lab, { handles: true })).toBe(before)
})

/** What somebody does, and what the report says was put back; undefined: it lists no settings. */
const damages: readonly (readonly [string, () => void, RegExp | undefined])[] = [
  ['rule of the pods', () => node('ip rule del pref 512'), /^rule 512: inet4 lookup 200$/],
  [
    'rule of a NIC',
    () => node('ip rule del pref 1024 fwmark 0x2000000/0x7f000000'),
    /^rule 1024: inet4 fwmark 0x2000000 lookup 202$/,
  ],
  [
    'every rule',
    () =>
      node(
        'ip rule flush',
        '&& ip rule add pref 32766 lookup main && ip rule add pref 32767 lookup default',
      ),
    /^rule 512/,
  ],
  [
    'route of a pod',
    () => node('ip route del 10.0.2.5 table 200'),
    /^route 10\.0\.2\.5\/32 dev \d+ table 200 src 10\.0\.0\.10$/,
  ],
  ['every route of pods', () => node('ip route flush table 200'), /^route 10\.0\.1\.5\/32 /],
  [
    'default of a NIC’s table',
    () => node('ip route del default table 202'),
    /^route 0\.0\.0\.0\/0 via 10\.0\.0\.1 dev \d+ table 202$/,
  ],
  [
    'everything in a NIC’s table',
    () => node('ip route flush table 202'),
    /^route 10\.0\.0\.1\/32 /,
  ],
  [
    'a route of ours that leads nowhere',
    () => node('ip route add unreachable 10.0.0.0/8 table 200 proto 226'),
    /^unreachable route 10\.0\.0\.0\/8 in table 200$/,
  ],
  [
    'route of a pod, sent elsewhere',
    () => node('ip route replace 10.0.2.5 dev eth0 table 200 proto 226 scope link'),
    /^route 10\.0\.2\.5\/32 /,
  ],
  [
    'neighbour of a pod',
    () => node(`ip neighbour del 10.0.2.5 dev ${podLink(1)}`),
    /^neighbour 10\.0\.2\.5 dev \d+ lladdr 0a:58:0a:00:02:05$/,
  ],
  [
    'neighbour of a pod, changed',
    () =>
      node(
        `ip neighbour replace 10.0.2.5 dev ${podLink(1)} lladdr 02:00:00:00:00:99 nud permanent`,
      ),
    /^neighbour 10\.0\.2\.5 /,
  ],
  [
    'map element',
    () => node(`nft delete element inet eniway pods4 '{ ${podLink(1)} . 10.0.2.5 }'`),
    /^pod 10\.0\.2\.5 on \d+ through slot 2$/,
  ],
  ['all map elements', () => node('nft flush map inet eniway pods4'), /^pod 10\.0\.1\.5 on /],
  [
    'rule of the table',
    () => node(`nft delete rule inet eniway from_pods handle ${handleOf('spoofed')}`),
    /^rules of table inet eniway$/,
  ],
  [
    'rule put into the table',
    () => node('nft insert rule inet eniway choose_nic drop'),
    /^rules of table inet eniway$/,
  ],
  ['the whole table', () => node('nft delete table inet eniway'), /^table inet eniway$/],
  ['every table', () => node('nft flush ruleset'), /^table inet eniway$/],
  ['secondary NIC down', () => node('ip link set eth1 down'), /^route 0\.0\.0\.0\/0 .* table 202$/],
  ['link of a pod down', () => node(`ip link set ${podLink(1)} down`), /^route 10\.0\.2\.5\/32 /],
  ['group of a pod’s link', () => node(`ip link set ${podLink(1)} group default`), undefined],
  [
    'MAC of a pod’s link, which the pod sends to',
    () => node(`ip link set ${podLink(1)} address 0a:00:00:00:00:09`),
    undefined,
  ],
  ['MTU of a pod’s link', () => node(`ip link set ${podLink(1)} mtu 1300`), undefined],
  ['rp_filter', () => node('echo 1 > /proc/sys/net/ipv4/conf/eth1/rp_filter'), undefined],
  ['ip_forward', () => node('echo 0 > /proc/sys/net/ipv4/ip_forward'), undefined],
  [
    'address of the secondary NIC',
    () => node('ip address del 10.0.0.20/32 dev eth1'),
    /^address 10\.0\.0\.20 dev \d+$/,
  ],
]

test.for(damages)('repairs: %s', async ([, damage, line]) => {
  await untilQuiet()
  const before = dumpNode(lab)
  damage()
  expect(dumpNode(lab)).not.toBe(before)
  const repaired: string[] = []
  await until('it is as before', async () => {
    const report = await host.reconcile(desired(pods))
    expect(report.failures).toEqual([])
    repaired.push(...report.repaired)
    return dumpNode(lab) === before
  }).catch(() => expect(dumpNode(lab)).toBe(before))
  if (line !== undefined) expect(repaired).toContainEqual(expect.stringMatching(line))
})

test('removes what carries our mark and nobody wants', async () => {
  const before = await untilQuiet()
  node('ip route add 10.0.2.77 dev eth1 table 200 proto 226')
  node('ip route add 192.0.2.0/24 via 10.0.0.1 dev eth0 proto 226')
  node('ip rule add pref 1024 fwmark 0x5000000/0x7f000000 lookup 205 protocol 226')
  node(`nft add element inet eniway pods4 '{ eth1 . 10.0.2.77 : goto pod_2 }'`)
  const report = await host.reconcile(desired(pods))
  expect(report.failures).toEqual([])
  expect(dumpNode(lab, { handles: true })).toBe(before)
})

test('leaves alone what is not its own', async () => {
  await untilQuiet()
  batch(lab.node, [
    'link add other0 type veth peer name other1',
    'link set other0 up',
    'link set other1 up',
    'address add 192.0.2.1/24 dev other0',
    'neighbour add 192.0.2.2 lladdr 02:00:00:00:00:42 dev other0 nud permanent',
    'route add 10.0.2.99/32 dev other0 table 200 proto static',
    'route add default dev other0 table 202 metric 50',
    'route add 198.51.100.0/24 dev other0 table 77',
    'rule add pref 512 from 192.0.2.0/24 lookup 77',
    'rule add pref 1024 fwmark 0x80/0x80 lookup 77',
    `address add 192.0.2.9/32 dev ${podLink(0)}`,
  ])
  node('nft add table inet other && nft add chain inet other forward')
  node('nft add table ip eniway && nft add chain ip eniway forward')
  const before = await untilQuiet()
  expect(before).toContain('10.0.2.99')
  await host.reconcile(desired(pods))
  expect(dumpNode(lab, { handles: true })).toBe(before)
})

test('a pod link that nobody knows is told with its address and left alone', async () => {
  const stray = podOn(2, 6, makeNamespace().path)
  await host.wire(stray)
  const before = await untilQuiet()
  const report = await host.reconcile(desired(pods))
  expect(report.strays).toEqual([{ link: stray.hostIfindex, ips: stray.ips }])
  expect(report.podLinks).toContain(stray.hostIfindex)
  expect(dumpNode(lab, { handles: true })).toBe(before)

  // Its pod was deleted in an earlier life: now it goes, with all that leads to it.
  const leaving = { leavingLinks: [stray.hostIfindex] }
  await host.reconcile(desired(pods, leaving))
  await until('it is deleted', async () => (await host.gone()).includes(stray.hostIfindex))
  const after = await host.reconcile(desired(pods, leaving))
  expect([after.strays, after.failures]).toEqual([[], []])
  expect(after.podLinks).not.toContain(stray.hostIfindex)
  expect(dumpNode(lab)).not.toContain('10.0.2.6')
})

test('a link that somebody put into our group is no NIC and is not touched', async () => {
  batch(lab.node, [`link add odd0 type veth peer name odd1`, `link set odd0 group ${podGroup}`])
  const before = await untilQuiet()
  const report = await host.reconcile(desired(pods))
  expect(report.strays.map(({ ips }) => ips)).toEqual([[]])
  expect(report.devices.map(({ name }) => name)).not.toContain('odd0')
  expect(dumpNode(lab, { handles: true })).toBe(before)
  node('ip link del odd0')
})

test('the primary NIC is not to be seen: nothing that works is taken away', async () => {
  const before = await untilQuiet()
  const wanted = desired(pods)
  const report = await host.reconcile({ ...wanted, nics: wanted.nics.slice(1) })
  expect(report.wiredSlots).toEqual([])
  expect(dumpNode(lab, { handles: true })).toBe(before)
})

test('a NIC that is gone takes its table and its rule with it, and others stay', async () => {
  await untilQuiet()
  const wanted = desired(pods)
  const report = await host.reconcile({ ...wanted, nics: wanted.nics.slice(0, 1) })
  expect([report.failures, report.wiredSlots]).toEqual([[], [1]])
  const dump = dumpNode(lab)
  expect(dump).not.toMatch(/table 202 proto 226|lookup 202/)
  expect(dump).toMatch(/table 201 proto 226/)
  expect(dump).toMatch(/lookup 201/)
})
