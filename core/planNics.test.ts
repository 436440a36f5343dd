// The life of a NIC, step by step: created, attached, seen, wired, ready; and leaving again.

import { expect, test } from 'vitest'
import type { CloudAction } from './action.ts'
import { after, nicId } from './names.ts'
import { deeds, filledNode, nicOf, nicsText, readyNode, refusal, refuse } from './testing.ts'
import type { TestNode } from './testing.ts'

const check = (node: TestNode, want: readonly string[]) => expect(deeds(node.turn())).toEqual(want)
const phase = (node: TestNode, want: string, id = 'eni-2') =>
  expect(nicOf(node, id).phase.kind).toBe(want)

const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

/** A node that has just ordered a second NIC; nothing of it has appeared. */
const growing = (): TestNode => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  node.kernel.hidden.add(nicId('eni-2'))
  node.kernel.canWireNics = false
  check(node, ['create NIC in subnet-1 with 1 × /32, prewarming'])
  return node
}

test('from a decision to addresses that serve', () => {
  const node = growing()
  expect(node.state.intents.size).toBe(1)
  node.answer(undefined, 'createNic')
  expect(node.state.intents.size).toBe(0)
  phase(node, 'created')
  check(node, ['attach eni-2 as 1'])
  phase(node, 'attaching')
  node.answer(undefined, 'attachNic')
  phase(node, 'attaching')
  expect(nicOf(node, 'eni-2').isProtected).toBe(true)
  node.pass(1_000)
  phase(node, 'attaching')
  node.kernel.hidden.clear()
  node.pass(250)
  phase(node, 'wiring')
  expect(nicOf(node, 'eni-2').device?.name).toBe('eth1')
  node.kernel.canWireNics = true
  node.pass(250)
  phase(node, 'ready')
})

test('each NIC keeps the lowest slot and device index that were free', () => {
  const node = filledNode({ pool: { warmTarget: 15 } })
  expect([...node.state.nics.values()].map(nic => nic.slot)).toEqual([1, 2, 3])
  node.cloud.perform({ kind: 'deleteNic', nic: nicId('eni-2') } as CloudAction)
  node.configure({ pool: { warmTarget: 10 } })
  node.pass(120_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-3 ready 5')
  node.configure({ pool: { warmTarget: 15 } })
  node.pass(10_000)
  expect(nicOf(node, 'eni-4').slot).toBe(2)
  expect(nicOf(node, 'eni-4').phase).toEqual({ kind: 'ready', deviceIndex: 1 })
})

test('a device that is not there in time: detached, deleted, and made anew', () => {
  const node = growing()
  node.answer(undefined, 'createNic')
  node.turn()
  node.answer(undefined, 'attachNic')
  const { appearWithinMs } = node.state.config
  wait(node, appearWithinMs - 1)
  check(node, [])
  wait(node, 1)
  check(node, ['detach eni-2', 'create NIC in subnet-1 with 1 × /32, prewarming'])
  phase(node, 'leaving')
  node.answer(undefined, 'detachNic')
  check(node, ['delete eni-2'])
  node.answer(undefined, 'deleteNic')
  expect(node.state.nics.has(nicId('eni-2'))).toBe(false)
})

test('a device that vanishes takes its NIC out of service; one that has pods is not given up', () => {
  const node = filledNode({ pool: { warmTarget: 0 } })
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 1')
  node.kernel.hidden.add(nicId('eni-2'))
  node.pass(400_000)
  phase(node, 'attaching')
  // What has not come in its time is looked for as seldom as everything else.
  node.kernel.hidden.clear()
  node.pass(16_000)
  phase(node, 'ready')
})

test('a NIC given up is not detached while an address of it rests', () => {
  const node = filledNode()
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  node.kernel.hidden.add(nicId('eni-2'))
  node.pass(400_000)
  node.kernel.deletesAtOnce = false
  node.del('p5')
  expect(deeds(node.turn())).toEqual(['unwire p5/eth0'])
})

test('a device that is another one than before is wired again', () => {
  const node = filledNode()
  const report = {
    devices: [{ ifindex: 77, name: 'eth0', mac: nicOf(node, 'eni-1').mac, mtu: 9001 }],
    wiredSlots: [1],
    podLinks: new Set<number>(),
    strays: [],
    goneNamespaces: new Set<never>(),
    repaired: [],
    failures: [],
  }
  node.apply({ kind: 'hostReconciled', report })
  phase(node, 'wiring', 'eni-1')
  expect(node.state.host.wantedAt).toBeGreaterThan(node.now)
  node.apply({ kind: 'hostReconciled', report })
  phase(node, 'ready', 'eni-1')
})

test('a device that was renamed is known by its new name, and stays wired', () => {
  const node = filledNode()
  const { mac, device } = nicOf(node, 'eni-1')
  if (device === undefined) throw new Error('the NIC has no device')
  const report = {
    devices: [{ ...device, name: 'ens5', mac }],
    wiredSlots: [1],
    podLinks: new Set<number>(),
    strays: [],
    goneNamespaces: new Set<never>(),
    repaired: [],
    failures: [],
  }
  node.apply({ kind: 'hostReconciled', report })
  phase(node, 'ready', 'eni-1')
  expect(nicOf(node, 'eni-1').device?.name).toBe('ens5')
})

test('an attachment that outlives the instance is asked to be protected', () => {
  const node = growing()
  node.answer(undefined, 'createNic')
  node.turn()
  node.answer(action => {
    node.cloud.perform(action)
    return refuse(action, refusal('transient', { ambiguous: true }))
  }, 'attachNic')
  const nic = node.cloud.nics.get(nicId('eni-2'))!
  const attachment = { ...nic.attachment, isProtected: false } as typeof nic.attachment
  node.cloud.nics.set(nic.id, { ...nic, attachment })
  wait(node, 10_000)
  node.turn()
  node.answer(undefined, 'observeCloud')
  check(node, ['attach eni-2 as 1'])
  node.answer(undefined, 'attachNic')
  check(node, [])
  expect(nicOf(node, 'eni-2').isProtected).toBe(true)
})

test('more NICs than the instance takes: what cannot be attached goes again', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  node.configure({ nicsMax: 2, pool: { warmTarget: 6 } })
  const nic = node.cloud.nics.get(nicId('eni-2'))!
  const ours = {
    id: nicId('eni-9'),
    token: 'ew-e0-1' as never,
    attachment: { kind: 'none' },
  } as const
  node.cloud.nics.set(nicId('eni-9'), { ...nic, ...ours, blocks: [] })
  wait(node, 60_000)
  node.turn()
  node.answer()
  check(node, ['delete eni-9'])
})

test.each([
  // The bucket is empty then, and an attach is not urgent: 2 of 4 tokens, 0.5 a second.
  { kind: 'throttled', waitMs: 4_000 },
  { kind: 'conflict', waitMs: 500 },
  { kind: 'notFound', waitMs: 500 },
  { kind: 'transient', waitMs: 500 },
  { kind: 'denied', waitMs: 60_000 },
] as const)('an attach that is $kind is tried again after $waitMs ms', ({ kind, waitMs }) => {
  const node = growing()
  node.answer(undefined, 'createNic')
  node.turn()
  node.answer(action => refuse(action, refusal(kind)), 'attachNic')
  wait(node, waitMs - 1)
  check(node, [])
  wait(node, 1)
  check(node, ['attach eni-2 as 1'])
})

test('no place on the instance: the NIC goes, and none is made for a while', () => {
  const node = growing()
  node.answer(undefined, 'createNic')
  node.turn()
  node.answer(action => refuse(action, refusal('limit')), 'attachNic')
  phase(node, 'leaving')
  wait(node, 500)
  check(node, ['delete eni-2'])
  expect(node.state.cloud.nicsLimitedUntil).toBe(after(node.now, 14_500))
})

test('NICs of others hold a place and are left alone', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  const primary = node.cloud.nics.get(nicId('eni-1'))!
  const foreign = { id: nicId('eni-8'), isPrimary: false, isManaged: false, blocks: [] } as const
  const attachment = { ...primary.attachment, deviceIndex: 1 } as typeof primary.attachment
  const mac = '02:00:00:00:00:88' as typeof primary.mac
  node.cloud.nics.set(foreign.id, { ...primary, ...foreign, attachment, mac })
  node.pass(120_000)
  node.configure({ pool: { warmTarget: 15 } })
  const done = deeds(node.pass(400_000))
  expect(done.filter(text => text.includes('eni-8'))).toEqual([])
  expect(nicsText(node)).toMatch(/^eni-1 ready 5, eni-8 \S+ 0, eni-2 ready 5$/)
  expect(nicOf(node, 'eni-2').phase).toMatchObject({ deviceIndex: 2 })
})

test('nothing happens to a NIC while a call about it is under way', () => {
  const node = growing()
  node.answer(undefined, 'createNic')
  node.turn()
  wait(node, 1_000_000)
  expect(deeds(node.turn())).toEqual([])
})

test('nothing is attached before the cloud was observed in this life', () => {
  const node = readyNode()
  node.state = { ...node.state, cloud: { ...node.state.cloud, observedAt: undefined } }
  expect(deeds(node.turn())).toEqual([])
})
