// The addresses of one subnet: who holds which. Other tenants take and free addresses here too, and
// what was freed last is given out again first, because that is what hurts a careless daemon most.

import { type Cidr, cidr, contains, hostCidr, type Ip, ip } from '#core/ip.ts'
import { addressAt, addressesOf, baseOf, familyOf, sizeOf } from '#core/ip.ts'
import { compareIp, valueOf } from '#core/ip.ts'
import type { SubnetId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import type { Chance } from './chance.ts'

export type Space = {
  readonly id: SubnetId
  readonly zone: string
  readonly cidr4: Cidr
  readonly cidr6: Cidr
  readonly gateways: readonly Ip[]
  available(): number
  /** Free aligned /28 blocks. */
  freeBlocks(): number
  /** A free block of the size asked for, now held; undefined when there is none. */
  take(request: Omit<BlockRequest, 'count'>): Cidr | undefined
  /** Takes this very address; false when somebody holds it. */
  takeAddress(address: Ip): boolean
  free(block: Cidr): void
  /** Other tenants: take free addresses, or free some of those they hold. */
  tenantsTake(count: number): void
  tenantsFree(count: number): void
  /** One tenant address in every free /28, so that none is left whole. */
  fragment(): void
  tenants(): number
  /** Frees one tenant address of every /28 that tenants alone fragment, and the rest around it. */
  defragment(): void
}

type Holder = 'free' | 'ours' | 'tenant'

/** The first four addresses and the last of a subnet belong to the cloud (AWS subnet sizing). */
const reservedAtStart = 4

export type SpaceOptions = {
  readonly id: SubnetId
  readonly cidr4: Cidr
  readonly cidr6: Cidr
  readonly zone: string
}

export const createSpace = (options: SpaceOptions, chance: Chance): Space => {
  const { cidr4, cidr6 } = options
  const size = sizeOf(cidr4)
  const base = Number(valueOf(baseOf(cidr4)))
  const holders: Holder[] = Array.from({ length: size }, (_, i) =>
    i < reservedAtStart || i === size - 1 ? 'tenant' : 'free',
  )
  const blocks6 = new Set<Cidr>()
  let freeCount = size - reservedAtStart - 1
  let lastFreed: number | undefined

  const indexOf = (address: Ip): number => Number(valueOf(address)) - base
  const isReserved = (index: number): boolean => index < reservedAtStart || index === size - 1
  const hold = (index: number, holder: Holder): void => {
    if (holders[index] === 'free') freeCount--
    if (holder === 'free') freeCount++
    holders[index] = holder
    if (holder === 'free') lastFreed = index
  }
  /** An index with the given holder, near a random place. */
  const find = (holder: Holder): number | undefined => {
    if (holder === 'free' && lastFreed !== undefined && holders[lastFreed] === 'free') {
      if (chance.happens(0.5)) return lastFreed
    }
    const start = chance.between(0, size - 1)
    for (let step = 0; step < size; step++) {
      const index = (start + step) % size
      if (holders[index] === holder && !isReserved(index)) return index
    }
    return undefined
  }
  const blocksWhere = (test: (holders: readonly Holder[]) => boolean): number[] =>
    Array.from({ length: size / 16 }, (_, i) => i * 16).filter(start =>
      test(holders.slice(start, start + 16)),
    )
  const freeStarts = (): number[] => blocksWhere(held => held.every(holder => holder === 'free'))

  const take4 = (length: number): Cidr | undefined => {
    if (length === 32) {
      const index = find('free')
      if (index === undefined) return undefined
      hold(index, 'ours')
      return hostCidr(addressAt(cidr4, index))
    }
    const starts = freeStarts()
    if (starts.length === 0) return undefined
    const start = chance.pick(starts)
    for (let i = start; i < start + 16; i++) hold(i, 'ours')
    return cidr(`${addressAt(cidr4, start)}/28`)
  }
  const take6 = (length: number): Cidr => {
    // Single addresses lie in the first /80, prefixes behind it, so that they never overlap.
    const prefix = baseOf(cidr6).replace(/::$/, '')
    const block = (): Cidr =>
      length === 128
        ? hostCidr(ip(`${prefix}::${chance.hex(4)}:${chance.hex(4)}`))
        : cidr(`${prefix}:${chance.between(1, 0xfffe).toString(16)}::/80`)
    for (;;) {
      const candidate = block()
      if (blocks6.has(candidate)) continue
      blocks6.add(candidate)
      return candidate
    }
  }

  return {
    ...options,
    gateways: [addressAt(cidr4, 1), ip('fe80::2')],
    available: () => freeCount,
    freeBlocks: () => freeStarts().length,
    take: ({ family, length }) => (family === 4 ? take4(length) : take6(length)),
    takeAddress: address => {
      if (holders[indexOf(address)] !== 'free') return false
      hold(indexOf(address), 'ours')
      return true
    },
    free: block => {
      if (familyOf(block) === 6) return void blocks6.delete(block)
      for (const address of addressesOf(block)) hold(indexOf(address), 'free')
    },
    tenantsTake: count => {
      for (let i = 0; i < count; i++) {
        const index = find('free')
        if (index !== undefined) hold(index, 'tenant')
      }
    },
    tenantsFree: count => {
      for (let i = 0; i < count; i++) {
        const index = find('tenant')
        if (index !== undefined) hold(index, 'free')
      }
    },
    fragment: () => {
      for (const start of freeStarts()) hold(start + chance.between(0, 15), 'tenant')
    },
    tenants: () => holders.filter((holder, i) => holder === 'tenant' && !isReserved(i)).length,
    defragment: () => {
      for (const start of blocksWhere(held => !held.includes('ours'))) {
        for (let i = start; i < start + 16; i++) {
          if (!isReserved(i) && holders[i] === 'tenant') hold(i, 'free')
        }
      }
    },
  }
}

/** Blocks in the order in which clouds list them. */
export const inOrder = (blocks: Iterable<Cidr>): Cidr[] =>
  [...blocks].sort((a, b) => compareIp(baseOf(a), baseOf(b)))

/** The block of a list that holds an address. */
export const blockOf = (blocks: Iterable<Cidr>, address: Ip): Cidr | undefined =>
  [...blocks].find(block => contains(block, address))
