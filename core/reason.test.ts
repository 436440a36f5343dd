// Why a pod waits, in one sentence per cause, and what STATUS makes of it.

import { expect, test } from 'vitest'
import { defaultPool, nicId, poolName } from './names.ts'
import { explain } from './reason.ts'
import {
  type Call,
  filledNode,
  newNode,
  readyNode,
  refusal,
  refuse,
  type TestNode,
} from './testing.ts'
import { verdict } from './verdict.ts'

const check = (node: TestNode, want: string, pool = defaultPool) => {
  const { code, why } = explain(node.state, pool, node.now)
  expect(`${code}: ${why}`).toBe(want)
}

const refuseAll = (node: TestNode, kind: Parameters<typeof refusal>[0], calls: readonly Call[]) => {
  for (let rounds = 0; rounds < 20; rounds++) {
    node.turn()
    for (const call of node.open()) {
      if (calls.includes(call.kind)) node.answer(action => refuse(action, refusal(kind)), call)
      else node.answer(undefined, call)
    }
  }
}

const waiting = (node: TestNode, pods = 1): TestNode => {
  for (let i = 0; i < pods; i++) node.add(`w${i}`)
  return node
}

test('a pool the node does not have', () =>
  check(
    readyNode(),
    'UnknownPool: this node has no pool "gold"; use one of: default',
    poolName('gold'),
  ))

test('the cloud has not answered yet', () =>
  check(
    newNode(),
    'WaitingForCloud: the cloud has not answered yet since the daemon started; wait a moment',
  ))

test('the cloud cannot be reached', () => {
  const node = waiting(newNode())
  refuseAll(node, 'transient', ['describeNode'])
  check(
    node,
    'CloudUnreachable: cannot describe this instance: TheCall answered TheCode; ' +
      'it is observed and tried again',
  )
})

test('the role lacks a permission', () => {
  const node = waiting(readyNode())
  refuseAll(node, 'denied', ['lendBlocks'])
  check(
    node,
    'Denied: cannot lend 1 × /32 to eni-1: TheCall answered TheCode; ' +
      "allow TheCall in the permissions of the node's role",
  )
})

test('the account makes too many calls', () => {
  const node = waiting(readyNode())
  refuseAll(node, 'throttled', ['lendBlocks'])
  check(
    node,
    'Throttled: cannot lend 1 × /32 to eni-1: TheCall answered TheCode; the account makes too many ' +
      'calls; calls are spaced out, raise the API limit or lower the warm target',
  )
})

test('the pool holds its maximum', () => {
  const node = waiting(filledNode({ pool: { maximum: 2 } }), 3)
  node.pass(5_000)
  check(
    node,
    'PoolMaximum: pool default holds its maximum of 2 addresses; raise pool.maximum or lower max-pods',
  )
})

test.each([
  [1, 'subnet subnet-1 (zone a) is exhausted'],
  [2, 'subnet subnet-1 (zone a), subnet-2 (zone a) are exhausted'],
])('%i subnets without addresses', (subnets, want) => {
  const node = waiting(readyNode({}, { subnets }))
  refuseAll(node, 'exhausted', ['lendBlocks', 'createNic'])
  check(node, `Exhausted: ${want}; add a subnet or lower warm targets on its nodes`)
})

test('a NIC is being made, attached, or taken away', () => {
  const node = waiting(readyNode(), 6)
  node.kernel.hidden.add(nicId('eni-2'))
  node.turn()
  check(node, 'WaitingForNic: a new NIC is being created; the pod is tried again')
  node.work()
  check(node, 'WaitingForNic: eni-2 is being attached; the pod is tried again')
})

test('addresses are settling', () => {
  const node = waiting(readyNode())
  node.work()
  check(node, 'WaitingForCloud: new addresses are settling; the pod is tried again')
})

test('every free address rests', () => {
  const node = filledNode({ nicsMax: 1, observeEveryMs: 1e9 }, { blocksMax: 2 })
  node.add('a')
  node.add('b')
  node.pass(2_000)
  node.del('a')
  waiting(node)
  node.work()
  check(
    node,
    'Cooling: all free addresses rest, for 30 s after their last pod and until its link is gone; ' +
      'lower cooling or max-pods',
  )
})

test('the instance is full', () => {
  const node = waiting(readyNode({}, { nicsMax: 2, blocksMax: 2 }), 5)
  node.pass(10_000)
  check(
    node,
    'NicLimit: instance type test.large has all its NICs and 4 addresses in use; ' +
      'lower max-pods or use a larger type',
  )
})

test('the configuration keeps NICs away', () => {
  const node = waiting(readyNode({ nicsMax: 1 }, { nicsMax: 3, blocksMax: 2 }), 3)
  node.pass(10_000)
  check(
    node,
    'NicLimit: nicsMaximum keeps this node at 1 of the 3 NICs of instance type test.large, and 2 ' +
      'addresses are in use; raise nicsMaximum or lower max-pods',
  )
})

test('a full subnet where no NIC can be added', () => {
  const node = waiting(readyNode({}, { hotPlug: false }))
  refuseAll(node, 'exhausted', ['lendBlocks'])
  const want = 'subnet subnet-1 (zone a) is exhausted; lower warm targets on its nodes or widen it'
  check(node, `Exhausted: ${want}`)
})

test('the account has no room for a NIC', () => {
  const node = waiting(readyNode(), 7)
  refuseAll(node, 'limit', ['createNic'])
  node.pass(2_000)
  check(
    node,
    'NicLimit: cannot create a NIC in subnet-1: TheCall answered TheCode; the limit of the instance ' +
      'or account is reached; use a larger instance type or raise the quota',
  )
})

const status = (node: TestNode): string => {
  const current = verdict(node.state, defaultPool, node.now)
  if (current.kind === 'ready') return 'ready'
  return `${current.connectivity}, ${current.details}: ${current.message}`
}

test('ready: an address is warm', () =>
  expect(status(filledNode({ pool: { warmTarget: 1 } }))).toBe('ready'))

test('ready: one is on its way', () => {
  const node = readyNode({ pool: { warmTarget: 1 } })
  node.turn()
  expect(status(node)).toBe('ready')
  node.work()
  expect(status(node)).toBe('ready')
})

test('not ready: nothing known yet', () =>
  expect(status(newNode())).toBe(
    'unaffected, WaitingForCloud: this node has no address for a new pod: ' +
      'the cloud has not answered yet since the daemon started; wait a moment',
  ))

test('not ready: settling, but the primary NIC is not wired', () => {
  const node = newNode({ pool: { warmTarget: 1 } })
  node.kernel.hidden.add(nicId('eni-1'))
  node.pass(500)
  expect(status(node)).toMatch(/^unaffected, WaitingForNic: /)
})

test('not ready, and pods suffer: a NIC was taken away under them', () => {
  const node = filledNode()
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  node.cloud.nics.delete(nicId('eni-2'))
  node.pass(130_000)
  expect(status(node)).toMatch(/^limited, Lost: eni-2 is no longer attached to this instance/)
})

// A warm pool of 0 is a choice, not a fault: the node would grow for a pod at once.
test('ready: nothing is kept warm, but a pod would get an address', () =>
  expect(status(readyNode({ pool: { warmTarget: 0 } }))).toBe('ready'))

test('not ready: of two families the instance has only one', () => {
  const node = newNode({ families: [4, 6], pool: { warmTarget: 1 } })
  const limits = { ...node.cloud.facts.limits, blocksPerNicMax: { 4: 5, 6: 0 } }
  node.cloud.facts = { ...node.cloud.facts, limits }
  node.pass(10_000)
  expect(status(node)).toMatch(/^unaffected/)
})
