// rtnetlink against the real kernel: what our codecs ask for, judged by `ip -j` and by packets.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cidr, ip } from '#core/ip.ts'
import {
  dumpAddresses,
  dumpLinks,
  dumpNeighbours,
  dumpRoutes,
  dumpRules,
  findLink,
  request,
} from '#linux/kernel.ts'
import type { Ack, Request } from '#linux/kernel.ts'
import { addAddress, removeAddress } from '#linux/netlink/address.ts'
import { changeLink, createLink, createVeth, removeLink } from '#linux/netlink/link.ts'
import { removeNeighbour, replaceNeighbour } from '#linux/netlink/neighbour.ts'
import { addRoute, removeRoute, replaceRoute } from '#linux/netlink/route.ts'
import { addRule, removeRule } from '#linux/netlink/rule.ts'
import { ipJson, makeNamespace, node24, nodeIn, prepare, runIn } from './netlink-lab.ts'
import type { Namespace } from './netlink-lab.ts'

const HOST_MAC = '0a:58:a9:fe:01:01'
const POD_MAC = '0a:58:0a:00:00:05'
const POD = ip('10.0.0.5')
const POD6 = ip('fd00::5')
const GATEWAY = ip('169.254.1.1')
const GATEWAY6 = ip('fe80::1')
const HOST_INDEX = 1000
const POD_INDEX = 2

let host: Namespace
let pod: Namespace

beforeAll(() => prepare(['ip']))

beforeEach(() => {
  host = makeNamespace()
  pod = makeNamespace()
})

const done = (acks: readonly Ack[]): void => expect(acks.filter(ack => !ack.ok)).toEqual([])

const hostSide = (): readonly Request[] => [
  createVeth({
    index: HOST_INDEX,
    name: 'ewy0123456789ab',
    mac: HOST_MAC,
    mtu: 9001,
    group: 0xe217,
    peer: { index: POD_INDEX, name: 'eth0', mac: POD_MAC, netnsFd: pod.fd },
  }),
  changeLink({
    index: HOST_INDEX,
    ipv4: { rp_filter: 2, forwarding: 1, accept_local: 1, arp_ignore: 1 },
    ipv6AddressGeneration: 'none',
  }),
  addRoute({ destination: cidr('10.0.0.5/32'), device: HOST_INDEX, table: 200 }),
  addRoute({ destination: cidr('fd00::5/128'), device: HOST_INDEX, table: 200 }),
  replaceNeighbour({ index: HOST_INDEX, address: POD, mac: POD_MAC }),
  replaceNeighbour({ index: HOST_INDEX, address: POD6, mac: POD_MAC }),
]

const exact = { noDuplicateDetection: true, noPrefixRoute: true }

const podSide = (): readonly Request[] => [
  changeLink({ index: 1, up: true }),
  changeLink({ index: POD_INDEX, ipv6AddressGeneration: 'none' }),
  changeLink({ index: POD_INDEX, up: true }),
  addAddress({ index: POD_INDEX, address: POD, prefixLength: 32, ...exact }),
  addAddress({ index: POD_INDEX, address: POD6, prefixLength: 128, ...exact }),
  addRoute({ destination: cidr('169.254.1.1/32'), device: POD_INDEX }),
  addRoute({
    destination: cidr('0.0.0.0/0'),
    device: POD_INDEX,
    gateway: GATEWAY,
    source: POD,
    onLink: true,
  }),
  addRoute({ destination: cidr('::/0'), device: POD_INDEX, gateway: GATEWAY6, onLink: true }),
  replaceNeighbour({ index: POD_INDEX, address: GATEWAY, mac: HOST_MAC }),
  replaceNeighbour({ index: POD_INDEX, address: GATEWAY6, mac: HOST_MAC }),
]

const wire = (): void => {
  done(request(host.fd, hostSide()))
  done(request(pod.fd, podSide()))
}

describe('wiring of a pod', () => {
  test('the links are as asked for', () => {
    wire()
    expect(ipJson(host, 'link', 'show', 'ewy0123456789ab')).toMatchObject([
      {
        ifindex: HOST_INDEX,
        link_index: POD_INDEX,
        address: HOST_MAC,
        mtu: 9001,
        group: '57879',
        operstate: 'UP',
        num_tx_queues: 1,
        num_rx_queues: 1,
        inet6_addr_gen_mode: 'none',
      },
    ])
    expect(ipJson(pod, 'link', 'show', 'eth0')).toMatchObject([
      { ifindex: POD_INDEX, address: POD_MAC, mtu: 9001, operstate: 'UP' },
    ])
    const setting = (name: string) =>
      runIn(host, 'cat', `/proc/sys/net/ipv4/conf/ewy0123456789ab/${name}`).trim()
    const names = ['rp_filter', 'forwarding', 'accept_local', 'arp_ignore', 'proxy_arp']
    expect(names.map(setting)).toEqual(['2', '1', '1', '1', '0'])
    expect(runIn(host, 'ip', '-6', 'addr', 'show', 'dev', 'ewy0123456789ab')).toBe('')
  })

  test('what ip shows and what we read back agree', () => {
    wire()
    expect(ipJson(host, 'route', 'show', 'table', '200')).toMatchObject([
      { dst: '10.0.0.5', dev: 'ewy0123456789ab', protocol: '226', scope: 'link' },
    ])
    expect(ipJson(pod, 'route')).toMatchObject([
      { dst: 'default', gateway: GATEWAY, prefsrc: POD, flags: ['onlink'] },
      { dst: GATEWAY, dev: 'eth0', scope: 'link' },
    ])
    expect(ipJson(pod, '-6', 'route', 'show', 'default')).toMatchObject([
      { dst: 'default', gateway: GATEWAY6, protocol: '226' },
    ])
    expect(ipJson(pod, 'neigh')).toMatchObject(
      [GATEWAY, GATEWAY6].map(dst => ({ dst, lladdr: HOST_MAC, state: ['PERMANENT'] })),
    )
    expect(dumpRoutes(host.fd, { table: 200 })).toMatchObject([
      { destination: '10.0.0.5/32', device: HOST_INDEX, protocol: 0xe2, table: 200 },
      { destination: 'fd00::5/128', device: HOST_INDEX, protocol: 0xe2, table: 200 },
    ])
    expect(dumpRoutes(pod.fd, { family: 4, protocol: 0xe2 })).toMatchObject([
      { destination: '0.0.0.0/0', gateway: GATEWAY, source: POD, onLink: true },
      { destination: '169.254.1.1/32', gateway: undefined, onLink: false },
    ])
    expect(dumpAddresses(pod.fd, POD_INDEX)).toMatchObject([
      { address: POD, prefixLength: 32, noPrefixRoute: true },
      { address: POD6, prefixLength: 128, ...exact },
    ])
    expect(dumpNeighbours(host.fd).filter(entry => entry.isPermanent)).toEqual(
      [POD, POD6].map(address => ({
        index: HOST_INDEX,
        address,
        mac: POD_MAC,
        isPermanent: true,
      })),
    )
    expect(dumpLinks(host.fd).map(link => link.name)).toEqual(['lo', 'ewy0123456789ab'])
    expect(findLink(host.fd, { name: 'ewy0123456789ab' })).toMatchObject({
      index: HOST_INDEX,
      peerIndex: POD_INDEX,
      group: 0xe217,
      hasCarrier: true,
      ipv4: { rp_filter: 2, forwarding: 1, accept_local: 1, arp_ignore: 1, proxy_arp: 0 },
      ipv6AddressGeneration: 'none',
    })
  })

  test('an address without duplicate detection is usable at once', () => {
    wire()
    const [entry] = ipJson(pod, '-6', 'addr', 'show', 'dev', 'eth0')
    expect(JSON.stringify(entry)).toContain('"nodad":true')
    expect(JSON.stringify(entry)).not.toContain('tentative')
  })

  test.each([
    ['udp4', GATEWAY, POD],
    ['udp6', ip('fd00::1'), POD6],
  ])('a datagram goes to the pod and back over %s', async (kind, own, target) => {
    wire()
    const both = [GATEWAY, ip('fd00::1')].map((address, place) =>
      addAddress({ index: 1, address, prefixLength: place === 0 ? 32 : 128, ...exact }),
    )
    const rules = ([4, 6] as const).map(family => addRule({ family, priority: 512, table: 200 }))
    done(request(host.fd, [changeLink({ index: 1, up: true }), ...both, ...rules]))
    const echo = spawn('nsenter', [`--net=${pod.path}`, node24, '-e', echoProgram(kind, target)])
    try {
      await once(echo.stdout, 'data')
      expect(nodeIn(host, askProgram({ kind, own, target }))).toEqual({
        heard: 'hello',
        from: target,
      })
    } finally {
      echo.kill()
    }
  })
})

const echoProgram = (kind: string, address: string): string => `
  const socket = require('node:dgram').createSocket('${kind}')
  socket.on('message', (data, from) => socket.send(data, from.port, from.address))
  socket.bind(7000, '${address}', () => console.log('ready'))`

const askProgram = ({ kind, own, target }: Record<'kind' | 'own' | 'target', string>): string => `
  import { createSocket } from 'node:dgram'
  const socket = createSocket('${kind}')
  const giveUp = setTimeout(() => { console.log('{"heard":"nothing"}'); process.exit() }, 5000)
  socket.on('message', (data, from) => {
    console.log(JSON.stringify({ heard: String(data), from: from.address }))
    clearTimeout(giveUp)
    socket.close()
  })
  socket.bind(0, '${own}', () => socket.send('hello', 7000, '${target}'))`

describe('changes', () => {
  test('a link is renamed, resized, regrouped, downed, moved and deleted', () => {
    wire()
    const change = { index: HOST_INDEX, name: 'ewyother', mtu: 1400, group: 7, up: false }
    done(request(host.fd, [changeLink({ index: HOST_INDEX, up: false }), changeLink(change)]))
    expect(ipJson(host, 'link', 'show', 'ewyother')).toMatchObject([
      { ifindex: HOST_INDEX, mtu: 1400, group: '7', operstate: 'DOWN' },
    ])
    done(request(host.fd, [removeLink(HOST_INDEX)]))
    expect(findLink(host.fd, { index: HOST_INDEX })).toBe(undefined)
    expect(findLink(pod.fd, { name: 'eth0' })).toBe(undefined)
    expect(request(host.fd, [removeLink(HOST_INDEX)])).toMatchObject([{ code: 'ENODEV' }])
  })

  test('a bridge with a member that came from another namespace', () => {
    done(request(host.fd, [createLink({ kind: 'bridge', index: 500, name: 'br0', up: true })]))
    wire()
    done(request(pod.fd, [changeLink({ index: POD_INDEX, netnsFd: host.fd })]))
    const member = findLink(host.fd, { name: 'eth0' })
    done(request(host.fd, [changeLink({ index: member?.index ?? 0, masterIndex: 500 })]))
    expect(ipJson(host, 'link', 'show', 'eth0')).toMatchObject([{ master: 'br0' }])
    expect(findLink(host.fd, { name: 'eth0' })).toMatchObject({ kind: 'veth', masterIndex: 500 })
  })

  test('rules of both families, with our protocol number', () => {
    const mark = { value: 2 << 24, mask: 0x7f000000 }
    const rules = ([4, 6] as const).flatMap(family => [
      { family, priority: 512, table: 200 },
      { family, priority: 1024, table: 1202, mark, inputName: 'lo' },
    ])
    done(request(host.fd, rules.map(addRule)))
    for (const version of ['-4', '-6']) {
      expect(ipJson(host, version, 'rule', 'show')).toMatchObject([
        { priority: 0 },
        { priority: 512, table: '200', protocol: '226' },
        { priority: 1024, table: '1202', fwmark: '0x2000000', fwmask: '0x7f000000', iif: 'lo' },
        ...(version === '-4' ? [{ priority: 32766 }, { priority: 32767 }] : [{ priority: 32766 }]),
      ])
    }
    expect(dumpRules(host.fd, { protocol: 0xe2 })).toMatchObject(rules)
    expect(dumpRules(host.fd, { family: 4 }).map(rule => rule.priority)).toEqual([
      0, 512, 1024, 32766, 32767,
    ])
    expect(request(host.fd, rules.map(addRule)).map(ack => !ack.ok && ack.code)).toEqual(
      rules.map(() => 'EEXIST'),
    )
    done(request(host.fd, rules.map(removeRule)))
    expect(dumpRules(host.fd, { protocol: 0xe2 })).toEqual([])
    expect(request(host.fd, rules.slice(0, 1).map(removeRule))).toMatchObject([{ code: 'ENOENT' }])
  })

  test('a route is replaced and removed; table numbers go beyond 255', () => {
    wire()
    const route = { destination: cidr('10.9.0.0/16'), table: 70_000, device: HOST_INDEX }
    done(request(host.fd, [addRoute(route), replaceRoute({ ...route, scope: 0 })]))
    expect(ipJson(host, 'route', 'show', 'table', '70000')).toMatchObject([
      { dst: '10.9.0.0/16', scope: 'global' },
    ])
    done(request(host.fd, [removeRoute({ ...route, scope: 0 })]))
    expect(dumpRoutes(host.fd, { table: 70_000 })).toEqual([])
    expect(request(host.fd, [removeRoute(route)])).toMatchObject([{ code: 'ESRCH' }])
    expect(dumpRoutes(host.fd, { table: 12_345 })).toEqual([])
  })

  test('addresses and neighbours that are not there are refused with a readable code', () => {
    wire()
    const absent = { index: HOST_INDEX, address: ip('10.1.2.3'), prefixLength: 32 }
    const acks = request(host.fd, [removeAddress(absent), removeNeighbour(absent)])
    expect(acks).toMatchObject([{ code: 'EADDRNOTAVAIL' }, { code: 'ENOENT' }])
    done(request(host.fd, [removeNeighbour({ index: HOST_INDEX, address: POD })]))
    expect(dumpNeighbours(host.fd).some(entry => entry.address === POD)).toBe(false)
  })
})

describe('refusals', () => {
  test('what exists is EEXIST, with the words of the kernel', () => {
    wire()
    const again = request(pod.fd, podSide().slice(3, 5))
    expect(again).toMatchObject([
      { ok: false, errno: 17, code: 'EEXIST', message: expect.stringMatching(/already/i) },
      { ok: false, errno: 17, code: 'EEXIST', message: expect.stringMatching(/already/i) },
    ])
    const acks = request(host.fd, hostSide())
    const codes = acks.map(ack => (ack.ok ? 'ok' : ack.code))
    expect(codes).toEqual(['EEXIST', 'ok', 'EEXIST', 'EEXIST', 'ok', 'ok'])
  })

  test('the extended text says what the number does not', () => {
    wire()
    const tiny = changeLink({ index: HOST_INDEX, mtu: 1 })
    const unreachable = addRoute({ destination: cidr('10.9.0.0/16'), gateway: ip('192.0.2.1') })
    expect(request(host.fd, [tiny, unreachable])).toMatchObject([
      { code: 'EINVAL', message: 'mtu less than device minimum' },
      { code: 'ENETUNREACH', message: 'Nexthop has invalid gateway' },
    ])
  })

  // Against the documented trap: rtnetlink ignores IFLA_AF_SPEC on creation.
  test('settings of a new veth need a change after it', () => {
    done(request(host.fd, hostSide().slice(0, 1)))
    expect(findLink(host.fd, { index: HOST_INDEX })?.ipv4.accept_local).toBe(0)
  })

  test('an fd that is no namespace fails the exchange and names the errno', () => {
    expect(() => dumpLinks(9999)).toThrow('EBADF')
    expect(() => dumpLinks(2)).toThrow('EINVAL')
    expect(dumpLinks(host.fd).length).toBe(1)
  })
})

describe('many messages', () => {
  const routes = Array.from({ length: 2000 }, (_, index) => ({
    destination: cidr(`10.${64 + (index >> 8)}.${index & 255}.0/24`),
    table: 200,
    device: HOST_INDEX,
  }))

  test('two thousand routes are added in one call and dumped in parts', () => {
    wire()
    const acks = request(host.fd, routes.map(addRoute))
    expect(acks.length).toBe(2000)
    done(acks)
    const want = routes.map(route => route.destination)
    const dumped = dumpRoutes(host.fd, { table: 200, family: 4 }).map(route => route.destination)
    expect(new Set(dumped)).toEqual(new Set([...want, '10.0.0.5/32']))
    expect(runIn(host, 'ip', 'route', 'show', 'table', '200').trim().split('\n').length).toBe(2001)
  })

  test('a refusal among many is found in its place', () => {
    wire()
    const acks = request(host.fd, [...routes, ...routes.slice(500, 501)].map(addRoute))
    expect(acks.findIndex(ack => !ack.ok)).toBe(2000)
    expect(acks.filter(ack => !ack.ok)).toMatchObject([{ code: 'EEXIST' }])
  })

  // A dump that sees the table change is asked again; entries nobody touched are always there.
  test('dumps stay whole while another process changes links and addresses', async () => {
    const links = Array.from({ length: 100 }, (_, place) =>
      createLink({ kind: 'bridge', index: 2000 + place, name: `ew${place}` }),
    )
    done(request(host.fd, links))
    const script =
      'while :; do ip link set ew0 down; ip link add ewx type bridge; ip link del ewx; done'
    const disturber = spawn('nsenter', [`--net=${host.path}`, 'sh', '-c', script])
    const ended = once(disturber, 'exit')
    try {
      for (let round = 0; round < 200; round++) {
        const indexes = dumpLinks(host.fd).filter(link => link.name !== 'ewx')
        expect(indexes.length).toBe(101)
      }
    } finally {
      disturber.kill('SIGKILL')
      await ended
    }
  })
})
