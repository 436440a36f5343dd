// Which of several links with one MAC is the NIC.

import { expect, test } from 'vitest'
import type { Link } from '#linux/netlink/link.ts'
import { devicesOf } from './devices.ts'

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  index,
  name,
  mac: '02:00:00:00:00:01',
  permanentMac: undefined,
  mtu: 1500,
  group: 0,
  isUp: true,
  hasCarrier: true,
  isLoopback: false,
  kind: undefined,
  peerIndex: undefined,
  peerNamespaceId: undefined,
  masterIndex: undefined,
  queues: 1,
  ipv4: {},
  ipv6AddressGeneration: undefined,
  ...more,
})

const check = (links: readonly Link[], want: readonly string[]): void => {
  const names = (given: readonly Link[]) => devicesOf(given).map(({ name }) => name)
  expect(names(links)).toEqual(want)
  // The kernel lists in the order of its hashes: none of that may matter.
  expect(names(links.toReversed())).toEqual(want)
}

test('one link, one device; one without a hardware address is none', () =>
  check([link(2, 'eth0'), link(3, 'tun0', { mac: undefined })], ['eth0']))

test('devices stand in order of their indexes', () =>
  check([link(9, 'eth1', { mac: '02:00:00:00:00:02' }), link(2, 'eth0')], ['eth0', 'eth1']))

test.each([
  ['came later', 3, 2],
  ['came first', 2, 3],
])('a virtual function that %s is the port of its synthetic NIC', (_, port, master) =>
  check([link(port, 'enP1', { masterIndex: master }), link(master, 'eth0')], ['eth0']),
)

test('a master with another MAC does not stand for its port', () =>
  check(
    [link(2, 'eth0', { masterIndex: 7 }), link(7, 'br0', { mac: '02:00:00:00:00:07' })],
    ['eth0', 'br0'],
  ))

test('a port of a port: the uppermost', () =>
  check(
    [
      link(2, 'enP1', { masterIndex: 3 }),
      link(3, 'eth0', { masterIndex: 4 }),
      link(4, 'bond0', { kind: 'bond' }),
    ],
    ['bond0'],
  ))

test.each(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap'])(
  'a %s on top of a NIC is not the NIC, even when it has the lower index',
  kind => {
    check([link(2, 'eth0'), link(5, 'top', { kind })], ['eth0'])
    check([link(5, 'eth0'), link(2, 'top', { kind })], ['eth0'])
  },
)

test('a virtual function that its master has not taken yet is the younger one', () =>
  check([link(2, 'eth0'), link(8, 'enP1')], ['eth0']))
