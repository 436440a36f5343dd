// Every caller is answered, in time and with the truth: an ADD within its deadline, a failed ADD
// with a cause that exists in the cloud or on the host at that time.

import type { Answer, Reason } from '#core/action.ts'
import type { SandboxKey } from '#core/names.ts'
import { defaultPool } from '#core/names.ts'
import type { FailureKind } from '#core/ports.ts'
import { countAllBlocks, countBlocks } from '../estate.ts'
import type { Actor, AddCall, CloudCall, PodCall } from '../notices.ts'
import type { Checker, Fail, World } from '../world.ts'
import { lentAddresses } from './calls.ts'

const nicCalls: readonly CloudCall['kind'][] = ['createNic', 'attachNic', 'detachNic', 'deleteNic']

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
    on: {
      requested: ({ call }) => requested(call),
      answered: ({ call }) => settle(call),
      aborted: ({ call }) => settle(call),
      lifeEnded: () => {
        for (const call of open.keys()) settle(call)
      },
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
  let lastIncomplete = -Infinity
  let lastCall = -Infinity
  let underWay = 0
  const now = (): number => world.scheduler.clock.now()
  const isRecent = (at: number | undefined, ms = memoryMs): boolean =>
    at !== undefined && now() - at <= ms
  const hadFailure = (...kinds: FailureKind[]): boolean =>
    kinds.some(kind => isRecent(lastFailure.get(kind)))

  const nicLimit = (): number =>
    Math.min(world.estate.limits.nicsMax, world.config().nicsMax ?? Infinity)
  const isCooling = (): boolean =>
    // That a link is gone may be seen at the next look at the kernel only.
    isRecent(lastRelease, world.config().coolingMs + world.config().reconcileEveryMs + 2_000) ||
    [...world.kernel.links.values()].some(link => !world.live.pods.has(link.sandbox))

  const isTrue = (call: AddCall, reason: Reason): boolean => {
    const maximum = world.config().pools.get(defaultPool)?.maximum
    // What a human did lately the daemon cannot know.
    if (isRecent(lastMeddling, 3 * world.config().observeEveryMs + 60_000)) return true
    switch (reason.code) {
      case 'Exhausted':
        return hadFailure('exhausted', 'fragmented')
      case 'NicLimit':
        return (
          world.estate.attached().length >= nicLimit() ||
          hadFailure('limit') ||
          (!world.estate.limits.hotPlug && isFull(world))
        )
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
        return maximum !== undefined && isAbove(world, maximum)
      case 'UnknownPool':
        return call.request.pool !== defaultPool
      case 'Unservable':
        return call.request.delegator !== undefined
      case 'Canceled':
        return deletedKeys.has(call.request.key)
      case 'HostNotReady':
        return isRecent(lastIncomplete, world.config().reconcileEveryMs + 2_000)
      case 'HostFailed':
        return hostFailed.has(call.request.key)
    }
  }
  const answered = (call: PodCall, answer: Answer): void => {
    if (answer.kind !== 'addFailed' || call.kind !== 'add') return
    const { code, message } = answer.reason
    if (message.length < 20) fail(`"${message}" explains nothing`)
    if (!isTrue(call, answer.reason)) fail(`ADD failed with ${code} (${message}); not true now`)
  }
  const meddled = (by: Actor): void => {
    if (by === 'human') lastMeddling = now()
  }
  return {
    name: 'reasons',
    on: {
      called: ({ call }) => {
        underWay++
        lastCall = now()
        if (nicCalls.includes(call.kind)) lastNicWork = now()
      },
      returned: ({ failure }) => {
        underWay--
        if (failure !== undefined) lastFailure.set(failure.kind, now())
      },
      requested: ({ call }) => call.kind === 'del' && deletedKeys.add(call.key),
      unwired: () => {
        lastRelease = now()
      },
      // What was saved and not done any more rests since then.
      lifeEnded: () => {
        lastRelease = now()
      },
      taken: ({ by }) => meddled(by),
      detached: ({ by }) => meddled(by),
      wired: ({ pod, outcome }) => {
        if (outcome.kind === 'ok') return
        hostFailed.add(pod.sandbox)
        // What was half made rests like what was used.
        lastRelease = now()
      },
      reconciled: ({ report }) => {
        if (report.failures.length > 0) lastIncomplete = now()
      },
      answered: ({ call, answer, isHeard }) => {
        if (isHeard) answered(call, answer)
      },
    },
  }
}

const isAbove = (world: World, maximum: number): boolean =>
  world.config().families.some(family => lentAddresses(world, family) + stepOf(world) > maximum)

/** The instance takes no further address of each family, on any of its NICs. */
const isFull = ({ estate, config }: World): boolean => {
  const { families } = config()
  const { blocksPerNicMax, blocksPerNodeMax = Infinity } = estate.limits
  if (countAllBlocks(estate) + families.length > blocksPerNodeMax) return true
  return estate
    .attached()
    .every(nic =>
      families.some(
        family => !nic.isManaged || countBlocks(nic, family) >= blocksPerNicMax[family],
      ),
    )
}

/** Addresses by which the pool grows: a whole block that would exceed the maximum is not lent. */
const stepOf = (world: World): number =>
  world.estate.limits.prefixes && world.config().blockLength !== 32 ? 16 : 1

/** A NIC of ours on its way: not attached, or attached without its device or tables. */
const hasUnfinishedNic = (world: World): boolean =>
  [...world.estate.nics.values()]
    .filter(nic => nic.isManaged)
    .some(nic => ![...world.kernel.slots.values()].some(slot => slot.mac === nic.mac))

/** After DEL is answered an ADD asked before it must not be answered with an address. */
export const order = (_world: World, fail: Fail): Checker => {
  const deletedAt = new Map<SandboxKey, number>()
  const answered = (call: PodCall, answer: Answer): void => {
    const isAnswerToAdd = answer.kind === 'added' || answer.kind === 'addFailed'
    if (isAnswerToAdd !== (call.kind === 'add')) fail(`${call.kind} is answered ${answer.kind}`)
    if (call.kind === 'del') return void deletedAt.set(call.key, call.arrivedAt)
    const { key } = call.request
    const given = answer.kind === 'added' ? answer.sandbox.key : key
    if (given !== key) fail(`the ADD of ${key} is answered for ${given}`)
    if (answer.kind === 'added' && (deletedAt.get(key) ?? -Infinity) >= call.arrivedAt) {
      fail(`${key} is answered 'added' after its DEL was answered`)
    }
  }
  return {
    name: 'order',
    on: { answered: ({ call, answer }) => answered(call, answer) },
  }
}
