// What the answer to a cloud call means: each kind of failure of each call, in words.

import { expect, test } from 'vitest'
import { after, type Millis, nicId, subnetId } from './names.ts'
import type { FailureKind } from './ports.ts'
import {
  type Call,
  deeds,
  filledNode,
  nicsText,
  readyNode,
  refusal,
  refuse,
  type TestNode,
} from './testing.ts'

const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

/** A node with a second NIC that is ready and of which one thing is about to be done. */
const before: { readonly [C in Call]: () => TestNode } = {
  describeNode: () => {
    const node = readyNode()
    node.state = { ...node.state, cloud: { ...node.state.cloud, isDescribed: false } }
    node.turn()
    return node
  },
  observeCloud: () => {
    const node = readyNode()
    wait(node, 60_000)
    node.turn()
    return node
  },
  createNic: () => {
    const node = filledNode({ pool: { warmTarget: 5 } })
    node.configure({ pool: { warmTarget: 6 } })
    node.turn()
    return node
  },
  attachNic: () => {
    const node = before.createNic()
    node.answer()
    node.turn()
    return node
  },
  detachNic: () => {
    const node = filledNode({ pool: { warmTarget: 6 }, observeEveryMs: 1e9 })
    node.configure({ pool: { warmTarget: 5 } })
    wait(node, 300_000)
    node.turn()
    return node
  },
  deleteNic: () => {
    const node = before.detachNic()
    node.answer(undefined, 'detachNic')
    node.turn()
    return node
  },
  lendBlocks: () => {
    const node = readyNode({ pool: { warmTarget: 2 } })
    node.turn()
    return node
  },
  returnBlocks: () => {
    const node = filledNode({ pool: { warmTarget: 2 }, observeEveryMs: 1e9 })
    node.configure({ pool: { warmTarget: 1 } })
    wait(node, 300_000)
    node.turn()
    return node
  },
}

const span = (at: Millis | undefined, now: Millis): string =>
  at === undefined || at <= now ? '' : ` ${at - now}`

/** What is held back, and for how many milliseconds. */
const waits = (node: TestNode): string => {
  const { state, now } = node
  const subnet = state.subnets.get(subnetId('subnet-1'))
  const entries = [
    ['describing', span(state.cloud.retryAt, now)],
    ['new NICs', span(state.cloud.nicsLimitedUntil, now)],
    ['exhausted', span(subnet?.exhaustedUntil[4], now)],
    ['no NICs', span(subnet?.exhaustedUntil.nic, now)],
    ['fragmented', span(subnet?.fragmentedUntil, now)],
    ...[...state.nics.values()].map(nic => [nic.id, span(nic.retryAt, now)] as const),
    ...[...state.budget].map(([name, bucket]) => [
      `bucket ${name}`,
      span(bucket.blockedUntil, now),
    ]),
  ]
  const held = entries.filter(([, text]) => text !== '').map(([name, text]) => `${name}${text}`)
  const looks = state.cloud.wantedAt > now ? ['look again'] : []
  const unsure = [...state.nics.values()].filter(nic => nic.unsureSince !== undefined)
  const open = [...state.intents.values()].map(i => (i.unsureSince === undefined ? '' : 'unsure '))
  return [
    ...held,
    ...looks,
    ...unsure.map(({ id }) => `unsure of ${id}`),
    ...open.map(text => `${text}intent`),
    nicsText(node),
  ].join(', ')
}

const check = (call: Call, kind: FailureKind | 'ambiguous', want: string) => {
  const node = before[call]()
  const failure = kind === 'ambiguous' ? refusal('transient', { ambiguous: true }) : refusal(kind)
  node.answer(action => refuse(action, failure), call)
  expect(waits(node)).toBe(want)
}

const table: { readonly [C in Call]: { readonly [K in FailureKind | 'ambiguous']: string } } = {
  describeNode: every('describing 500, eni-1 ready 0', {
    throttled: 'describing 500, bucket describe 500, eni-1 ready 0',
  }),
  observeCloud: every('describing 500, eni-1 ready 0', {
    throttled: 'describing 500, bucket describe 500, eni-1 ready 0',
  }),
  createNic: every('new NICs 500, look again, eni-1 ready 5', {
    throttled: 'bucket create 500, eni-1 ready 5',
    exhausted: 'no NICs 15000, eni-1 ready 5',
    fragmented: 'fragmented 15000, eni-1 ready 5',
    limit: 'new NICs 15000, look again, eni-1 ready 5',
    denied: 'new NICs 60000, look again, eni-1 ready 5',
    ambiguous: 'new NICs 500, look again, unsure intent, eni-1 ready 5',
  }),
  attachNic: every('eni-2 500, look again, eni-1 ready 5, eni-2 attaching 1', {
    throttled: 'eni-2 500, bucket attach 500, look again, eni-1 ready 5, eni-2 attaching 1',
    limit: 'new NICs 15000, eni-2 500, look again, eni-1 ready 5, eni-2 leaving 1',
    denied: 'eni-2 60000, look again, eni-1 ready 5, eni-2 attaching 1',
    ambiguous: 'eni-2 500, look again, unsure of eni-2, eni-1 ready 5, eni-2 attaching 1',
  }),
  detachNic: every('eni-2 500, look again, eni-1 ready 5, eni-2 leaving 1', {
    throttled: 'eni-2 500, bucket detach 500, look again, eni-1 ready 5, eni-2 leaving 1',
    denied: 'eni-2 60000, look again, eni-1 ready 5, eni-2 leaving 1',
    ambiguous: 'eni-2 500, look again, unsure of eni-2, eni-1 ready 5, eni-2 leaving 1',
  }),
  deleteNic: every('eni-2 500, look again, eni-1 ready 5, eni-2 leaving 1', {
    throttled: 'eni-2 500, bucket delete 500, look again, eni-1 ready 5, eni-2 leaving 1',
    denied: 'eni-2 60000, look again, eni-1 ready 5, eni-2 leaving 1',
    ambiguous: 'eni-2 500, look again, unsure of eni-2, eni-1 ready 5, eni-2 leaving 1',
  }),
  lendBlocks: every('eni-1 500, look again, eni-1 ready 0', {
    throttled: 'eni-1 500, bucket lend 500, eni-1 ready 0',
    exhausted: 'exhausted 15000, eni-1 ready 0',
    fragmented: 'fragmented 15000, eni-1 ready 0',
    denied: 'eni-1 60000, look again, eni-1 ready 0',
    ambiguous: 'eni-1 500, look again, unsure of eni-1, eni-1 ready 0',
  }),
  returnBlocks: every('eni-1 500, eni-1 ready 2', {
    throttled: 'eni-1 500, bucket return 500, eni-1 ready 2',
    denied: 'eni-1 60000, eni-1 ready 2',
    ambiguous: 'eni-1 500, look again, unsure of eni-1, eni-1 ready 2',
  }),
}

function every(
  usual: string,
  others: { readonly [K in FailureKind | 'ambiguous']?: string },
): { readonly [K in FailureKind | 'ambiguous']: string } {
  const all = {
    throttled: usual,
    exhausted: usual,
    fragmented: usual,
    limit: usual,
    conflict: usual,
    notFound: usual,
    denied: usual,
    transient: usual,
    ambiguous: usual,
  }
  return { ...all, ...others }
}

for (const [call, kinds] of Object.entries(table)) {
  test.each(Object.entries(kinds))(`${call} %s: %s`, (kind, want) =>
    check(call as Call, kind as FailureKind, want),
  )
}

test.each(Object.keys(table) as Call[])('%s: a failure is a problem, success clears it', call => {
  const node = before[call]()
  node.answer(action => refuse(action, refusal('transient')), call)
  const [[subject, problem] = []] = node.state.problems
  expect(subject?.split(' ', 1)[0]).toBe(call)
  expect(problem?.text).toMatch(
    /^cannot .+: TheCall answered TheCode; it is observed and tried again$/,
  )
  node.pass(400_000)
  expect([...node.state.problems.keys()]).toEqual([])
})

test('the wait after failures doubles, up to a minute', () => {
  const node = readyNode({ pool: { warmTarget: 2 } })
  const spans: number[] = []
  for (let i = 0; i < 9; i++) {
    node.turn()
    while (node.open().length > 0) {
      if (node.open()[0]?.kind === 'lendBlocks') {
        node.answer(action => refuse(action, refusal('conflict')))
        const { retryAt } = node.state.nics.get(nicId('eni-1'))!
        spans.push(retryAt - node.now)
        node.now = retryAt
      } else node.answer()
    }
  }
  expect(spans).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

test('the wait for an exhausted subnet doubles, up to ten minutes, and starts anew after success', () => {
  const node = readyNode({ pool: { warmTarget: 2 } })
  const spans: number[] = []
  const fail = () => {
    while (!deeds(node.turn()).some(text => text.startsWith('lend')))
      node.now = after(node.now, 500)
    node.answer(action => refuse(action, refusal('exhausted')), 'lendBlocks')
    const until = node.state.subnets.get(subnetId('subnet-1'))!.exhaustedUntil[4]
    spans.push(until - node.now)
    node.now = until
    while (node.open().length > 0) node.answer()
  }
  for (let i = 0; i < 7; i++) fail()
  expect(spans).toEqual([15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000])
  node.pass(5_000)
  node.configure({ pool: { warmTarget: 3 } })
  spans.length = 0
  fail()
  expect(spans).toEqual([15_000])
})

test('Retry-After of the cloud is kept', () => {
  const node = before.lendBlocks()
  const failure = refusal('throttled', { retryAfterMs: 7_000 })
  node.answer(action => refuse(action, failure), 'lendBlocks')
  expect(waits(node)).toBe('eni-1 500, bucket lend 7000, eni-1 ready 0')
})

test('an answer of an earlier life or a second answer changes nothing', () => {
  const node = before.lendBlocks()
  const [action] = node.open()
  node.answer()
  const settled = node.state
  node.answer(undefined, action)
  expect(node.state).toBe(settled)
})

test('another instance: nothing of what was remembered is true here, callers are kept', () => {
  const node = filledNode({ pool: { warmTarget: 2 } })
  const waiting = node.add('a', { pool: 'nowhere' })
  node.state = { ...node.state, cloud: { ...node.state.cloud, isDescribed: false } }
  node.cloud.facts = { ...node.cloud.facts, instanceId: 'i-2' as never }
  const { serial } = node.state
  node.apply({ kind: 'addRequested', ...[...node.state.adds.values()][0]! })
  node.turn()
  node.add('b')
  node.answer(undefined, 'describeNode')
  expect(node.state.nics.size).toBe(0)
  expect(node.state.serial).toBeGreaterThanOrEqual(serial)
  expect(node.state.adds.size).toBe(1)
  expect(node.answers.map(({ to }) => to)).toContain(waiting)
})
