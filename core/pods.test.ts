// Serving the runtime: ADDs in order and in time, DELs always, and what happens when they meet.

import { expect, test } from 'vitest'
import { baseOf } from './ip.ts'
import { after } from './names.ts'
import { plan } from './plan.ts'
import { answerText, countsText, filledNode, keyOf, readyNode, type TestNode } from './testing.ts'

const answers = (node: TestNode): readonly string[] =>
  node.answers.map(({ to, answer }) => `${to}: ${answerText(answer)}`)
const check = (node: TestNode, want: readonly string[]) => expect(answers(node)).toEqual(want)

const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

test('an ADD takes a warm address and is answered in the same turn of events', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  expect(node.turn()).toContain('wire a/eth0 10.0.17.0')
  check(node, [])
  expect(node.turn()).toContain('reply 1: 10.0.17.0')
})

test('ADDs are served in the order they came', () => {
  const node = readyNode()
  for (const name of ['c', 'a', 'b']) node.add(name)
  node.pass(2_000)
  check(node, ['1: 10.0.17.0', '2: 10.0.17.1', '3: 10.0.17.2'])
  expect(node.state.sandboxes.get(keyOf('c'))?.addresses[0]?.ip).toBe('10.0.17.0')
})

test('an ADD waits for a grow up to its deadline, and the plan wakes for it', () => {
  const node = readyNode({ pool: { maximum: 0 } })
  node.add('a', { waitMs: 900 })
  node.turn()
  expect(plan(node.state, node.now).wakeAt).toBe(after(node.now, 900))
  wait(node, 899)
  node.turn()
  check(node, [])
  wait(node, 1)
  node.turn()
  check(node, [
    '1: PoolMaximum: cannot assign an address to pod ns/a: pool default holds its maximum of 0 ' +
      'addresses; raise pool.maximum or lower max-pods',
  ])
  expect(node.state.adds.size).toBe(0)
})

test('an address that comes at the deadline still counts', () => {
  const node = readyNode()
  node.add('a', { waitMs: 1_000 })
  node.work()
  wait(node, 1_000)
  node.work()
  check(node, ['1: 10.0.17.0'])
})

test('an ADD whose caller went away takes no address', () => {
  const node = readyNode()
  const reply = node.add('a')
  node.apply({ kind: 'addAborted', reply })
  node.pass(5_000)
  check(node, [])
  expect(countsText(node)).toBe('none')
})

test('the same ADD again gets the same answer', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  node.add('a')
  node.work()
  node.add('a')
  node.work()
  check(node, ['1: 10.0.17.0', '2: 10.0.17.0', '3: 10.0.17.0'])
  expect(countsText(node)).toMatch(/1 assigned/)
})

test('the same ADD for another namespace starts anew, with another address', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  node.work()
  node.add('a', { netns: '/ns/new' })
  node.work()
  check(node, ['1: 10.0.17.0', '2: 10.0.17.1'])
  expect(node.state.sandboxes.get(keyOf('a'))?.netns).toBe('/ns/new')
  expect(countsText(node)).toMatch(/1 assigned, 1 cooling/)
})

test('a pool the node does not have is refused at once, and for good', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a', { pool: 'gold' })
  node.work()
  check(node, [
    '1: UnknownPool: cannot assign an address to pod ns/a: this node has no pool "gold"; ' +
      'use one of: default',
  ])
  const [{ answer } = {}] = node.answers
  expect(answer?.kind === 'addFailed' && answer.reason.isTemporary).toBe(false)
})

test('a pod that the kernel refuses: answered with why, and its address rests until a look', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  const failure = { code: 'ENOENT', message: 'no such namespace /ns/a', isTemporary: false }
  node.kernel.outcome = { kind: 'failed', failure }
  node.add('a')
  node.turn()
  expect(countsText(node)).toMatch(/^1 cooling/)
  node.kernel.outcome = { kind: 'ok' }
  node.turn()
  check(node, ['1: HostFailed: cannot wire pod ns/a: no such namespace /ns/a'])
  const [{ answer } = {}] = node.answers
  expect(answer?.kind === 'addFailed' && answer.reason.isTemporary).toBe(false)
  expect(node.state.sandboxes.size).toBe(0)
  node.pass(30_000)
  expect(countsText(node)).toMatch(/^\d warm$/)
})

test('a DEL releases the address and is answered', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  node.del('a')
  node.work()
  check(node, ['1: 10.0.17.0', '2: deleted'])
  expect(countsText(node)).toMatch(/1 cooling/)
  expect(node.state.sandboxes.size).toBe(0)
})

test('a DEL of what is not there, and a second DEL, succeed', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.del('never')
  node.add('a')
  node.work()
  node.del('a')
  node.del('a')
  node.work()
  check(node, ['1: deleted', '2: 10.0.17.0', '3: deleted', '4: deleted'])
})

test('a DEL is answered also when the kernel fails; the reconciler finds what is left', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  node.kernel.deletesAtOnce = false
  const failure = { code: 'EBUSY', message: 'is busy', isTemporary: true }
  node.kernel.outcome = { kind: 'failed', failure }
  node.del('a')
  node.work()
  check(node, ['1: 10.0.17.0', '2: deleted'])
  expect(node.state.problems.get('unwire a/eth0')?.text).toBe(
    'cannot unwire a/eth0: is busy; it is tried again',
  )
  expect(node.state.host.wantedAt).toBeGreaterThan(node.now)
  node.pass(1)
  expect(node.kernel.links.size).toBe(0)
})

test('a DEL overtakes an ADD that still waits', () => {
  const node = readyNode({ pool: { maximum: 0 } })
  node.add('a')
  node.turn()
  node.del('a')
  node.turn()
  check(node, [
    '1: Canceled: cannot add a/eth0: a DEL of the same attachment arrived meanwhile',
    '2: deleted',
  ])
})

test('an ADD that comes after a DEL is not overtaken by it', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.del('a')
  wait(node, 1)
  node.add('a')
  node.work()
  check(node, ['1: deleted', '2: 10.0.17.0'])
})

test('a DEL that was queued spares an attachment that is newer', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  node.del('a', { queuedAt: node.now - 1 })
  node.work()
  check(node, ['1: 10.0.17.0', '2: deleted'])
  expect(node.state.sandboxes.has(keyOf('a'))).toBe(true)
  node.del('a', { queuedAt: node.now })
  node.work()
  expect(node.state.sandboxes.has(keyOf('a'))).toBe(false)
})

test('a queued DEL does not cancel an ADD that arrived after it was asked', () => {
  const node = readyNode({ pool: { maximum: 0 } })
  wait(node, 10_000)
  node.add('a')
  node.del('a', { queuedAt: node.now - 5_000 })
  node.turn()
  check(node, ['2: deleted'])
  expect(node.state.adds.size).toBe(1)
})

test('a DEL of another network leaves the attachment alone', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  node.del('a', { network: 'other' })
  node.work()
  check(node, ['1: 10.0.17.0', '2: deleted'])
  expect(node.state.sandboxes.has(keyOf('a'))).toBe(true)
})

test('a pod whose namespace and link are gone is released as if a DEL had come', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  node.kernel.goneNamespaces.add(keyOf('a'))
  node.pass(15_000)
  expect(node.state.sandboxes.size).toBe(1)
  node.kernel.links.clear()
  node.pass(15_000)
  expect(node.state.sandboxes.size).toBe(0)
  expect(countsText(node)).toMatch(/1 cooling/)
})

test('an address used by a pod nobody knows rests until its link is gone', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  const [ip] = [...node.cloud.nics.values()].flatMap(nic => nic.blocks.map(baseOf))
  node.kernel.links.set(4_242, { key: keyOf('ghost'), ips: [ip!] })
  node.pass(15_000)
  expect(node.state.problems.get(`stray ${ip}`)?.text).toMatch(
    /is used by link 4242 of a pod this daemon does not know/,
  )
  node.pass(120_000)
  expect(countsText(node)).toMatch(/1 cooling/)
  node.kernel.links.delete(4_242)
  node.pass(60_000)
  expect(countsText(node)).not.toMatch(/cooling/)
})

test('each pod link has a number of its own, and the MTU of its NIC unless one is set', () => {
  const node = filledNode({ pool: { warmTarget: 3 } })
  node.add('a')
  node.add('b')
  node.work()
  node.configure({ podMtu: 1_400 })
  node.add('c')
  node.work()
  const sandboxes = [...node.state.sandboxes.values()]
  expect(new Set(sandboxes.map(({ hostIfindex }) => hostIfindex)).size).toBe(3)
  expect(sandboxes.map(({ mtu }) => mtu)).toEqual([9001, 9001, 1400])
})
