// One life of the daemon: the real loop and the real performer on simulated ports, with places at
// which it can be killed. What a life leaves behind is the ledger, the kernel and the cloud.

import type { Action, Answer } from '#core/action.ts'
import type { Event } from '#core/event.ts'
import type { Millis, ReplyId } from '#core/names.ts'
import type { Cloud, Host, LedgerChange } from '#core/ports.ts'
import type { CoreConfig, State } from '#core/state.ts'
import { createPerformer } from '#ipamd/perform.ts'
import { createLoop, type Loop } from '#runtime/loop.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import type { Faults } from './faults.ts'
import { createHost, type HostParts } from './host.ts'
import type { Kernel } from './kernel.ts'
import type { SimLedger } from './ledger.ts'
import type { Notify } from './notices.ts'
import type { Trace } from './trace.ts'

/** The code under test; self-tests of the judge replace parts of it by faulty ones. */
export type Core = {
  readonly apply: (state: State, event: Event) => State
  readonly plan: (
    state: State,
    now: Millis,
  ) => { readonly actions: readonly Action[]; readonly wakeAt: Millis | undefined }
  readonly changes: (before: State, after: State) => readonly LedgerChange[]
  readonly restore: (options: {
    readonly config: CoreConfig
    readonly epoch: string
    readonly entries: ReadonlyMap<string, unknown>
    readonly at: Millis
  }) => { readonly state: State; readonly problems: readonly unknown[] }
}

/** Where a process can be killed. */
export const crashPoints = [
  'beforeSave',
  'tornSave',
  'afterSave',
  'betweenActions',
  'afterActions',
  'insideWiring',
  'betweenSteps',
] as const
export type CrashPoint = (typeof crashPoints)[number]

export type Life = {
  readonly number: number
  readonly post: (event: Event) => void
  readonly state: () => State
  readonly isAlive: () => boolean
  /** Kills it the `countdown`th time it comes by the point. */
  readonly arm: (point: CrashPoint, countdown: number) => void
  readonly kill: (cause: string) => void
}

export type LifeParts = {
  readonly number: number
  readonly core: Core
  readonly config: CoreConfig
  readonly ledger: SimLedger
  readonly cloud: Cloud
  readonly kernel: Kernel
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly notify: Notify
  readonly trace: Trace
  readonly onEvent: () => void
  readonly onAnswer: (to: ReplyId, answer: Answer) => void
  readonly onDeath: (cause: string) => void
  /** Breaks the daemon on purpose, for self-tests of the judge. */
  readonly sabotage?: (action: Action) => Action | undefined
  readonly wrapHost?: (host: Host) => Host
}

class Crash extends Error {
  readonly point: CrashPoint
  constructor(point: CrashPoint) {
    super(`killed at ${point}`)
    this.point = point
  }
}

export const startLife = (parts: LifeParts): Life => {
  const { core, ledger, scheduler, trace } = parts
  let isAlive = true
  let armed: { point: CrashPoint; countdown: number } | undefined

  const die = (cause: string): void => {
    if (!isAlive) return
    isAlive = false
    loop.stop()
    trace.note(`life ${parts.number} ends: ${cause}`)
    parts.notify({ kind: 'lifeEnded', life: parts.number, cause })
    parts.onDeath(cause)
  }
  const pass = (point: CrashPoint): void => {
    if (armed?.point !== point || --armed.countdown > 0) return
    armed = undefined
    throw new Crash(point)
  }
  const post = (event: Event): void => {
    if (isAlive) loop.post(event)
  }
  const simHost = createHost({
    ...pickHostParts(parts),
    post,
    isAlive: () => isAlive,
    between: () => pass('insideWiring'),
  })
  const host = parts.wrapHost?.(simHost) ?? simHost
  const perform = createPerformer({
    cloud: parts.cloud,
    host,
    clock: scheduler.clock,
    random: parts.chance.fork(`life ${parts.number}`),
    answer: (to, answer) => isAlive && parts.onAnswer(to, answer),
    post,
    signal: new AbortController().signal,
  })
  const restored = core.restore({
    config: parts.config,
    epoch: parts.chance.hex(8),
    entries: ledger.entries(),
    at: scheduler.clock.now(),
  })
  parts.notify({ kind: 'lifeStarted', life: parts.number })
  parts.notify({ kind: 'restored', problems: restored.problems })
  const loop: Loop<State, Event> = createLoop<State, Event, Action>({
    initial: restored.state,
    apply: (state, event) => {
      parts.onEvent()
      if (event.kind !== 'started') trace.note(`event ${eventText(event)}`)
      return core.apply(state, event)
    },
    plan: core.plan,
    started: (action, at) => ({ kind: 'started', action, at }),
    changes: core.changes,
    store: {
      save: changes => {
        pass('beforeSave')
        pass('tornSave')
        ledger.save(changes)
        pass('afterSave')
      },
    },
    clock: scheduler.clock,
    perform: action => {
      const chosen = parts.sabotage === undefined ? action : parts.sabotage(action)
      trace.note(`action ${actionText(action)}`)
      pass('betweenActions')
      if (chosen !== undefined) perform(chosen)
      pass('afterActions')
    },
    onFatal: error => {
      if (!(error instanceof Crash)) parts.notify({ kind: 'fatal', error })
      die(error instanceof Crash ? error.point : `fatal: ${String(error)}`)
    },
  })
  return {
    number: parts.number,
    post,
    state: () => loop.state(),
    isAlive: () => isAlive,
    arm: (point, countdown) => {
      if (point === 'betweenSteps') die(point)
      else armed = { point, countdown }
    },
    kill: die,
  }
}

const pickHostParts = (
  parts: LifeParts,
): Pick<HostParts, 'kernel' | 'scheduler' | 'chance' | 'faults' | 'notify'> => ({
  kernel: parts.kernel,
  scheduler: parts.scheduler,
  chance: parts.chance.fork(`host ${parts.number}`),
  faults: parts.faults,
  notify: parts.notify,
})

const eventText = (event: Event): string => {
  switch (event.kind) {
    case 'addRequested':
      return `${event.kind} ${event.reply} ${event.request.key}`
    case 'delRequested':
      return `${event.kind} ${event.reply} ${event.key}`
    case 'podWired':
    case 'podUnwired':
      return `${event.kind} ${event.key} ${event.outcome.kind}`
    case 'linkDeleted':
      return `${event.kind} ${event.ifindex}`
    case 'hostReconciled':
      return `${event.kind} ${event.report.wiredSlots.join()} ${event.report.repaired.join()}`
    case 'finished':
      return `${event.kind} ${event.id}`
    case 'started':
    case 'addAborted':
    case 'configured':
      return event.kind
  }
}

const actionText = (action: Action): string => {
  switch (action.kind) {
    case 'reply':
      return `reply ${action.to} ${answerText(action.answer)}`
    case 'wirePod':
      return `wirePod ${action.sandbox.key} ${action.wiring.ips.join()} slot ${action.wiring.slot}`
    case 'unwirePod':
      return `unwirePod ${action.key} ${action.wiring.ips.join()}`
    case 'admitPod':
      return `admitPod ${action.sandbox.key} ${action.wiring.ips.join()}`
    case 'dismissPod':
      return `dismissPod ${action.key} ${action.wiring.ips.join()}`
    case 'reconcileHost':
      return `reconcileHost ${action.wiring.nics.length} nics ${action.wiring.pods.length} pods`
    case 'describeNode':
    case 'observeCloud':
    case 'createNic':
    case 'attachNic':
    case 'detachNic':
    case 'deleteNic':
    case 'lendBlocks':
    case 'returnBlocks':
      return `${action.kind} as ${action.id} ${action.priority}`
  }
}

const answerText = (answer: Answer): string => {
  switch (answer.kind) {
    case 'added':
      return `added ${answer.sandbox.key} ${answer.wiring.ips.join()}`
    case 'delegated':
      return `delegated ${answer.sandbox.key} ${answer.ips.map(({ ip }) => ip).join()}`
    case 'addFailed':
      return `addFailed ${answer.request.key} ${answer.reason.code}: ${answer.reason.message}`
    case 'deleted':
      return 'deleted'
  }
}
