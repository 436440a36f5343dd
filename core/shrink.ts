// Giving back what has not been wanted for a while: a whole idle NIC when the rest is enough,
// otherwise single blocks from the NICs with the fewest pods, so that these drain.

import { isHeldElsewhere } from './assign.ts'
import { act, isAffordable, isDue, nextOperation, type Draft } from './draft.ts'
import { after, type PoolName } from './names.ts'
import { isBusy } from './nics.ts'
import {
  allowanceOf,
  countNic,
  countPool,
  countWaiting,
  deficitOf,
  inFlight,
  isCooling,
  usableAddresses,
  usableSize,
} from './pool.ts'
import type { Block, Nic, State } from './state.ts'

export const planShrinking = (draft: Draft): void => {
  if (draft.state.cloud.observedAt === undefined) return
  for (const nic of draft.state.nics.values()) finishReturning(draft, nic)
  for (const [pool, surplus] of draft.state.surpluses) {
    if (!isDue(draft, after(surplus.since, draft.state.config.releaseAfterMs))) continue
    if (isGrowing(draft, pool)) continue
    shrinkPool(draft, pool, surplus.least)
  }
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

const isGrowing = (draft: Draft, pool: PoolName): boolean => {
  const { state, now } = draft
  return (
    countWaiting(state, pool) > 0 ||
    state.config.families.some(
      family => inFlight(state, pool, family) > 0 || deficitOf(state, pool, { family, now }) > 0,
    )
  )
}

const shrinkPool = (draft: Draft, pool: PoolName, surplus: number): void => {
  const idle = idleNic(draft, pool, surplus)
  if (idle !== undefined) {
    if (!isAffordable(draft, 'detachNic', 'returning')) return
    const id = nextOperation(draft)
    act(draft, { kind: 'detachNic', id, priority: 'returning', nic: idle.id })
    return
  }
  for (const nic of emptiestFirst(draft, pool)) {
    const blocks = idleBlocks(draft, nic, surplus)
    if (blocks.length === 0 || !isDue(draft, nic.retryAt)) continue
    giveBack(draft, nic, blocks)
    return
  }
}

const mayTouch = (state: State, nic: Nic): boolean =>
  nic.phase.kind === 'ready' &&
  nic.isManaged &&
  nic.missingSince === undefined &&
  nic.unsureSince === undefined &&
  !isBusy(state, nic.id)

const idleNic = (draft: Draft, pool: PoolName, surplus: number): Nic | undefined => {
  if (draft.state.node?.limits.hotPlug === false) return undefined
  return [...draft.state.nics.values()]
    .filter(nic => nic.pool === pool && !nic.isPrimary && mayTouch(draft.state, nic))
    .filter(nic => nic.retryAt <= draft.now && isIdle(draft, nic))
    .filter(nic => heldOn(draft, nic) <= surplus)
    .sort((a, b) => b.slot - a.slot)[0]
}

// No pod and no address that rests: a cooling address would be forgotten with its NIC.
const isIdle = (draft: Draft, nic: Nic): boolean =>
  draft.state.config.families.every(family => {
    const counts = countNic(nic, family, draft.now)
    return counts.assigned === 0 && counts.cooling === 0 && counts.lost === 0
  })

const heldOn = (draft: Draft, nic: Nic): number =>
  Math.max(
    ...draft.state.config.families.map(family => {
      const counts = countNic(nic, family, draft.now)
      return counts.warm + counts.settling
    }),
  )

const emptiestFirst = (draft: Draft, pool: PoolName): readonly Nic[] => {
  const assigned = (nic: Nic): number =>
    draft.state.config.families.reduce(
      (sum, family) => sum + countNic(nic, family, draft.now).assigned,
      0,
    )
  return [...draft.state.nics.values()]
    .filter(nic => nic.pool === pool && mayTouch(draft.state, nic))
    .sort((a, b) => assigned(a) - assigned(b) || b.slot - a.slot)
}

// Blocks of which every address is warm, together no more than the surplus, and never so many that
// fewer warm addresses stay than are wanted: cooling ones are part of the surplus but not warm.
const idleBlocks = (draft: Draft, nic: Nic, surplus: number): readonly Block[] => {
  const chosen: Block[] = []
  let left = Math.min(surplus, spareWarm(draft, nic.pool))
  for (const block of [...nic.blocks.values()].reverse()) {
    const isFree =
      block.phase.kind === 'held' && !block.isFixed && block.missingSince === undefined
    if (!isFree || usableSize(block) > left || isTouched(draft, nic, block)) continue
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

const spareWarm = (draft: Draft, pool: PoolName): number => {
  const { state, now } = draft
  const targets = state.config.pools.get(pool)
  return Math.min(
    ...state.config.families.map(family => {
      const { warm } = countPool(state, pool, { family, now })
      // What lies above the maximum goes, wanted or not.
      const excess = -allowanceOf(state, pool, { family, now })
      return Math.min(warm, Math.max(warm - (targets?.warmTarget ?? 0), excess))
    }),
  )
}
