// The remote cloud and the program that answers it, joined by a channel in memory that can break,
// on a clock that is moved by hand.

import { expect, test } from 'vitest'
import { type Millis, millis, nicId } from '#core/names.ts'
import { type Clock, type Cloud, type CloudNic, ok, type Outcome } from '#core/ports.ts'
import { silentLog } from '#runtime/log.ts'
import { callsMax, remoteCloud } from './cloud.ts'
import { abortMs, callMs, type ChannelEvents, pingMs, pingsMax, startMs } from './life.ts'
import { messageBytesMax } from './protocol.ts'
import { serve } from './serve.ts'

const idleMs = 15_000
const nic = nicId('nic-1')
const never = new AbortController().signal

/** Time that stands still until it is told how far to go. */
const handClock = () => {
  let now = 0
  let timers: { readonly at: Millis; readonly run: () => void }[] = []
  const clock: Clock = {
    now: () => millis(now),
    soon: run => queueMicrotask(run),
    at: (at, run) => {
      const timer = { at, run }
      timers.push(timer)
      return () => void (timers = timers.filter(each => each !== timer))
    },
  }
  const pass = async (ms: number): Promise<void> => {
    now += ms
    const due = timers.filter(({ at }) => at <= now)
    timers = timers.filter(({ at }) => at > now)
    for (const { run } of due) run()
    await settle()
  }
  return { clock, pass, timers: () => timers.length }
}

/** Lets everything that only waits for promises happen. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

type Process = { events: ChannelEvents; end: 'running' | 'ended' | 'killed'; isDeaf: boolean }

/** A node's NICs, lent to one by one; `behave` says what a call does beyond that. */
const setUp = (
  options: {
    readonly behave?: () => unknown
    readonly isSlow?: boolean
    /** What an attached NIC is described with. */
    readonly long?: string
  } = {},
) => {
  const time = handClock()
  const processes: Process[] = []
  const counted: string[] = []
  let lent = 0
  let load = Promise.withResolvers<void>()
  if (options.isSlow !== true) load.resolve()
  const aborted: string[] = []
  const makeCloud = async ({ onCall }: { onCall: (name: string, result: string) => void }) => {
    await load.promise
    const work = async <Value>(name: string, value: Value, signal: AbortSignal) => {
      signal.addEventListener('abort', () => aborted.push(name))
      onCall(name, 'ok')
      await options.behave?.()
      return ok(value)
    }
    return {
      observe: signal => work('observe', { nics: [], subnets: [] }, signal),
      deleteNic: (_, signal) => work('deleteNic', undefined, signal),
      lendBlocks: (_, signal) => {
        lent += 1
        return work('lendBlocks', [], signal)
      },
      attachNic: (_, signal) =>
        work('attachNic', { token: options.long } as unknown as CloudNic, signal),
    } as Partial<Cloud> as Cloud
  }
  const start = (events: ChannelEvents) => {
    const started: Process = { events, end: 'running', isDeaf: false }
    processes.push(started)
    const take = serve({
      makeCloud,
      send: bytes => started.end === 'running' && events.onMessage(bytes),
      report: () => undefined,
      onUnusable: () => events.onEnd('the cloud process ended with code 1'),
    })
    return {
      send: (bytes: Uint8Array) => {
        if (started.end !== 'running') return false
        if (!started.isDeaf) queueMicrotask(() => take(bytes))
        return true
      },
      end: () => void (started.end = 'ended'),
      kill: () => void (started.end = 'killed'),
    }
  }
  const cloud = remoteCloud({
    clock: time.clock,
    log: silentLog,
    start,
    provider: 'any',
    options: {},
    idleMs,
    onCall: name => void counted.push(name),
  })
  const lend = (signal = never) =>
    cloud.lendBlocks({ nic, blocks: { family: 4, length: 32, count: 1 } }, signal)
  const die = (process = processes.at(-1)): void => {
    if (process !== undefined) process.end = 'killed'
    process?.events.onEnd('the cloud process ended with SIGKILL')
  }
  return { ...time, cloud, lend, die, processes, counted, aborted, lent: () => lent, load }
}

const failureOf = (outcome: Outcome<unknown>) => {
  if (outcome.kind === 'ok') throw new Error('the call succeeded')
  return outcome.failure
}

const forever = (): Promise<never> => new Promise(() => undefined)

test('nothing is started before the first call, and one process serves many', async () => {
  const { cloud, lend, processes } = setUp()
  expect(processes).toHaveLength(0)
  const outcomes = await Promise.all([cloud.observe(never), lend(), lend()])
  expect(outcomes.map(({ kind }) => kind)).toEqual(['ok', 'ok', 'ok'])
  expect(processes).toHaveLength(1)
})

test('values come back as they were, undefined fields and values included', async () => {
  const { cloud } = setUp()
  const attached = await cloud.attachNic({ nic, deviceIndex: 1 }, never)
  expect(attached).toStrictEqual(ok({ token: undefined }))
  expect(await cloud.deleteNic(nic, never)).toStrictEqual(ok(undefined))
})

test('calls on the wire are counted', async () => {
  const { cloud, lend, counted } = setUp()
  await cloud.observe(never)
  await lend()
  expect(counted).toEqual(['observe', 'lendBlocks'])
})

test('a process without calls ends, one with calls does not', async () => {
  let release = (): void => undefined
  const held = { promise: Promise.resolve() }
  const { lend, pass, processes } = setUp({ behave: () => held.promise })
  await lend()
  await pass(idleMs - 1)
  held.promise = new Promise(resolve => void (release = resolve))
  const call = lend()
  await pass(2 * idleMs)
  expect(processes[0]?.end).toBe('running')
  release()
  await call
  await pass(idleMs - 1)
  expect(processes[0]?.end).toBe('running')
  await pass(1)
  expect(processes[0]?.end).toBe('ended')
})

test('calls every few seconds need one process, and one after a rest another', async () => {
  const { lend, pass, processes } = setUp()
  for (let i = 0; i < 100; i++) {
    await lend()
    await pass(idleMs - 1_000)
  }
  expect(processes).toHaveLength(1)
  await pass(idleMs)
  await lend()
  expect(processes).toHaveLength(2)
})

test('a process that dies leaves its mutations in doubt, its reads not', async () => {
  const { cloud, lend, die, lent } = setUp({ behave: forever })
  const calls = [lend(), cloud.observe(never)]
  await settle()
  die()
  const [lending, observing] = (await Promise.all(calls)).map(failureOf)
  expect(lending).toMatchObject({ kind: 'transient', ambiguous: true, code: 'CloudProcessEnded' })
  expect(lending?.message).toBe('lendBlocks: the cloud process ended with SIGKILL')
  expect(observing).toMatchObject({ kind: 'transient', ambiguous: false })
  expect(lent()).toBe(1)
})

test('what a dying process was never given is certain', async () => {
  const { lend, die, lent } = setUp({ isSlow: true })
  const call = lend()
  await settle()
  die()
  expect(failureOf(await call)).toMatchObject({ kind: 'transient', ambiguous: false })
  expect(lent()).toBe(0)
})

test('processes that die again and again are started less and less often', async () => {
  const { lend, die, pass, processes } = setUp({ behave: forever })
  const attempt = async (): Promise<number | undefined> => {
    const call = lend()
    await settle()
    if (processes.at(-1)?.end === 'running') die()
    return failureOf(await call).retryAfterMs
  }
  await attempt()
  await attempt()
  expect(await attempt()).toBe(1_000)
  expect(processes).toHaveLength(2)
  await pass(1_000)
  await attempt()
  expect(await attempt()).toBe(2_000)
  for (let i = 0; i < 20; i++) {
    await pass(30_000)
    await attempt()
  }
  expect(await attempt()).toBe(30_000)
})

test('an answer makes up for what came before', async () => {
  let isBroken = true
  const { lend, die, processes } = setUp({ behave: () => (isBroken ? forever() : undefined) })
  const dying = lend()
  await settle()
  die()
  await dying
  isBroken = false
  await lend()
  isBroken = true
  const again = lend()
  await settle()
  die()
  expect(failureOf(await again).code).toBe('CloudProcessEnded')
  isBroken = false
  expect((await lend()).kind).toBe('ok')
  expect(processes).toHaveLength(3)
})

test('an abort is handed on', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { lend, aborted } = setUp({ behave: () => promise })
  const controller = new AbortController()
  const call = lend(controller.signal)
  await settle()
  controller.abort()
  await settle()
  expect(aborted).toEqual(['lendBlocks'])
  resolve()
  expect((await call).kind).toBe('ok')
})

test('an abort before anything was sent is certain, and starts nothing', async () => {
  const { lend, processes } = setUp({ isSlow: true })
  expect(failureOf(await lend(AbortSignal.abort()))).toMatchObject({ ambiguous: false })
  expect(processes).toHaveLength(0)
  const controller = new AbortController()
  const call = lend(controller.signal)
  await settle()
  controller.abort()
  expect(failureOf(await call)).toMatchObject({ code: 'Aborted', ambiguous: false })
})

test('a process that does not answer to an abort is killed', async () => {
  const { lend, pass, processes } = setUp({ behave: forever })
  const controller = new AbortController()
  const call = lend(controller.signal)
  await settle()
  controller.abort()
  await pass(abortMs - 1)
  expect(processes[0]?.end).toBe('running')
  await pass(1)
  expect(processes[0]?.end).toBe('killed')
  expect(failureOf(await call)).toMatchObject({ kind: 'transient', ambiguous: true })
})

test('no call lasts for ever', async () => {
  const { lend, pass, processes } = setUp({ behave: forever })
  const call = lend()
  await settle()
  await pass(callMs)
  await pass(abortMs)
  expect(processes[0]?.end).toBe('killed')
  expect(failureOf(await call).ambiguous).toBe(true)
})

test('a process that hangs is killed long before that', async () => {
  const { lend, pass, processes } = setUp({ behave: forever })
  const call = lend()
  await settle()
  for (let i = 0; i < 10 * pingsMax; i++) await pass(pingMs)
  expect(processes[0]?.end).toBe('running')
  processes[0]!.isDeaf = true
  for (let i = 0; i < pingsMax; i++) await pass(pingMs)
  expect(processes[0]?.end).toBe('running')
  await pass(pingMs)
  expect(processes[0]?.end).toBe('killed')
  expect(failureOf(await call)).toMatchObject({ kind: 'transient', ambiguous: true })
})

test('a daemon that stood still itself gives the process its time', async () => {
  const { lend, pass, processes } = setUp({ behave: forever })
  void lend()
  await settle()
  await pass(pingMs)
  await pass(callMs - pingMs - 1)
  expect(processes[0]?.end).toBe('running')
})

test('a process that is never ready is killed', async () => {
  const { lend, pass, processes } = setUp({ isSlow: true })
  const call = lend()
  await pass(startMs)
  expect(processes[0]?.end).toBe('killed')
  expect(failureOf(await call)).toMatchObject({ kind: 'transient', ambiguous: false })
})

test('a provider that cannot be loaded is named with its reason', async () => {
  const { lend, load } = setUp({ isSlow: true })
  const call = lend()
  load.reject(new Error('its file is gone'))
  expect(failureOf(await call).message).toBe(
    'lendBlocks: the cloud process cannot load the provider any: its file is gone',
  )
})

test('what a provider throws is thrown', async () => {
  const { lend } = setUp({
    behave: () => {
      throw new TypeError('a bug')
    },
  })
  await expect(lend()).rejects.toMatchObject({ name: 'TypeError', message: 'a bug' })
})

test('a message that is too long fails alone, and keeps no process', async () => {
  const { cloud, lend, pass, processes } = setUp()
  const long = nicId('n'.repeat(messageBytesMax))
  const ask = async () => failureOf(await cloud.deleteNic(long, never))
  expect((await lend()).kind).toBe('ok')
  expect(await ask()).toMatchObject({ code: 'MessageTooLong', ambiguous: false })
  expect((await lend()).kind).toBe('ok')
  await ask()
  await pass(idleMs)
  expect(processes[0]?.end).toBe('ended')
})

test('an answer that is too long leaves a mutation in doubt', async () => {
  const { cloud } = setUp({ long: 'x'.repeat(messageBytesMax) })
  const answer = failureOf(await cloud.attachNic({ nic, deviceIndex: 1 }, never))
  expect(answer).toMatchObject({ code: 'MessageTooLong', ambiguous: true })
  expect((await cloud.observe(never)).kind).toBe('ok')
})

test('what is no message ends the process', async () => {
  const { lend, processes } = setUp({ behave: forever })
  const call = lend()
  await settle()
  processes[0]?.events.onMessage({ kind: 'answer', id: 1 })
  expect(processes[0]?.end).toBe('killed')
  expect(failureOf(await call).ambiguous).toBe(true)
})

test('calls under way are limited', async () => {
  const { lend } = setUp({ behave: forever })
  for (let i = 0; i < callsMax; i++) void lend()
  await settle()
  expect(failureOf(await lend())).toMatchObject({ code: 'TooManyCalls', ambiguous: false })
})

test('closing ends process, calls and timers', async () => {
  const { cloud, lend, processes, timers } = setUp({ behave: forever })
  const call = lend()
  await settle()
  cloud.close()
  expect(failureOf(await call)).toMatchObject({ kind: 'transient', ambiguous: true })
  expect(processes[0]?.end).toBe('killed')
  expect(timers()).toBe(0)
  expect(failureOf(await lend()).ambiguous).toBe(false)
  expect(processes).toHaveLength(1)
})
