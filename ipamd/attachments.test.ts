// What an ADD prints for pods of one family and of both, in the versions runtimes ask for; and what
// GC takes.

import { expect, test } from 'vitest'
import { encodeResult } from '#cni/spec/encode.ts'
import { noDns } from '#cni/spec/result.ts'
import type { Version } from '#cni/spec/versions.ts'
import { podWiring } from '#core/desired.ts'
import type { Family } from '#core/ip.ts'
import { after } from '#core/names.ts'
import { filledNode, keyOf, type TestNode } from '#core/testing.ts'
import { createAttachments, toAttachment } from './attachments.ts'

const printed = (families: readonly Family[], version: Version): Record<string, unknown> => {
  const node = filledNode({ families, pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  const sandbox = node.state.sandboxes.get(keyOf('a'))!
  const attachment = toAttachment(sandbox, podWiring(sandbox))
  const encoded = encodeResult({ ...attachment, dns: noDns }, version)
  if (encoded.kind === 'failed') throw new Error(encoded.message)
  return encoded.value
}

const ip4 = { address: '10.0.17.0/32', gateway: '169.254.1.1' }
const ip6 = { address: '2001:db8:0:1::100/128', gateway: 'fe80::1' }
const route4 = { dst: '0.0.0.0/0', gw: '169.254.1.1' }
const route6 = { dst: '::/0', gw: 'fe80::1' }
const inPod = <Ip extends object>(entry: Ip) => ({ interface: 1, ...entry })

test.each([
  [[4], [ip4], [route4]],
  [[6], [ip6], [route6]],
  [
    [4, 6],
    [ip4, ip6],
    [route4, route6],
  ],
  // A ledger may hold a pod of an order that no configuration gives any more.
  [
    [6, 4],
    [ip4, ip6],
    [route4, route6],
  ],
] as const)(
  'families %j: IPv4 first, each with its gateway and its route',
  (families, ips, routes) => {
    for (const version of ['1.0.0', '1.1.0'] as const) {
      expect(printed(families, version)).toMatchObject({ ips: ips.map(inPod), routes })
    }
    const versioned = ips.map(entry => ({
      version: entry === ip4 ? '4' : '6',
      ...inPod(entry),
    }))
    for (const version of ['0.3.0', '0.3.1', '0.4.0'] as const) {
      expect(printed(families, version)).toMatchObject({ ips: versioned, routes })
    }
  },
)

test('the oldest versions have a place for each family', () => {
  const place = ({ address: ip, gateway }: typeof ip4, route: object) => ({
    ip,
    gateway,
    routes: [route],
  })
  const [four, six] = [place(ip4, route4), place(ip6, route6)]
  for (const version of ['0.1.0', '0.2.0'] as const) {
    expect(printed([4, 6], version)).toMatchObject({ ip4: four, ip6: six })
    expect(printed([6], version)).toMatchObject({ ip6: six })
    expect(printed([6], version)).not.toHaveProperty('ip4')
  }
})

// The daemon's loop, by hand: what is posted is applied at once, `between` happens before its turn.
const collect = async (
  node: TestNode,
  valid: readonly string[],
  between: () => void = () => undefined,
): Promise<readonly string[]> => {
  const attachments = createAttachments({
    clock: { now: () => node.now, soon: run => run(), at: () => () => undefined },
    state: () => node.state,
    post: event => node.apply(event),
  })
  const collected = attachments.gc({
    network: 'net',
    valid: valid.map(containerId => ({ containerId, ifName: 'eth0' })),
    timeoutMs: 1_000,
    trace: { parent: '', state: '', baggage: '' },
  })
  between()
  node.work()
  for (const { to, answer } of node.answers) attachments.answer(to, answer)
  expect(await collected).toEqual({ kind: 'collected' })
  return [...node.state.sandboxes.keys()]
}

test('GC takes what is not valid, of its own network only', async () => {
  const node = filledNode({ pool: { warmTarget: 4 } })
  for (const name of ['valid', 'stale']) node.add(name)
  node.add('far', { network: 'other' })
  node.work()
  node.now = after(node.now, 1)
  expect(await collect(node, ['valid'])).toEqual([keyOf('valid'), keyOf('far')])
})

test('GC never takes what came with the call or after it', async () => {
  const node = filledNode({ pool: { warmTarget: 4 } })
  node.add('stale')
  node.work()
  node.now = after(node.now, 1)
  node.add('same-moment')
  node.work()
  const left = await collect(node, [], () => {
    node.now = after(node.now, 1)
    node.add('later')
  })
  expect(left).toEqual([keyOf('same-moment'), keyOf('later')])
})

test('GC spares an attachment that was deleted and made again while it ran', async () => {
  const node = filledNode({ pool: { warmTarget: 4 } })
  node.add('a')
  node.work()
  node.now = after(node.now, 1)
  const left = await collect(node, [], () => {
    node.del('a')
    node.work()
    node.now = after(node.now, 1)
    node.add('a')
    node.work()
  })
  expect(left).toEqual([keyOf('a')])
})

test('GC leaves pods alone that wait for an address', async () => {
  const node = filledNode({ pool: { warmTarget: 1, maximum: 1 } })
  for (const name of ['holder', 'waits']) node.add(name)
  node.work()
  node.now = after(node.now, 1)
  expect(await collect(node, ['holder'])).toEqual([keyOf('holder')])
  expect(node.state.adds.size).toBe(1)
})
