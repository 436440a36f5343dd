// The ledger: what is written for which change, and what comes back from it, also when facts are
// damaged.

import { expect, test } from 'vitest'
import { changes } from './durable.ts'
import { initialState } from './initial.ts'
import { after, nicId } from './names.ts'
import type { LedgerChange } from './ports.ts'
import { restore, type Restored } from './restore.ts'
import type { State } from './state.ts'
import { filledNode, keyOf, nicOf, refusal, refuse, type TestNode } from './testing.ts'

const text = (change: LedgerChange): string => `${change.kind} ${change.key}`
const news = (node: TestNode, act: () => void): readonly string[] => {
  const before = node.state
  act()
  return changes(before, node.state).map(text)
}
const check = (got: readonly string[], want: readonly string[]) => expect(got).toEqual(want)

const full = (state: State): ReadonlyMap<string, unknown> =>
  new Map(
    changes(initialState(state), state).flatMap(each =>
      each.kind === 'put' ? [[each.key, each.value] as const] : [],
    ),
  )

const restored = (node: TestNode, entries: ReadonlyMap<string, unknown>): Restored =>
  restore({ config: node.state.config, epoch: 'e2', at: node.now, entries })

/** JSON, as the store writes and reads it. */
const throughDisk = (entries: ReadonlyMap<string, unknown>): ReadonlyMap<string, unknown> =>
  new Map(JSON.parse(JSON.stringify([...entries])) as [string, unknown][])

const busy = (): TestNode => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.add('a')
  node.add('b')
  node.work()
  node.del('b')
  node.pass(2_000)
  return node
}

// Observations and looks at the kernel go on for ever; each write costs an fsync.
test('nothing changed, nothing written', () => {
  const node = busy()
  check(
    news(node, () => node.pass(120_000)),
    [],
  )
})

test('an ADD is one fact', () => {
  const node = busy()
  node.add('c')
  check(
    news(node, () => node.turn()),
    ['put sandbox/c/eth0'],
  )
})

test('its second address of life ends a rest', () => {
  const node = filledNode({ pool: { minimum: 1 } })
  node.add('a')
  node.work()
  node.del('a')
  node.pass(31_000)
  node.add('b')
  check(
    news(node, () => node.turn()),
    ['drop cooling/eni-1/10.0.17.0', 'put sandbox/b/eth0'],
  )
})

test('a DEL drops the sandbox and begins a rest, in one', () => {
  const node = busy()
  node.del('a')
  check(
    news(node, () => node.turn()),
    ['put cooling/eni-1/10.0.17.0', 'drop sandbox/a/eth0'],
  )
})

test('an intended NIC is written before it is asked for, and ends as a NIC', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  const [put] = news(node, () => node.turn())
  expect(put).toMatch(/^put intent\/ew-e1-\d+$/)
  check(
    news(node, () => node.answer(undefined, 'createNic')),
    ['put nic/eni-2', `drop ${put?.slice(4)}`],
  )
})

test('each step of a NIC that leaves is written', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  node.configure({ pool: { warmTarget: 5 } })
  node.now = after(node.now, 300_000)
  check(
    news(node, () => node.turn()),
    ['put nic/eni-2'],
  )
  check(
    news(node, () => node.answer(undefined, 'detachNic')),
    ['put nic/eni-2'],
  )
  check(
    news(node, () => node.turn()),
    [],
  )
  check(
    news(node, () => node.answer(undefined, 'deleteNic')),
    ['drop nic/eni-2'],
  )
})

test('a block is written when it is to be returned and when it is gone', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.configure({ pool: { warmTarget: 1 } })
  node.now = after(node.now, 300_000)
  check(
    news(node, () => node.turn()),
    ['put nic/eni-1'],
  )
  check(
    news(node, () => node.answer(undefined, 'returnBlocks')),
    ['put nic/eni-1'],
  )
})

test('what comes back: the same pods, blocks, rests and places, on NICs that have to be found', () => {
  const node = busy()
  const { state, problems } = restored(node, throughDisk(full(node.state)))
  expect(problems).toEqual([])
  expect(state.sandboxes).toEqual(node.state.sandboxes)
  expect(nicOf({ ...node, state }, 'eni-1')).toMatchObject({
    mac: nicOf(node, 'eni-1').mac,
    slot: 1,
    isPrimary: true,
    device: undefined,
    phase: { kind: 'attaching', deviceIndex: 0 },
  })
  expect(state.nics.get(nicId('eni-1'))?.uses).toEqual(nicOf(node, 'eni-1').uses)
  expect([...(state.nics.get(nicId('eni-1'))?.blocks.keys() ?? [])]).toEqual([
    ...nicOf(node, 'eni-1').blocks.keys(),
  ])
  expect(state.node).toEqual(node.state.node)
  expect(state.epoch).toBe('e2')
})

test('what was saved and is restored is saved the same again', () => {
  const node = busy()
  const entries = throughDisk(full(node.state))
  expect(throughDisk(full(restored(node, entries).state))).toEqual(entries)
})

test('no link number is given twice after a restart', () => {
  const node = busy()
  const links = [...node.kernel.links.keys()]
  node.state = restored(node, throughDisk(full(node.state))).state
  node.pass(1_000)
  node.add('z')
  node.work()
  expect(links).not.toContain(node.state.sandboxes.get(keyOf('z'))?.hostIfindex)
})

test('an intended NIC is doubted after a restart: the cloud is asked before another is made', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.state = restored(node, throughDisk(full(node.state))).state
  const [intent] = node.state.intents.values()
  expect(intent).toMatchObject({ unsureSince: node.now, subnet: 'subnet-1' })
  node.pass(1_000)
  expect(node.cloud.nics.size).toBe(1)
})

test('a return that was cut short stays one', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  node.configure({ pool: { warmTarget: 1 } })
  node.now = after(node.now, 300_000)
  node.turn()
  const { state } = restored(node, throughDisk(full(node.state)))
  const phases = [...(state.nics.get(nicId('eni-1'))?.blocks.values() ?? [])].map(b => b.phase.kind)
  expect(phases).toEqual(['held', 'returning'])
})

test('a NIC on its way out stays so', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  node.configure({ pool: { warmTarget: 5 } })
  node.now = after(node.now, 300_000)
  node.turn()
  const place = () =>
    restored(node, throughDisk(full(node.state))).state.nics.get(nicId('eni-2'))?.phase
  expect(place()).toMatchObject({ kind: 'leaving', isDetached: false })
  node.answer(undefined, 'detachNic')
  expect(place()).toMatchObject({ kind: 'leaving', isDetached: true })
})

test('a lost NIC stays lost', () => {
  const node = filledNode()
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  node.cloud.nics.delete(nicId('eni-2'))
  node.pass(130_000)
  const { state } = restored(node, throughDisk(full(node.state)))
  expect(state.nics.get(nicId('eni-2'))?.phase.kind).toBe('lost')
})

test('a clock that was set back makes nothing rest or settle for years', () => {
  const node = busy()
  const entries = throughDisk(full(node.state))
  node.now = after(node.now, -900_000)
  const { state } = restored(node, entries)
  for (const nic of state.nics.values()) {
    for (const { phase } of nic.blocks.values()) {
      expect(phase).toMatchObject({ settledAt: after(node.now, 1_000) })
    }
    for (const use of nic.uses.values()) {
      if (use.kind === 'cooling') expect(use.until).toBe(after(node.now, 30_000))
    }
  }
})

test('a failed call leaves nothing behind in the ledger', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  const before = throughDisk(full(node.state))
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.answer(action => refuse(action, refusal('limit')), 'createNic')
  expect(throughDisk(full(node.state))).toEqual(before)
})

const damages: readonly (readonly [string, string, unknown])[] = [
  ['node is not an object', 'node', 7],
  ['node without limits', 'node', { instanceId: 'i-1', subnets: [{}] }],
  ['node without subnets', 'node', { instanceId: 'i-1', subnets: [] }],
  ['a NIC that is null', 'nic/eni-1', null],
  ['a NIC without blocks', 'nic/eni-1', { mac: '02:00:00:00:00:01', slot: 1 }],
  ['a sandbox whose NIC is unknown', 'sandbox/a/eth0', { nic: 'eni-99', hostIfindex: 1 }],
  ['a sandbox without addresses', 'sandbox/a/eth0', { nic: 'eni-1', hostIfindex: 1 }],
  ['a rest with a wrong block', 'cooling/eni-1/10.0.17.1', { nic: 'eni-1', block: 'x', until: 1 }],
  ['a rest of no address', 'cooling/nonsense', { nic: 'eni-1', block: '10.0.17.1/32', until: 1 }],
  ['an intent of an unknown family', 'intent/t', { blocks: { family: 5, length: 1, count: 1 } }],
  ['an intent without blocks', 'intent/t', {}],
]

test.each(damages)('%s: reported by name, and the rest is used', (_, key, value) => {
  const node = busy()
  const entries = new Map(throughDisk(full(node.state))).set(key, value)
  const { problems } = restored(node, entries)
  expect(problems[0]).toBe(
    `the ledger's fact "${key}" cannot be read; it is left out, the cloud is asked`,
  )
})

test.each([
  ['a MAC that is none', 'mac', 'zz'],
  ['a slot that is none', 'slot', 'one'],
  ['a place that is none', 'place', 'heaven'],
  ['an address that is none', 'addresses', ['10.0.0']],
  ['a block of unknown phase', 'blocks', [['10.0.17.0/32', 1, 'sold']]],
  ['a block that is none', 'blocks', [['10.0.17.0', 1, 'held']]],
  ['a block with a time that is none', 'blocks', [['10.0.17.0/32', 'noon', 'held']]],
])('a NIC with %s is left out', (_, field, value) => {
  const node = busy()
  const entries = new Map(throughDisk(full(node.state)))
  const nic = entries.get('nic/eni-1') as object
  const { state, problems } = restored(node, entries.set('nic/eni-1', { ...nic, [field]: value }))
  expect(problems.join()).toContain('"nic/eni-1"')
  expect(state.nics.size).toBe(0)
})

test.each([
  ['an address that is none', 'addresses', [['x', '10.0.17.0/32']]],
  ['a link number that is none', 'hostIfindex', 1.5],
  ['a time that is none', 'createdAt', 'noon'],
  ['an MTU that is none', 'mtu', null],
  ['a container id that is none', 'containerId', 7],
])('a sandbox with %s is left out', (_, field, value) => {
  const node = busy()
  const entries = new Map(throughDisk(full(node.state)))
  const sandbox = entries.get('sandbox/a/eth0') as object
  const damaged = entries.set('sandbox/a/eth0', { ...sandbox, [field]: value })
  const { state, problems } = restored(node, damaged)
  expect(problems).toEqual([
    'the ledger\'s fact "sandbox/a/eth0" cannot be read; it is left out, the cloud is asked',
  ])
  expect(state.sandboxes.size).toBe(0)
})

test('what a NIC was born with is known as such after a restart', () => {
  const node = filledNode({ pool: { warmTarget: 7 } }, { gift: true })
  const { state } = restored(node, throughDisk(full(node.state)))
  const fixed = (of: State): readonly string[] =>
    [...of.nics.values()].flatMap(nic =>
      [...nic.blocks.values()].flatMap(({ cidr, isFixed }) => (isFixed ? [cidr] : [])),
    )
  expect(fixed(state)).toEqual(['10.0.16.5/32'])
  expect(fixed(state)).toEqual(fixed(node.state))
})

test('a pod of both families keeps both addresses, and both rest after it', () => {
  const node = filledNode({ families: [4, 6], pool: { warmTarget: 1 } })
  node.add('a')
  node.work()
  const during = restored(node, throughDisk(full(node.state))).state
  expect(during.sandboxes.get(keyOf('a'))?.addresses.map(({ ip }) => ip)).toEqual([
    '10.0.17.0',
    '2001:db8:0:1::100',
  ])
  node.del('a')
  node.work()
  const after = restored(node, throughDisk(full(node.state))).state
  expect([...nicOf({ ...node, state: after }, 'eni-1').uses.values()].map(u => u.kind)).toEqual([
    'cooling',
    'cooling',
  ])
})

test('a ledger of an older release: what it did not know is as it was then', () => {
  const node = filledNode({ pool: { warmTarget: 1 } })
  const entries = new Map(throughDisk(full(node.state)))
  const old = entries.get('node') as { limits: Record<string, unknown> }
  const { hotPlug: _, ...limits } = old.limits
  const nic = { ...(entries.get('nic/eni-1') as object), fixed: undefined }
  const blocks = { family: 4, length: 32, count: 3 }
  const intent = { pool: 'default', subnet: 'subnet-1', securityGroups: [], blocks }
  entries
    .set('node', { ...old, limits })
    .set('nic/eni-1', nic)
    .set('intent/t', intent)
  const { state, problems } = restored(node, throughDisk(entries))
  expect(problems).toEqual([])
  expect(state.node?.limits.hotPlug).toBe(true)
  expect([...state.intents.values()].map(each => each.blocks)).toEqual([[blocks]])
  expect([...nicOf({ ...node, state }, 'eni-1').blocks.values()].map(b => b.isFixed)).toEqual([
    false,
  ])
})

test('facts of a kind nobody knows, as a newer version may write, are no problem', () => {
  const node = busy()
  const entries = new Map(throughDisk(full(node.state))).set('policy/x', { a: 1 })
  expect(restored(node, entries).problems).toEqual([])
})
