// What the answer to a cloud call means. Answers are facts about the past: they move what is
// remembered, mark subnets, NICs and call classes that failed, and ask for an observation when it
// is not certain what happened.

import type { CloudAction } from './action.ts'
import { callClassOf, succeeded, throttled } from './budget.ts'
import {
  backOff,
  changeNic,
  dropBlocks,
  dropNic,
  healthOf,
  wantObservation,
  without,
} from './change.ts'
import type { Event } from './event.ts'
import { after, type Millis, millis, type NicId, type SubnetId, type Token } from './names.ts'
import { adoptNic, newBlock } from './nics.ts'
import { applyObservation } from './observe.ts'
import type { Failure } from './ports.ts'
import { clearProblem, describeFailure, noteProblem } from './problems.ts'
import type { Block, Nic, State, SubnetSupply } from './state.ts'
import type { Cidr } from './ip.ts'
import { initialState } from './initial.ts'
import { restStrays } from './strays.ts'
import type { NodeFacts } from './ports.ts'

type Finished = Event & { readonly kind: 'finished' }
type Context = { readonly at: Millis; readonly jitter: number; readonly startedAt: Millis }

const retryBaseMs = 1_000
const retryMaxMs = 60_000
const exhaustedBaseMs = 30_000
const exhaustedMaxMs = 600_000
const deniedMs = 60_000

// What was lent or born just now may be an address that a pod we do not know still uses.
export const applyResult = (state: State, event: Finished): State => {
  const next = applyOutcome(state, event)
  return next.nics === state.nics ? next : restStrays(next, next.host.strays, event.at)
}

const applyOutcome = (state: State, event: Finished): State => {
  const operation = state.operations.get(event.id)
  // An answer to a call of an earlier life, or one already settled: nothing to learn.
  if (operation === undefined) return state
  const { action, startedAt } = operation
  const context: Context = { at: event.at, jitter: event.jitter, startedAt }
  const ended = { ...state, operations: without(state.operations, event.id) }
  const { result } = event
  if (result.outcome.kind === 'failed') {
    return applyFailure(ended, { action, failure: result.outcome.failure, context })
  }
  const budget = succeeded(ended.budget, callClassOf(action.kind))
  const calm = clearProblem({ ...ended, budget }, subjectOf(action))
  switch (result.kind) {
    case 'nodeDescribed':
      return result.outcome.kind === 'ok' ? applyNode(calm, result.outcome.value, context) : calm
    case 'observed':
      return result.outcome.kind === 'ok'
        ? applyObservation(calm, result.outcome.value, context)
        : calm
    case 'nicCreated':
      return result.outcome.kind === 'ok'
        ? adoptNic(refreshSubnet(calm, result.outcome.value.subnet), result.outcome.value, {
            at: event.at,
            isTrusted: true,
          })
        : calm
    case 'nicAttached':
      return applyAttached(calm, action, context)
    case 'nicDetached':
      return applyDetached(calm, action, context)
    case 'nicDeleted':
      return action.kind === 'deleteNic' ? dropNic(calm, action.nic, event.at) : calm
    case 'blocksLent':
      return result.outcome.kind === 'ok'
        ? applyLent(calm, { action, blocks: result.outcome.value, context })
        : calm
    case 'blocksReturned':
      return result.outcome.kind === 'ok'
        ? applyReturned(calm, { action, blocks: result.outcome.value, context })
        : calm
  }
}

const applyNode = (state: State, node: NodeFacts, { at }: Context): State => {
  const isSame = state.node === undefined || state.node.instanceId === node.instanceId
  // What was remembered belongs to another machine (a disk that moved): none of it is true here.
  const { config, epoch, bornAt } = state
  const base = isSame
    ? state
    : {
        ...initialState({ config, epoch, at: bornAt }),
        serial: state.serial,
        adds: state.adds,
        dels: state.dels,
      }
  const cloud = { ...base.cloud, isDescribed: true, retryAt: millis(0), attempts: 0 }
  return wantObservation({ ...base, node, cloud }, at)
}

const applyAttached = (state: State, action: CloudAction, { at }: Context): State => {
  if (action.kind !== 'attachNic') return state
  const attached = changeNic(state, action.nic, nic => ({
    ...nic,
    isProtected: true,
    attempts: 0,
    // The wait for the device begins now: what came before was the call.
    phase: nic.phase.kind === 'attaching' ? { ...nic.phase, since: at } : nic.phase,
  }))
  const cloud = { ...attached.cloud, nicAttempts: 0 }
  return { ...attached, cloud, host: { ...attached.host, wantedAt: after(at, 1) } }
}

const applyDetached = (state: State, action: CloudAction, { at }: Context): State =>
  action.kind !== 'detachNic'
    ? state
    : changeNic(state, action.nic, nic => ({
        ...nic,
        attempts: 0,
        phase: { kind: 'leaving', isDetached: true, deviceIndex: undefined, since: at },
      }))

const applyLent = (
  state: State,
  lent: {
    readonly action: CloudAction
    readonly blocks: readonly Cidr[]
    readonly context: Context
  },
): State => {
  const { action, context } = lent
  if (action.kind !== 'lendBlocks') return state
  const subnet = state.nics.get(action.nic)?.subnet
  const hasRoom = subnet !== undefined && lent.blocks.length > 0
  const refreshed = hasRoom ? refreshSubnet(state, subnet) : state
  const calm = lent.blocks.reduce((next, cidr) => clearProblem(next, `block ${cidr}`), refreshed)
  return changeNic(calm, action.nic, nic => {
    const blocks = new Map(nic.blocks)
    for (const cidr of lent.blocks) {
      // What was lost may come back by chance: the pods that still use it are whole again.
      const isThere = blocks.has(cidr) && blocks.get(cidr)?.phase.kind !== 'lost'
      if (isThere) continue
      blocks.set(cidr, newBlock(state, { cidr, isFixed: false }, context.at))
    }
    // Nothing at all without an error: no reason to ask again at once.
    if (lent.blocks.length === 0) return { ...nic, ...nextTry(nic, context) }
    return { ...nic, blocks, attempts: 0, retryAt: millis(0) }
  })
}

// It gave something: the next time it cannot, the wait is short again.
const refreshSubnet = (state: State, id: SubnetId): State => {
  const health = state.subnets.get(id)
  if (health === undefined || health.attempts === 0) return state
  return { ...state, subnets: new Map(state.subnets).set(id, { ...health, attempts: 0 }) }
}

const applyReturned = (
  state: State,
  returned: {
    readonly action: CloudAction
    readonly blocks: readonly Cidr[]
    readonly context: Context
  },
): State => {
  const { action, context } = returned
  if (action.kind !== 'returnBlocks') return state
  const asked = new Set(action.blocks)
  const gone = returned.blocks.filter(cidr => asked.has(cidr))
  const tombstones = new Map(state.tombstones)
  for (const cidr of gone) tombstones.set(cidr, context.at)
  const dropped = changeNic({ ...state, tombstones }, action.nic, nic => {
    const rest = dropBlocks(nic, gone)
    return gone.length === asked.size
      ? { ...rest, attempts: 0 }
      : { ...rest, ...nextTry(rest, context) }
  })
  return restartSurplus(dropped, action.nic, context.at)
}

/** What is left of a surplus has to last again before more goes. */
export const restartSurplus = (state: State, nic: NicId, at: Millis): State => {
  const pool = state.nics.get(nic)?.pool
  const known = pool === undefined ? undefined : state.surpluses.get(pool)
  if (pool === undefined || known === undefined) return state
  const anew = { since: at, least: Number.MAX_SAFE_INTEGER }
  const families = new Map([...known.keys()].map(family => [family, anew]))
  return { ...state, surpluses: new Map(state.surpluses).set(pool, families) }
}

type Failed = {
  readonly action: CloudAction
  readonly failure: Failure
  readonly context: Context
}

const applyFailure = (state: State, failed: Failed): State => {
  const { action, failure, context } = failed
  const noted = noteProblem(state, subjectOf(action), {
    text: describeFailure(purposeOf(action), failure),
    kind: failure.kind,
    at: context.at,
  })
  const marked = markBudget(noted, failed)
  switch (action.kind) {
    case 'describeNode':
    case 'observeCloud':
      return laterObservation(marked, context)
    case 'createNic':
      return applyCreateFailed(marked, action.request, failed)
    case 'attachNic':
    case 'detachNic':
    case 'deleteNic':
      return applyNicFailed(marked, action.nic, failed)
    case 'lendBlocks':
      return applyLendFailed(marked, action, failed)
    case 'returnBlocks':
      return applyReturnFailed(marked, action, failed)
  }
}

const markBudget = (state: State, { action, failure, context }: Failed): State => {
  if (failure.kind !== 'throttled') return state
  const call = {
    class: callClassOf(action.kind),
    now: context.at,
    jitter: context.jitter,
    retryAfterMs: failure.retryAfterMs,
  }
  return { ...state, budget: throttled(state.budget, state.config.rates, call) }
}

const laterObservation = (state: State, context: Context): State => {
  const { attempts } = state.cloud
  const wait = { attempts, jitter: context.jitter, baseMs: retryBaseMs, maxMs: retryMaxMs }
  const retryAt = backOff(context.at, wait)
  return { ...state, cloud: { ...state.cloud, retryAt, attempts: attempts + 1 } }
}

const applyCreateFailed = (
  state: State,
  request: { readonly token: Token; readonly subnet: SubnetId },
  failed: Failed,
): State => {
  const { failure, context } = failed
  const intent = state.intents.get(request.token)
  if (intent === undefined) return state
  if (failure.ambiguous) {
    const unsure = { ...intent, unsureSince: context.at }
    const kept = { ...state, intents: new Map(state.intents).set(intent.token, unsure) }
    return wantObservation(limitNics(kept, failed), after(context.at, 1))
  }
  // A definite no: nothing was created, and the next plan starts from what is now known.
  const dropped = { ...state, intents: without(state.intents, intent.token) }
  if (isSubnetFailure(failure)) {
    return markSubnet(dropped, { id: request.subnet, what: 'nic' }, failed)
  }
  return failure.kind === 'throttled' ? dropped : limitNics(dropped, failed)
}

const limitNics = (state: State, { failure, context }: Failed): State => {
  const { nicAttempts } = state.cloud
  const isFull = failure.kind === 'limit'
  const wait = {
    attempts: nicAttempts,
    jitter: context.jitter,
    baseMs: isFull ? exhaustedBaseMs : retryBaseMs,
    maxMs: isFull ? exhaustedMaxMs : retryMaxMs,
  }
  const nicsLimitedUntil =
    failure.kind === 'denied' ? after(context.at, deniedMs) : backOff(context.at, wait)
  const cloud = { ...state.cloud, nicsLimitedUntil, nicAttempts: nicAttempts + 1 }
  return wantObservation({ ...state, cloud }, after(context.at, 1))
}

const applyNicFailed = (state: State, id: NicId, failed: Failed): State => {
  const { action, failure, context } = failed
  const delayed = delayNic(state, id, failed)
  const isFull = action.kind === 'attachNic' && failure.kind === 'limit'
  if (!isFull) return wantObservation(delayed, after(context.at, 1))
  // No place on the instance: a NIC that was never attached goes again. One that a pod uses was,
  // and somebody has detached it.
  const leaving = {
    kind: 'leaving',
    isDetached: true,
    deviceIndex: undefined,
    since: context.at,
  } as const
  return limitNics(
    changeNic(delayed, id, nic =>
      nic.phase.kind === 'attaching' && nic.uses.size === 0 ? { ...nic, phase: leaving } : nic,
    ),
    failed,
  )
}

const applyLendFailed = (
  state: State,
  action: CloudAction & { readonly kind: 'lendBlocks' },
  failed: Failed,
): State => {
  const nic = state.nics.get(action.nic)
  if (nic !== undefined && isSubnetFailure(failed.failure)) {
    return markSubnet(state, { id: nic.subnet, what: action.blocks.family }, failed)
  }
  const delayed = delayNic(state, action.nic, failed)
  if (failed.failure.kind === 'throttled') return delayed
  return wantObservation(delayed, after(failed.context.at, 1))
}

const applyReturnFailed = (
  state: State,
  action: CloudAction & { readonly kind: 'returnBlocks' },
  failed: Failed,
): State => {
  const delayed = delayNic(state, action.nic, failed)
  const restarted = restartSurplus(delayed, action.nic, failed.context.at)
  const { failure, context } = failed
  const settledAt = after(context.at, state.config.settleMs)
  const change = (block: Block): Block => {
    if (block.phase.kind !== 'returning') return block
    // Perhaps it is gone: it is asked for again, and given to nobody whatever the next answer is.
    if (failure.ambiguous) return { ...block, phase: { kind: 'returning', isDoubtful: true } }
    return block.phase.isDoubtful ? block : { ...block, phase: { kind: 'held', settledAt } }
  }
  const changed = changeNic(restarted, action.nic, nic => ({
    ...nic,
    blocks: new Map([...nic.blocks].map(([cidr, block]) => [cidr, change(block)])),
  }))
  return failure.ambiguous ? wantObservation(changed, after(context.at, 1)) : changed
}

const isSubnetFailure = (failure: Failure): boolean =>
  failure.kind === 'exhausted' || failure.kind === 'fragmented'

const markSubnet = (
  state: State,
  { id, what }: { readonly id: SubnetId; readonly what: SubnetSupply },
  { failure, context }: Failed,
): State => {
  const health = healthOf(state, id)
  const wait = {
    attempts: health.attempts,
    jitter: context.jitter,
    baseMs: exhaustedBaseMs,
    maxMs: exhaustedMaxMs,
  }
  const until = backOff(context.at, wait)
  const closed =
    failure.kind === 'exhausted'
      ? { exhaustedUntil: { ...health.exhaustedUntil, [what]: until } }
      : { fragmentedUntil: until }
  const marked = { ...health, ...closed, attempts: health.attempts + 1 }
  return { ...state, subnets: new Map(state.subnets).set(id, marked) }
}

const delayNic = (state: State, id: NicId, { failure, context }: Failed): State =>
  changeNic(state, id, nic => ({
    ...nic,
    ...nextTry(nic, context),
    ...(failure.kind === 'denied' ? { retryAt: after(context.at, deniedMs) } : {}),
    unsureSince: failure.ambiguous ? context.at : nic.unsureSince,
  }))

const nextTry = (nic: Nic, { at, jitter }: Context): { retryAt: Millis; attempts: number } => ({
  retryAt: backOff(at, { attempts: nic.attempts, jitter, baseMs: retryBaseMs, maxMs: retryMaxMs }),
  attempts: nic.attempts + 1,
})

/** What a problem is filed under; success of the same call about the same thing clears it. */
const subjectOf = (action: CloudAction): string =>
  'nic' in action ? `${action.kind} ${action.nic}` : action.kind

const purposeOf = (action: CloudAction): string => {
  switch (action.kind) {
    case 'describeNode':
      return 'describe this instance'
    case 'observeCloud':
      return 'observe the NICs of this instance'
    case 'createNic':
      return `create a NIC in ${action.request.subnet}`
    case 'attachNic':
      return `attach ${action.nic} as device ${action.deviceIndex}`
    case 'detachNic':
      return `detach ${action.nic}`
    case 'deleteNic':
      return `delete ${action.nic}`
    case 'lendBlocks':
      return `lend ${action.blocks.count} × /${action.blocks.length} to ${action.nic}`
    case 'returnBlocks':
      return `return ${action.blocks.length} blocks of ${action.nic}`
  }
}
