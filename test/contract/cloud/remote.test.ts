// A provider in a process of its own: the whole contract through it, and what the daemon learns
// when the process is killed, hangs, or cannot be started.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Failure, Outcome } from '#core/ports.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { remoteCloud } from '#ipamd/remote/cloud.ts'
import { processStarter } from '#ipamd/remote/process.ts'
import { createClock } from '#runtime/clock.ts'
import { silentLog } from '#runtime/log.ts'
import { type Create, makeAws } from './aws.ts'
import { type CloudUnderTest, cloudContract } from './contract.ts'
import { addresses, createSteps, expectFailure, never, value } from './steps.ts'

type Settings = { readonly idleMs?: number; readonly program?: string; readonly pids?: number[] }

const inProcess =
  ({ idleMs = 15_000, program, pids = [] }: Settings): Create =>
  ({ onCall, ...options }) => {
    const clock = createClock()
    const log = {
      ...silentLog,
      debug: (message: string, fields: { readonly pid?: unknown } = {}) =>
        void (message === 'cloud process started' && pids.push(Number(fields.pid))),
    }
    const start = processStarter({
      clock,
      log,
      // A copy: what names the instance's metadata service is changed for the next one.
      environment: { ...process.env },
      ...(program === undefined ? {} : { program }),
    })
    const count = onCall ?? ((): void => undefined)
    return remoteCloud({ clock, log, start, provider: 'aws', options, idleMs, onCall: count })
  }

const { none } = latencyProfiles
cloudContract('aws in a child process', () => makeAws(none, inProcess({})))

describe('a cloud process', () => {
  let under: CloudUnderTest | undefined
  let pids: number[] = []
  const make = async (settings: Settings = {}) => {
    under = await makeAws(none, inProcess({ ...settings, pids }))
    return createSteps(() => under!, { hotPlug: true })
  }
  beforeEach(() => void (pids = []))
  afterEach(() => under?.close())

  const failureOf = (outcome: Outcome<unknown>): Failure => {
    if (outcome.kind === 'ok') throw new Error('the call succeeded')
    return outcome.failure
  }

  test('that is killed in the middle of a call leaves mutations in doubt, reads not', async () => {
    const steps = await make()
    const nic = await steps.attached()
    steps.under.trouble('lendBlocks', 'hang')
    steps.under.trouble('observe', 'hang')
    const calls = [steps.lend(nic, addresses(1)), steps.under.cloud.observe(never)] as const
    await sleep(200)
    process.kill(pids[0]!, 'SIGKILL')
    const lent = expectFailure(await calls[0], 'transient', true)
    expect(lent.message).toContain('the cloud process ended with SIGKILL')
    expectFailure(await calls[1], 'transient', false)
    // The next call has a new process.
    expect((await steps.observed()).nics).toHaveLength(2)
    expect(new Set(pids).size).toBe(2)
  })

  test('that stands still is killed when its call is aborted', async () => {
    const steps = await make()
    const nic = await steps.attached()
    process.kill(pids[0]!, 'SIGSTOP')
    const controller = new AbortController()
    const call = steps.lend(nic, addresses(1), controller.signal)
    await sleep(50)
    controller.abort()
    expectFailure(await call, 'transient', true)
    expect((await steps.observed()).nics).toHaveLength(2)
    expect(isRunning(pids[0]!)).toBe(false)
  })

  test('ends when there is nothing to do, and comes back with the same answers', async () => {
    const steps = await make({ idleMs: 100 })
    const before = await steps.observed()
    await untilGone(pids[0]!)
    expect(await steps.observed()).toEqual(before)
    expect(pids).toHaveLength(2)
  })

  test('ends with the one who started it', async () => {
    const steps = await make()
    await steps.observed()
    await under?.close()
    under = undefined
    await untilGone(pids[0]!)
  })

  test('whose program is missing is said to be so', async () => {
    const steps = await make({ program: '/nowhere/cloud.cjs' })
    const failure = failureOf(await steps.create())
    expect(failure).toMatchObject({ kind: 'transient', ambiguous: false })
    expect(failure.message).toContain('/nowhere/cloud.cjs does not exist')
  })

  test('that ends again and again is not started for each call', async () => {
    const steps = await make({ program: '/dev/null' })
    const outcomes = []
    for (let i = 0; i < 20; i++) outcomes.push(await steps.under.cloud.observe(never))
    expect(pids.length).toBeLessThan(5)
    expect(failureOf(outcomes.at(-1)!).message).toContain('it is started again in')
    expect(failureOf(outcomes.at(-1)!).retryAfterMs).toBeGreaterThan(0)
  })

  test('keeps fields that are undefined', async () => {
    const steps = await make()
    const [primary] = (await steps.observed()).nics
    expect(Object.keys(primary!)).toContain('token')
    expect(value(await steps.under.cloud.describeNode(never)).limits).toHaveProperty(
      'blocksPerNodeMax',
      undefined,
    )
  })
})

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const untilGone = async (pid: number): Promise<void> => {
  for (let looks = 0; isRunning(pid); looks++) {
    if (looks > 400) throw new Error(`process ${pid} still runs`)
    await sleep(25)
  }
}
