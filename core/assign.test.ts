// Which address a new pod gets: from the fullest NIC and block, so that others drain, and there the
// one that has rested longest.

import { expect, test } from 'vitest'
import { chooseAddresses } from './assign.ts'
import { defaultPool, type NicId } from './names.ts'
import { filledNode, nicOf, readyNode, type TestNode } from './testing.ts'

const check = (node: TestNode, want: string) => {
  const choice = chooseAddresses(node.state, { pool: defaultPool, delegator: undefined }, node.now)
  const text =
    choice === undefined
      ? 'none'
      : `${choice.nic.id}: ${choice.addresses.map(({ ip }) => ip).join(' ')}`
  expect(text).toBe(want)
}

const pass = (node: TestNode, ms: number): void => {
  node.now = (node.now + ms) as typeof node.now
}

test('an empty pool has nothing to choose', () => check(readyNode(), 'none'))

test('the primary NIC of equals, and there the first address', () =>
  check(filledNode({ pool: { warmTarget: 7 } }), 'eni-1: 10.0.17.0'))

test('the NIC with the most pods', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) node.add(name)
  node.pass(5_000)
  expect(nicOf(node, 'eni-2').blocks.size).toBeGreaterThan(2)
  for (const name of ['a', 'b', 'c', 'd']) node.del(name)
  node.pass(35_000)
  // eni-1 has one pod and rested addresses, eni-2 two pods.
  check(node, 'eni-2: 10.0.17.7')
})

test('the block with the most pods', () => {
  const node = filledNode({ blockLength: 28, pool: { warmTarget: 20 } })
  for (let i = 0; i < 18; i++) node.add(`p${i}`)
  node.work()
  for (let i = 0; i < 15; i++) node.del(`p${i}`)
  node.pass(40_000)
  // The first block has one pod left, the second has two.
  check(node, 'eni-1: 10.0.24.18')
})

test('the address that has rested longest, but first one that was never used', () => {
  const node = filledNode({ pool: { minimum: 3 } })
  node.add('a')
  node.add('b')
  node.work()
  node.del('b')
  node.pass(1_000)
  node.del('a')
  node.pass(1_000)
  check(node, 'eni-1: 10.0.17.2')
  node.add('c')
  node.pass(30_000)
  check(node, 'eni-1: 10.0.17.1')
  node.add('d')
  node.work()
  check(node, 'eni-1: 10.0.17.0')
})

test('nothing that cools, by time or by link', () => {
  const node = filledNode({ pool: { minimum: 1 } })
  node.kernel.deletesAtOnce = false
  node.add('a')
  node.work()
  node.del('a')
  node.turn()
  check(node, 'none')
  pass(node, 60_000)
  check(node, 'none')
  node.pass(1_000)
  check(node, 'eni-1: 10.0.17.0')
})

test('nothing that settles', () => {
  const node = readyNode({ pool: { warmTarget: 1 } })
  node.work()
  check(node, 'none')
  pass(node, 999)
  check(node, 'none')
  pass(node, 1)
  check(node, 'eni-1: 10.0.17.0')
})

test('nothing of a block that the cloud did not show last time', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  const seen = node.cloud.nics.get('eni-1' as NicId)!
  node.cloud.nics.set(seen.id, { ...seen, blocks: seen.blocks.slice(1) })
  node.pass(49_100)
  check(node, 'eni-1: 10.0.17.1')
})

test('nothing of a block that is being returned', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.configure({ pool: {} })
  pass(node, 300_000)
  node.turn()
  check(node, 'none')
})

test('nothing of a NIC that is not ready', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.kernel.hidden.add('eni-1' as NicId)
  node.pass(15_000)
  check(node, 'none')
  node.kernel.hidden.clear()
  node.kernel.canWireNics = false
  node.pass(15_000)
  check(node, 'none')
  node.kernel.canWireNics = true
  node.pass(15_000)
  check(node, 'eni-1: 10.0.17.0')
})

test('nothing of a NIC that the cloud did not show last time', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  const seen = node.cloud.nics.get('eni-1' as NicId)!
  node.cloud.nics.delete('eni-1' as NicId)
  node.pass(49_100)
  check(node, 'none')
  node.cloud.nics.set(seen.id, seen)
  node.pass(10_000)
  check(node, 'eni-1: 10.0.17.0')
})

test('both families come from one NIC, in the configured order', () => {
  check(
    filledNode({ families: [4, 6], pool: { warmTarget: 1 } }),
    'eni-1: 10.0.17.0 2001:db8:0:1::100',
  )
  check(
    filledNode({ families: [6, 4], pool: { warmTarget: 1 } }),
    'eni-1: 2001:db8:0:1::100 10.0.17.0',
  )
})

test('a NIC with only one family has nothing for a pod that needs both', () => {
  const node = filledNode({ families: [4, 6], pool: { warmTarget: 1 } })
  const seen = node.cloud.nics.get('eni-1' as NicId)!
  const blocks = seen.blocks.filter(block => !block.includes(':'))
  node.cloud.nics.set(seen.id, { ...seen, blocks })
  node.pass(49_100)
  check(node, 'none')
})
