// Room for pods. A pod takes one address of every configured family, all from one NIC, so a NIC has
// as many places as it has free addresses of the family it has fewest of; the others lie loose.

import { type Family } from './ip.ts'
import { after, type Millis, type PoolName } from './names.ts'
import { isBusy } from './nics.ts'
import {
  allowanceOf,
  countNic,
  countPool,
  countWaiting,
  requestedSize,
  wantedAddresses,
  type Counts,
} from './pool.ts'
import type { Nic, State } from './state.ts'

/** NICs whose addresses a pool counts on, now or when they have arrived. */
export const nicsOf = (state: State, pool: PoolName, now: Millis): readonly Nic[] =>
  [...state.nics.values()].filter(nic => countsIn(state, nic, { pool, now }))

const countsIn = (
  state: State,
  nic: Nic,
  { pool, now }: { readonly pool: PoolName; readonly now: Millis },
): boolean => nic.pool === pool && nic.isManaged && !isStuck(state, nic, now)

// Without a list of its own: this runs at every event.
const sumOver = (
  state: State,
  where: { readonly pool: PoolName; readonly now: Millis },
  figure: (nic: Nic) => number,
): number => {
  let total = 0
  for (const nic of state.nics.values()) if (countsIn(state, nic, where)) total += figure(nic)
  return total
}

/**
 * True when a NIC's device should have appeared long ago, or nobody will attach it: nothing may be
 * built on its addresses. Where the cloud can, and no pod is on it, it is given up.
 */
export const isStuck = (state: State, { id, phase }: Nic, now: Millis): boolean => {
  if (phase.kind !== 'created' && phase.kind !== 'attaching') return false
  if (isBusy(state, id)) return false
  if (phase.kind === 'created') return state.node?.limits.hotPlug === false
  return after(phase.since, state.config.appearWithinMs) <= now
}

/** Addresses of one family on a NIC that are free, will be soon, or have been asked for. */
export const usableOn = (
  state: State,
  nic: Nic,
  { family, now }: { readonly family: Family; readonly now: Millis },
): number => {
  const { warm, settling } = countNic(nic, family, now)
  return warm + settling + comingTo(state, nic, family).addresses
}

/** What calls under way will bring to a NIC. */
export const comingTo = (
  state: State,
  nic: Nic,
  family: Family,
): { readonly blocks: number; readonly addresses: number } => {
  let [blocks, addresses] = [0, 0]
  for (const { action } of state.operations.values()) {
    if (action.kind !== 'lendBlocks' || action.nic !== nic.id) continue
    if (action.blocks.family !== family) continue
    blocks += action.blocks.count
    addresses += requestedSize(action.blocks)
  }
  return { blocks, addresses }
}

/** Places on a NIC, those that are coming included. */
export const placesOn = (state: State, nic: Nic, now: Millis): number =>
  fewest(state, family => usableOn(state, nic, { family, now }))

/** Places of a pool, those of NICs that are being created included. */
export const placesOf = (state: State, pool: PoolName, now: Millis): number =>
  sumOver(state, { pool, now }, nic => placesOn(state, nic, now)) + intendedPlaces(state, pool)

/** Places where a pod can be put at once, before addresses held elsewhere are excluded. */
export const readyPlaces = (state: State, pool: PoolName, now: Millis): number =>
  sumOver(state, { pool, now }, nic => fewest(state, family => countNic(nic, family, now).warm))

/**
 * Places to make now. Cooling addresses never count as warm, but they do fill the minimum. Never
 * more than the family with most room below the maximum allows.
 */
export const missingPlaces = (state: State, pool: PoolName, now: Millis): number => {
  const targets = state.config.pools.get(pool)
  if (targets === undefined) return 0
  const { families } = state.config
  const intended = intendedPlaces(state, pool)
  const usable = sumOver(state, { pool, now }, nic => placesOn(state, nic, now)) + intended
  const demand = countWaiting(state, pool) + targets.warmTarget - usable
  const held = (nic: Nic, family: Family): number =>
    usableOn(state, nic, { family, now }) + countNic(nic, family, now).cooling
  const assigned = fewest(state, family => countPool(state, pool, { family, now }).assigned)
  const filling = (): number =>
    sumOver(state, { pool, now }, nic => fewest(state, family => held(nic, family))) + intended
  // Where nothing is to be filled nothing is counted.
  const unfilled = targets.minimum > assigned ? targets.minimum - assigned - filling() : 0
  const missing = Math.max(demand, unfilled)
  if (!(missing > 0)) return 0
  const allowed = Math.max(...families.map(family => allowanceOf(state, pool, { family, now })))
  return Math.max(0, Math.min(missing, allowed))
}

/**
 * Addresses of one family that a pool holds beyond what all its pods need, present and expected;
 * cooling ones are held, so time alone does not change it.
 */
export const surplusOf = (
  state: State,
  pool: PoolName,
  { family, now }: { readonly family: Family; readonly now: Millis },
): number => {
  const needed = state.config.families.includes(family) ? neededPlaces(state, pool, now) : 0
  let free = freeOf(countPool(state, pool, { family, now }))
  for (const nic of state.nics.values()) {
    if (nic.pool === pool && nic.isManaged && isStuck(state, nic, now)) {
      free -= freeOn(nic, family, now)
    }
  }
  return free - needed
}

/** Places that a pool holds beyond those it needs. Never more than the surplus of a family. */
export const sparePlaces = (state: State, pool: PoolName, now: Millis): number =>
  sumOver(state, { pool, now }, nic => fewest(state, family => freeOn(nic, family, now))) -
  neededPlaces(state, pool, now)

/** Addresses of a NIC that are in no pod's use: what a stray uses is of no use to us either. */
export const freeOn = (nic: Nic, family: Family, now: Millis): number =>
  freeOf(countNic(nic, family, now))

const freeOf = ({ warm, settling, cooling, stray }: Counts): number =>
  warm + settling + cooling - stray

/**
 * Addresses of a NIC that no place needs: the other family is the scarcer one, or none is wanted.
 */
export const looseOn = (
  state: State,
  nic: Nic,
  { family, now }: { readonly family: Family; readonly now: Millis },
): number => {
  const free = freeOn(nic, family, now)
  if (!state.config.families.includes(family)) return free
  return free - fewest(state, each => freeOn(nic, each, now))
}

/** The smallest of a figure over all configured families. */
export const fewest = (state: State, figure: (family: Family) => number): number => {
  let least = Infinity
  for (const family of state.config.families) least = Math.min(least, figure(family))
  return least
}

// Beyond those that pods have. Families differ only where pods are older than the configuration.
const neededPlaces = (state: State, pool: PoolName, now: Millis): number =>
  Math.max(
    ...state.config.families.map(family => {
      const counts = countPool(state, pool, { family, now })
      return wantedAddresses(state, pool, counts) - counts.assigned
    }),
  )

const intendedPlaces = (state: State, pool: PoolName): number =>
  sum([...state.intents.values()], intent =>
    intent.pool === pool
      ? fewest(state, family =>
          sum(intent.blocks, blocks => (blocks.family === family ? requestedSize(blocks) : 0)),
        )
      : 0,
  )

const sum = <Item>(items: readonly Item[], figure: (item: Item) => number): number =>
  items.reduce((total, item) => total + figure(item), 0)
