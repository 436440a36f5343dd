// Lending more when a pool is short: first on NICs that have room, then on a new NIC. Subnets that
// are exhausted are passed over; where no /28 can be had, single addresses are taken.

import type { Priority } from './action.ts'
import { healthOf } from './change.ts'
import { act, isAffordable, isDue, newDraft, nextOperation, type Draft } from './draft.ts'
import { bitsOf, familyOf, type Family } from './ip.ts'
import { type Millis, type PoolName, token } from './names.ts'
import { isBusy } from './nics.ts'
import { allowanceOf, countWaiting, deficitOf, requestedSize } from './pool.ts'
import type { BlockRequest, NodeFacts } from './ports.ts'
import type { Nic, State } from './state.ts'

/** New NICs asked for at the same time; each brings a full NIC's worth of addresses. */
const intentsMax = 2

export const planGrowth = (draft: Draft): void => {
  const { node, cloud, config } = draft.state
  // Before the first observation of this life nobody knows what is already there.
  if (node === undefined || cloud.observedAt === undefined) return
  // A description without the primary NIC is not to be built on.
  if (![...draft.state.nics.values()].some(nic => nic.isPrimary)) return
  for (const pool of config.pools.keys()) {
    for (const family of config.families) growPool(draft, { pool, family, node })
  }
}

type Growth = { readonly pool: PoolName; readonly family: Family; readonly node: NodeFacts }

const growPool = (draft: Draft, growth: Growth): void => {
  const { pool, family, node } = growth
  const missing = (): number => deficitOf(draft.state, pool, { family, now: draft.now })
  const allowed = (): number => allowanceOf(draft.state, pool, { family, now: draft.now })
  if (!(missing() > 0)) return
  const priority = priorityOf(draft.state, pool)
  for (const nic of [...draft.state.nics.values()].sort((a, b) => a.slot - b.slot)) {
    if (!(missing() > 0)) return
    if (nic.pool !== pool || !canLend(draft, nic)) continue
    const room = node.limits.blocksPerNicMax[family] - blockCount(nic, family)
    const need = { family, missing: missing(), allowed: allowed(), room, subnet: nic.subnet }
    const blocks = requestFor(draft, need)
    if (blocks === undefined || !isAffordable(draft, 'lendBlocks', priority)) continue
    act(draft, { kind: 'lendBlocks', id: nextOperation(draft), priority, nic: nic.id, blocks })
  }
  // Room on NICs that are busy just now is used as soon as their call returns.
  while (missing() > roomLeft(draft, growth) && addNic(draft, growth, priority)) continue
}

const priorityOf = (state: State, pool: PoolName): Priority =>
  countWaiting(state, pool) > 0 ? 'blocking' : 'prewarming'

const roomLeft = (draft: Draft, { pool, family, node }: Growth): number => {
  const { state, now } = draft
  let room = 0
  for (const nic of state.nics.values()) {
    const isFull = healthOf(state, nic.subnet).exhaustedUntil > now
    if (nic.pool !== pool || !isHere(nic) || isFull) continue
    const free =
      node.limits.blocksPerNicMax[family] - blockCount(nic, family) - coming(state, nic, family)
    const length = blockLength(draft, { family, subnet: nic.subnet })
    room += requestedSize({ family, length, count: Math.max(0, free) })
  }
  return room
}

const coming = (state: State, nic: Nic, family: Family): number => {
  let blocks = 0
  for (const { action } of state.operations.values()) {
    if (action.kind !== 'lendBlocks' || action.nic !== nic.id) continue
    if (action.blocks.family === family) blocks += action.blocks.count
  }
  return blocks
}

const isHere = ({ phase, isManaged, missingSince }: Nic): boolean =>
  isManaged &&
  missingSince === undefined &&
  (phase.kind === 'ready' || phase.kind === 'wiring' || phase.kind === 'attaching')

const canLend = (draft: Draft, nic: Nic): boolean => {
  if (!isHere(nic)) return false
  if (nic.unsureSince !== undefined || isBusy(draft.state, nic.id)) return false
  return isDue(draft, nic.retryAt)
}

// A lost block has left its place on the NIC, and what the NIC was born with takes none.
const blockCount = (nic: Nic, family: Family): number =>
  [...nic.blocks.values()].filter(
    ({ cidr, isFixed, phase }) => familyOf(cidr) === family && !isFixed && phase.kind !== 'lost',
  ).length

type Need = {
  readonly family: Family
  readonly missing: number
  /** Addresses the pool may still take before it holds its maximum. */
  readonly allowed: number
  readonly room: number
  readonly subnet: Nic['subnet']
}

// Undefined when the subnet or the NIC has nothing to give.
const requestFor = (draft: Draft, need: Need): BlockRequest | undefined => {
  const health = healthOf(draft.state, need.subnet)
  if (!(need.room > 0) || !isDue(draft, health.exhaustedUntil)) return undefined
  const { family } = need
  const wanted = blockLength(draft, need)
  const sizeOf = (length: number): number => requestedSize({ family, length, count: 1 })
  // A prefix that would lift the pool over its maximum is too large; single addresses fit.
  const length = sizeOf(wanted) <= need.allowed ? wanted : bitsOf(family)
  const size = sizeOf(length)
  const count = Math.min(need.room, Math.ceil(need.missing / size), Math.floor(need.allowed / size))
  return count > 0 ? { family, length, count } : undefined
}

const blockLength = (draft: Draft, need: Pick<Need, 'family' | 'subnet'>): number => {
  const { config, node } = draft.state
  if (need.family === 6) return 128
  if (config.blockLength === 32 || node?.limits.prefixes !== true) return 32
  const { fragmentedUntil } = healthOf(draft.state, need.subnet)
  return fragmentedUntil <= draft.now ? 28 : 32
}

// True when a NIC was ordered, so that the caller looks again at what is missing.
const addNic = (draft: Draft, growth: Growth, priority: Priority): boolean => {
  const { state } = draft
  const { node, pool, family } = growth
  if (state.intents.size >= intentsMax || !hasPlace(state, node)) return false
  if (!isDue(draft, state.cloud.nicsLimitedUntil)) return false
  if (!isAffordable(draft, 'createNic', priority)) return false
  const missing = deficitOf(state, pool, { family, now: draft.now })
  const allowed = allowanceOf(state, pool, { family, now: draft.now })
  const room = node.limits.blocksPerNicMax[family]
  for (const subnet of subnetsByRoom(state, node)) {
    const blocks = requestFor(draft, { family, missing, allowed, room, subnet })
    if (blocks === undefined) continue
    const request = {
      token: token(`ew-${state.epoch}-${state.serial + 1}`),
      subnet,
      securityGroups: node.securityGroups,
      blocks: [blocks],
    }
    act(draft, { kind: 'createNic', id: nextOperation(draft), priority, pool, request })
    return true
  }
  return false
}

/** True when an address could be lent at once if a pod asked for one. */
export const canGrow = (
  state: State,
  pool: PoolName,
  { family, now }: { readonly family: Family; readonly now: Millis },
): boolean => {
  const { node, cloud } = state
  if (node === undefined || cloud.observedAt === undefined || cloud.attempts > 0) return false
  if (!(allowanceOf(state, pool, { family, now }) > 0)) return false
  const isOpen = ({ id }: { readonly id: Nic['subnet'] }): boolean =>
    healthOf(state, id).exhaustedUntil <= now
  const hasNicPlace = hasPlace(state, node) && cloud.nicsLimitedUntil <= now
  return (
    roomLeft(newDraft(state, now), { pool, family, node }) > 0 ||
    (hasNicPlace && node.subnets.some(isOpen))
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
