// What is said of pods whose NIC or block somebody took away: to CHECK about one pod, to STATUS
// about the node, and the same after a restart.

import { expect, test } from 'vitest'
import { changes } from './durable.ts'
import { initialState } from './initial.ts'
import { lossOf, whatIsLost } from './losses.ts'
import { nicId } from './names.ts'
import { restore } from './restore.ts'
import type { State } from './state.ts'
import { filledNode, keyOf, nicOf, type TestNode } from './testing.ts'

const families = [[[4]], [[6]], [[4, 6]]] as const

/** Six pods, the last one on a NIC of its own. */
const withPods = (of: readonly (4 | 6)[]): TestNode => {
  const node = filledNode({ families: of, pool: { warmTarget: 0 } })
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  expect(nicOf(node, 'eni-2').uses.size).toBe(of.length)
  return node
}

const check = (state: State, pod: string, want: RegExp | undefined): void => {
  const loss = lossOf(state, state.sandboxes.get(keyOf(pod))!)
  if (want === undefined) expect(loss).toBeUndefined()
  else expect(loss).toMatch(want)
}

const restarted = (node: TestNode): State => {
  const entries = changes(initialState(node.state), node.state).flatMap(each =>
    each.kind === 'put' ? [[each.key, each.value] as const] : [],
  )
  const { config } = node.state
  return restore({ config, epoch: 'e2', at: node.now, entries: new Map(entries) }).state
}

test.each(families)('families %j: nothing is lost', of => {
  const { state } = withPods(of)
  expect(whatIsLost(state)).toBeUndefined()
  for (const pod of ['p0', 'p5']) check(state, pod, undefined)
})

test.each(families)('families %j: a NIC that is detached under a pod', of => {
  const node = withPods(of)
  node.cloud.nics.delete(nicId('eni-2'))
  node.pass(16_000)
  // Before the cloud has said it twice, the kernel shows no device.
  check(node.state, 'p5', /the device of eni-2 is missing|eni-2 is no longer attached/)
  node.pass(30_000)
  const told = /^eni-2 is no longer attached to this instance although pods use it; .*: p5\/eth0$/
  check(node.state, 'p5', told)
  check(node.state, 'p0', undefined)
  expect(whatIsLost(node.state)).toMatch(told)
  expect(whatIsLost(restarted(node))).toMatch(told)
  // The pod has gone: nothing is lost any more.
  node.del('p5')
  node.pass(120_000)
  expect(whatIsLost(node.state)).toBeUndefined()
})

test.each(families)('families %j: a block that is returned under a pod', of => {
  const node = withPods(of)
  const sandbox = node.state.sandboxes.get(keyOf('p5'))!
  const block = sandbox.addresses.at(-1)!.block
  const nic = node.cloud.nics.get(nicId('eni-2'))!
  node.cloud.nics.set(nic.id, { ...nic, blocks: nic.blocks.filter(each => each !== block) })
  node.pass(130_000)
  const told = new RegExp(`^${block} is no longer on eni-2 although pods use it; .*: p5/eth0$`)
  check(node.state, 'p5', told)
  check(node.state, 'p0', undefined)
  expect(whatIsLost(restarted(node))).toMatch(told)
})
