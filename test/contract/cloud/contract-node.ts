// The contract's cases about describing: the node, its primary NIC, and lists of more than a page.

import { describe, expect, test } from 'vitest'
import { contains, familyOf } from '#core/ip.ts'
import type { CloudNic } from '#core/ports.ts'
import { type Steps, never, value } from './steps.ts'

export const nodeContract = (steps: Steps): void => {
  describe('the node', () => {
    test('is described with its limits, subnets and network', async () => {
      const facts = value(await steps.under.cloud.describeNode(never))
      const { limits } = facts
      expect(facts.instanceId).toBe(steps.under.instance)
      expect(limits.nicsMax).toBeGreaterThan(1)
      expect(limits.hotPlug).toBe(steps.traits.hotPlug)
      expect(limits.blocksPerNicMax[4]).toBeGreaterThan(1)
      expect(limits.blocksPerNicMax[6]).toBeGreaterThan(1)
      expect(limits.prefixes).toBe(true)
      expect(facts.subnets.map(({ id }) => id)).toContain(steps.under.subnet)
      expect(facts.subnets.every(({ zone }) => zone === facts.zone)).toBe(true)
      const [subnet] = facts.subnets
      expect(new Set(subnet?.cidrs.map(familyOf))).toEqual(new Set([4, 6]))
      const inside = subnet?.cidrs.every(block => facts.vpc.some(vpc => contains(vpc, block)))
      expect(inside).toBe(true)
    })

    test('has its primary NIC, with address and gateways, and no block', async () => {
      const { nics, subnets } = await steps.observed()
      expect(nics).toHaveLength(steps.traits.hotPlug ? 1 : 2)
      const primary = nics.find(({ isPrimary }) => isPrimary)
      expect(primary).toMatchObject({ isManaged: true, token: undefined, blocks: [] })
      expect(primary?.attachment).toMatchObject({ kind: 'attached', deviceIndex: 0 })
      expect(primary?.primaryAddresses.map(familyOf)).toContain(4)
      expect(new Set(primary?.gateways.map(familyOf))).toEqual(new Set([4, 6]))
      expect(subnets.find(({ id }) => id === steps.under.subnet)?.available).toBeGreaterThan(0)
    })
  })

  describe('observe', () => {
    test('finds ours among more NICs than a page shows', async () => {
      const nic = await steps.attached()
      await steps.under.crowd(steps.under.pageSize + 5)
      await steps.seen(nic, () => true)
      expect((await steps.observed()).nics).toHaveLength(2)
    })

    test('ten at once all tell the same', async () => {
      await steps.seen(await steps.attached(), ({ attachment: a }) => a.kind === 'attached')
      const all = await Promise.all(Array.from({ length: 10 }, () => steps.observed()))
      for (const { nics } of all) expect(idsOf(nics)).toEqual(idsOf(all[0]!.nics))
    })

    test('leaves a NIC that somebody else manages alone', async () => {
      const nic = await steps.attached()
      await steps.under.disown(nic)
      expect((await steps.seen(nic, ({ isManaged }) => !isManaged)).isPrimary).toBe(false)
    })
  })
}

const idsOf = (nics: readonly CloudNic[]): readonly string[] => nics.map(({ id }) => id).toSorted()
