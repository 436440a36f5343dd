// Calls to the cloud: within the configured rates, never twice at a time for the same thing, within
// the limits, and never about NICs that are somebody else's.

import type { CallClass } from '#core/budget.ts'
import { bitsOf, bothFamilies, type Family, familyOf, sizeOf } from '#core/ip.ts'
import { defaultPool, type NicId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import { countAllBlocks, countBlocks } from '../estate.ts'
import type { CloudCall } from '../notices.ts'
import type { Checker, Fail, World } from '../world.ts'

export const rates = (world: World, fail: Fail): Checker => {
  let buckets = new Map<CallClass, { tokens: number; at: number }>()
  const blockedUntil = new Map<CallClass, number>()
  const spend = (call: CloudCall): void => {
    const { capacity, perSecond } = world.config().rates[call.class]
    const bucket = buckets.get(call.class) ?? { tokens: capacity, at: call.at }
    const refill = ((call.at - bucket.at) / 1000) * perSecond
    const tokens = Math.min(capacity, bucket.tokens + refill) - 1
    buckets.set(call.class, { tokens, at: call.at })
    // The daemon rounds to whole milliseconds in its favour.
    if (tokens < -0.01) {
      fail(`${call.kind} exceeds ${capacity} calls and ${perSecond} a second of ${call.class}`)
    }
    if (call.at < (blockedUntil.get(call.class) ?? 0)) {
      fail(`${call.kind} is called before the wait that the cloud asked for is over`)
    }
  }
  return {
    name: 'rates',
    on: {
      lifeStarted: () => {
        // A process that starts knows nothing of what its predecessor spent.
        buckets = new Map()
        blockedUntil.clear()
      },
      called: ({ call }) => spend(call),
      returned: ({ failure, call }) => {
        if (failure?.kind !== 'throttled' || call.life !== world.life()?.number) return
        blockedUntil.set(call.class, world.scheduler.clock.now() + (failure.retryAfterMs ?? 0))
      },
    },
  }
}

/** Two calls with the same name would do the same work twice. */
const nameOf = (call: CloudCall): string => {
  switch (call.kind) {
    case 'createNic':
      return `createNic ${call.request.token}`
    case 'lendBlocks':
      return `lendBlocks ${call.nic} IPv${call.blocks.family}`
    case 'attachNic':
    case 'detachNic':
    case 'deleteNic':
    case 'returnBlocks':
      return `${call.kind} ${call.nic}`
    case 'describeNode':
    case 'observeCloud':
      return call.kind
  }
}

export const twins = (_world: World, fail: Fail): Checker => {
  let underWay = new Map<string, number>()
  return {
    name: 'twins',
    on: {
      lifeStarted: () => {
        underWay = new Map()
      },
      called: ({ call }) => {
        const name = nameOf(call)
        if (underWay.has(name)) fail(`${name} is called while the same call is under way`)
        underWay.set(name, call.serial)
      },
      returned: ({ call }) => {
        const name = nameOf(call)
        if (underWay.get(name) === call.serial) underWay.delete(name)
      },
    },
  }
}

export const foreign = (world: World, fail: Fail): Checker => ({
  name: 'foreign',
  on: {
    called: ({ call }) => {
      const nic = 'nic' in call ? world.estate.nics.get(call.nic) : undefined
      if (nic === undefined) return
      const { kind } = call
      if (!nic.isManaged) fail(`${kind} is called for ${nic.id}, which somebody else manages`)
      const isEnding = kind === 'detachNic' || kind === 'deleteNic'
      if (isEnding && nic.isPrimary) fail(`${kind} is called for the primary NIC`)
      if (isEnding && nic.token === undefined) fail(`${kind} is called for ${nic.id}, not ours`)
    },
  },
})

type Asked = { readonly family: Family; readonly nic: NicId | undefined; missing: number }

export const limits = (world: World, fail: Fail): Checker => {
  const { estate } = world
  /** Addresses that calls under way have asked for and not got, by call. */
  const asked = new Map<string, Asked>()
  /** NICs on their way out, whose addresses are no longer the pool's. */
  const leaving = new Set<NicId>()
  const takenAway = new Set<NicId>()
  /** Until then the daemon may honestly be wrong about what it holds. */
  let murkyUntil = 0
  const now = (): number => world.scheduler.clock.now()
  const murky = (): void => {
    const { observeEveryMs, consistencyMs } = world.config()
    murkyUntil = Math.max(murkyUntil, now() + 2 * observeEveryMs + consistencyMs + 120_000)
  }
  const sizeOfRequest = (blocks: BlockRequest): number =>
    2 ** (bitsOf(blocks.family) - blocks.length)

  const lending = (call: CloudCall, blocks: BlockRequest): void => {
    if (blocks.count < 0) fail(`${call.kind} asks for ${blocks.count} blocks`)
    const { family } = blocks
    const maximum = world.config().pools.get(defaultPool)?.maximum
    const size = sizeOfRequest(blocks)
    const held =
      heldAddresses(world, family, leaving) +
      [...asked.values()].reduce(
        (sum, each) => sum + (each.family === family ? each.missing : 0),
        0,
      )
    const nic = 'nic' in call ? call.nic : undefined
    asked.set(`${call.serial} ${family}`, { family, nic, missing: size * blocks.count })
    if (now() < murkyUntil || maximum === undefined || blocks.count === 0) return
    // A maximum inside a block is rounded up to the block.
    if (held + size * (blocks.count - 1) < maximum) return
    fail(`${call.kind} asks for ${blocks.count}×${size} with ${held} of at most ${maximum} held`)
  }
  const nicLimit = (): number =>
    Math.min(estate.limits.nicsMax, world.config().nicsMax ?? estate.limits.nicsMax)

  const check = (call: CloudCall): void => {
    if (call.kind === 'detachNic' || call.kind === 'deleteNic') leaving.add(call.nic)
    if (call.kind === 'createNic') {
      for (const blocks of call.request.blocks) lending(call, blocks)
      // One that a human detached under its pods has left its place.
      const known = [...estate.nics.values()].filter(
        nic => nic.createdAt < call.at && !takenAway.has(nic.id),
      ).length
      if (known >= nicLimit() && now() >= murkyUntil) {
        fail(`a NIC is created although ${known} of ${nicLimit()} exist`)
      }
    }
    if (call.kind === 'attachNic') takenAway.delete(call.nic)
    if (call.kind === 'attachNic' && now() >= murkyUntil) {
      const others = estate.attached().filter(nic => nic.id !== call.nic).length
      if (others >= nicLimit()) fail(`a NIC is attached although ${others} of ${nicLimit()} are`)
    }
    if (call.kind !== 'lendBlocks') return
    lending(call, call.blocks)
    const nic = estate.nics.get(call.nic)
    const { family, count } = call.blocks
    const most = estate.limits.blocksPerNodeMax ?? Infinity
    const all = countAllBlocks(estate)
    if (all + count > most && now() >= murkyUntil) {
      fail(`${count} blocks are asked for ${call.nic} with ${all} of ${most} on the instance`)
    }
    const held = nic === undefined ? 0 : countBlocks(nic, family)
    if (held + count > estate.limits.blocksPerNicMax[family] && now() >= murkyUntil) {
      fail(`${count} blocks are asked for ${call.nic}, which holds ${held}`)
    }
  }
  return {
    name: 'limits',
    on: {
      called: ({ call }) => check(call),
      returned: ({ call, failure }) => {
        for (const family of bothFamilies) asked.delete(`${call.serial} ${family}`)
        if (failure?.ambiguous === true) murky()
      },
      lifeStarted: () => {
        asked.clear()
        murky()
      },
      taken: ({ by }) => by === 'human' && murky(),
      detached: ({ nic, by }) => {
        if (by !== 'human') return
        takenAway.add(nic)
        murky()
      },
      lent: ({ nic, block }) => {
        const isFor = (each: Asked): boolean =>
          each.family === familyOf(block) && (each.nic === nic || each.nic === undefined)
        const ask = [...asked.values()].find(each => isFor(each) && each.missing > 0)
        if (ask !== undefined) ask.missing -= sizeOf(block)
      },
      nicCreated: ({ token }) => token === undefined && murky(),
    },
  }
}

/** All pod addresses of a family lent to managed NICs, those on their way in or out included. */
export const lentAddresses = (world: World, family: Family): number =>
  [...world.estate.nics.values()]
    .filter(nic => nic.isManaged)
    .flatMap(nic => [...nic.blocks.keys()])
    .filter(block => familyOf(block) === family)
    .reduce((sum, block) => sum + sizeOf(block), 0)

/** Youth in which a NIC counts although the host does not use it yet. */
const youthMs = 60_000

/**
 * Pod addresses lent to the NICs that the daemon uses or is about to use. What a NIC was born with
 * nobody asked for.
 */
const heldAddresses = (world: World, family: Family, except: ReadonlySet<NicId>): number => {
  const now = world.scheduler.clock.now()
  const used = new Set([...world.kernel.slots.values()].map(slot => slot.mac))
  return [...world.estate.nics.values()]
    .filter(nic => nic.isManaged && !except.has(nic.id))
    .filter(nic => used.has(nic.mac) || now - nic.createdAt < youthMs)
    .flatMap(nic => [...nic.blocks.keys()].filter(block => !nic.fixedBlocks.includes(block)))
    .filter(block => familyOf(block) === family)
    .reduce((sum, block) => sum + sizeOf(block), 0)
}
