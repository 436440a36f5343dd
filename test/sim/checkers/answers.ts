// Every caller is answered, in time and with the truth: an ADD within its deadline, a failed ADD
// with a cause that exists in the cloud or on the host at that time.

import type { Reason } from '#core/action.ts'
import type { SandboxKey } from '#core/names.ts'
import { defaultPool } from '#core/names.ts'
import type { FailureKind } from '#core/ports.ts'
import type { AddCall, Notice, PodCall } from '../notices.ts'
import type { Checker, Fail, World } from '../world.ts'
import { heldAddresses } from './calls.ts'

/** An answer may be this late. */
const graceMs = 1_000

/** For how long a failure of the cloud can still be the reason: back-offs last minutes. */
const memoryMs = 15 * 60_000

export const deadlines = (world: World, fail: Fail): Checker => {
  const open = new Map<PodCall, () => void>()
  const settle = (call: PodCall): void => {
    open.get(call)?.()
    open.delete(call)
  }
  const requested = (call: PodCall): void => {
    const patience =
      call.kind === 'add' ? Math.max(0, call.deadline - call.arrivedAt) + graceMs : 60_000
    const what = call.kind === 'add' ? `the ADD of ${call.request.key}` : `the DEL of ${call.key}`
    open.set(
      call,
      world.scheduler.in(patience + 1, () => fail(`${what} is not answered after ${patience} ms`)),
    )
  }
  return {
    name: 'deadlines',
    notice: notice => {
      switch (notice.kind) {
        case 'requested':
          return requested(notice.call)
        case 'answered':
        case 'aborted':
          return settle(notice.call)
        case 'lifeEnded':
          for (const call of open.keys()) settle(call)
          return undefined
        default:
          return undefined
      }
    },
    atRest: () => {
      for (const call of world.runtime.ongoing()) fail(`a ${call.kind} still waits at rest`)
    },
  }
}

export const reasons = (world: World, fail: Fail): Checker => {
  const lastFailure = new Map<FailureKind, number>()
  const deletedKeys = new Set<SandboxKey>()
  const hostFailed = new Set<SandboxKey>()
  let lastNicWork = -Infinity
  let lastMeddling = -Infinity
  let lastRelease = -Infinity
  let lastCall = -Infinity
  let underWay = 0
  const now = (): number => world.scheduler.clock.now()
  const isRecent = (at: number | undefined, ms = memoryMs): boolean =>
    at !== undefined && now() - at <= ms
  const hadFailure = (...kinds: FailureKind[]): boolean =>
    kinds.some(kind => isRecent(lastFailure.get(kind)))

  const nicLimit = (): number =>
    Math.min(world.estate.limits.nicsMax, world.config().nicsMax ?? Infinity)
  const live = (): number => world.live.pods.size
  const isCooling = (): boolean =>
    isRecent(lastRelease, world.config().coolingMs + 2_000) ||
    [...world.kernel.links.values()].some(link => !world.live.pods.has(link.sandbox))

  const isTrue = (call: AddCall, reason: Reason): boolean => {
    const maximum = world.config().pools.get(defaultPool)?.maximum
    // What a human did lately the daemon cannot know.
    if (isRecent(lastMeddling, 3 * world.config().observeEveryMs + 60_000)) return true
    switch (reason.code) {
      case 'Exhausted':
        return hadFailure('exhausted', 'fragmented')
      case 'NicLimit':
        return world.estate.attached().length >= nicLimit() || hadFailure('limit')
      case 'Throttled':
        return hadFailure('throttled') || isRecent(lastCall, 120_000)
      case 'Denied':
        return hadFailure('denied')
      case 'CloudUnreachable':
        return hadFailure('transient')
      case 'WaitingForNic':
        return isRecent(lastNicWork, 60_000) || hasUnfinishedNic(world)
      case 'WaitingForCloud':
        return underWay > 0 || isRecent(lastCall, 60_000)
      case 'Cooling':
        return isCooling()
      case 'PoolMaximum':
        return maximum !== undefined && Math.max(heldAddresses(world), live()) >= maximum
      case 'UnknownPool':
        return call.request.pool !== defaultPool
      case 'Canceled':
        return deletedKeys.has(call.request.key)
      case 'HostFailed':
        return hostFailed.has(call.request.key)
    }
  }
  const heard = (notice: Notice): void => {
    switch (notice.kind) {
      case 'called': {
        underWay++
        lastCall = now()
        const { kind } = notice.call
        if (kind === 'createNic' || kind === 'attachNic') lastNicWork = now()
        return
      }
      case 'returned':
        underWay--
        if (notice.failure !== undefined) lastFailure.set(notice.failure.kind, now())
        return
      case 'requested':
        if (notice.call.kind === 'del') deletedKeys.add(notice.call.key)
        return
      case 'unwired':
        lastRelease = now()
        return
      case 'taken':
      case 'detached':
        if (notice.by === 'human') lastMeddling = now()
        return
      case 'wired':
        if (notice.outcome.kind === 'failed') hostFailed.add(notice.pod.sandbox)
        return
      case 'answered': {
        const { answer, call, isHeard } = notice
        if (answer.kind !== 'addFailed' || call.kind !== 'add' || !isHeard) return
        if (answer.reason.message.length < 20) fail(`"${answer.reason.message}" explains nothing`)
        if (isTrue(call, answer.reason)) return
        return fail(
          `ADD failed with ${answer.reason.code} (${answer.reason.message}); not true now`,
        )
      }
      default:
        return
    }
  }
  return { name: 'reasons', notice: heard, atRest: () => undefined }
}

/** A NIC of ours on its way: not attached, or attached without its device or tables. */
const hasUnfinishedNic = (world: World): boolean =>
  [...world.estate.nics.values()]
    .filter(nic => nic.isManaged)
    .some(nic => ![...world.kernel.slots.values()].some(slot => slot.mac === nic.mac))

/** After DEL is answered an ADD asked before it must not be answered with an address. */
export const order = (_world: World, fail: Fail): Checker => {
  const deletedAt = new Map<SandboxKey, number>()
  return {
    name: 'order',
    notice: notice => {
      if (notice.kind !== 'answered') return
      const { call, answer } = notice
      const isAnswerToAdd = answer.kind === 'added' || answer.kind === 'addFailed'
      if (isAnswerToAdd !== (call.kind === 'add')) {
        fail(`${call.kind} is answered with ${answer.kind}`)
      }
      if (call.kind === 'add' && isAnswerToAdd) {
        const key = answer.kind === 'added' ? answer.sandbox.key : answer.request.key
        if (key !== call.request.key) fail(`the ADD of ${call.request.key} is answered for ${key}`)
      }
      if (call.kind === 'del' && answer.kind === 'deleted') deletedAt.set(call.key, call.arrivedAt)
      if (call.kind !== 'add' || answer.kind !== 'added') return
      const at = deletedAt.get(call.request.key)
      if (at !== undefined && at >= call.arrivedAt) {
        fail(`${call.request.key} is answered 'added' after its DEL was answered`)
      }
    },
    atRest: () => undefined,
  }
}
