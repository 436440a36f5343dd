// When faults stop the world comes to rest: the pool holds what it wants and no more, nothing is
// leaked, and the daemon has nothing left to do.

import { type Cidr, type Family, familyOf, sizeOf } from '#core/ip.ts'
import { defaultPool } from '#core/names.ts'
import { countAllBlocks, countBlocks, type EstateNic } from '../estate.ts'
import type { Checker, Fail, World } from '../world.ts'
import { restoredState } from '../world.ts'
import { lentAddresses } from './calls.ts'

/** The last part of the quiet time, in which nothing may move any more. */
export const stillMs = 3_600_000

export const leaks = (world: World, fail: Fail): Checker => ({
  name: 'leaks',
  on: {},
  atRest: () => {
    const state = world.life()?.state()
    for (const nic of world.estate.nics.values()) {
      // A NIC that a human detached under living pods is lost, and stays until they have gone.
      if (nic.token === undefined || world.live.onNic(nic.id).length > 0) continue
      const isKnown = state?.nics.has(nic.id) ?? false
      if (nic.attachment.kind !== 'attached' || !isKnown) {
        fail(`${nic.id} made by us is ${nic.attachment.kind}, ${isKnown ? '' : 'un'}known at rest`)
      } else if (!nic.attachment.isProtected) {
        fail(`${nic.id} would outlive the instance: delete-on-termination is not set`)
      }
    }
    for (const link of world.kernel.links.values()) {
      if (!world.live.pods.has(link.sandbox)) fail(`the link of ${link.sandbox} is left at rest`)
    }
    for (const [key, element] of world.kernel.elements) {
      if (!world.live.pods.has(element.sandbox)) fail(`the element ${key} is left at rest`)
    }
    for (const key of restoredState(world).sandboxes.keys()) {
      if (!world.live.pods.has(key)) fail(`the ledger still holds ${key}, whose pod is gone`)
    }
  },
})

export const stillness = (world: World, fail: Fail): Checker => {
  let activity: { at: number; what: string }[] = []
  const note = (what: string): void => {
    activity.push({ at: world.scheduler.clock.now(), what })
    if (activity.length > 20_000) activity = activity.slice(-10_000)
  }
  return {
    name: 'stillness',
    on: {
      called: ({ call }) => note(call.kind),
      reconciled: () => note('reconcile'),
      wired: () => note('wired'),
      unwired: () => note('unwired'),
    },
    atRest: () => {
      const now = world.scheduler.clock.now()
      const { observeEveryMs, reconcileEveryMs } = world.config()
      const recent = activity.filter(each => each.at > now - stillMs).map(each => each.what)
      const count = (...kinds: string[]): number => recent.filter(k => kinds.includes(k)).length
      const reads = count('describeNode', 'observeCloud')
      if (reads > 2 * (stillMs / observeEveryMs) + 4) fail(`${reads} describes an hour at rest`)
      const looks = count('reconcile')
      if (looks > 2 * (stillMs / reconcileEveryMs) + 4) fail(`${looks} reconciles an hour at rest`)
      const moves = recent.filter(what => !readKinds.includes(what))
      // A pool that cannot have what it wants tries again now and then.
      const movesMax = isHungry(world) ? hungryMovesMax : 0
      if (moves.length > movesMax) {
        fail(`still busy at rest: ${moves.slice(-3).join()} (${moves.length} in an hour)`)
      }
      const state = world.life()?.state()
      if (state === undefined) return fail('no daemon runs at rest')
      const plan = world.core.plan(state, now)
      if (plan.actions.length > 0) {
        fail(`plan is not empty at rest: ${plan.actions.map(action => action.kind).join()}`)
      }
    },
  }
}

/** Mutations an hour of a daemon that wants what cannot be had. */
const hungryMovesMax = 60

const isHungry = (world: World): boolean => placesOf(world) < wantedPlaces(world)

/**
 * Pods that the blocks on usable NICs have addresses for, one of each family from one NIC; without
 * one block, when one is given.
 */
const placesOf = (world: World, without?: Cidr): number =>
  usableNics(world).reduce((sum, nic) => {
    const held = (family: Family): number =>
      [...nic.blocks.keys()]
        .filter(block => familyOf(block) === family && block !== without)
        .reduce((total, block) => total + sizeOf(block), 0)
    return sum + Math.min(...world.config().families.map(held))
  }, 0)

const readKinds = ['describeNode', 'observeCloud', 'reconcile']

export const poolSize = (world: World, fail: Fail): Checker => ({
  name: 'poolSize',
  on: {},
  atRest: () => {
    // Strangers hold addresses that the daemon cannot count as anything.
    if ([...world.live.pods.values()].some(pod => pod.isStray)) return
    checkPlaces(world, fail)
  },
})

const checkPlaces = (world: World, fail: Fail): void => {
  const wanted = wantedPlaces(world)
  const held = placesOf(world)
  const robbed = [...world.live.pods.values()].filter(pod => pod.robbedAt !== undefined).length
  if (held < wanted - robbed && canGrow(world, wanted - held)) {
    fail(`the pool has addresses for ${held} pods at rest and wants them for ${wanted}`)
  }
  // A block is surplus when the pool has what it wants without it and nobody lives in it. A pod
  // that was robbed of one address holds the other, which makes no place.
  const blocks = usableNics(world).flatMap(nic =>
    [...nic.blocks.keys()].filter(block => !nic.fixedBlocks.includes(block)),
  )
  const surplus = blocks.find(
    block => placesOf(world, block) >= wanted + robbed && world.live.inBlock(block).length === 0,
  )
  if (surplus !== undefined) {
    fail(`${surplus} is still held at rest: the pool serves ${held} pods and wants ${wanted}`)
  }
}

const usableNics = (world: World): EstateNic[] =>
  world.estate.attached().filter(nic => nic.isManaged && nic.attachment.kind === 'attached')

const wantedPlaces = (world: World): number => {
  const targets = world.config().pools.get(defaultPool)
  if (targets === undefined) return 0
  const assigned = world.live.pods.size
  const wanted = Math.max(targets.minimum, assigned + targets.warmTarget)
  return Math.min(wanted, targets.maximum ?? Infinity)
}

/** True when limits and subnets leave room for so many more pods beyond doubt. */
const canGrow = (world: World, missing: number): boolean => {
  const { estate } = world
  const { families, nicsMax: nicsAllowed, pools } = world.config()
  // Addresses that lie loose, because the other family has fewer, count as well.
  const maximum = pools.get(defaultPool)?.maximum ?? Infinity
  if (families.some(family => lentAddresses(world, family) + missing > maximum)) return false
  const needed = (missing + 1) * families.length
  if (countAllBlocks(estate) + needed > (estate.limits.blocksPerNodeMax ?? Infinity)) return false
  const room = usableNics(world).reduce((sum, nic) => sum + roomOn(world, nic), 0)
  const step = families.includes(4) && isPrefixed(world) ? 16 : 1
  if (room >= missing + step) return true
  const nicsMax = Math.min(estate.limits.nicsMax, nicsAllowed ?? Infinity)
  const isNicFree = estate.limits.hotPlug && estate.attached().length < nicsMax
  const isSubnetFree = [...estate.spaces.values()].some(space => space.freeBlocks() > 1)
  return isNicFree && isSubnetFree
}

const isPrefixed = (world: World): boolean =>
  world.estate.limits.prefixes && world.config().blockLength !== 32

/** Pods that a NIC could get addresses for: of each family as many. */
const roomOn = (world: World, nic: EstateNic): number => {
  const space = world.estate.spaces.get(nic.subnet)
  const ofFamily = (family: Family): number => {
    const blocks = world.estate.limits.blocksPerNicMax[family] - countBlocks(nic, family)
    if (family === 6) return blocks
    if (isPrefixed(world)) return 16 * Math.min(blocks, space?.freeBlocks() ?? 0)
    return Math.min(blocks, space?.available() ?? 0)
  }
  return Math.max(0, Math.min(...world.config().families.map(ofFamily)))
}
