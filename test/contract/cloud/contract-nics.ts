// The contract's cases about the life of a NIC: created, attached, detached, deleted; and about
// clouds where all that is done while the instance is stopped.

import { describe, expect, test } from 'vitest'
import { familyOf, lengthOf } from '#core/ip.ts'
import { type Steps, addresses, addresses6, expectFailure, lentOf } from './steps.ts'
import { never, none, value } from './steps.ts'

/** Where NICs come and go while the instance runs. */
export const nicContract = (steps: Steps): void => {
  describe('create', () => {
    test('gives an unattached NIC with its blocks and token', async () => {
      const nic = value(await steps.create(addresses(3), 'mine'))
      expect(nic).toMatchObject({ isPrimary: false, isManaged: true, token: 'mine' })
      expect(nic.attachment.kind).toBe('none')
      expect(lentOf(nic)).toHaveLength(3)
      const same = await steps.seenWith(nic, 3)
      expect(same.blocks).toEqual(nic.blocks)
      expect(same.token).toBe('mine')
    })

    test('gives prefixes at once', async () => {
      const nic = value(await steps.create(steps.prefixes(2)))
      const length = steps.under.prefixLength
      expect(lentOf(nic).map(lengthOf)).toEqual([length, length])
    })

    test('gives first blocks of both families at once', async () => {
      const nic = value(await steps.create([addresses(2), addresses6(2)]))
      expect(lentOf(nic).map(familyOf)).toEqual([4, 4, 6, 6])
      expect((await steps.seenWith(nic, 4)).blocks).toEqual(nic.blocks)
    })

    test('with a known token gives the same NIC', async () => {
      const first = value(await steps.create(addresses(1), 'again'))
      const second = value(await steps.create(addresses(1), 'again'))
      expect(second.id).toBe(first.id)
      await steps.seen(first, () => true)
      expect((await steps.observed()).nics).toHaveLength(2)
    })

    test('is not seen by a neighbour', async () => {
      const nic = value(await steps.create())
      await steps.seen(nic, () => true)
      const ids = value(await steps.under.neighbour.observe(never)).nics.map(({ id }) => id)
      expect(ids).not.toContain(nic.id)
    })

    test('whose reply is lost is ambiguous, and the token finds the NIC', async () => {
      steps.under.trouble('createNic', 'lostReply')
      expectFailure(await steps.create(addresses(1), 'lost'), 'transient', true)
      const nic = value(await steps.create(addresses(1), 'lost'))
      await steps.seen(nic, () => true)
      expect((await steps.observed()).nics.filter(({ token: t }) => t === 'lost')).toHaveLength(1)
    })
  })

  describe('attach', () => {
    test('puts the NIC at its device index and makes it die with the instance', async () => {
      const nic = await steps.attached(addresses(1), 2)
      expect(nic.attachment).toMatchObject({
        instance: steps.under.instance,
        deviceIndex: 2,
        isProtected: true,
      })
      const same = await steps.seen(
        nic,
        ({ attachment: a }) => a.kind === 'attached' && a.isProtected,
      )
      expect(same).toMatchObject({ isPrimary: false, mac: nic.mac })
    })

    test('of what is attached succeeds', async () => {
      const nic = await steps.attached()
      const again = value(await steps.under.cloud.attachNic({ nic: nic.id, deviceIndex: 1 }, never))
      expect(again.id).toBe(nic.id)
      expect(again.attachment).toMatchObject({ deviceIndex: 1, isProtected: true })
    })

    test('at a taken device index is a conflict', async () => {
      await steps.attached()
      const other = value(await steps.create())
      expectFailure(
        await steps.under.cloud.attachNic({ nic: other.id, deviceIndex: 1 }, never),
        'conflict',
        false,
      )
    })

    test('of a NIC that a neighbour holds is a conflict', async () => {
      const nic = value(await steps.create())
      value(await steps.under.neighbour.attachNic({ nic: nic.id, deviceIndex: 1 }, never))
      expectFailure(
        await steps.under.cloud.attachNic({ nic: nic.id, deviceIndex: 1 }, never),
        'conflict',
        false,
      )
    })

    test('beyond the instance type is a limit', async () => {
      const { limits } = value(await steps.under.cloud.describeNode(never))
      for (let index = 1; index < limits.nicsMax; index++) await steps.attached(none, index)
      const extra = value(await steps.create())
      const deviceIndex = limits.nicsMax
      expectFailure(
        await steps.under.cloud.attachNic({ nic: extra.id, deviceIndex }, never),
        'limit',
        false,
      )
    })

    test('whose reply is lost is ambiguous, and trying again succeeds', async () => {
      const nic = await steps.seen(value(await steps.create()), () => true)
      steps.under.trouble('attachNic', 'lostReply')
      const wanted = { nic: nic.id, deviceIndex: 1 }
      expectFailure(await steps.under.cloud.attachNic(wanted, never), 'transient', true)
      const again = value(await steps.under.cloud.attachNic(wanted, never))
      expect(again.attachment).toMatchObject({ deviceIndex: 1, isProtected: true })
    })
  })

  describe('detach and delete', () => {
    test('lead back to nothing, and may be repeated', async () => {
      const nic = await steps.attached(addresses(2))
      await steps.seen(nic, ({ attachment }) => attachment.kind === 'attached')
      for (let times = 0; times < 2; times++)
        value(await steps.under.cloud.detachNic(nic.id, never))
      await steps.seen(nic, ({ attachment }) => attachment.kind === 'none')
      for (let times = 0; times < 2; times++)
        value(await steps.under.cloud.deleteNic(nic.id, never))
      value(await steps.under.cloud.detachNic(nic.id, never))
      expect(steps.under.heldBlocks(nic.id)).toBeUndefined()
    })

    test('delete of an attached NIC may be tried again later', async () => {
      const nic = await steps.attached()
      await steps.seen(nic, ({ attachment }) => attachment.kind === 'attached')
      expectFailure(await steps.under.cloud.deleteNic(nic.id, never), 'transient')
      value(await steps.under.cloud.detachNic(nic.id, never))
      value(await steps.under.cloud.deleteNic(nic.id, never))
      expect(steps.under.heldBlocks(nic.id)).toBeUndefined()
    })

    // Whoever attached it knows it is attached, though no description shows it yet.
    test('detach at once after attach detaches', async () => {
      const nic = await steps.attached()
      value(await steps.under.cloud.detachNic(nic.id, never))
      for (let tries = 0; steps.under.heldBlocks(nic.id) !== undefined; tries++) {
        expect(tries).toBeLessThan(1000)
        await steps.under.cloud.deleteNic(nic.id, never)
      }
    })

    test('the primary NIC cannot be detached', async () => {
      const [primary] = (await steps.observed()).nics
      expectFailure(await steps.under.cloud.detachNic(primary!.id, never), 'denied', false)
    })

    test('a neighbour’s NIC is not detached', async () => {
      const nic = await steps.seen(
        await steps.attached(),
        ({ attachment }) => attachment.kind === 'attached',
      )
      expectFailure(await steps.under.neighbour.detachNic(nic.id, never), 'conflict', false)
      await steps.seen(nic, ({ attachment }) => attachment.kind === 'attached')
    })
  })
}

/** Where they do not: the NIC that is there serves, and every wish for another fails early. */
export const bornNicContract = (steps: Steps): void =>
  void describe('NICs of a running instance', () => {
    test('the secondary one is there, attached and ours', async () => {
      const nic = await steps.attached()
      expect(nic).toMatchObject({ isPrimary: false, isManaged: true })
      expect(nic.attachment).toMatchObject({
        kind: 'attached',
        instance: steps.under.instance,
        deviceIndex: 1,
        isProtected: true,
      })
    })

    const wishes = [
      ['create', () => steps.create(addresses(1))],
      ['attach', async () => steps.under.cloud.attachNic(await second(), never)],
      ['detach', async () => steps.under.cloud.detachNic((await second()).nic, never)],
      ['delete', async () => steps.under.cloud.deleteNic((await second()).nic, never)],
    ] as const
    const second = async () => ({ nic: (await steps.attached()).id, deviceIndex: 2 })

    test.each(wishes)('%s fails early, certainly, and says what to do', async (_, wish) => {
      const failure = expectFailure(await wish(), 'limit', false)
      expect(failure.message).toMatch(/stopped/)
      expect(failure.message).toMatch(/;/)
      expect((await steps.observed()).nics).toHaveLength(2)
    })

    test('are those of this instance, not of its neighbour', async () => {
      const nic = await steps.attached()
      const ids = value(await steps.under.neighbour.observe(never)).nics.map(({ id }) => id)
      expect(ids).toHaveLength(2)
      expect(ids).not.toContain(nic.id)
    })
  })
