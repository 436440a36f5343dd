import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Cidr, addressesOf, cidr, hostCidr } from '#core/ip.ts'
import { claim, createSpace, freeCount, release, takeBlock } from './space.ts'

const first = (): bigint => 0n
const last = (count: bigint): bigint => count - 1n
const aws = { head: 4, tail: 1 }

describe('a subnet of AWS', () => {
  test('keeps its first four addresses and its last one', () => {
    const space = createSpace(cidr('10.0.0.0/28'), aws)
    expect(freeCount(space)).toBe(11n)
    expect(takeBlock(space, 32, first)).toBe('10.0.0.4/32')
    expect(takeBlock(space, 32, last)).toBe('10.0.0.14/32')
    expect(claim(space, cidr('10.0.0.3/32'))).toBe(false)
  })

  test('lends no /28 that holds a reserved address', () => {
    const space = createSpace(cidr('10.0.0.0/26'), aws)
    const blocks = [1, 2, 3].map(() => takeBlock(space, 28, first))
    expect(blocks).toEqual(['10.0.0.16/28', '10.0.0.32/28', undefined])
    expect(freeCount(space)).toBe(27n)
  })

  test('has no /28 when one address in each is taken, though most are free', () => {
    const space = createSpace(cidr('10.0.0.0/24'), aws)
    for (let block = 1; block < 15; block++) claim(space, cidr(`10.0.0.${16 * block + 7}/32`))
    expect(freeCount(space)).toBe(251n - 14n)
    expect(takeBlock(space, 28, first)).toBeUndefined()
    release(space, cidr('10.0.0.119/32'))
    expect(takeBlock(space, 28, first)).toBe('10.0.0.112/28')
  })

  test('counts an IPv6 /64 exactly', () => {
    const space = createSpace(cidr('2001:db8::/64'), aws)
    expect(takeBlock(space, 80, last)).toBe('2001:db8:0:0:fffe::/80')
    expect(freeCount(space)).toBe(2n ** 64n - 5n - 2n ** 48n)
  })
})

type Step =
  | { readonly kind: 'take'; readonly length: number; readonly pick: number }
  | { readonly kind: 'release'; readonly index: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('take' as const),
    length: fc.constantFrom(28, 30, 32),
    pick: fc.nat(),
  }),
  fc.record({ kind: fc.constant('release' as const), index: fc.nat() }),
)

// The judge is a plain set of addresses: it knows nothing of intervals.
test('no address is lent twice, and every address is free, lent or reserved', () =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const space = createSpace(cidr('10.0.0.0/25'), aws)
      const lent: Cidr[] = []
      for (const one of steps) {
        if (one.kind === 'release') {
          const [gone] = lent.splice(one.index % Math.max(1, lent.length), 1)
          if (gone !== undefined) release(space, gone)
          continue
        }
        const block = takeBlock(space, one.length, count => BigInt(one.pick) % count)
        if (block !== undefined) lent.push(block)
      }
      const addresses = lent.flatMap(block => addressesOf(block))
      expect(new Set(addresses).size).toBe(addresses.length)
      expect(Number(freeCount(space))).toBe(123 - addresses.length)
      for (const address of addresses) expect(claim(space, hostCidr(address))).toBe(false)
      for (const block of lent) release(space, block)
      expect(space.taken).toEqual(createSpace(cidr('10.0.0.0/25'), aws).taken)
    }),
  ))
