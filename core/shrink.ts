// Giving back what has not been wanted for a while: a whole idle NIC when the rest is enough,
// otherwise single blocks from the NICs with the fewest pods, so that these drain.

import { isHeldElsewhere } from './assign.ts'
import { act, isAffordable, isDue, nextOperation, type Draft } from './draft.ts'
import { bothFamilies, familyOf, type Family } from './ip.ts'
import { after, type PoolName } from './names.ts'
import { isBusy } from './nics.ts'
import {
  fewest,
  freeOn,
  looseOn,
  missingPlaces,
  readyPlaces,
  sparePlaces,
  usableOn,
} from './places.ts'
import {
  allowanceOf,
  countNic,
  countWaiting,
  inFlight,
  isCooling,
  usableAddresses,
  usableSize,
} from './pool.ts'
import { nicSupplies, reachOf, roomOnNode } from './room.ts'
import type { Block, Nic, State } from './state.ts'

export const planShrinking = (draft: Draft): void => {
  if (draft.state.cloud.observedAt === undefined) return
  for (const nic of draft.state.nics.values()) finishReturning(draft, nic)
  for (const pool of draft.state.surpluses.keys()) {
    const lasting = lastingSurplus(draft, pool)
    if (!bothFamilies.some(family => lasting[family] > 0)) continue
    if (isWaitingForMore(draft, pool)) continue
    // What no pod can ever use goes also while the pool is short: it may hold the room it needs.
    if (missingPlaces(draft.state, pool, draft.now) > 0) returnUseless(draft, pool, lasting)
    else shrinkPool(draft, pool, lasting)
  }
}

/** Addresses per family. */
type Amounts = { readonly [F in Family]: number }

const lastingSurplus = (draft: Draft, pool: PoolName): Amounts => {
  const surpluses = draft.state.surpluses.get(pool)
  const amount = (family: Family): number => {
    const surplus = surpluses?.get(family)
    if (surplus === undefined) return 0
    return isDue(draft, after(surplus.since, draft.state.config.releaseAfterMs)) ? surplus.least : 0
  }
  return { 4: amount(4), 6: amount(6) }
}

// A return that was cut short, by a restart or a partial answer, is asked for again.
const finishReturning = (draft: Draft, nic: Nic): void => {
  const left = returningBlocks(nic)
  if (left.length === 0 || !mayTouch(draft.state, nic) || !isDue(draft, nic.retryAt)) return
  giveBack(draft, nic, left)
}

const returningBlocks = ({ blocks }: Nic): readonly Block[] => {
  const known = returningOf.get(blocks)
  if (known !== undefined) return known
  const list = [...blocks.values()].filter(({ phase }) => phase.kind === 'returning')
  returningOf.set(blocks, list)
  return list
}

// A pure cache: the blocks of a NIC are an immutable value, and most plans look at them unchanged.
const returningOf = new WeakMap<Nic['blocks'], readonly Block[]>()

const giveBack = (draft: Draft, nic: Nic, blocks: readonly Block[]): void => {
  if (!isAffordable(draft, 'returnBlocks', 'returning')) return
  const cidrs = blocks.map(({ cidr }) => cidr)
  const id = nextOperation(draft)
  act(draft, { kind: 'returnBlocks', id, priority: 'returning', nic: nic.id, blocks: cidrs })
}

const isWaitingForMore = ({ state }: Draft, pool: PoolName): boolean =>
  countWaiting(state, pool) > 0 || bothFamilies.some(family => inFlight(state, pool, family) > 0)

const shrinkPool = (draft: Draft, pool: PoolName, lasting: Amounts): void => {
  const idle = idleNic(draft, pool, lasting)
  if (idle !== undefined) {
    if (!isAffordable(draft, 'detachNic', 'returning')) return
    const id = nextOperation(draft)
    act(draft, { kind: 'detachNic', id, priority: 'returning', nic: idle.id })
    return
  }
  const none = { lasting, spare: 0, spareReady: 0 }
  if (returnFirst(draft, pool, nic => idleBlocks(draft, nic, none))) return
  const spare = sparePlaces(draft.state, pool, draft.now)
  const some = { lasting, spare, spareReady: spareReadyPlaces(draft, pool) }
  returnFirst(draft, pool, nic => idleBlocks(draft, nic, some))
}

const returnUseless = (draft: Draft, pool: PoolName, lasting: Amounts): void => {
  returnFirst(draft, pool, nic =>
    bothFamilies.flatMap(family => {
      const left = Math.min(lasting[family], uselessOn(draft, nic, family))
      return blocksUpTo(draft, nic, { family, left })
    }),
  )
}

// One NIC at a time: what is left of the surplus then has to last again.
const returnFirst = (
  draft: Draft,
  pool: PoolName,
  choose: (nic: Nic) => readonly Block[],
): boolean => {
  for (const nic of emptiestFirst(draft, pool)) {
    const blocks = choose(nic)
    if (blocks.length === 0 || !isDue(draft, nic.retryAt)) continue
    giveBack(draft, nic, blocks)
    return true
  }
  return false
}

// Free addresses that would make no place even if the NIC got all that it can get of the others.
const uselessOn = (draft: Draft, nic: Nic, family: Family): number => {
  const { state, now } = draft
  const free = usableOn(state, nic, { family, now })
  if (!state.config.families.includes(family)) return free
  return free - reachOf(nicSupplies(draft, nic), free, roomOnNode(state))
}

const mayTouch = (state: State, nic: Nic): boolean =>
  nic.phase.kind === 'ready' &&
  nic.isManaged &&
  nic.missingSince === undefined &&
  nic.unsureSince === undefined &&
  !isBusy(state, nic.id)

const idleNic = (draft: Draft, pool: PoolName, lasting: Amounts): Nic | undefined => {
  const { state, now } = draft
  if (state.node?.limits.hotPlug === false) return undefined
  const spare = sparePlaces(state, pool, now)
  const isSpare = (nic: Nic): boolean =>
    fewest(state, family => freeOn(nic, family, now)) <= spare &&
    bothFamilies.every(family => freeOn(nic, family, now) <= lasting[family])
  return [...state.nics.values()]
    .filter(nic => nic.pool === pool && !nic.isPrimary && mayTouch(state, nic))
    .filter(nic => nic.retryAt <= now && isIdle(draft, nic) && isSpare(nic))
    .sort((a, b) => b.slot - a.slot)[0]
}

// No pod and no address that rests: a cooling address would be forgotten with its NIC.
const isIdle = (draft: Draft, nic: Nic): boolean =>
  bothFamilies.every(family => {
    const counts = countNic(nic, family, draft.now)
    return counts.assigned === 0 && counts.cooling === 0 && counts.lost === 0
  })

const emptiestFirst = (draft: Draft, pool: PoolName): readonly Nic[] => {
  const assigned = (nic: Nic): number =>
    bothFamilies.reduce((sum, family) => sum + countNic(nic, family, draft.now).assigned, 0)
  return [...draft.state.nics.values()]
    .filter(nic => nic.pool === pool && mayTouch(draft.state, nic))
    .sort((a, b) => assigned(a) - assigned(b) || b.slot - a.slot)
}

type Share = {
  readonly lasting: Amounts
  /** Places that may go with the addresses. */
  readonly spare: number
  /** Of these, how many may be ready for a pod now. */
  readonly spareReady: number
}

// Blocks of which every address is warm, together no more than the surplus of their family and what
// lies loose beside the places that stay, and never so many that fewer places stay ready than are
// wanted: cooling addresses are part of the surplus but not warm.
const idleBlocks = (draft: Draft, nic: Nic, share: Share): readonly Block[] => {
  const { state, now } = draft
  const warm = (family: Family): number => countNic(nic, family, now).warm
  const ready = fewest(state, warm)
  return bothFamilies.flatMap(family => {
    const isWanted = state.config.families.includes(family)
    const looseReady = isWanted ? warm(family) - ready : warm(family)
    const loose = looseOn(state, nic, { family, now }) + share.spare
    const left = Math.min(share.lasting[family], loose, looseReady + share.spareReady)
    return blocksUpTo(draft, nic, { family, left })
  })
}

const blocksUpTo = (
  draft: Draft,
  nic: Nic,
  some: { readonly family: Family; readonly left: number },
): readonly Block[] => {
  const chosen: Block[] = []
  let { left } = some
  if (!(left > 0)) return chosen
  for (const block of [...nic.blocks.values()].reverse()) {
    if (familyOf(block.cidr) !== some.family || usableSize(block) > left) continue
    const isFree = block.phase.kind === 'held' && !block.isFixed && block.missingSince === undefined
    if (!isFree || isTouched(draft, nic, block)) continue
    chosen.push(block)
    left -= usableSize(block)
  }
  return chosen
}

// By address, not by block: what somebody took may have been lent again, in another block or on
// another NIC, while its old pod lives or the address rests.
const isTouched = ({ state, now }: Draft, nic: Nic, block: Block): boolean =>
  usableAddresses(block).some(ip => {
    const use = nic.uses.get(ip)
    if (use?.kind === 'assigned' || (use !== undefined && isCooling(use, now))) return true
    return isHeldElsewhere(state, nic, { ip, now })
  })

const spareReadyPlaces = (draft: Draft, pool: PoolName): number => {
  const { state, now } = draft
  const ready = readyPlaces(state, pool, now)
  const beyond = ready - (state.config.pools.get(pool)?.warmTarget ?? 0)
  // What lies above the maximum goes, wanted or not.
  const excess = -fewest(state, family => allowanceOf(state, pool, { family, now }))
  return Math.min(ready, Math.max(beyond, excess))
}
