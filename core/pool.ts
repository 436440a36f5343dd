// How many addresses a pool has in each state of their life, and how many it wants.
// An address is warm when its block is held and settled and nobody uses or cools it.

import type { Family, Ip } from './ip.ts'
import { addressAt, baseOf, familyOf, sizeOf } from './ip.ts'
import { earlier, type Millis, type PoolName } from './names.ts'
import type { BlockRequest } from './ports.ts'
import type { Block, Nic, State, Use } from './state.ts'

export type Counts = {
  readonly warm: number
  readonly settling: number
  readonly assigned: number
  readonly cooling: number
  /** Of those that cool, the ones that wait for a link of a pod we do not know. */
  readonly stray: number
  /** In blocks on their way back to the cloud. */
  readonly releasing: number
  /** In blocks or NICs the cloud no longer shows. */
  readonly lost: number
  /** When passing time alone changes these counts. */
  readonly changesAt: Millis | undefined
}

/** Of an IPv6 prefix only the first addresses are given out: more than any node has pods. */
const usableMax = 1_024

export const usableSize = (block: Block): number => Math.min(usableMax, sizeOf(block.cidr))

/** Addresses a request for blocks would bring. */
export const requestedSize = (request: BlockRequest): number =>
  request.count * Math.min(usableMax, 2 ** ((request.family === 4 ? 32 : 128) - request.length))

/** The addresses of a block that are given to pods, in order. */
export const usableAddresses = (block: Block): readonly Ip[] => {
  const known = addressLists.get(block)
  if (known !== undefined) return known
  const size = usableSize(block)
  const list =
    size === 1
      ? [baseOf(block.cidr)]
      : Array.from({ length: size }, (_, offset) => addressAt(block.cidr, offset))
  addressLists.set(block, list)
  return list
}

/** True while a cooling address must not be given to a pod. */
export const isCooling = (use: Use & { readonly kind: 'cooling' }, now: Millis): boolean =>
  use.link !== undefined || now < use.until

/** True when addresses of the block may be given to pods at `now`. */
export const isSettled = (block: Block, now: Millis): boolean =>
  block.phase.kind === 'held' && block.phase.settledAt <= now && block.missingSince === undefined

/** NICs whose addresses may be given to pods of a pool. */
export const isServing = (nic: Nic): boolean =>
  nic.phase.kind === 'ready' && nic.isManaged && nic.missingSince === undefined

/** Counts of one pool and family over all its NICs. */
export const countPool = (
  state: State,
  pool: PoolName,
  at: { readonly family: Family; readonly now: Millis },
): Counts => {
  const known = poolCountsOf.get(state.nics) ?? new Map<string, Remembered>()
  const name = `${at.family} ${pool}`
  const remembered = known.get(name)
  if (remembered !== undefined && holdsAt(remembered, at.now)) return remembered.counts
  let counts = none
  for (const nic of state.nics.values()) {
    if (nic.pool === pool && nic.isManaged) counts = add(counts, countNic(nic, at.family, at.now))
  }
  poolCountsOf.set(state.nics, known.set(name, { from: at.now, counts }))
  return counts
}

/** Counts of one NIC and family. */
export const countNic = (nic: Nic, family: Family, now: Millis): Counts => {
  if (!familiesOn(nic).has(family)) return none
  const remembered = countsOf.get(nic)?.get(family)
  if (remembered !== undefined && holdsAt(remembered, now)) return remembered.counts
  const counts = count(nic, family, now)
  const families = countsOf.get(nic) ?? new Map<Family, Remembered>()
  countsOf.set(nic, families.set(family, { from: now, counts }))
  return counts
}

/** Addresses asked for and not yet answered: lends and new NICs under way. */
export const inFlight = (state: State, pool: PoolName, family: Family): number => {
  let sum = 0
  for (const { action } of state.operations.values()) {
    if (action.kind !== 'lendBlocks' || action.blocks.family !== family) continue
    if (state.nics.get(action.nic)?.pool === pool) sum += requestedSize(action.blocks)
  }
  for (const intent of state.intents.values()) {
    if (intent.pool !== pool) continue
    for (const blocks of intent.blocks) if (blocks.family === family) sum += requestedSize(blocks)
  }
  return sum
}

/** ADDs of the pool that hold no address yet. */
export const countWaiting = (state: State, pool: PoolName): number => {
  let waiting = 0
  for (const add of state.adds.values()) {
    const needsAddress = add.failure === undefined && !state.sandboxes.has(add.request.key)
    if (needsAddress && add.request.pool === pool) waiting++
  }
  return waiting
}

/**
 * Addresses the pool should hold: max(minimum, assigned + waiting + warm target), up to maximum.
 */
export const wantedAddresses = (state: State, pool: PoolName, counts: Counts): number => {
  const targets = state.config.pools.get(pool)
  if (targets === undefined) return counts.assigned
  const demand = counts.assigned + countWaiting(state, pool) + targets.warmTarget
  const wanted = Math.max(targets.minimum, demand)
  return Math.max(counts.assigned, Math.min(wanted, targets.maximum ?? Infinity))
}

/** Addresses the pool may still take, what is on its way counted, before it holds its maximum. */
export const allowanceOf = (
  state: State,
  pool: PoolName,
  at: { readonly family: Family; readonly now: Millis },
): number => {
  const maximum = state.config.pools.get(pool)?.maximum ?? Infinity
  const counts = countPool(state, pool, at)
  const held = counts.warm + counts.settling + counts.assigned + counts.cooling + counts.releasing
  return maximum - held - inFlight(state, pool, at.family)
}

const none: Counts = {
  warm: 0,
  settling: 0,
  assigned: 0,
  cooling: 0,
  stray: 0,
  releasing: 0,
  lost: 0,
  changesAt: undefined,
}

const add = (a: Counts, b: Counts): Counts => ({
  warm: a.warm + b.warm,
  settling: a.settling + b.settling,
  assigned: a.assigned + b.assigned,
  cooling: a.cooling + b.cooling,
  stray: a.stray + b.stray,
  releasing: a.releasing + b.releasing,
  lost: a.lost + b.lost,
  changesAt: earlier(a.changesAt, b.changesAt),
})

const familiesOn = ({ blocks }: Nic): ReadonlySet<Family> => {
  const known = familiesOf.get(blocks)
  if (known !== undefined) return known
  const families = new Set([...blocks.keys()].map(familyOf))
  familiesOf.set(blocks, families)
  return families
}

type Remembered = { readonly from: Millis; readonly counts: Counts }

const holdsAt = ({ from, counts: { changesAt } }: Remembered, now: Millis): boolean =>
  from <= now && (changesAt === undefined || now < changesAt)

// Pure caches: NICs are immutable values, so their counts hold until the next passing of a time.
const countsOf = new WeakMap<Nic, Map<Family, Remembered>>()
const poolCountsOf = new WeakMap<State['nics'], Map<string, Remembered>>()
const familiesOf = new WeakMap<Nic['blocks'], ReadonlySet<Family>>()
const addressLists = new WeakMap<Block, readonly Ip[]>()

const count = (nic: Nic, family: Family, now: Millis): Counts => {
  const tally = { ...none, changesAt: undefined }
  let changesAt: Millis | undefined
  const isArriving = nic.phase.kind !== 'ready' || nic.missingSince !== undefined
  const isGone = nic.phase.kind === 'lost'
  const isLeaving = nic.phase.kind === 'leaving'
  const kindOf = (block: Block): 'warm' | 'settling' | 'releasing' | 'lost' => {
    if (isGone || block.phase.kind === 'lost') return 'lost'
    if (isLeaving || block.phase.kind === 'returning') return 'releasing'
    if (isArriving || !isSettled(block, now)) return 'settling'
    return 'warm'
  }
  for (const block of nic.blocks.values()) {
    if (familyOf(block.cidr) !== family) continue
    tally[kindOf(block)] += usableSize(block)
    if (block.phase.kind === 'held' && block.phase.settledAt > now) {
      changesAt = earlier(changesAt, block.phase.settledAt)
    }
  }
  for (const [address, use] of nic.uses) {
    if (familyOf(address) !== family) continue
    if (use.kind === 'cooling' && !isCooling(use, now)) continue
    const block = nic.blocks.get(use.block)
    // What is lost stays so, whoever uses it: it counts against no target.
    if (block === undefined || kindOf(block) === 'lost') continue
    tally[use.kind]++
    if (use.kind === 'cooling' && use.isStray) tally.stray++
    tally[kindOf(block)]--
    if (use.kind === 'cooling' && use.until > now) changesAt = earlier(changesAt, use.until)
  }
  return { ...tally, changesAt }
}
