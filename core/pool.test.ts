// How many addresses a pool has in each state of their life, how many it wants, and what is missing
// or too many.

import { expect, test } from 'vitest'
import { defaultPool, poolName } from './names.ts'
import type { PoolTargets } from './state.ts'
import { missingPlaces, surplusOf } from './places.ts'
import { countPool, inFlight, wantedAddresses } from './pool.ts'
import { countsText, filledNode, nicOf, readyNode, type TestNode } from './testing.ts'

const check = (node: TestNode, want: string) => expect(countsText(node)).toBe(want)

const numbers = (node: TestNode): string => {
  const at = { family: 4, now: node.now } as const
  const counts = countPool(node.state, defaultPool, at)
  return [
    `wanted ${wantedAddresses(node.state, defaultPool, counts)}`,
    `deficit ${missingPlaces(node.state, defaultPool, node.now)}`,
    `surplus ${surplusOf(node.state, defaultPool, at)}`,
  ].join(', ')
}

test('the life of an address: settling, warm, assigned, cooling, warm', () => {
  const node = readyNode({ pool: { minimum: 1 } })
  check(node, 'none')
  node.work()
  check(node, '1 settling, changing in 1000 ms')
  node.pass(1_000)
  check(node, '1 warm')
  node.add('a')
  node.work()
  check(node, '1 assigned')
  node.del('a')
  node.work()
  check(node, '1 cooling, changing in 30000 ms')
  node.pass(29_999)
  check(node, '1 cooling, changing in 1 ms')
  node.pass(1)
  check(node, '1 warm')
})

test('a rest lasts until the link is gone, however long that takes', () => {
  const node = filledNode({ pool: { minimum: 1 } })
  node.kernel.deletesAtOnce = false
  node.add('a')
  node.work()
  const [link] = node.kernel.links.keys()
  node.del('a')
  node.turn()
  node.now = (node.now + 3_600_000) as typeof node.now
  check(node, '1 cooling')
  node.apply({ kind: 'linkDeleted', ifindex: link ?? 0 })
  check(node, '1 warm')
})

test('addresses of blocks on their way back are releasing', () => {
  const node = filledNode({ pool: { warmTarget: 3 } })
  node.configure({ pool: { warmTarget: 1 } })
  node.now = (node.now + 300_000) as typeof node.now
  expect(node.turn()).toContain('return 10.0.17.2/32 10.0.17.1/32 of eni-1')
  check(node, '1 warm, 2 releasing')
})

test('addresses on a NIC that arrives settle, on one that leaves they are releasing', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  check(node, '6 warm')
  node.kernel.hidden.add(nicOf(node, 'eni-2').id)
  node.pass(15_000)
  check(node, '5 warm, 1 settling')
  node.configure({ pool: { warmTarget: 5 }, appearWithinMs: 0 })
  expect(node.turn()).toEqual(['detach eni-2'])
  check(node, '5 warm, 1 releasing')
})

test('addresses of a block that somebody returned under pods are lost', () => {
  const node = filledNode({ pool: { minimum: 2 } })
  node.add('a')
  node.work()
  const nic = nicOf(node, 'eni-1')
  const seen = node.cloud.nics.get(nic.id)!
  const [, ...others] = seen.blocks
  node.cloud.nics.set(nic.id, { ...seen, blocks: others })
  node.configure({ pool: { minimum: 1 } })
  node.pass(70_000)
  check(node, '1 warm, 1 lost')
  expect(nicOf(node, 'eni-1').blocks.size).toBe(2)
})

test('of a long IPv6 prefix no more addresses count than are given out', () => {
  const node = readyNode({ families: [6], pool: { minimum: 1 } })
  node.work()
  expect(countsText(node, 6)).toBe('1 settling, changing in 1000 ms')
  const [block] = nicOf(node, 'eni-1').blocks.values()
  expect(block?.cidr).toBe('2001:db8:0:1::100/128')
})

test.each<{ name: string; pool: Partial<PoolTargets>; pods: number; want: string }>([
  { name: 'nothing set', pool: {}, pods: 0, want: 'wanted 0, deficit 0, surplus 0' },
  { name: 'a target', pool: { warmTarget: 3 }, pods: 0, want: 'wanted 3, deficit 3, surplus -3' },
  { name: 'both', pool: { warmTarget: 3 }, pods: 2, want: 'wanted 5, deficit 5, surplus -5' },
  { name: 'pods alone', pool: { warmTarget: 0 }, pods: 2, want: 'wanted 2, deficit 2, surplus -2' },
  {
    name: 'a minimum that is more',
    pool: { warmTarget: 1, minimum: 4 },
    pods: 2,
    want: 'wanted 4, deficit 4, surplus -4',
  },
  {
    name: 'a minimum that is less',
    pool: { warmTarget: 3, minimum: 4 },
    pods: 2,
    want: 'wanted 5, deficit 5, surplus -5',
  },
  {
    name: 'a maximum that is less',
    pool: { warmTarget: 3, maximum: 4 },
    pods: 2,
    want: 'wanted 4, deficit 4, surplus -4',
  },
  {
    name: 'a maximum below the minimum',
    pool: { minimum: 4, maximum: 2 },
    pods: 0,
    want: 'wanted 2, deficit 2, surplus -2',
  },
  // 0 is a number like others, not "unset".
  {
    name: 'a maximum of 0',
    pool: { warmTarget: 3, maximum: 0 },
    pods: 2,
    want: 'wanted 0, deficit 0, surplus 0',
  },
  {
    name: 'no maximum',
    pool: { warmTarget: 3, maximum: undefined },
    pods: 0,
    want: 'wanted 3, deficit 3, surplus -3',
  },
])('an empty pool, $pods pods that wait, $name', ({ pool, pods, want }) => {
  const node = readyNode({ pool })
  for (let i = 0; i < pods; i++) node.add(`p${i}`)
  expect(numbers(node)).toBe(want)
})

test('addresses on their way are not asked for twice', () => {
  const node = readyNode({ pool: { warmTarget: 3 } })
  node.turn()
  expect(inFlight(node.state, defaultPool, 4)).toBe(3)
  expect(inFlight(node.state, defaultPool, 6)).toBe(0)
  expect(numbers(node)).toBe('wanted 3, deficit 0, surplus -3')
  node.add('a')
  expect(numbers(node)).toBe('wanted 4, deficit 1, surplus -4')
})

test('cooling addresses never count as warm, but they fill the minimum', () => {
  const node = filledNode({ pool: { warmTarget: 1, minimum: 3 } })
  node.add('a')
  node.add('b')
  node.work()
  node.del('a')
  node.del('b')
  node.work()
  check(node, '1 warm, 2 cooling, changing in 30000 ms')
  expect(numbers(node)).toBe('wanted 3, deficit 0, surplus 0')
  node.configure({ pool: { warmTarget: 2, minimum: 3 } })
  expect(numbers(node)).toBe('wanted 3, deficit 1, surplus 0')
  node.configure({ pool: { warmTarget: 0, minimum: 4 } })
  expect(numbers(node)).toBe('wanted 4, deficit 1, surplus -1')
})

test('what is assigned is always wanted, also above the maximum', () => {
  const node = filledNode({ pool: { warmTarget: 3 } })
  node.add('a')
  node.add('b')
  node.work()
  node.configure({ pool: { warmTarget: 3, maximum: 1 } })
  expect(numbers(node)).toBe('wanted 2, deficit 0, surplus 3')
})

test('a pool that is not configured wants nothing but what it has', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.add('a', { pool: 'other' })
  const at = { family: 4, now: node.now } as const
  const other = poolName('other')
  expect(missingPlaces(node.state, other, node.now)).toBe(0)
  expect(surplusOf(node.state, other, at)).toBe(0)
})
