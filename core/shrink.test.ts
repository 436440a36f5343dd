// When and what is given back: only a surplus that lasts, whole idle NICs first, then single blocks
// of the NICs with the fewest pods; never anything that is in use or rests.

import { expect, test } from 'vitest'
import type { CloudAction } from './action.ts'
import { cidr } from './ip.ts'
import { after, type NicId } from './names.ts'
import { plan } from './plan.ts'
import { countsText, deeds, filledNode, nicOf, nicsText, refusal, refuse } from './testing.ts'
import type { TestNode } from './testing.ts'

const check = (node: TestNode, want: readonly string[]) => expect(deeds(node.turn())).toEqual(want)

/** Lets time pass without working, so that the next turn shows the decision. */
const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

const releaseAfterMs = 300_000

test('nothing before the surplus has lasted, then exactly what is too many', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 2 } })
  wait(node, releaseAfterMs - 1)
  check(node, [])
  wait(node, 1)
  check(node, ['return 10.0.17.4/32 10.0.17.3/32 10.0.17.2/32 of eni-1'])
})

test('the plan wakes when the surplus has lasted', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 2 }, observeEveryMs: 1e9, reconcileEveryMs: 1e9 })
  const since = node.now
  wait(node, 1_000)
  node.work()
  expect(plan(node.state, node.now).wakeAt).toBe(since + releaseAfterMs)
})

test('a dip in the surplus starts its time anew', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 2 } })
  wait(node, 200_000)
  node.configure({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 2 } })
  wait(node, 200_000)
  check(node, [])
  wait(node, 100_000)
  check(node, ['return 10.0.17.4/32 10.0.17.3/32 10.0.17.2/32 of eni-1'])
})

// Pods that come and go must not keep all of a surplus that is never used.
test('of a surplus that varied, the part that lasted goes', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 1 } })
  wait(node, 100_000)
  node.add('a')
  node.add('b')
  node.work()
  node.del('a')
  node.del('b')
  node.work()
  wait(node, 200_000)
  check(node, ['return 10.0.17.4/32 10.0.17.3/32 of eni-1'])
})

test('pods that wait, or a shortage, stop every return', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 2 } })
  wait(node, releaseAfterMs - 1_000)
  node.kernel.hidden.add('eni-1' as NicId)
  node.turn()
  node.add('a')
  wait(node, 1_000)
  check(node, [])
})

test('a whole idle NIC goes before single blocks', () => {
  const node = filledNode({ pool: { warmTarget: 8 } })
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 3')
  node.configure({ pool: { warmTarget: 3 } })
  wait(node, releaseAfterMs)
  check(node, ['detach eni-2'])
  node.answer(undefined, 'detachNic')
  check(node, ['delete eni-2'])
  node.answer(undefined, 'deleteNic')
  expect(nicsText(node)).toBe('eni-1 ready 5')
})

test('after a NIC has gone, the rest of the surplus has to last again', () => {
  const node = filledNode({ pool: { warmTarget: 8 } })
  node.configure({ pool: { warmTarget: 3 } })
  wait(node, releaseAfterMs)
  node.work()
  const since = node.now
  wait(node, releaseAfterMs - 1)
  check(node, [])
  expect(node.now).toBe(since + releaseAfterMs - 1)
  wait(node, 1)
  check(node, ['return 10.0.17.4/32 10.0.17.3/32 of eni-1'])
})

test('a NIC that holds more than the surplus stays', () => {
  const node = filledNode({ pool: { warmTarget: 8 } })
  node.configure({ pool: { warmTarget: 6 } })
  wait(node, releaseAfterMs)
  check(node, ['return 10.0.17.7/32 10.0.17.6/32 of eni-2'])
})

test('single blocks come from the NIC with the fewest pods', () => {
  const node = filledNode({ pool: { warmTarget: 4 } })
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) node.add(name)
  node.pass(10_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 5')
  for (const name of ['b', 'c', 'd', 'e']) node.del(name)
  node.pass(60_000)
  node.add('g')
  node.work()
  const pods = (id: string) =>
    [...nicOf(node, id).uses.values()].filter(({ kind }) => kind === 'assigned').length
  expect([pods('eni-1'), pods('eni-2')]).toEqual([2, 1])
  wait(node, releaseAfterMs)
  expect(deeds(node.turn()).join()).toMatch(/^return( \S+)+ of eni-2$/)
})

test('the primary NIC never goes, however idle', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({})
  node.pass(3_600_000)
  expect(nicsText(node)).toBe('eni-1 ready 0')
})

test('nothing assigned goes, and of a /28 not even the rest', () => {
  const node = filledNode({ blockLength: 28, pool: { warmTarget: 17 } })
  node.add('a')
  node.work()
  node.configure({})
  node.pass(3_600_000)
  expect([...nicOf(node, 'eni-1').blocks.keys()]).toEqual(['10.0.24.0/28'])
  expect(countsText(node)).toBe('15 warm, 1 assigned')
})

test('nothing that cools goes; its turn comes when it has rested', () => {
  const node = filledNode({ pool: { minimum: 3 }, coolingMs: 3_600_000 })
  node.add('a')
  node.work()
  node.del('a')
  node.work()
  node.configure({})
  node.pass(releaseAfterMs * 3)
  expect([...nicOf(node, 'eni-1').blocks.keys()]).toEqual(['10.0.17.0/32'])
  expect(countsText(node)).toMatch(/^1 cooling/)
  node.pass(7_200_000)
  expect(nicsText(node)).toBe('eni-1 ready 0')
})

test('a NIC with an address that cools does not go', () => {
  const node = filledNode({ pool: { warmTarget: 5 }, coolingMs: 3_600_000 })
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) node.add(name)
  node.pass(10_000)
  node.del('f')
  node.configure({ pool: {} })
  node.pass(releaseAfterMs * 2)
  expect(node.state.nics.has('eni-2' as NicId)).toBe(true)
  node.pass(7_200_000)
  expect(node.state.nics.has('eni-2' as NicId)).toBe(false)
})

test('as many warm addresses stay as are wanted, though cooling ones are part of the surplus', () => {
  const node = filledNode({ pool: { minimum: 6 }, coolingMs: 3_600_000 }, { blocksMax: 8 })
  for (const name of ['a', 'b', 'c']) node.add(name)
  node.work()
  for (const name of ['a', 'b', 'c']) node.del(name)
  node.work()
  node.configure({ pool: { warmTarget: 2 } })
  node.pass(releaseAfterMs)
  expect(countsText(node)).toMatch(/^2 warm, 3 cooling/)
})

test('a return that was cut short is finished', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 3 } })
  wait(node, releaseAfterMs)
  check(node, ['return 10.0.17.4/32 10.0.17.3/32 of eni-1'])
  const half = (action: CloudAction) =>
    node.cloud.perform({ ...action, blocks: [cidr('10.0.17.4/32')] } as CloudAction)
  node.answer(half, 'returnBlocks')
  check(node, [])
  wait(node, 1_000)
  check(node, ['return 10.0.17.3/32 of eni-1'])
})

test('a definite no keeps the blocks; they settle before they serve again', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 3 } })
  wait(node, releaseAfterMs)
  node.turn()
  node.answer(action => refuse(action, refusal('denied')), 'returnBlocks')
  expect(countsText(node)).toBe('3 warm, 2 settling, changing in 1000 ms')
  expect(nicOf(node, 'eni-1').retryAt).toBe(after(node.now, 60_000))
})

test('what is too many of both families goes in one call', () => {
  const node = filledNode({ families: [4, 6], pool: { warmTarget: 3 } })
  node.configure({ pool: { warmTarget: 2 } })
  wait(node, releaseAfterMs)
  expect(deeds(node.turn())).toEqual(['return 10.0.17.2/32 2001:db8:0:1::102/128 of eni-1'])
})
