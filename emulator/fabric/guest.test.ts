// What ip(8) is told to do in a guest, for each kind of NIC.
import { expect, test } from 'vitest'
import { cidr, ip } from '#core/ip.ts'
import type { FabricNic } from '../ports.ts'
import { bootLines, guestEnd, masterLines, nicDevice, slaveLines } from './guest.ts'

const plain: FabricNic = {
  id: 'nic-1',
  instanceId: 'vm-1',
  mac: '02:00:00:00:00:01',
  deviceIndex: 1,
  primary: false,
  subnet: cidr('10.0.1.0/24'),
  gateway: ip('10.0.1.253'),
  subnet6: cidr('2001:db8::/64'),
  gateway6: ip('2001:db8::ffff:ffff:ffff:fff7'),
  mtu: 1500,
  deviceName: undefined,
  fastPath: 'none',
  primaryAddress: ip('10.0.1.5'),
  blocks: [cidr('10.0.1.5/32')],
  sourceDestCheck: true,
  securityGroups: [],
}

const check = (change: Partial<FabricNic>, want: readonly string[]) => {
  const nic = { ...plain, ...change }
  const { name, mac } = guestEnd(nic)
  expect([`${name} ${mac}`, ...masterLines(nic), ...slaveLines(nic, 'ens6')]).toEqual(want)
}

const bridge =
  'link add eth1 address 02:00:00:00:00:01 mtu 1500 type bridge ' +
  'forward_delay 0 stp_state 0 mcast_snooping 0'

test('a plain NIC is one device', () => check({}, ['eth1 02:00:00:00:00:01']))

test('the fast device gets the MAC only below its master', () =>
  check({ fastPath: 'plugged' }, [
    'enP2s1 06:00:00:00:00:01',
    bridge,
    'link set enP2s1 addrgenmode none',
    'link set enP2s1 master ens6',
    'link set enP2s1 address 02:00:00:00:00:01',
    'link set enP2s1 up',
  ]))

test('the slow path never has it', () =>
  check({ fastPath: 'gone' }, [
    'slow1 06:00:00:00:00:01',
    bridge,
    'link set slow1 addrgenmode none',
    'link set slow1 master ens6',
    'link set slow1 up',
  ]))

test('a boot configures both families where the NIC has both', () => {
  const v4 = [
    'address add 10.0.1.5/24 broadcast + dev eth1',
    'link set eth1 up',
    'route add default via 10.0.1.253 dev eth1 src 10.0.1.5',
  ]
  expect(bootLines(plain)).toEqual(v4)
  const both = { ...plain, blocks: [...plain.blocks, cidr('2001:db8::5/128')] }
  expect(bootLines(both)).toEqual([
    v4[0],
    'address add 2001:db8::5/128 dev eth1 nodad',
    ...v4.slice(1),
    'route add default via 2001:db8::ffff:ffff:ffff:fff7 dev eth1 onlink',
  ])
})

test('the device is found by MAC and kind, whatever it is called', () => {
  const links = [
    { ifname: 'enP2s1', address: plain.mac, master: 'ens6', linkinfo: { info_kind: 'veth' } },
    { ifname: 'ens6', address: plain.mac, linkinfo: { info_kind: 'bridge' } },
    { ifname: 'lo', address: '00:00:00:00:00:00' },
  ]
  expect(nicDevice(links, { ...plain, fastPath: 'plugged' })).toBe('ens6')
  expect(nicDevice(links, plain)).toBe('enP2s1')
  expect(nicDevice(links.slice(2), plain)).toBeUndefined()
})
