// Which calls a shortage leads to: NICs that are there first, then new ones; /28 where they can be
// had; other subnets when one is exhausted.

import { expect, test } from 'vitest'
import { after, nicId, subnetId } from './names.ts'
import { plan } from './plan.ts'
import {
  type ConfigChange,
  countsText,
  deeds,
  filledNode,
  nicsText,
  readyNode,
  refusal,
  refuse,
  type TestNode,
} from './testing.ts'

const check = (node: TestNode, want: readonly string[]) => expect(deeds(node.turn())).toEqual(want)

const answerAll = (node: TestNode): void => {
  while (node.open().length > 0) node.answer()
}

const burst = (node: TestNode, pods: number): TestNode => {
  for (let i = 0; i < pods; i++) node.add(`p${i}`)
  return node
}

test('nothing wanted, nothing done', () => check(readyNode(), []))

test('a burst of pods becomes one call', () =>
  check(burst(readyNode(), 5), ['lend 5 × /32 to eni-1, blocking']))

test('the warm pool is filled with less urgency than waiting pods', () =>
  check(readyNode({ pool: { warmTarget: 3 } }), ['lend 3 × /32 to eni-1, prewarming']))

test('pods that arrive while a call is under way cause no second call on the same NIC', () => {
  const node = burst(readyNode(), 2)
  check(node, ['lend 2 × /32 to eni-1, blocking'])
  node.add('late')
  // eni-1 has room for it once its call has returned, so no NIC is made.
  check(node, [])
  answerAll(node)
  check(node, ['lend 1 × /32 to eni-1, blocking'])
})

test('more than the NIC has room for: the rest comes with a new NIC', () =>
  check(burst(readyNode(), 8), [
    'lend 5 × /32 to eni-1, blocking',
    'create NIC in subnet-1 with 3 × /32, blocking',
  ]))

test('a large burst makes several NICs at once, and no more than the instance takes', () =>
  check(burst(readyNode(), 40), [
    'lend 5 × /32 to eni-1, blocking',
    'create NIC in subnet-1 with 5 × /32, blocking',
    'create NIC in subnet-1 with 5 × /32, blocking',
  ]))

test('at most two NICs are made at a time', () => {
  const node = burst(readyNode({}, { nicsMax: 10 }), 40)
  check(node, [
    'lend 5 × /32 to eni-1, blocking',
    'create NIC in subnet-1 with 5 × /32, blocking',
    'create NIC in subnet-1 with 5 × /32, blocking',
  ])
  answerAll(node)
  check(node, [
    'attach eni-2 as 1',
    'attach eni-3 as 2',
    'create NIC in subnet-1 with 5 × /32, blocking',
    'create NIC in subnet-1 with 5 × /32, blocking',
  ])
})

test('each NIC of a burst has a token of its own', () => {
  const node = burst(readyNode(), 40)
  node.turn()
  const tokens = [...node.state.intents.keys()]
  expect(new Set(tokens).size).toBe(2)
  expect(tokens[0]).toMatch(/^ew-e1-\d+$/)
})

test.each<[string, ConfigChange, number]>([
  ['the instance', {}, 3],
  ['the configuration', { nicsMax: 2 }, 2],
])('%s sets how many NICs there are', (_, change, nics) => {
  const node = burst(readyNode(change), 40)
  node.pass(30_000)
  expect(node.state.nics.size).toBe(nics)
  expect(countsText(node)).toBe(`${5 * nics} assigned`)
  check(node, [])
})

test('room on a NIC that is about to be ready is used before a new NIC is made', () => {
  const node = burst(readyNode(), 6)
  node.kernel.hidden.add(nicId('eni-2'))
  node.work()
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 attaching 1')
  node.add('late')
  check(node, ['lend 1 × /32 to eni-2, blocking'])
})

test('the lowest slot with room gets the call', () => {
  const node = filledNode({ pool: { warmTarget: 8 } })
  node.configure({ pool: { warmTarget: 9 } })
  check(node, ['lend 1 × /32 to eni-2, prewarming'])
})

test('a /28 holds a whole burst', () =>
  check(burst(readyNode({ blockLength: 28 }), 10), ['lend 1 × /28 to eni-1, blocking']))

test.each([28, 'auto'] as const)('block length %s: /28 where it fits', blockLength =>
  check(burst(readyNode({ blockLength }), 17), ['lend 2 × /28 to eni-1, blocking']),
)

test('an instance that cannot hold /28 gets single addresses', () =>
  check(burst(readyNode({ blockLength: 28 }, { prefixes: false }), 2), [
    'lend 2 × /32 to eni-1, blocking',
  ]))

test('no free /28 in the subnet: single addresses at once, and /28 again later', () => {
  const node = burst(readyNode({ blockLength: 'auto' }), 3)
  check(node, ['lend 1 × /28 to eni-1, blocking'])
  node.answer(action => refuse(action, refusal('fragmented')))
  check(node, ['lend 3 × /32 to eni-1, blocking'])
  answerAll(node)
  node.pass(15_000)
  node.add('later')
  check(node, ['lend 1 × /28 to eni-1, blocking'])
})

test('an exhausted subnet: a new NIC in another, and back when it is over', () => {
  const node = burst(readyNode({}, { subnets: 2 }), 2)
  check(node, ['lend 2 × /32 to eni-1, blocking'])
  node.answer(action => refuse(action, refusal('exhausted')))
  check(node, ['create NIC in subnet-2 with 2 × /32, blocking'])
})

test('with every subnet exhausted it waits, and says until when', () => {
  const node = burst(readyNode({}, { subnets: 2 }), 2)
  node.turn()
  node.answer(action => refuse(action, refusal('exhausted')))
  node.turn()
  node.answer(action => refuse(action, refusal('exhausted')))
  check(node, [])
  const until = (id: string) => node.state.subnets.get(subnetId(id))?.exhaustedUntil
  // Half of 30 s, as the tests' jitter is 0.
  expect([until('subnet-1'), until('subnet-2')]).toEqual([
    after(node.now, 15_000),
    after(node.now, 15_000),
  ])
  node.now = after(node.now, 15_000)
  expect(deeds(node.turn())).toEqual(['lend 2 × /32 to eni-1, blocking'])
})

test('the roomiest subnet gets the NIC', () => {
  const node = readyNode({}, { subnets: 3 })
  const [one, two, three] = node.cloud.facts.subnets
  const subnets = [one!, { ...two!, available: 50 }, { ...three!, available: 5_000 }]
  node.cloud.facts = { ...node.cloud.facts, subnets }
  node.pass(60_000)
  check(burst(node, 8), [
    'lend 5 × /32 to eni-1, blocking',
    'create NIC in subnet-3 with 3 × /32, blocking',
  ])
})

test('the instance or account has no room for a NIC: it is asked again later only', () => {
  const node = burst(readyNode(), 8)
  node.turn()
  node.answer(action => refuse(action, refusal('limit')), 'createNic')
  answerAll(node)
  check(node, [])
  expect(node.state.cloud.nicsLimitedUntil).toBe(after(node.now, 15_000))
  node.now = after(node.now, 14_999)
  expect(deeds(node.turn()).filter(text => text.startsWith('create'))).toEqual([])
  node.now = after(node.now, 1)
  expect(deeds(node.turn()).filter(text => text.startsWith('create'))).toEqual([
    'create NIC in subnet-1 with 3 × /32, blocking',
  ])
})

test('when the budget is spent the plan wakes as soon as it is not', () => {
  const lend = { capacity: 1, perSecond: 0.1 }
  const node = readyNode({})
  node.configure({ rates: { ...node.state.config.rates, lend } })
  node.add('a')
  check(node, ['lend 1 × /32 to eni-1, blocking'])
  answerAll(node)
  node.pass(1_500)
  node.add('b')
  check(node, [])
  expect(plan(node.state, node.now).wakeAt).toBe(after(node.now, 8_500))
  node.now = after(node.now, 8_500)
  check(node, ['lend 1 × /32 to eni-1, blocking'])
})

test('pre-warming leaves tokens to pods that wait', () => {
  const node = readyNode()
  const lend = { capacity: 2, perSecond: 0.001 }
  node.configure({ rates: { ...node.state.config.rates, lend }, pool: { warmTarget: 1 } })
  check(node, ['lend 1 × /32 to eni-1, prewarming'])
  answerAll(node)
  node.configure({ pool: { warmTarget: 2 } })
  check(node, [])
  node.add('a')
  node.add('b')
  check(node, ['lend 3 × /32 to eni-1, blocking'])
})

test('no address beyond the maximum', () => {
  check(burst(readyNode({ pool: { maximum: 3 } }), 8), ['lend 3 × /32 to eni-1, blocking'])
  check(burst(readyNode({ pool: { maximum: 0 } }), 8), [])
})

// The maximum is a promise to whoever planned the subnet; half a block cannot be had.
test('no /28 that would lift the pool over its maximum', () => {
  const node = burst(readyNode({ blockLength: 28, pool: { maximum: 20 } }), 40)
  node.pass(30_000)
  expect(node.state.nics.size).toBe(1)
  expect(countsText(node)).toMatch(/^(16|20) assigned/)
})

test('both families of a pod are lent on one NIC, one call after the other', () => {
  const node = burst(readyNode({ families: [4, 6] }), 4)
  check(node, ['lend 4 × /32 to eni-1, blocking'])
  answerAll(node)
  check(node, ['lend 4 × /128 to eni-1, blocking'])
})

test('nothing is lent before the cloud was observed in this life', () => {
  const node = readyNode({ pool: { warmTarget: 3 } })
  node.state = { ...node.state, cloud: { ...node.state.cloud, observedAt: undefined } }
  expect(node.turn()).toEqual(['observe'])
})

test('a NIC is not asked again while it is not sure what its last call came to', () => {
  const node = burst(readyNode(), 2)
  node.turn()
  node.answer(action => refuse(action, refusal('transient', { ambiguous: true })))
  expect(node.turn()).toEqual([])
  node.now = after(node.now, 1)
  expect(node.turn()).toEqual(['observe'])
  answerAll(node)
  node.now = after(node.now, 499)
  check(node, ['lend 2 × /32 to eni-1, blocking'])
})

test('fewer blocks than asked are a result: the rest is asked for', () => {
  const node = burst(readyNode(), 4)
  node.turn()
  node.answer(action =>
    action.kind === 'lendBlocks'
      ? node.cloud.perform({ ...action, blocks: { ...action.blocks, count: 1 } })
      : node.cloud.perform(action),
  )
  check(node, ['lend 3 × /32 to eni-1, blocking'])
})

test('no block at all without an error: not asked again at once', () => {
  const node = burst(readyNode(), 4)
  node.turn()
  node.answer(() => ({ kind: 'blocksLent', outcome: { kind: 'ok', value: [] } }))
  check(node, [])
  node.now = after(node.now, 500)
  check(node, ['lend 4 × /32 to eni-1, blocking'])
})
