// The contract's cases about lending and returning blocks, one after the other and at once.

import { describe, expect, test } from 'vitest'
import { baseOf, cidr, familyOf, lengthOf } from '#core/ip.ts'
import type { CloudNic } from '#core/ports.ts'
import { type Steps, addresses, addresses6, expectFailure, lentOf } from './steps.ts'
import { never, none, value } from './steps.ts'

export const blockContract = (steps: Steps): void => {
  describe('lend', () => {
    test('returns only what it added', async () => {
      const nic = await steps.attached(addresses(2))
      const first = value(await steps.lend(nic, addresses(2)))
      const second = value(await steps.lend(nic, addresses(1)))
      expect(first).toHaveLength(2)
      expect(second).toHaveLength(1)
      const all = [...nic.blocks, ...first, ...second]
      const now = await steps.seenWith(nic, 5)
      expect(new Set(now.blocks)).toEqual(new Set(all))
    })

    test('mixes prefixes and addresses on one NIC', async () => {
      const nic = await steps.attached(addresses(1))
      const [prefix] = value(await steps.lend(nic, steps.prefixes(1)))
      expect(lengthOf(prefix!)).toBe(steps.under.prefixLength)
      expect(familyOf(prefix!)).toBe(4)
      const now = await steps.seenWith(nic, 2)
      expect(now.blocks).toContain(prefix)
    })

    test('of nothing is nothing', async () => {
      const nic = await steps.attached()
      expect(value(await steps.lend(nic, none))).toEqual([])
    })

    test('to the primary NIC works', async () => {
      const primary = (await steps.observed()).nics.find(({ isPrimary }) => isPrimary)
      expect(value(await steps.lend(primary!, addresses(1)))).toHaveLength(1)
    })

    test('beyond the NIC’s limit is a limit and changes nothing', async () => {
      const { limits } = value(await steps.under.cloud.describeNode(never))
      const nic = await steps.attached()
      const most = Math.min(limits.blocksPerNicMax[4], limits.blocksPerNodeMax ?? Infinity)
      value(await steps.lend(nic, addresses(most)))
      expectFailure(await steps.lend(nic, addresses(1)), 'limit', false)
      expect(steps.under.heldBlocks(nic.id)).toBe(most)
    })

    test('that gets fewer than it asked for says so', async () => {
      const nic = await steps.attached()
      steps.under.trouble('lendBlocks', 'partial')
      expect(value(await steps.lend(nic, addresses(3)))).toHaveLength(2)
    })

    // No token: sending it again could lend twice. So it is sent once, and looked at.
    test('whose reply is lost is ambiguous, and an observation shows the blocks', async () => {
      const nic = await steps.attached()
      steps.under.trouble('lendBlocks', 'lostReply')
      expectFailure(await steps.lend(nic, addresses(2)), 'transient', true)
      await steps.seenWith(nic, 2)
      expect(steps.under.heldBlocks(nic.id)).toBe(2)
    })

    test('to a NIC that does not exist is notFound', async () => {
      const gone = await steps.goneNic()
      expectFailure(await steps.lend(gone, addresses(1)), 'notFound', false)
    })

    test('takes its time and tells the truth when the answer is slow', async () => {
      const nic = await steps.attached()
      steps.under.trouble('lendBlocks', 'slow')
      expect(value(await steps.lend(nic, addresses(2)))).toHaveLength(2)
      expect(steps.under.heldBlocks(nic.id)).toBe(2)
    })

    test('of IPv6 gives IPv6', async () => {
      const nic = await steps.attached(addresses(1))
      const lent = value(await steps.lend(nic, addresses6(2)))
      expect(lent.map(familyOf)).toEqual([6, 6])
      expect(lent.map(lengthOf)).toEqual([128, 128])
      expect((await steps.seenWith(nic, 3)).blocks).toEqual(expect.arrayContaining([...lent]))
    })
  })

  describe('return', () => {
    test('takes addresses and prefixes back together', async () => {
      const nic = await steps.attached(addresses(3))
      const [prefix] = value(await steps.lend(nic, steps.prefixes(1)))
      const blocks = [lentOf(nic)[0]!, prefix!]
      expect(new Set(value(await steps.giveBack(nic, blocks)))).toEqual(new Set(blocks))
      expect(steps.under.heldBlocks(nic.id)).toBe(2)
    })

    test('counts what is already gone as returned', async () => {
      const nic = await steps.attached(addresses(3))
      const [first, second] = lentOf(nic)
      value(await steps.giveBack(nic, [first!]))
      await steps.seenWith(nic, 2)
      expect(new Set(value(await steps.giveBack(nic, [first!, second!])))).toEqual(
        new Set([first, second]),
      )
      expect(steps.under.heldBlocks(nic.id)).toBe(1)
      expect(value(await steps.giveBack(nic, [first!]))).toEqual([first])
    })

    test('from a NIC that is gone is done', async () => {
      const gone = await steps.goneNic()
      const blocks = lentOf(gone).length > 0 ? lentOf(gone) : [cidr('10.0.0.77/32')]
      expect(value(await steps.giveBack(gone, blocks))).toEqual(blocks)
    })

    test('takes both families back together', async () => {
      const nic = await steps.attached(addresses(2))
      const six = value(await steps.lend(nic, addresses6(2)))
      const blocks = [lentOf(nic)[0]!, six[1]!]
      expect(value(await steps.giveBack(nic, blocks))).toEqual(blocks)
      expect(steps.under.heldBlocks(nic.id)).toBe(2)
    })

    test('never touches blocks it was not given', async () => {
      const nic = await steps.attached(addresses(2))
      const stranger = cidr(`${baseOf(lentOf(nic)[0]!).replace(/\d+$/, '250')}/32`)
      value(await steps.giveBack(nic, [stranger]))
      expect(steps.under.heldBlocks(nic.id)).toBe(2)
    })

    test('whose reply is lost is ambiguous, and trying again succeeds', async () => {
      const nic = await steps.attached(addresses(2))
      steps.under.trouble('returnBlocks', 'lostReply')
      expectFailure(await steps.giveBack(nic, lentOf(nic)), 'transient', true)
      expect(value(await steps.giveBack(nic, lentOf(nic)))).toEqual(lentOf(nic))
      expect(steps.under.heldBlocks(nic.id)).toBe(0)
    })
  })

  describe('at once', () => {
    test('two lends to one NIC each return their own', async () => {
      const nic = await steps.attached()
      const both = await Promise.all([2, 1].map(count => steps.lend(nic, addresses(count))))
      const [first, second] = both.map(value)
      expect([first?.length, second?.length]).toEqual([2, 1])
      expect(new Set([...first!, ...second!]).size).toBe(3)
      expect(steps.under.heldBlocks(nic.id)).toBe(3)
    })

    test('lending and returning on one NIC do not undo each other', async () => {
      const nic = await steps.attached(addresses(3))
      await steps.seenWith(nic, 3)
      const [kept, ...given] = lentOf(nic)
      const [lent, returned] = await Promise.all([
        steps.lend(nic, addresses(2)),
        steps.giveBack(nic, given),
      ])
      expect(new Set(value(returned))).toEqual(new Set(given))
      const wanted = new Set([kept!, ...value(lent)])
      const now = await steps.seen(nic, found => isOf(wanted, lentOf(found)))
      expect(steps.under.heldBlocks(now.id)).toBe(3)
    })

    test('lends to two NICs are two lends', async () => {
      const nic = await steps.attached()
      const primary = (await steps.observed()).nics.find(({ isPrimary }) => isPrimary)
      const lent = await Promise.all([nic, primary!].map(one => steps.lend(one, addresses(2))))
      expect(new Set(lent.flatMap(value)).size).toBe(4)
    })
  })
}

const isOf = (wanted: ReadonlySet<string>, blocks: CloudNic['blocks']): boolean =>
  blocks.length === wanted.size && blocks.every(block => wanted.has(block))
