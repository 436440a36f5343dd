// When faults stop the world comes to rest: the pool holds what it wants and no more, nothing is
// leaked, and the daemon has nothing left to do.

import { familyOf, sizeOf } from '#core/ip.ts'
import { defaultPool } from '#core/names.ts'
import type { EstateNic } from '../estate.ts'
import type { Checker, Fail, World } from '../world.ts'
import { restoredState } from '../world.ts'

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

const isHungry = (world: World): boolean =>
  world.config().families.some(family => heldOf(world, family) < wantedAddresses(world))

const heldOf = (world: World, family: 4 | 6): number =>
  usableNics(world)
    .flatMap(nic => [...nic.blocks.keys()].filter(block => familyOf(block) === family))
    .reduce((sum, block) => sum + sizeOf(block), 0)

const readKinds = ['describeNode', 'observeCloud', 'reconcile']

export const poolSize = (world: World, fail: Fail): Checker => ({
  name: 'poolSize',
  on: {},
  atRest: () => {
    // Strangers hold addresses that the daemon cannot count as anything.
    if ([...world.live.pods.values()].some(pod => pod.isStray)) return
    for (const family of world.config().families) checkFamily(world, fail, family)
  },
})

const checkFamily = (world: World, fail: Fail, family: 4 | 6): void => {
  const wanted = wantedAddresses(world)
  const nics = usableNics(world)
  const blocks = nics.flatMap(nic => [...nic.blocks.keys()].filter(b => familyOf(b) === family))
  const held = blocks.reduce((sum, block) => sum + sizeOf(block), 0)
  const robbed = [...world.live.pods.values()].filter(pod => pod.robbedAt !== undefined).length
  if (held < wanted - robbed && canGrow(world, family, wanted - held)) {
    fail(`the pool holds ${held} IPv${family} addresses at rest and wants ${wanted}`)
  }
  // A block is surplus when the pool has what it wants without it and nobody lives in it.
  const surplus = blocks.find(
    block => held - sizeOf(block) >= wanted && world.live.inBlock(block).length === 0,
  )
  if (surplus !== undefined) {
    fail(`${surplus} is still held at rest: the pool holds ${held} and wants ${wanted}`)
  }
}

const usableNics = (world: World): EstateNic[] =>
  world.estate.attached().filter(nic => nic.isManaged && nic.attachment.kind === 'attached')

const wantedAddresses = (world: World): number => {
  const targets = world.config().pools.get(defaultPool)
  if (targets === undefined) return 0
  const assigned = world.live.pods.size
  const wanted = Math.max(targets.minimum, assigned + targets.warmTarget)
  return Math.min(wanted, targets.maximum ?? Infinity)
}

/** True when limits and subnets leave room for so many more addresses beyond doubt. */
const canGrow = (world: World, family: 4 | 6, missing: number): boolean => {
  const { estate } = world
  const config = world.config()
  const isPrefix = estate.limits.prefixes && (family === 6 || config.blockLength !== 32)
  const slotsFree = usableNics(world)
    .map(nic => {
      const held = [...nic.blocks.keys()].filter(b => familyOf(b) === family).length
      const space = estate.spaces.get(nic.subnet)
      const bySpace = isPrefix ? (space?.freeBlocks() ?? 0) : (space?.available() ?? 0)
      const bySlots = estate.limits.blocksPerNicMax[family] - held
      return family === 6 ? bySlots : Math.min(bySlots, bySpace)
    })
    .reduce((sum, n) => sum + Math.max(0, n), 0)
  const size = isPrefix ? 16 : 1
  if (slotsFree * size >= missing + size) return true
  const nicsMax = Math.min(estate.limits.nicsMax, config.nicsMax ?? Infinity)
  const isNicFree = estate.attached().length < nicsMax
  const isSubnetFree = [...estate.spaces.values()].some(space => space.freeBlocks() > 1)
  return isNicFree && isSubnetFree
}
