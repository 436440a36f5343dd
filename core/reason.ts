// Why a pod gets no address now, as one sentence for the user: what, where, why, what to do.

import type { Reason } from './action.ts'
import { healthOf } from './change.ts'
import { hasPlace } from './grow.ts'
import { type Family, familyOf } from './ip.ts'
import type { Millis, PoolName } from './names.ts'
import { isBusy } from './nics.ts'
import { isStuck } from './places.ts'
import { type Counts, countPool, inFlight, isCooling } from './pool.ts'
import type { HostFailure, NodeFacts, Subnet } from './ports.ts'
import { hasRoom, isAnyUnsure, lacksFamily, roomOnNode } from './room.ts'
import type { AddRequest, Problem, State } from './state.ts'

export const explainWaiting = (state: State, request: AddRequest, now: Millis): Reason => {
  const what = `cannot assign an address to ${podName(request)}`
  const { code, why } = explain(state, request.pool, now)
  const isTemporary = code !== 'UnknownPool'
  return { code, message: `${what}: ${why}`, isTemporary }
}

export const hostReason = (request: AddRequest, failure: HostFailure): Reason => ({
  code: 'HostFailed',
  message: `cannot wire ${podName(request)}: ${failure.message}`,
  isTemporary: failure.isTemporary,
})

/** Nothing that happens by itself will help. */
export const unservable = (request: AddRequest, why: string): Reason => ({
  code: 'Unservable',
  message: `cannot assign an address to ${podName(request)}: ${why}`,
  isTemporary: false,
})

const podName = ({ pod, key }: AddRequest): string =>
  pod === undefined ? `container ${key}` : `pod ${pod.namespace}/${pod.name}`

type Cause = { readonly code: Reason['code']; readonly why: string }

/** The first cause that holds, most specific first; also what `eniway why` prints. */
export const explain = (state: State, pool: PoolName, now: Millis): Cause => {
  const targets = state.config.pools.get(pool)
  if (targets === undefined) {
    const known = [...state.config.pools.keys()].join(', ')
    return { code: 'UnknownPool', why: `this node has no pool "${pool}"; use one of: ${known}` }
  }
  const { families } = state.config
  const free = families.map(family => countPool(state, pool, { family, now }).warm)
  const family = families[free.indexOf(Math.min(...free))] ?? 4
  const cause = explainFamily(state, { pool, family, now })
  if (families.length === 1) return cause
  const lacking = families.filter((_, i) => !((free[i] ?? 0) > 0))
  return { ...cause, why: `${whatLacks(lacking, families)}: ${cause.why}` }
}

const nameOf = (family: Family): string => `IPv${family}`

const whatLacks = (lacking: readonly Family[], families: readonly Family[]): string => {
  if (lacking.length === 0) return 'no NIC has a free address of each family'
  const names = (lacking.length === families.length ? families : lacking).map(nameOf)
  return `no ${names.join(' and no ')} address is free`
}

type Where = { readonly pool: PoolName; readonly family: Family; readonly now: Millis }

const explainFamily = (state: State, { pool, family, now }: Where): Cause => {
  const tally = countPool(state, pool, { family, now })
  const maximum = maximumReached(state, pool, now)
  if (maximum !== undefined) return maximum
  const host = unwired(state)
  if (host !== undefined) return host
  const hindering = hinderingProblem(state, now)
  if (hindering?.kind === 'denied') return { code: 'Denied', why: hindering.text }
  const isBlind = !state.cloud.isDescribed || state.cloud.observedAt === undefined
  if (isBlind || state.cloud.attempts > 0) return unreachable(state)
  if (hindering?.kind === 'throttled') return { code: 'Throttled', why: hindering.text }
  const full = impossible(state) ?? exhausted(state, now)
  if (full !== undefined) return full
  const moving = movingNic(state, now)
  if (moving !== undefined) return { code: 'WaitingForNic', why: moving }
  const [failure] = state.host.failures
  if (tally.settling > 0 && failure !== undefined && isAnyWiring(state)) return hostCause(failure)
  if (tally.settling > 0 && !isAnyStuck(state, now)) {
    return { code: 'WaitingForCloud', why: 'new addresses are settling; the pod is tried again' }
  }
  return limitOrCooling(state, tally, { pool, family, now })
}

// The instance or its subnets have no such addresses at all, so no waiting helps.
const impossible = (state: State): Cause | undefined => {
  for (const family of state.config.families) {
    const cause = impossibleFamily(state, family)
    if (cause !== undefined) return cause
  }
  return undefined
}

const impossibleFamily = (state: State, family: Family): Cause | undefined => {
  const { node } = state
  if (node === undefined) return undefined
  const advice = `or leave ${nameOf(family).toLowerCase()} out of ipFamilies`
  if (!(node.limits.blocksPerNicMax[family] > 0) && !isAnyHeld(state, family)) {
    const why = `instance type ${node.instanceType} takes no ${nameOf(family)} addresses; use another type ${advice}`
    return { code: 'NicLimit', why }
  }
  const subnets = new Set([
    ...node.subnets.map(({ id }) => id),
    ...[...state.nics.values()].flatMap(nic => (nic.isManaged ? [nic.subnet] : [])),
  ])
  if (![...subnets].every(id => lacksFamily(state, id, family))) return undefined
  const why = `subnet ${[...subnets].join(', ')} has no ${nameOf(family)} prefix; give it one ${advice}`
  return { code: 'Exhausted', why }
}

const isAnyHeld = (state: State, family: Family): boolean =>
  [...state.nics.values()].some(nic =>
    [...nic.blocks.keys()].some(block => familyOf(block) === family),
  )

const unreachable = (state: State): Cause => {
  const last = state.problems.get('describeNode') ?? state.problems.get('observeCloud')
  if (last === undefined) {
    const why = 'the cloud has not answered yet since the daemon started; wait a moment'
    return { code: 'WaitingForCloud', why }
  }
  return { code: last.kind === 'throttled' ? 'Throttled' : 'CloudUnreachable', why: last.text }
}

// One family is enough: a pod needs an address of each.
const maximumReached = (state: State, pool: PoolName, now: Millis): Cause | undefined => {
  const { families, pools } = state.config
  const maximum = pools.get(pool)?.maximum ?? Infinity
  const full = families.find(family => {
    const { assigned, cooling, warm, settling } = countPool(state, pool, { family, now })
    return assigned + cooling + warm + settling >= maximum
  })
  if (full === undefined) return undefined
  const kind = families.length === 1 ? '' : `${nameOf(full)} `
  const why = `pool ${pool} holds its maximum of ${maximum} ${kind}addresses; raise pool.maximum or lower max-pods`
  return { code: 'PoolMaximum', why }
}

const exhausted = (state: State, now: Millis): Cause | undefined => {
  const subnets = state.node?.subnets ?? []
  const isFull = ({ id }: Subnet): boolean =>
    Math.max(...Object.values(healthOf(state, id).exhaustedUntil)) > now
  const full = subnets.filter(isFull)
  if (full.length === 0) return undefined
  const names = full.map(({ id, zone }) => `${id} (zone ${zone})`).join(', ')
  const verb = full.length === 1 ? 'is exhausted' : 'are exhausted'
  // Where NICs cannot be added, neither can the subnets they would lie in.
  const advice =
    state.node?.limits.hotPlug === false
      ? 'lower warm targets on its nodes or widen it'
      : 'add a subnet or lower warm targets on its nodes'
  return { code: 'Exhausted', why: `subnet ${names} ${verb}; ${advice}` }
}

const movingNic = (state: State, now: Millis): string | undefined => {
  for (const nic of state.nics.values()) {
    const { id, phase, attempts, isManaged } = nic
    if (!isManaged) continue
    const isGoing = phase.kind === 'leaving' && (attempts === 0 || isBusy(state, id))
    if (isGoing) return `${id} is being detached to make room; the pod is tried again`
    const isComing = phase.kind === 'created' || phase.kind === 'attaching'
    if (isComing && !isStuck(state, nic, now)) {
      return `${id} is being attached; the pod is tried again`
    }
  }
  const isCertain = [...state.intents.values()].some(intent => intent.unsureSince === undefined)
  return isCertain ? 'a new NIC is being created; the pod is tried again' : undefined
}

const absentDevice = (state: State, now: Millis): Problem | undefined => {
  const nic = [...state.nics.values()].find(each => each.isManaged && isStuck(state, each, now))
  return nic === undefined ? undefined : state.problems.get(`device ${nic.id}`)
}

const isAnyStuck = (state: State, now: Millis): boolean =>
  [...state.nics.values()].some(nic => nic.isManaged && isStuck(state, nic, now))

// Devices are there, but their tables or rules are not.
const unwired = (state: State): Cause | undefined => {
  const [failure] = state.host.failures
  if (failure === undefined || isAnyReady(state)) return undefined
  return hostCause(failure)
}

const hostCause = (failure: string): Cause => ({
  code: 'HostNotReady',
  why: `${failure}; it is tried again every few seconds`,
})

const isAnyWiring = (state: State): boolean =>
  [...state.nics.values()].some(nic => nic.isManaged && nic.phase.kind === 'wiring')

const isAnyReady = (state: State): boolean =>
  [...state.nics.values()].some(nic => nic.isManaged && nic.phase.kind === 'ready')

const limitOrCooling = (
  state: State,
  tally: Pick<Counts, 'cooling' | 'assigned' | 'releasing'>,
  { pool, family, now }: Where,
): Cause => {
  const { node, config } = state
  if (isAnyResting(state, now) && !(state.operations.size > 0)) {
    const seconds = Math.ceil(config.coolingMs / 1000)
    return {
      code: 'Cooling',
      why:
        `all free addresses rest, for ${seconds} s after their last pod and until its link is gone; ` +
        'lower cooling or max-pods',
    }
  }
  if (state.intents.size > 0) {
    const why = 'the answer to the creation of a NIC was lost; it is looked for before another try'
    return { code: 'WaitingForCloud', why }
  }
  const stuck = stuckNic(state)
  if (stuck !== undefined) return { code: 'WaitingForCloud', why: stuck }
  const absent = absentDevice(state, now)
  if (absent !== undefined) return { code: 'WaitingForNic', why: absent.text }
  const create = state.problems.get('createNic')
  const isHeldUp = state.cloud.nicsLimitedUntil > now && create !== undefined
  if (isHeldUp && create.kind !== 'limit') return { code: 'WaitingForCloud', why: create.text }
  if (isHeldUp) return { code: 'NicLimit', why: create.text }
  const isComing = inFlight(state, pool, family) > 0
  if (isComing) return { code: 'WaitingForCloud', why: onTheirWay }
  // What is on its way back makes room on the instance.
  const isShared = node?.limits.blocksPerNodeMax !== undefined
  if (isShared && tally.releasing > 0) return { code: 'WaitingForCloud', why: onTheirWay }
  const limit = node === undefined ? undefined : limitOf(state, node, tally.assigned)
  if (limit !== undefined) return { code: 'NicLimit', why: limit }
  const last = [...state.problems.values()].at(-1)
  const why = last?.text ?? onTheirWay
  return { code: 'WaitingForCloud', why }
}

const limitOf = (state: State, node: NodeFacts, assigned: number): string | undefined => {
  const { blocksPerNodeMax, hotPlug } = node.limits
  if (blocksPerNodeMax !== undefined && isAnyUnsure(state)) return undefined
  const type = `instance type ${node.instanceType}`
  if (blocksPerNodeMax !== undefined && roomOnNode(state) < state.config.families.length) {
    return (
      `${type} takes ${blocksPerNodeMax} addresses or prefixes on all its NICs together, and has no ` +
      "room for another pod's; lower max-pods or use more nodes"
    )
  }
  if (hasPlace(state, node) || hasRoom(state)) return undefined
  const nicsMax = state.config.nicsMax ?? Infinity
  if (hotPlug && nicsMax < node.limits.nicsMax) {
    return (
      `nicsMaximum keeps this node at ${nicsMax} of the ${node.limits.nicsMax} NICs of ${type}, ` +
      `and ${assigned} addresses are in use; raise nicsMaximum or lower max-pods`
    )
  }
  if (hotPlug) {
    return (
      `${type} has all its NICs and ${assigned} addresses in use; lower max-pods or use a larger ` +
      'type'
    )
  }
  const nics = [...state.nics.values()].filter(nic => nic.isManaged).length
  // Its descriptions have not shown the primary NIC yet.
  if (nics === 0) return undefined
  return (
    `the ${nics} NICs of ${type} have ${assigned} addresses in use, and this cloud attaches NICs to ` +
    'stopped instances only; lower max-pods, use a larger size, or attach another NIC while the ' +
    'instance is stopped'
  )
}

const onTheirWay = 'addresses are on their way; the pod is tried again'

// A NIC on its way out that cannot be detached or deleted keeps the place of the next one.
const stuckNic = (state: State): string | undefined => {
  for (const { id, phase } of state.nics.values()) {
    if (phase.kind !== 'leaving') continue
    const call = phase.isDetached ? 'deleteNic' : 'detachNic'
    const problem = state.problems.get(`${call} ${id}`)
    return problem?.text ?? `${id} is being given up to make room; the pod is tried again`
  }
  return undefined
}

// Addresses of pods that this daemon does not know do not rest: they are in use.
const isAnyResting = (state: State, now: Millis): boolean =>
  [...state.nics.values()].some(nic =>
    [...nic.uses.values()].some(
      use => use.kind === 'cooling' && !use.isStray && isCooling(use, now),
    ),
  )

const growthCalls = ['describeNode', 'observeCloud', 'createNic', 'attachNic', 'lendBlocks']
const problemMs = 150_000

/**
 * What lately kept the pool from growing. A problem is cleared when the same call succeeds, and
 * what is still wanted is tried again within two minutes, so an older one hinders nobody.
 */
export const hinderingProblem = (state: State, now: Millis): Problem | undefined => {
  let found: Problem | undefined
  for (const [subject, problem] of state.problems) {
    const isGrowth = growthCalls.includes(subject.split(' ', 1)[0] ?? '')
    const isHard = problem.kind === 'denied' || problem.kind === 'throttled'
    if (!isGrowth || !isHard || now - problem.lastAt > problemMs) continue
    if (found?.kind !== 'denied') found = problem
  }
  return found
}
