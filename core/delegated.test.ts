// Addresses for pods that other plugins connect: which NIC they come from, what gateway and routes
// go with them, and that the pool and the ledger treat them as any other.

import { expect, test } from 'vitest'
import { changes } from './durable.ts'
import { delegatedIps } from './delegated.ts'
import { initialState } from './initial.ts'
import { ip, type Family } from './ip.ts'
import { after, nicId } from './names.ts'
import { restore } from './restore.ts'
import type { Delegator, State } from './state.ts'
import {
  answerText,
  countsText,
  deeds,
  filledNode,
  keyOf,
  nicOf,
  readyNode,
  type TestNode,
} from './testing.ts'

const routed: Delegator = { kind: 'routed', bridge: undefined }
const onBridge: Delegator = { kind: 'routed', bridge: 'cni0' }
const on = (master: string | undefined): Delegator => ({ kind: 'shared', master })

const lastAnswer = ({ answers }: TestNode): string => {
  const last = answers.at(-1)
  return last === undefined ? 'none' : answerText(last.answer)
}

const told = (state: State, name: string): readonly string[] => {
  const sandbox = state.sandboxes.get(keyOf(name))
  if (sandbox === undefined) return []
  return delegatedIps(state, sandbox).map(
    ({ ip, length, gateway, routes }) => `${ip}/${length} via ${gateway}: ${routes.join(' ')}`,
  )
}

const check = (node: TestNode, delegator: Delegator, want: readonly string[]) => {
  node.add('a', { delegator })
  node.pass(5_000)
  expect(told(node.state, 'a')).toEqual(want)
}

/** A node whose first NIC is full, with addresses on the second. */
const twoNics = (families: readonly Family[] = [4]): TestNode => {
  const node = filledNode({ families, pool: { warmTarget: 5 } })
  for (const name of ['p', 'q', 'r', 's', 't', 'u']) node.add(name)
  node.pass(10_000)
  return node
}

test('the node is the gateway of a link to it, and all of the subnet lies behind it', () =>
  check(filledNode({ pool: { warmTarget: 2 } }), routed, [
    '10.0.17.0/20 via 10.0.16.4: 0.0.0.0/0 10.0.16.0/21 10.0.24.0/21',
  ]))

test('on the wire of a NIC the gateway is the subnet’s', () =>
  check(filledNode({ pool: { warmTarget: 2 } }), on('eth0'), [
    '10.0.17.0/20 via 10.0.16.1: 0.0.0.0/0',
  ]))

test('IPv6 has the gateway of our own pods, which is known on every link', () =>
  check(filledNode({ families: [4, 6], pool: { warmTarget: 2 } }), routed, [
    '10.0.17.0/20 via 10.0.16.4: 0.0.0.0/0 10.0.16.0/21 10.0.24.0/21',
    '2001:db8:0:1::100/128 via fe80::1: ::/0',
  ]))

test('on the wire of a NIC IPv6 has the prefix of the subnet', () =>
  check(filledNode({ families: [6], pool: { warmTarget: 2 } }), on('eth0'), [
    '2001:db8:0:1::100/64 via fe80::1: ::/0',
  ]))

// A NIC that gives its own address to pods (Alibaba) leaves none that the node could answer to.
test.each([
  ['10.0.16.4', '10.0.17.0', 23],
  ['10.0.16.0', '10.0.17.0', 19],
  ['10.9.0.4', '10.0.17.0', 12],
])('where no address of the NIC is the node’s own, %s serves %s in a /%i', (own, _, length) => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a', { delegator: routed })
  node.pass(1_000)
  const nic = nicOf(node, 'eni-1')
  const nics = new Map(node.state.nics).set(nicId('eni-1'), { ...nic, primaryAddresses: [ip(own)] })
  const bare = { ...node.state, nics, subnets: new Map(), node: undefined }
  expect(told(bare, 'a')[0]).toMatch(`10.0.17.0/${length} via ${own}:`)
})

test('a master decides the NIC, whichever is fuller', () => {
  for (const [master, slot] of [
    ['eth0', 1],
    ['eth1', 2],
    [undefined, 1],
  ] as const) {
    const node = twoNics()
    for (const name of ['p', 'q', 'r']) node.del(name)
    node.pass(40_000)
    node.add('a', { delegator: on(master) })
    node.pass(1_000)
    expect(node.state.sandboxes.get(keyOf('a'))?.slot).toBe(slot)
  }
})

test('a master that is no NIC of ours is refused at once, with those that are', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a', { delegator: on('br0') })
  node.work()
  expect(lastAnswer(node)).toBe(
    'Unservable: cannot assign an address to pod ns/a: its master br0 is no NIC that gives ' +
      'addresses; use one of: eth0',
  )
})

test('on a bridge there is no IPv6, and it is said', () => {
  const node = filledNode({ families: [4, 6], pool: { warmTarget: 2 } })
  node.add('a', { delegator: onBridge })
  node.work()
  expect(lastAnswer(node)).toMatch(/^Unservable: .* a bridge does not find an IPv6 gateway/)
})

test('what is given counts as assigned, and rests after its DEL without waiting for a link', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a', { delegator: routed })
  expect(deeds(node.work())[0]).toBe('admit a/eth0 10.0.17.0')
  expect(countsText(node)).toMatch(/\b1 assigned/)
  node.kernel.goneNamespaces.add(keyOf('a'))
  node.pass(120_000)
  expect(node.state.sandboxes.get(keyOf('a'))?.phase.kind).toBe('wired')
  node.del('a')
  expect(deeds(node.work())).toContain('dismiss a/eth0')
  expect(nicOf(node, 'eni-1').uses.get(ip('10.0.17.0'))).toMatchObject({
    kind: 'cooling',
    link: undefined,
    isStray: false,
  })
})

test('a look at the kernel in the same turn leaves alone what was just made', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.now = after(node.now, node.state.config.reconcileEveryMs)
  node.add('a', { delegator: routed })
  expect(node.turn()).toEqual(expect.arrayContaining(['admit a/eth0 10.0.17.0', 'reconcile']))
  expect(node.kernel.admitted.get(keyOf('a'))).toEqual([ip('10.0.17.0')])
})

test('the same ADD again has the same answer; one for another link starts anew', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a', { delegator: onBridge })
  node.work()
  node.add('a', { delegator: onBridge })
  expect(deeds(node.work())).toEqual(['reply 2: 10.0.17.0'])
  node.add('a')
  expect(deeds(node.work())).toEqual([
    'dismiss a/eth0',
    'wire a/eth0 10.0.17.1',
    'lend 1 × /32 to eni-1, prewarming',
    'reply 3: 10.0.17.1',
  ])
})

test.each([routed, onBridge, on('eth0'), on(undefined)])('the ledger brings back %o', delegator => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a', { delegator })
  node.add('b')
  node.work()
  const { state } = node
  const puts = changes(initialState(state), state).flatMap(each =>
    each.kind === 'put' ? [[each.key, each.value] as const] : [],
  )
  const entries = new Map(JSON.parse(JSON.stringify(puts)) as [string, unknown][])
  const again = restore({ config: state.config, epoch: 'e2', at: node.now, entries })
  expect(again.problems).toEqual([])
  for (const name of ['a', 'b']) {
    expect(again.state.sandboxes.get(keyOf(name))).toEqual(state.sandboxes.get(keyOf(name)))
  }
})

test('an ADD whose elements are refused fails, and its address rests', () => {
  const node = readyNode({ pool: { warmTarget: 1 } })
  node.pass(10_000)
  node.kernel.outcome = {
    kind: 'failed',
    failure: { code: 'ENOBUFS', message: 'no memory', isTemporary: true },
  }
  node.add('a', { delegator: routed })
  node.work()
  expect(lastAnswer(node)).toMatch('HostFailed: cannot wire pod ns/a: no memory')
  expect(nicOf(node, 'eni-1').uses.get(ip('10.0.17.0'))?.kind).toBe('cooling')
})
