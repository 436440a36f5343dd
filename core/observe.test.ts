// What a description changes: lag is expected, so a thing must be missing twice before it counts,
// and what was done lately outweighs what is described.

import { expect, test } from 'vitest'
import type { CloudAction } from './action.ts'
import { cidr, ip, type Cidr } from './ip.ts'
import { after, mac, nicId, token } from './names.ts'
import type { CloudNic, CloudObservation } from './ports.ts'
import { countsText, deeds, filledNode, newNode, nicOf, nicsText, readyNode } from './testing.ts'
import { refusal, refuse, type TestNode } from './testing.ts'

/** The cloud answers an observation that was asked for `agoMs` ago. */
const see = (node: TestNode, seen: CloudObservation = node.cloud.describe(), agoMs = 0): void => {
  const asked = after(node.now, -agoMs)
  const { state } = node
  const id = 999 as CloudAction['id']
  const action = { kind: 'observeCloud', id, priority: 'sweeping' } as const
  node.state = {
    ...state,
    operations: new Map(state.operations).set(id, { action, startedAt: asked }),
  }
  node.answer(() => ({ kind: 'observed', outcome: { kind: 'ok', value: seen } }), action)
}

const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

const changed = (node: TestNode, id: string, fields: Partial<CloudNic>): void => {
  const nic = node.cloud.nics.get(nicId(id))!
  node.cloud.nics.set(nic.id, { ...nic, ...fields })
}

const blocks = (node: TestNode, id = 'eni-1'): string =>
  [...nicOf(node, id).blocks.values()]
    .map(({ cidr, phase, missingSince }) =>
      [baseText(cidr), phase.kind, ...(missingSince === undefined ? [] : ['missing'])].join(' '),
    )
    .join(', ')
const baseText = (block: Cidr): string => block.replace('10.0.17.', '.').replace('/32', '')

const check = (node: TestNode, want: string) => expect(blocks(node)).toBe(want)

/** One NIC with two blocks; a pod uses the first. */
const usual = (): TestNode => {
  const node = filledNode({ pool: { minimum: 2 } })
  node.add('a')
  node.work()
  wait(node, 10_000)
  return node
}

const dropFirst = (node: TestNode) =>
  changed(node, 'eni-1', { blocks: node.cloud.nics.get(nicId('eni-1'))!.blocks.slice(1) })
const dropSecond = (node: TestNode) =>
  changed(node, 'eni-1', { blocks: node.cloud.nics.get(nicId('eni-1'))!.blocks.slice(0, 1) })

test('the same again changes nothing', () => {
  const node = usual()
  see(node)
  check(node, '.0 held, .1 held')
})

test('a description that is older than the lend may lack the block', () => {
  const node = usual()
  dropSecond(node)
  // Lent 20 s ago and some, so only a description from before then cannot know it.
  see(node, node.cloud.describe(), 16_500)
  check(node, '.0 held, .1 held')
})

test('missing once: not given to pods, not forgotten, and looked for again', () => {
  const node = usual()
  dropSecond(node)
  see(node)
  check(node, '.0 held, .1 held missing')
  expect(countsText(node)).toBe('1 settling, 1 assigned')
  expect(node.state.cloud.wantedAt).toBe(after(node.now, 5_000))
})

test('missing twice, but in descriptions that may both lag: still not gone', () => {
  const node = usual()
  dropSecond(node)
  see(node)
  wait(node, 4_999)
  see(node)
  check(node, '.0 held, .1 held missing')
})

test('missing twice and unused: gone without a word', () => {
  const node = usual()
  dropSecond(node)
  see(node)
  wait(node, 5_000)
  see(node)
  check(node, '.0 held')
  expect(node.state.problems.size).toBe(0)
})

test('missing twice and used by a pod: lost and reported, by pod', () => {
  const node = usual()
  dropFirst(node)
  see(node)
  wait(node, 5_000)
  see(node)
  check(node, '.0 lost missing, .1 held')
  expect(countsText(node)).toBe('1 warm, 1 lost')
  expect(node.state.problems.get('block 10.0.17.0/32')?.text).toBe(
    '10.0.17.0/32 is no longer on eni-1 although pods use it; somebody returned it, ' +
      'delete these pods: a/eth0',
  )
})

test('a lost block goes with its last pod', () => {
  const node = usual()
  dropFirst(node)
  see(node)
  wait(node, 5_000)
  see(node)
  node.del('a')
  node.turn()
  see(node)
  check(node, '.1 held')
})

test('a lost block that comes back is whole again', () => {
  const node = usual()
  const before = node.cloud.describe()
  dropFirst(node)
  see(node)
  wait(node, 5_000)
  see(node)
  see(node, before)
  check(node, '.0 held, .1 held')
})

// Whoever stands in `verdict` as lost must not stay there for ever.
test('a lost block that comes back is no longer reported', () => {
  const node = usual()
  const before = node.cloud.describe()
  dropFirst(node)
  see(node)
  wait(node, 5_000)
  see(node)
  see(node, before)
  expect([...node.state.problems.keys()]).toEqual([])
})

test('a block that was missing once and is back serves again', () => {
  const node = usual()
  const before = node.cloud.describe()
  dropSecond(node)
  see(node)
  see(node, before)
  check(node, '.0 held, .1 held')
  expect(countsText(node)).toBe('1 warm, 1 assigned')
})

test('a block that somebody lent is taken over after it settled', () => {
  const node = usual()
  const nic = node.cloud.nics.get(nicId('eni-1'))!
  changed(node, 'eni-1', { blocks: [...nic.blocks, cidr('10.0.17.99/32')] })
  see(node)
  expect(countsText(node)).toBe('1 warm, 1 settling, 1 assigned, changing in 1000 ms')
})

test('a block that was just returned does not come back by a stale description', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  const stale = node.cloud.describe()
  node.configure({ pool: { warmTarget: 1 } })
  wait(node, 300_000)
  node.turn()
  node.answer(undefined, 'returnBlocks')
  while (node.open().length > 0) node.answer()
  check(node, '.0 held')
  wait(node, 4_999)
  see(node, stale)
  check(node, '.0 held')
  // After that it is the truth: somebody lent it again.
  wait(node, 1)
  see(node, stale)
  check(node, '.0 held, .1 held')
})

test('a NIC that was just deleted does not come back by a stale description', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  const stale = node.cloud.describe()
  node.configure({ pool: { warmTarget: 5 } })
  wait(node, 300_000)
  node.work()
  expect(nicsText(node)).toBe('eni-1 ready 5')
  wait(node, 4_999)
  see(node, stale)
  expect(nicsText(node)).toBe('eni-1 ready 5')
})

const twoNics = (): TestNode => {
  const node = filledNode()
  for (let i = 0; i < 6; i++) node.add(`p${i}`)
  node.pass(10_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 1')
  return node
}

const detachByHand = (node: TestNode) => changed(node, 'eni-2', { attachment: { kind: 'none' } })

test('a NIC detached by hand under its pods: lost and reported after the second look', () => {
  const node = twoNics()
  detachByHand(node)
  see(node)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 1')
  wait(node, 5_000)
  see(node)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 lost 1')
  expect(node.state.problems.get('nic eni-2')?.text).toBe(
    'eni-2 is no longer attached to this instance although pods use it; somebody detached it, ' +
      'delete these pods: p5/eth0',
  )
  expect(countsText(node)).toBe('5 assigned, 1 lost')
})

test('a lost NIC that is attached again is wired again and serves', () => {
  const node = twoNics()
  const { attachment } = node.cloud.nics.get(nicId('eni-2'))!
  detachByHand(node)
  see(node)
  wait(node, 5_000)
  see(node)
  changed(node, 'eni-2', { attachment })
  see(node)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 attaching 1')
  node.pass(1_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 1')
  expect([...node.state.problems.keys()]).toEqual([])
})

test('a lost NIC whose last pod goes is used again or goes too', () => {
  const node = twoNics()
  detachByHand(node)
  see(node)
  wait(node, 5_000)
  see(node)
  node.del('p5')
  node.pass(200_000)
  const kinds = [...node.state.nics.values()].map(({ phase }) => phase.kind)
  expect(kinds).not.toContain('lost')
})

test('a NIC detached by hand without pods is one that is not attached, and is attached again', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  detachByHand(node)
  see(node)
  wait(node, 5_000)
  see(node)
  wait(node, 5_000)
  see(node)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 created 1')
  node.pass(10_000)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 1')
})

test('a NIC that is not described at all goes the same way', () => {
  const node = filledNode({ pool: { warmTarget: 6 } })
  node.cloud.nics.delete(nicId('eni-2'))
  see(node)
  expect(countsText(node)).toBe('5 warm, 1 settling')
  wait(node, 5_000)
  see(node)
  expect(nicsText(node)).toBe('eni-1 ready 5')
})

test('a NIC made after the description was asked for is not missing', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  const stale = node.cloud.describe()
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.answer(undefined, 'createNic')
  see(node, stale, 1)
  expect(nicOf(node, 'eni-2').missingSince).toBeUndefined()
})

test('a NIC created with an answer that was lost is found by its token, in its pool', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.answer(action => {
    node.cloud.perform(action)
    return refuse(action, refusal('transient', { ambiguous: true }))
  }, 'createNic')
  expect(node.state.intents.size).toBe(1)
  expect([...node.state.problems.keys()]).toEqual(['createNic'])
  wait(node, 1)
  expect(deeds(node.turn())).toEqual([])
  node.answer()
  expect(node.state.intents.size).toBe(0)
  expect(node.state.problems.size).toBe(0)
  expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 created 1')
})

test('a creation that never happened is given up once descriptions must show it', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.answer(a => refuse(a, refusal('transient', { ambiguous: true })), 'createNic')
  wait(node, 5_000)
  see(node)
  expect(node.state.intents.size).toBe(1)
  expect(node.state.cloud.wantedAt).toBe(after(node.now, 1))
  wait(node, 1)
  see(node)
  expect(node.state.intents.size).toBe(0)
})

test('an attach whose answer was lost shows in the description', () => {
  const node = filledNode({ pool: { warmTarget: 5 } })
  node.configure({ pool: { warmTarget: 6 } })
  node.turn()
  node.answer(undefined, 'createNic')
  node.turn()
  node.answer(action => {
    node.cloud.perform(action)
    return refuse(action, refusal('transient', { ambiguous: true }))
  }, 'attachNic')
  expect(nicOf(node, 'eni-2').unsureSince).toBe(node.now)
  wait(node, 1)
  see(node)
  expect(nicOf(node, 'eni-2')).toMatchObject({ isProtected: true, unsureSince: undefined })
})

test('a first observation takes over what an earlier life left', () => {
  const node = newNode()
  const left: Partial<CloudNic> = {
    id: nicId('eni-5'),
    mac: mac('02:00:00:00:00:05'),
    isPrimary: false,
    token: token('ew-e0-3'),
    attachment: { kind: 'none' },
    blocks: [cidr('10.0.17.200/32')],
    primaryAddresses: [ip('10.0.16.9')],
  }
  node.cloud.nics.set(nicId('eni-5'), { ...node.cloud.nics.get(nicId('eni-1'))!, ...left })
  node.turn()
  node.answer()
  node.turn()
  node.answer()
  expect(nicsText(node)).toBe('eni-1 attaching 0, eni-5 created 1')
})

test('NICs that are not ours are known and not managed', () => {
  const node = readyNode()
  const primary = node.cloud.nics.get(nicId('eni-1'))!
  const other = { id: nicId('eni-7'), isPrimary: false, token: undefined }
  node.cloud.nics.set(other.id, { ...primary, ...other, mac: mac('02:00:00:00:00:07') })
  see(node)
  expect(nicOf(node, 'eni-7').isManaged).toBe(false)
})

test('what subnets are said to have is remembered beside their failures', () => {
  const node = readyNode()
  see(node)
  const [health] = node.state.subnets.values()
  expect(health).toMatchObject({
    subnet: { id: 'subnet-1', available: 999 },
    exhaustedUntil: { 4: 0, 6: 0, nic: 0 },
  })
})

// With the ledger lost nobody knows which of the described blocks an earlier life has returned.
test('a NIC that shows unknown blocks in the first moments is lent nothing before they count', () => {
  const node = newNode({ pool: { warmTarget: 2 } }, { blocksMax: 2 })
  node.state = { ...node.state, bornAt: node.now }
  changed(node, 'eni-1', { blocks: [cidr('10.0.17.200/32'), cidr('10.0.17.201/32')] })
  const early = deeds(node.pass(4_000)).filter(deed => /lend|create/.test(deed))
  expect(early).toEqual([])
  node.pass(10_000)
  expect(countsText(node)).toBe('2 warm')
})

test('what could not be lent is no trouble any more once nobody needs it', () => {
  const node = readyNode({ pool: { warmTarget: 1 } })
  node.turn()
  node.answer(action => refuse(action, refusal('transient')), 'lendBlocks')
  expect([...node.state.problems.keys()]).toEqual(['lendBlocks eni-1'])
  node.configure({ pool: { warmTarget: 0 } })
  see(node)
  expect([...node.state.problems.keys()]).toEqual([])
})

test('a right that is missing stays a trouble, needed or not', () => {
  const node = readyNode({ pool: { warmTarget: 1 } })
  node.turn()
  node.answer(action => refuse(action, refusal('denied')), 'lendBlocks')
  node.configure({ pool: { warmTarget: 0 } })
  see(node)
  expect([...node.state.problems.keys()]).toEqual(['lendBlocks eni-1'])
})
