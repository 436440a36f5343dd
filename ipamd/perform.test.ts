// Actions become calls of the ports, results become events; providers that throw become failures.

import { expect, test } from 'vitest'
import type { Action, Answer, CloudAction } from '#core/action.ts'
import type { Event } from '#core/event.ts'
import { millis, operationId, replyId, sandboxKey, type Millis } from '#core/names.ts'
import { type Cloud, failed, type Failure, type Host, ok, type Outcome } from '#core/ports.ts'
import { type CallReport, createPerformer } from './perform.ts'

const failure: Failure = {
  kind: 'exhausted',
  ambiguous: false,
  call: 'AssignPrivateIpAddresses',
  code: 'InsufficientFreeAddressesInSubnet',
  message: 'no address left',
  retryAfterMs: undefined,
}

type World = {
  readonly posted: Event[]
  readonly answers: (readonly [number, Answer])[]
  readonly calls: string[]
  readonly reports: CallReport[]
  readonly controller: AbortController
  readonly perform: (action: Action) => void
  now: Millis
}

/** A cloud and a host whose every answer is chosen by the test. */
const start = (answer: () => Promise<Outcome<unknown>> = async () => ok('value')): World => {
  const controller = new AbortController()
  const calls: string[] = []
  const reply = (name: string) =>
    (async (...args: readonly unknown[]) => {
      const [request] = args
      const isAlone = args.length === 1
      calls.push(isAlone ? name : `${name} ${JSON.stringify(request)}`)
      expect(args.at(-1)).toBe(controller.signal)
      return answer()
    }) as never
  const cloud: Cloud = {
    describeNode: reply('describeNode'),
    observe: reply('observe'),
    createNic: reply('createNic'),
    attachNic: reply('attachNic'),
    detachNic: reply('detachNic'),
    deleteNic: reply('deleteNic'),
    lendBlocks: reply('lendBlocks'),
    returnBlocks: reply('returnBlocks'),
  }
  const host: Host = {
    wirePod: () => ({ kind: 'ok' }),
    unwirePod: () => ({
      kind: 'failed',
      failure: { code: 'EBUSY', message: 'busy', isTemporary: true },
    }),
    admitPod: () => ({ kind: 'ok' }),
    dismissPod: () => ({ kind: 'ok' }),
    reconcile: () => ({ devices: [] }) as never,
  }
  const world: World = {
    posted: [],
    answers: [],
    calls,
    reports: [],
    controller,
    now: millis(1_000),
    perform: action => performer(action),
  }
  const performer = createPerformer({
    cloud,
    host,
    clock: { now: () => world.now, soon: () => undefined, at: () => () => undefined },
    random: { fraction: () => 0.25, hex: () => '' },
    answer: (to, given) => void world.answers.push([to, given]),
    post: event => void world.posted.push(event),
    signal: controller.signal,
    onCall: report => void world.reports.push(report),
  })
  return world
}

const settled = () => new Promise<void>(resolve => void setImmediate(resolve))

const rows = [
  ['describeNode', {}, /^describeNode$/, 'nodeDescribed'],
  ['observeCloud', {}, /^observe$/, 'observed'],
  [
    'createNic',
    { request: { token: 't' }, pool: 'p' },
    /^createNic \{"token":"t"\}$/,
    'nicCreated',
  ],
  ['attachNic', { nic: 'eni-1', deviceIndex: 1 }, /^attachNic .*"deviceIndex":1/, 'nicAttached'],
  ['detachNic', { nic: 'eni-1' }, /^detachNic "eni-1"$/, 'nicDetached'],
  ['deleteNic', { nic: 'eni-1' }, /^deleteNic "eni-1"$/, 'nicDeleted'],
  ['lendBlocks', { nic: 'eni-1', blocks: { count: 2 } }, /^lendBlocks .*"count":2/, 'blocksLent'],
  ['returnBlocks', { nic: 'eni-1', blocks: ['b'] }, /^returnBlocks .*\["b"\]/, 'blocksReturned'],
] as const
const cases = rows.map(([kind, fields, call, result]) => ({ kind, fields, call, result }))

const actionOf = (kind: CloudAction['kind'], fields: object): CloudAction =>
  ({ kind, id: operationId(7), priority: 'blocking', ...fields }) as CloudAction

test.each(cases)('$kind: one call, one event', async ({ kind, fields, call, result }) => {
  const world = start()
  world.perform(actionOf(kind, fields))
  expect(world.posted).toEqual([])
  world.now = millis(1_250)
  await settled()
  expect(world.calls).toEqual([expect.stringMatching(call)])
  expect(world.posted).toEqual([
    {
      kind: 'finished',
      id: 7,
      jitter: 0.25,
      result: { kind: result, outcome: ok('value') },
      at: 1_250,
    },
  ])
  expect(world.reports).toMatchObject([{ failure: undefined, milliseconds: 250 }])
})

test.each(cases)('$kind: a failure is a result', async ({ kind, fields, result }) => {
  const world = start(async () => failed(failure))
  world.perform(actionOf(kind, fields))
  await settled()
  expect(world.posted).toMatchObject([{ result: { kind: result, outcome: { failure } } }])
  expect(world.reports).toMatchObject([{ failure }])
})

test.each(cases)('$kind: a provider that throws is doubted', async ({ kind, fields, result }) => {
  const world = start(() => Promise.reject(new TypeError('x is undefined')))
  world.perform(actionOf(kind, fields))
  await settled()
  const doubted = {
    kind: 'transient',
    ambiguous: true,
    code: 'TypeError',
    message: 'x is undefined',
  }
  expect(world.posted).toMatchObject([{ result: { kind: result, outcome: { failure: doubted } } }])
})

test('what is thrown need not be an error', async () => {
  // eslint-disable-next-line prefer-promise-reject-errors
  const world = start(() => Promise.reject('gone'))
  world.perform(actionOf('observeCloud', {}))
  await settled()
  expect(world.posted).toMatchObject([
    { result: { outcome: { failure: { code: 'Unknown', message: 'gone' } } } },
  ])
})

test('an answer goes to whoever asked, and posts nothing', () => {
  const world = start()
  world.perform({ kind: 'reply', to: replyId(3), answer: { kind: 'deleted' } })
  expect(world.answers).toEqual([[3, { kind: 'deleted' }]])
  expect(world.posted).toEqual([])
})

test('host work answers at once', () => {
  const world = start()
  const key = sandboxKey('a', 'eth0')
  world.perform({ kind: 'wirePod', sandbox: { key }, wiring: {} } as Action)
  world.perform({ kind: 'unwirePod', key, wiring: {} } as Action)
  world.perform({ kind: 'reconcileHost', wiring: {} } as Action)
  expect(world.posted).toMatchObject([
    { kind: 'podWired', key, outcome: { kind: 'ok' }, at: 1_000 },
    { kind: 'podUnwired', key, outcome: { kind: 'failed', failure: { code: 'EBUSY' } } },
    { kind: 'hostReconciled', report: { devices: [] } },
  ])
})
