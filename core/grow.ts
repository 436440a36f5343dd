// Lending more when a pool is short: first what makes half a place whole, then on NICs that have
// room, then on a new NIC. How much a NIC can take is room.ts's business.

import type { Priority } from './action.ts'
import { act, isAffordable, isDue, newDraft, nextOperation, type Draft } from './draft.ts'
import { healthOf } from './change.ts'
import type { Family } from './ip.ts'
import { type Millis, type PoolName, token } from './names.ts'
import { isBusy } from './nics.ts'
import { missingPlaces, nicsOf, placesOn, usableOn } from './places.ts'
import { allowanceOf, countWaiting } from './pool.ts'
import type { BlockRequest, NodeFacts } from './ports.ts'
import {
  blocksUpTo,
  isHere,
  newNicSupplies,
  nicSupplies,
  reachOf,
  requestUpTo,
  roomOnNode,
  type Supply,
} from './room.ts'
import type { Nic, State } from './state.ts'

/** New NICs asked for at the same time; each brings a full NIC's worth of addresses. */
const intentsMax = 2

export const planGrowth = (draft: Draft): void => {
  const { node, cloud, config } = draft.state
  // Before the first observation of this life nobody knows what is already there.
  if (node === undefined || cloud.observedAt === undefined) return
  // A description without the primary NIC is not to be built on.
  if (![...draft.state.nics.values()].some(nic => nic.isPrimary)) return
  for (const pool of config.pools.keys()) growPool(draft, { pool, node })
}

type Growth = { readonly pool: PoolName; readonly node: NodeFacts }

const growPool = (draft: Draft, growth: Growth): void => {
  const { pool } = growth
  const missing = (): number => missingPlaces(draft.state, pool, draft.now)
  const before = missing()
  if (!(before > 0)) return
  const priority = countWaiting(draft.state, pool) > 0 ? 'blocking' : 'prewarming'
  const want: Want = { left: before, free: roomOnNode(draft.state), priority }
  const nics = nicsOf(draft.state, pool, draft.now)
    .filter(isHere)
    .sort((a, b) => a.slot - b.slot)
  for (const nic of nics) complete(draft, nic, want)
  for (const nic of nics) if (want.left > 0 && canLend(draft, nic)) extend(draft, nic, want)
  // What a NIC has been promised comes call by call, and is not ordered again elsewhere.
  const promised = Math.max(0, missing() - want.left)
  // Room on NICs that are busy just now is used as soon as their call returns.
  while (missing() > 0 && missing() > roomLeft(draft, growth)) {
    const places = missing() - promised
    if (!(places > 0) || !addNic(draft, { ...growth, ...want, places })) return
  }
}

/** What is still to be had; mutable only while one pool grows. */
type Want = {
  /** Places. */
  left: number
  /** Blocks that the instance can take beyond what was promised to its NICs. */
  free: number
  readonly priority: Priority
}

// Places for which one family is there or under way and the other can follow. A NIC whose call is
// under way gets its next one when that has returned, so its places are spoken for.
const complete = (draft: Draft, nic: Nic, want: Want): void => {
  const { state, now } = draft
  if (!(want.left > 0) || state.config.families.length < 2) return
  const isUnderWay = isBusy(state, nic.id)
  if (!isUnderWay && !canLend(draft, nic)) return
  const places = placesOn(state, nic, now)
  const usable = state.config.families.map(family => usableOn(state, nic, { family, now }))
  const supplies = nicSupplies(draft, nic)
  const goal = reachOf(supplies, Math.min(Math.max(...usable), places + want.left), want.free)
  if (!(goal > places)) return
  if (!isUnderWay) lendUpTo(draft, nic, { goal, priority: want.priority })
  take(want, { supplies, goal, places })
}

const extend = (draft: Draft, nic: Nic, want: Want): void => {
  const places = placesOn(draft.state, nic, draft.now)
  const supplies = nicSupplies(draft, nic)
  const goal = reachOf(supplies, places + want.left, want.free)
  if (!(goal > places) || !lendUpTo(draft, nic, { goal, priority: want.priority })) return
  take(want, { supplies, goal, places })
}

type Taken = {
  readonly supplies: readonly Supply[]
  readonly goal: number
  readonly places: number
}

const take = (want: Want, { supplies, goal, places }: Taken): void => {
  want.left -= goal - places
  want.free -= blocksUpTo(supplies, goal)
}

// One call at a time: the families that lack follow in their order. True when a call was made.
const lendUpTo = (
  draft: Draft,
  nic: Nic,
  { goal, priority }: { readonly goal: number; readonly priority: Priority },
): boolean => {
  const [blocks] = nicSupplies(draft, nic).flatMap(supply => requestUpTo(supply, goal))
  if (blocks === undefined || !isAffordable(draft, 'lendBlocks', priority)) return false
  act(draft, { kind: 'lendBlocks', id: nextOperation(draft), priority, nic: nic.id, blocks })
  return true
}

const canLend = (draft: Draft, nic: Nic): boolean => {
  if (nic.unsureSince !== undefined || isBusy(draft.state, nic.id)) return false
  return isDue(draft, nic.retryAt)
}

const roomLeft = (draft: Draft, { pool }: Growth): number => {
  const { state, now } = draft
  let [room, free] = [0, roomOnNode(state)]
  for (const nic of nicsOf(state, pool, now).filter(isHere)) {
    const supplies = nicSupplies(draft, nic)
    const places = placesOn(state, nic, now)
    const reached = reachOf(supplies, Infinity, free)
    room += reached - places
    free -= blocksUpTo(supplies, reached)
  }
  return room
}

type NewNic = Growth & Want & { readonly places: number }

// True when a NIC was ordered, so that the caller looks again at what is missing.
const addNic = (draft: Draft, { pool, node, places, free, priority }: NewNic): boolean => {
  const { state } = draft
  if (state.intents.size >= intentsMax || !hasPlace(state, node)) return false
  if (!isDue(draft, state.cloud.nicsLimitedUntil)) return false
  if (!isAffordable(draft, 'createNic', priority)) return false
  for (const subnet of subnetsByRoom(state, node)) {
    const blocks = firstBlocks(draft, { pool, subnet, places, free })
    if (blocks.length === 0) continue
    const request = {
      token: token(`ew-${state.epoch}-${state.serial + 1}`),
      subnet,
      securityGroups: node.securityGroups,
      blocks,
    }
    act(draft, { kind: 'createNic', id: nextOperation(draft), priority, pool, request })
    return true
  }
  return false
}

type First = {
  readonly pool: PoolName
  readonly subnet: Nic['subnet']
  readonly places: number
  readonly free: number
}

const firstBlocks = (
  draft: Draft,
  { pool, subnet, places, free }: First,
): readonly BlockRequest[] => {
  const supplies = newNicSupplies(draft, { pool, subnet })
  const goal = reachOf(supplies, places, Math.min(free, roomOnNode(draft.state)))
  return goal > 0 ? supplies.flatMap(supply => requestUpTo(supply, goal)) : []
}

/** True when addresses for a pod could be lent at once if one asked for them. */
export const canGrow = (state: State, pool: PoolName, now: Millis): boolean => {
  const { node, cloud } = state
  if (node === undefined || cloud.observedAt === undefined || cloud.attempts > 0) return false
  const isAllowed = (family: Family): boolean => allowanceOf(state, pool, { family, now }) > 0
  if (!state.config.families.every(isAllowed)) return false
  const draft = newDraft(state, now)
  if (roomLeft(draft, { pool, node }) > 0) return true
  if (!hasPlace(state, node) || cloud.nicsLimitedUntil > now) return false
  return node.subnets.some(
    ({ id: subnet }) => firstBlocks(draft, { pool, subnet, places: 1, free: Infinity }).length > 0,
  )
}

/** True when the instance can take one more NIC, counting those that are on their way. */
export const hasPlace = (state: State, node: NodeFacts): boolean => {
  if (!node.limits.hotPlug) return false
  const nicsMax = Math.min(node.limits.nicsMax, state.config.nicsMax ?? Infinity)
  const places = [...state.nics.values()].filter(holdsPlace).length
  return places + state.intents.size < nicsMax
}

// One that somebody else detached has left its place, though pods still use its addresses.
const holdsPlace = ({ phase }: Nic): boolean => phase.kind !== 'lost'

// Roomiest first, as the cloud last counted; the provider's order decides between equals.
const subnetsByRoom = (state: State, node: NodeFacts): readonly Nic['subnet'][] => {
  const room = new Map(
    node.subnets.map(({ id, available }) => [
      id,
      healthOf(state, id).subnet?.available ?? available,
    ]),
  )
  return [...room].sort(([, a], [, b]) => b - a).map(([id]) => id)
}
