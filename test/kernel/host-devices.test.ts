// NICs are told by MAC, and the kernel has traps for that: two links with one MAC of which one is
// the other's port, names that change, devices that arrive down and bare, MTUs that change, ports
// that come and go. A veth in a bridge stands for Azure's virtual function under its synthetic NIC.

import { afterAll, beforeEach, expect, test } from 'vitest'
import { until } from '../e2e/containerd/process.ts'
import { desired, makeLab, nicAddress, startHost, type HostProcess, type Lab } from './host-lab.ts'
import { prepare, runIn } from './netlink-lab.ts'

const mac2 = '02:00:00:00:00:02'

let lab: Lab
let host: HostProcess

beforeEach(async () => {
  await host?.end()
  prepare(['ip', 'nft'])
  lab = makeLab()
  host = startHost(lab)
})

afterAll(() => host?.end())

const node = (...words: readonly string[]): string =>
  runIn(lab.node, 'sh', '-c', words.join(' ')).trim()

const indexOf = (name: string): number => Number(node(`ip -o link show ${name}`).split(':', 1)[0])
const tableOf = (slot: number): string => node(`ip route show table ${200 + slot}`)

const look = async () => {
  const report = await host.reconcile(desired([]))
  expect(report.failures).toEqual([])
  return report
}

/** The device that is reported for the secondary NIC's MAC. */
const second = async () => {
  const found = (await look()).devices.filter(({ mac }) => mac === mac2)
  expect(found).toHaveLength(1)
  return found[0]
}

/**
 * The secondary NIC becomes the port of a master with the same MAC, as accelerated networking has
 * it.
 */
const enslave = (): void => {
  node('ip link add synth0 type bridge')
  node(`ip link set synth0 address ${mac2}`)
  node('ip link set eth1 master synth0')
  node('ip link set synth0 up')
}

test('of two links with one MAC the master is the NIC, whichever came first', async () => {
  expect((await second())?.name).toBe('eth1')
  enslave()
  expect(await second()).toMatchObject({ name: 'synth0', ifindex: indexOf('synth0') })
  expect(tableOf(2)).toContain('dev synth0')
  expect(tableOf(2)).not.toContain('dev eth1')
  expect(node('nft list chain inet eniway remember_nic')).toContain('"synth0" : goto arrived_2')
  expect(node('ip -o address show dev synth0')).toContain(`${nicAddress[2]}/32`)
})

test('the port goes and comes back: the master serves on, and nothing is repaired', async () => {
  enslave()
  await look()
  await look()
  const before = [tableOf(1), tableOf(2)]
  node('ip link set eth1 nomaster down')
  // For a moment it is nobody's port: the older link would win, but the wiring follows the look.
  node('ip link set eth1 master synth0')
  expect(await second()).toMatchObject({ name: 'synth0' })
  node('ip link delete eth1')
  const report = await look()
  expect(report.devices.filter(({ mac }) => mac === mac2)).toHaveLength(1)
  expect(report.wiredSlots).toEqual([1, 2])
  expect([tableOf(1), tableOf(2)]).toEqual(before)
})

test('a NIC that is renamed after it appeared keeps its table, by index', async () => {
  const before = await second()
  node('ip link set eth1 down; ip link set eth1 name ens6')
  expect(await second()).toMatchObject({ name: 'ens6', ifindex: before?.ifindex })
  expect(tableOf(2)).toContain('default via 10.0.0.1 dev ens6')
  expect(node('ip -o link show ens6')).toMatch(/<[^>]*\bUP\b/)
  const { wiredSlots } = await look()
  expect(wiredSlots).toEqual([1, 2])
})

test('a device that arrives down and without an address is brought up and given its own', async () => {
  expect(node('ip -o link show eth1')).not.toMatch(/<[^>]*\bUP\b/)
  expect(node('ip -o -4 address show dev eth1')).toBe('')
  expect((await look()).wiredSlots).toEqual([1, 2])
  expect(node('ip -o link show eth1')).toMatch(/<[^>]*\bUP\b/)
  expect(node('ip -o -4 address show dev eth1')).toContain(`inet ${nicAddress[2]}/32 `)
})

test('an MTU that changes is reported as it is', async () => {
  expect((await second())?.mtu).toBe(9001)
  node('ip link set eth1 mtu 1500')
  expect((await second())?.mtu).toBe(1500)
})

test('a device that goes takes its NIC out of the report, and another one of its MAC takes over', async () => {
  const before = await second()
  node('ip link delete eth1')
  const report = await look()
  expect(report.wiredSlots).toEqual([1])
  expect(report.devices.map(({ mac }) => mac)).not.toContain(mac2)
  node(`ip link add eth7 address ${mac2} type veth peer name far7`)
  await until('it is wired', async () => (await look()).wiredSlots.includes(2))
  const after = await second()
  expect(after?.name).toBe('eth7')
  expect(after?.ifindex).not.toBe(before?.ifindex)
  expect(tableOf(2)).toContain('dev eth7')
})
