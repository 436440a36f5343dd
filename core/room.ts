// How many more addresses a NIC, its subnet and the instance can take, family by family, and how
// many places for pods that makes. Where no /28 can be had, single addresses are taken.

import { healthOf } from './change.ts'
import { isDue, type Draft } from './draft.ts'
import { bitsOf, familyOf, type Family } from './ip.ts'
import type { PoolName } from './names.ts'
import { comingTo, usableOn } from './places.ts'
import { allowanceOf, requestedSize } from './pool.ts'
import type { BlockRequest, Subnet } from './ports.ts'
import type { Nic, State, SubnetSupply } from './state.ts'

/** What one NIC, there or to come, has and can get of one family. */
export type Supply = {
  readonly family: Family
  /** Length of the blocks that would be lent. */
  readonly length: number
  /** Addresses that are free or coming already. */
  readonly usable: number
  /** Blocks that can still be lent. */
  readonly blocksMax: number
}

const sizeOf = ({ family, length }: Supply): number => requestedSize({ family, length, count: 1 })

/** NICs that may be lent to, as soon as they are not busy. */
export const isHere = ({ phase, isManaged, missingSince }: Nic): boolean =>
  isManaged &&
  missingSince === undefined &&
  (phase.kind === 'ready' || phase.kind === 'wiring' || phase.kind === 'attaching')

/** Supplies of a NIC that is there, one per configured family. */
export const nicSupplies = (draft: Draft, nic: Nic): readonly Supply[] => {
  const { state, now } = draft
  return state.config.families.map(family => {
    const room =
      limitOn(state, nic, family) - blocksOn(nic, family) - comingTo(state, nic, family).blocks
    const usable = usableOn(state, nic, { family, now })
    const where = { pool: nic.pool, subnet: nic.subnet, family }
    return supplyOf(draft, { ...where, spends: [family], usable, room })
  })
}

/** Supplies of a NIC that could be made in a subnet. */
export const newNicSupplies = (
  draft: Draft,
  where: { readonly pool: PoolName; readonly subnet: Nic['subnet'] },
): readonly Supply[] =>
  draft.state.config.families.map(family => {
    const room = draft.state.node?.limits.blocksPerNicMax[family] ?? 0
    return supplyOf(draft, { ...where, family, spends: ['nic', 4, family], usable: 0, room })
  })

/**
 * The most places up to `goal` that the supplies make together, with no more than `blocksMax`
 * blocks lent in all: a family alone makes no place, so none may starve the other.
 */
export const reachOf = (supplies: readonly Supply[], goal: number, blocksMax: number): number => {
  const most = supplies.map(supply => supply.usable + supply.blocksMax * sizeOf(supply))
  const places = Math.min(...supplies.map(({ usable }) => usable))
  let reach = Math.max(places, Math.min(goal, ...most))
  while (reach > places && blocksUpTo(supplies, reach) > blocksMax) reach--
  return reach
}

/** The request that lifts a supply to so many addresses; none when it has them. */
export const requestUpTo = (supply: Supply, goal: number): readonly BlockRequest[] => {
  const { family, length } = supply
  const count = blocksFor(supply, goal)
  return count > 0 ? [{ family, length, count }] : []
}

/** Blocks of all families that so many places would cost. */
export const blocksUpTo = (supplies: readonly Supply[], goal: number): number =>
  supplies.reduce((sum, supply) => sum + blocksFor(supply, goal), 0)

const blocksFor = (supply: Supply, goal: number): number =>
  Math.max(0, Math.ceil((goal - supply.usable) / sizeOf(supply)))

/** Blocks that the instance as a whole can still take; Infinity where only NICs have limits. */
export const roomOnNode = (state: State): number => {
  const most = state.node?.limits.blocksPerNodeMax
  if (most === undefined) return Infinity
  // What an unsure call has lent is not known yet, and would be exceeded on another NIC.
  if (isAnyUnsure(state)) return 0
  let held = 0
  for (const nic of state.nics.values()) {
    // One that somebody detached, and nobody can attach again now, is not on the instance.
    if (nic.phase.kind === 'created' && state.node?.limits.hotPlug === false) continue
    for (const family of [4, 6] as const) {
      held += blocksOn(nic, family) + comingTo(state, nic, family).blocks
    }
  }
  for (const { blocks } of state.intents.values()) for (const { count } of blocks) held += count
  return Math.max(0, most - held)
}

/** True while the outcome of a call about some NIC is not known. */
export const isAnyUnsure = (state: State): boolean =>
  [...state.nics.values()].some(nic => nic.isManaged && nic.unsureSince !== undefined)

/** True when some NIC can take a block of every family, as far as limits go. */
export const hasRoom = (state: State): boolean => {
  const { families } = state.config
  if (roomOnNode(state) < families.length) return false
  const hasPlaceFor = (nic: Nic, family: Family): boolean =>
    blocksOn(nic, family) < limitOn(state, nic, family)
  return [...state.nics.values()].some(
    nic => isHere(nic) && families.every(family => hasPlaceFor(nic, family)),
  )
}

// Alibaba's limit of IPv6 counts the one that the guest takes for itself, which only the primary
// NIC has.
const limitOn = ({ node }: State, nic: Nic, family: Family): number => {
  if (node === undefined) return 0
  const { blocksPerNicMax, ownTakesPlaceIn = [] } = node.limits
  const own = nic.primaryAddresses.filter(address => familyOf(address) === family).length
  return blocksPerNicMax[family] - (ownTakesPlaceIn.includes(family) ? own : 0)
}

/** Blocks that count against the NIC's limit. */
export const blocksOn = (nic: Nic, family: Family): number => {
  if (nic.phase.kind === 'lost') return 0
  const known = blockCounts.get(nic.blocks)
  if (known !== undefined) return known[family]
  const counts = { 4: 0, 6: 0 }
  for (const { cidr, isFixed, phase } of nic.blocks.values()) {
    // A lost block has left its place on the NIC, and what the NIC was born with takes none.
    if (!isFixed && phase.kind !== 'lost') counts[familyOf(cidr)]++
  }
  blockCounts.set(nic.blocks, counts)
  return counts[family]
}

// A pure cache: the blocks of a NIC are an immutable value.
const blockCounts = new WeakMap<Nic['blocks'], { readonly [F in Family]: number }>()

/** True when a subnet is known to have no prefix of the family. */
export const lacksFamily = (state: State, id: Nic['subnet'], family: Family): boolean => {
  const subnet = subnetOf(state, id)
  return subnet !== undefined && !subnet.cidrs.some(cidr => familyOf(cidr) === family)
}

const subnetOf = (state: State, id: Nic['subnet']): Subnet | undefined =>
  healthOf(state, id).subnet ?? state.node?.subnets.find(subnet => subnet.id === id)

type Place = {
  readonly pool: PoolName
  readonly subnet: Nic['subnet']
  readonly family: Family
  /** What the subnet must not be out of. */
  readonly spends: readonly SubnetSupply[]
  readonly usable: number
  readonly room: number
}

const supplyOf = (draft: Draft, place: Place): Supply => {
  const { pool, subnet, family, spends, usable, room } = place
  const { state, now } = draft
  const { exhaustedUntil } = healthOf(state, subnet)
  const isExhausted = !spends.every(spent => isDue(draft, exhaustedUntil[spent]))
  const isClosed = lacksFamily(state, subnet, family) || isExhausted
  const allowed = allowanceOf(state, pool, { family, now })
  const wanted = blockLength(draft, { family, subnet })
  // A prefix that would lift the pool over its maximum is too large; single addresses fit.
  const fits = requestedSize({ family, length: wanted, count: 1 }) <= allowed
  const length = fits ? wanted : bitsOf(family)
  const size = requestedSize({ family, length, count: 1 })
  const blocksMax = isClosed ? 0 : Math.max(0, Math.min(room, Math.floor(allowed / size)))
  return { family, length, usable, blocksMax }
}

const blockLength = (draft: Draft, need: Pick<Place, 'family' | 'subnet'>): number => {
  const { config, node } = draft.state
  if (need.family === 6) return 128
  if (config.blockLength === 32 || node?.limits.prefixes !== true) return 32
  const { fragmentedUntil } = healthOf(draft.state, need.subnet)
  return fragmentedUntil <= draft.now ? 28 : 32
}
