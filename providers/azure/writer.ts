// One writer per NIC in this process: read, change, write with the ETag that was read, and again
// from the start when somebody else was faster. Changes that wait for the same NIC go in one write.

import type { NicId } from '#core/names.ts'
import { CallFailed, afterEffect } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import { type Patience, staleCode } from '../common/retry.ts'
import { call, patiently, unsent } from './calls.ts'
import type { Arm } from './client.ts'
import { type Document, readDocument, readNic } from './documents.ts'
import { ownFailure } from './failures.ts'
import { OperationFailed, put, runningCode, runningPatience } from './operations.ts'
import { type RawConfig, type RawNic, shortOf } from './shapes.ts'

/** What the configurations should become; the same list when nothing is to be done. */
export type Change = (configs: readonly RawConfig[], document: Document) => readonly RawConfig[]

/** How a NIC looks after a write, and what the write's operation said when it failed. */
export type Written = { readonly nic: RawNic; readonly failure: CallFailed | undefined }

export interface Writer {
  /** Rejects with CallFailed when nothing was written, or nobody knows. */
  write(
    arm: Arm,
    at: { readonly nic: NicId; readonly change: Change },
    signal: AbortSignal,
  ): Promise<Written>
}

type Waiting = {
  readonly change: Change
  readonly signal: AbortSignal
  readonly resolve: (written: Written) => void
  readonly reject: (error: unknown) => void
  isStarted: boolean
}

export const siteOf = (nic: NicId): Site => ({
  call: 'NetworkInterfaces_CreateOrUpdate',
  on: `NIC ${shortOf(nic)}`,
  isRead: false,
})

export const createWriter = (): Writer => {
  const queues = new Map<NicId, Waiting[]>()

  const drain = async (arm: Arm, nic: NicId, queue: Waiting[]): Promise<void> => {
    queues.set(nic, queue)
    while (queue.length > 0) await writeBatch(arm, nic, queue.splice(0))
    queues.delete(nic)
  }

  return {
    write: async (arm, { nic, change }, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<Written>()
      const waiting = { change, signal, resolve, reject, isStarted: false }
      try {
        return await call(siteOf(nic), signal, () => {
          const queue = queues.get(nic)
          if (queue !== undefined) queue.push(waiting)
          else void drain(arm, nic, [waiting])
          return promise
        })
      } catch (error) {
        // Aborted while others were being written.
        throw waiting.isStarted ? error : unsent(siteOf(nic))
      }
    },
  }
}

// Never rejects: every outcome belongs to those who wait.
const writeBatch = async (arm: Arm, nic: NicId, batch: readonly Waiting[]): Promise<void> => {
  const live = batch.filter(({ signal }) => !signal.aborted)
  if (live.length === 0) return
  for (const waiting of live) waiting.isStarted = true
  const together = signalOfAll(live.map(({ signal }) => signal))
  try {
    const changes = live.map(({ change }) => change)
    const written = await attempt(arm, { nic, changes }, together.signal)
    for (const { resolve } of live) resolve(written)
  } catch (error) {
    const isRefused = error instanceof CallFailed && !error.failure.ambiguous
    // What one asked for may be why all were refused.
    if (isRefused && live.length > 1) {
      for (const waiting of live) await writeBatch(arm, nic, [waiting])
    } else {
      for (const { reject } of live) reject(error)
    }
  } finally {
    together.release()
  }
}

// A storm of other writers ends in the failure conflict.
const staleEtagPatience: Patience = {
  isWorthwhile: ({ code }) => code === 'PreconditionFailed' || code === staleCode,
  retries: 5,
  firstMs: 20,
  longestMs: 500,
}

type Attempt = { readonly nic: NicId; readonly changes: readonly Change[] }

const attempt = (arm: Arm, given: Attempt, signal: AbortSignal): Promise<Written> => {
  const site = siteOf(given.nic)
  return patiently({ site, patience: staleEtagPatience }, signal, async () => {
    const document = await readDocument(arm, given.nic, signal)
    const configs = given.changes.reduce(
      (before: readonly RawConfig[], change) => change(before, document),
      document.configs,
    )
    if (configs === document.configs) {
      if (!isUnderWay(document.nic)) return { nic: document.nic, failure: undefined }
      throw await untilSettled(arm, given.nic, signal)
    }
    const failure = await writeOnce(arm, { site, request: document.write(configs) }, signal)
    try {
      return { nic: await readNic(arm, given.nic, signal), failure }
    } catch (error) {
      throw afterEffect(error)
    }
  })
}

const isUnderWay = ({ properties }: RawNic): boolean => properties?.provisioningState === 'Updating'

// What is wished for is so already, unless the operation that made it so fails and takes it back:
// an earlier try whose answer was lost may still run. Its end is waited for; then all begins anew.
const untilSettled = async (arm: Arm, nic: NicId, signal: AbortSignal): Promise<CallFailed> => {
  const site = siteOf(nic)
  const not = (code: string): CallFailed => {
    const text = 'another operation is under way'
    return new CallFailed(ownFailure(site, { kind: 'transient', code, text }))
  }
  return patiently({ site, patience: runningPatience }, signal, async () => {
    if (isUnderWay(await readNic(arm, nic, signal))) throw not(runningCode)
    return not(staleCode)
  })
}

const writeOnce = async (
  arm: Arm,
  given: Parameters<typeof put>[1],
  signal: AbortSignal,
): Promise<CallFailed | undefined> => {
  try {
    await put(arm, given, signal)
    return undefined
  } catch (error) {
    if (error instanceof OperationFailed) return error
    throw error
  }
}

// Aborted when nobody waits any more.
const signalOfAll = (
  signals: readonly AbortSignal[],
): { readonly signal: AbortSignal; readonly release: () => void } => {
  const controller = new AbortController()
  const onAbort = (): void => {
    if (signals.every(({ aborted }) => aborted)) controller.abort()
  }
  for (const signal of signals) signal.addEventListener('abort', onAbort)
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort)
    },
  }
}
