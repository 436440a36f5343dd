// What status, readiness and `why` show of a state.

import { expect, test } from 'vitest'
import { nicId } from '#core/names.ts'
import { filledNode, newNode, readyNode, refusal, refuse, type TestNode } from '#core/testing.ts'
import { isReady, nodeView, whyView } from './views.ts'

const view = (node: TestNode) => nodeView(node.state, node.now)

const withPods = (): TestNode => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  node.add('b')
  node.pass(2_000)
  node.del('b')
  node.work()
  return node
}

test('a node: identity, NICs, pools and pods as plain JSON', () => {
  const shown = JSON.parse(JSON.stringify(view(withPods()))) as ReturnType<typeof view>
  expect(shown).toMatchObject({
    node: 'node-1',
    instanceId: 'i-1',
    instanceType: 'test.large',
    zone: 'a',
    ready: true,
    nics: [
      {
        id: 'eni-1',
        mac: '02:00:00:00:00:01',
        slot: 1,
        device: 'eth0',
        subnet: 'subnet-1',
        primary: true,
        managed: true,
        phase: 'ready',
        primaryAddresses: ['10.0.16.4'],
        blocks: ['10.0.17.0/32', '10.0.17.1/32', '10.0.17.2/32', '10.0.17.3/32'],
        addresses: ['10.0.17.0', '10.0.17.1', '10.0.17.2', '10.0.17.3'],
        counts: { warm: 2, assigned: 1, cooling: 1, settling: 0 },
      },
    ],
    pools: [
      {
        name: 'default',
        wanted: 3,
        warm: 2,
        assigned: 1,
        cooling: 1,
        settling: 0,
        releasing: 0,
        lost: 0,
        waiting: 0,
        inFlight: 0,
        warmTarget: 2,
      },
    ],
    pods: [
      { sandbox: 'a/eth0', pod: 'ns/a', nic: 'eni-1', addresses: ['10.0.17.0'], phase: 'wired' },
    ],
    waiting: [],
    calls: [],
    errors: [],
  })
})

test('two families: each by itself, and the pool is as good as the scarcest', () => {
  const node = filledNode({ families: [4, 6], pool: { warmTarget: 2 } })
  node.add('a')
  node.pass(2_000)
  const nic = node.cloud.nics.get(nicId('eni-1'))!
  const blocks = nic.blocks.filter(block => block !== '2001:db8:0:1::101/128')
  node.cloud.nics.set(nic.id, { ...nic, blocks })
  // Seen to be missing once: not given to anybody, and not yet gone.
  node.pass(50_000)
  const [pool] = view(node).pools
  expect(pool).toMatchObject({ name: 'default', assigned: 1, wanted: 3, waiting: 0, warmTarget: 2 })
  expect(pool?.families.map(({ family, warm, assigned }) => [family, warm, assigned])).toEqual([
    ['ipv4', 2, 1],
    ['ipv6', pool?.warm, 1],
  ])
  expect(pool?.warm).toBeLessThan(2)
  expect(view(node).nics[0]?.families.map(({ family }) => family)).toEqual(['ipv4', 'ipv6'])
  expect(view(node).pods[0]?.addresses).toEqual(['10.0.17.0', '2001:db8:0:1::100'])
})

// Scripts that read /v1/node find these (docs/architecture.md, interfaces).
test('the promised keys are there before anything is known', () => {
  const shown = view(newNode())
  expect(Object.keys(shown)).toEqual(
    expect.arrayContaining(['node', 'instanceType', 'nics', 'pools', 'pods', 'waiting']),
  )
  expect(shown).toMatchObject({ node: '', ready: false, nics: [] })
})

test('NICs stand in order of their slots', () => {
  const node = filledNode({ pool: { warmTarget: 15 } })
  node.cloud.nics.delete(nicId('eni-2'))
  node.pass(200_000)
  expect(view(node).nics.map(({ slot }) => slot)).toEqual([1, 2, 3])
})

test('whole blocks are blocks, not addresses', () => {
  const [nic] = view(filledNode({ blockLength: 28, pool: { warmTarget: 2 } })).nics
  expect([nic?.blocks, nic?.addresses]).toEqual([['10.0.24.0/28'], []])
})

test('pods that wait, calls under way, budget and problems', () => {
  const node = readyNode()
  node.add('a')
  node.turn()
  node.answer(action => refuse(action, refusal('throttled')), 'lendBlocks')
  node.now = (node.now + 100) as typeof node.now
  node.add('b')
  node.turn()
  const shown = view(node)
  expect(shown.waiting).toMatchObject([
    { sandbox: 'a/eth0', pod: 'ns/a', forMs: 100, deadlineInMs: 59_900 },
    { sandbox: 'b/eth0', forMs: 0 },
  ])
  expect(shown.waiting[0]?.why).toContain('the account makes too many calls')
  const lend = shown.budget.find(({ call }) => call === 'lend')
  expect(lend).toEqual({ call: 'lend', tokens: 0, burst: 10, perSecond: 1, blockedForMs: 400 })
  expect(shown.errors).toMatchObject([{ subject: 'lendBlocks eni-1', kind: 'throttled', count: 1 }])
})

test.each([
  { name: 'a new daemon', want: false, make: () => newNode({ pool: { warmTarget: 1 } }) },
  { name: 'a filled pool', want: true, make: () => filledNode({ pool: { warmTarget: 1 } }) },
  { name: 'an empty pool', want: false, make: () => readyNode({ pool: { warmTarget: 1 } }) },
])('$name: ready $want', ({ want, make }) => {
  const node = make()
  expect(isReady(node.state, node.now)).toBe(want)
})

test('a node whose primary NIC is not wired is not ready', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  node.kernel.canWireNics = false
  node.pass(16_000)
  expect(isReady(node.state, node.now)).toBe(false)
})

test('why: waiting, assigned, unknown', () => {
  const node = withPods()
  expect(whyView(node.state, 'ns/a', node.now)).toEqual({
    pod: 'ns/a',
    state: 'assigned',
    code: 'Assigned',
    why: 'it has 10.0.17.0 of eni-1',
  })
  expect(whyView(node.state, 'ns/none', node.now)).toBeUndefined()
  const full = filledNode({ pool: { maximum: 1 } })
  full.add('x')
  full.pass(3_000)
  full.add('y')
  full.turn()
  expect(whyView(full.state, 'ns/y', full.now)).toMatchObject({
    state: 'waiting',
    code: 'PoolMaximum',
    forMs: 0,
  })
})

test('a NIC of somebody else is shown as such, not as one that is never ready', () => {
  const node = filledNode()
  const first = node.cloud.nics.get(nicId('eni-1'))!
  const attachment = { ...first.attachment, deviceIndex: 1 } as typeof first.attachment
  const theirs = { id: nicId('eni-9'), isPrimary: false, isManaged: false, attachment, blocks: [] }
  node.cloud.nics.set(nicId('eni-9'), { ...first, ...theirs })
  node.pass(100_000)
  const shown = view(node).nics.map(({ id, phase }) => [id, phase])
  expect(shown).toEqual([
    ['eni-1', 'ready'],
    ['eni-9', 'foreign'],
  ])
})
