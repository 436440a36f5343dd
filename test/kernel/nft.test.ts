// nf_tables against the real kernel: elements changed over raw netlink, judged by `nft -j`.

import { beforeAll, describe, expect, test } from 'vitest'
import { ip } from '#core/ip.ts'
import { request } from '#linux/kernel.ts'
import { addAddress } from '#linux/netlink/address.ts'
import { createVeth } from '#linux/netlink/link.ts'
import { dumpElements } from '#linux/nftables/element.ts'
import { listRuleset, loadRuleset } from '#linux/nftables/ruleset.ts'
import {
  changeElements,
  listElements,
  removeElementsIfPresent,
} from '#linux/nftables/transaction.ts'
import type { Element, ElementSet } from '#linux/nftables/transaction.ts'
import { makeNamespace, nodeIn, prepare, runIn } from './netlink-lab.ts'
import type { Namespace } from './netlink-lab.ts'

const pods4: ElementSet = { table: 'eniway', name: 'pods4', key: ['number', 'ip4'] }
const pods6: ElementSet = { table: 'eniway', name: 'pods6', key: ['number', 'ip6'] }
const marks: ElementSet = { table: 'eniway', name: 'marks', key: ['ip4'] }
const peers: ElementSet = { table: 'eniway', name: 'peers', key: ['ip4'] }

const RULESET = `table inet eniway
delete table inet eniway
table inet eniway {
  map pods4 { typeof iif . ip saddr : verdict; }
  map pods6 { typeof iif . ip6 saddr : verdict; }
  map marks { type ipv4_addr : mark; }
  set peers { type ipv4_addr; }
  set outside4 { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }
  chain nic1 { counter; meta mark set 0x01000000; }
  chain nic2 { meta mark set 0x02000000; }
  chain source {
    type filter hook prerouting priority -160; policy accept;
    iif . ip saddr vmap @pods4
    iif . ip6 saddr vmap @pods6
  }
}
`

let node: Namespace

beforeAll(async () => {
  prepare(['ip', 'nft'])
  node = makeNamespace()
  expect(await listRuleset('eniway', { namespacePath: node.path })).toBe(undefined)
  expect(await loadRuleset(RULESET, { namespacePath: node.path })).toEqual({ ok: true })
})

const pod = (index: number, chain = 'nic1'): Element => ({
  key: [1000 + index, ip(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`)],
  value: { kind: 'goto', chain },
})

const add = (set: ElementSet, ...elements: readonly Element[]) =>
  changeElements(node.fd, [{ kind: 'add', set, elements }])

/** The elements of a set as nft prints them. */
const shown = (kind: 'map' | 'set', name: string): readonly unknown[] => {
  const text = runIn(node, 'nft', '-j', 'list', kind, 'inet', 'eniway', name)
  const { nftables } = JSON.parse(text) as { nftables: readonly Record<string, { elem?: [] }>[] }
  return nftables.flatMap(entry => entry['set']?.elem ?? entry['map']?.elem ?? [])
}

describe('elements', () => {
  test('a verdict map of both families, in one transaction', () => {
    const sixth: Element = { key: [7, ip('fd00::7')], value: { kind: 'goto', chain: 'nic2' } }
    const ack = changeElements(node.fd, [
      { kind: 'add', set: pods4, elements: [pod(7)] },
      { kind: 'add', set: pods6, elements: [sixth] },
    ])
    expect(ack).toEqual({ ok: true })
    expect(shown('map', 'pods4')).toEqual([
      [{ concat: ['1007', '10.0.0.7'] }, { goto: { target: 'nic1' } }],
    ])
    expect(shown('map', 'pods6')).toEqual([
      [{ concat: ['7', 'fd00::7'] }, { goto: { target: 'nic2' } }],
    ])
    expect(listElements(node.fd, pods4)).toEqual([pod(7)])
    expect(listElements(node.fd, pods6)).toEqual([sixth])
  })

  test('a map to marks and a plain set', () => {
    const mark: Element = { key: [ip('10.0.0.9')], value: { kind: 'number', number: 0x02000000 } }
    const peer: Element = { key: [ip('10.0.0.9')], value: undefined }
    expect(add(marks, mark)).toEqual({ ok: true })
    expect(add(peers, peer)).toEqual({ ok: true })
    expect(shown('map', 'marks')).toEqual([['10.0.0.9', 0x02000000]])
    expect(shown('set', 'peers')).toEqual(['10.0.0.9'])
    expect(listElements(node.fd, marks)).toEqual([mark])
    expect(listElements(node.fd, peers)).toEqual([peer])
  })

  test('adding what is there succeeds with the same value and is refused with another', () => {
    expect(add(pods4, pod(8))).toEqual({ ok: true })
    expect(add(pods4, pod(8))).toEqual({ ok: true })
    expect(add(pods4, pod(8, 'nic2'))).toMatchObject({ ok: false, code: 'EEXIST' })
  })

  test('a value is replaced by removing and adding in one transaction', () => {
    add(pods4, pod(10))
    const changes = [
      { kind: 'remove', set: pods4, elements: [pod(10)] },
      { kind: 'add', set: pods4, elements: [pod(10, 'nic2')] },
    ] as const
    expect(changeElements(node.fd, changes)).toEqual({ ok: true })
    expect(listElements(node.fd, pods4)).toContainEqual(pod(10, 'nic2'))
  })

  test('one refused element leaves everything as it was', () => {
    const before = listElements(node.fd, pods4)
    const absentChain = add(pods4, pod(20), pod(21, 'nic9'))
    expect(absentChain).toMatchObject({ ok: false, code: 'ENOENT' })
    const absentElement = changeElements(node.fd, [
      { kind: 'add', set: pods4, elements: [pod(22)] },
      { kind: 'remove', set: pods4, elements: [pod(23)] },
    ])
    expect(absentElement).toMatchObject({ ok: false, code: 'ENOENT' })
    expect(listElements(node.fd, pods4)).toEqual(before)
  })

  test('a tolerant removal takes what is there and names what is not', () => {
    add(pods4, pod(30), pod(31))
    const removal = removeElementsIfPresent(node.fd, pods4, [pod(30), pod(31), pod(32)])
    expect(removal).toEqual({ ack: { ok: true }, absent: [pod(32)] })
    expect(removeElementsIfPresent(node.fd, pods4, [pod(30)])).toEqual({
      ack: { ok: true },
      absent: [pod(30)],
    })
    expect(listElements(node.fd, pods4)).not.toContainEqual(pod(31))
  })

  test('five thousand elements are one transaction', () => {
    const many = Array.from({ length: 5000 }, (_, index) => pod(0x10000 + index))
    expect(add(pods4, ...many)).toEqual({ ok: true })
    expect(listElements(node.fd, pods4)?.length).toBeGreaterThanOrEqual(5000)
    const removal = removeElementsIfPresent(node.fd, pods4, many)
    expect(removal).toEqual({ ack: { ok: true }, absent: [] })
  })

  test('an absent table or set is told apart from an empty one', () => {
    expect(listElements(node.fd, { ...pods4, name: 'nothing' })).toBe(undefined)
    expect(listElements(node.fd, { ...pods4, table: 'nothing' })).toBe(undefined)
    const nowhere = { ...pods4, name: 'nothing' }
    expect(add(nowhere, pod(1))).toMatchObject({ ok: false, code: 'ENOENT' })
    expect(removeElementsIfPresent(node.fd, nowhere, [pod(1)])).toEqual({
      ack: { ok: true },
      absent: [pod(1)],
    })
    expect(dumpElements(nowhere).attributes.length).toBe(2)
  })
})

// nft shows an element of wrong byte order as confidently as a right one; only a packet tells.
test('a packet from the pod takes the chain its element names', () => {
  const peer = makeNamespace()
  const [near, far] = ['0a:58:00:00:00:01', '0a:58:00:00:00:02']
  const acks = request(node.fd, [
    createVeth({
      index: 1500,
      name: 'ew1500',
      mac: near,
      mtu: 1500,
      group: 0,
      peer: { index: 2, name: 'eth0', mac: far, netnsFd: peer.fd },
    }),
    addAddress({ index: 1500, address: ip('10.77.0.1'), prefixLength: 24 }),
  ])
  expect(acks.every(ack => ack.ok)).toBe(true)
  runIn(peer, 'ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'eth0')
  runIn(peer, 'ip', 'link', 'set', 'eth0', 'up')
  const packets = () => runIn(node, 'nft', 'list', 'chain', 'inet', 'eniway', 'nic1')
  expect(packets()).toContain('packets 0 ')
  add(pods4, { key: [1500, ip('10.77.0.2')], value: { kind: 'goto', chain: 'nic1' } })
  // Bash sends a datagram by itself, so that no further tool is needed.
  runIn(peer, 'bash', '-c', 'echo hello > /dev/udp/10.77.0.1/9')
  expect(packets()).toContain('packets 1 ')
})

// The daemon uses the long-lived socket of its own namespace; so does a program inside it.
test('the own namespace: change, delete and list without hanging in close', () => {
  const program = `
    import * as nft from './linux/nftables/transaction.ts'
    const { changeElements, listElements, removeElementsIfPresent } = nft
    const set = { table: 'eniway', name: 'peers', key: ['ip4'] }
    const elements = [{ key: ['10.9.9.9'], value: undefined }]
    const added = changeElements(-1, [{ kind: 'add', set, elements }])
    const times = []
    for (let round = 0; round < 200; round++) {
      const start = performance.now()
      const passing = [{ key: ['10.9.9.10'], value: undefined }]
      changeElements(-1, [{ kind: 'add', set, elements: passing }])
      removeElementsIfPresent(-1, set, passing)
      times.push(performance.now() - start)
    }
    const failed = changeElements(-1, [{ kind: 'remove', set, elements: [{ key: ['10.9.9.11'] }] }])
    const removed = removeElementsIfPresent(-1, set, elements)
    times.sort((a, b) => a - b)
    console.log(JSON.stringify({ added, failed, removed, listed: listElements(-1, set),
      addAndRemoveMs: { p50: times[100], p99: times[197] } }))`
  const result = nodeIn(node, program) as Record<string, unknown>
  expect(result).toMatchObject({
    added: { ok: true },
    failed: { ok: false, code: 'ENOENT' },
    removed: { ack: { ok: true }, absent: [] },
  })
  expect(result['listed']).not.toContainEqual({ key: ['10.9.9.9'] })
  console.log('add + remove of one element', result['addAndRemoveMs'])
})

describe('ruleset', () => {
  test('listing shows chains and rules but no elements', async () => {
    const listed = await listRuleset('eniway', { namespacePath: node.path })
    expect(listed).toContain('vmap @pods4')
    expect(listed).not.toContain('10.0.0.7')
  })

  test('a faulty ruleset is refused with what nft says, and changes nothing', async () => {
    const before = await listRuleset('eniway', { namespacePath: node.path })
    const faulty = 'table inet eniway { chain broken { ip saddr nonsense drop; } }'
    const loaded = await loadRuleset(faulty, { namespacePath: node.path })
    expect(loaded).toMatchObject({ ok: false })
    expect(JSON.stringify(loaded)).toContain('nonsense')
    expect(await listRuleset('eniway', { namespacePath: node.path })).toBe(before)
  })
})
