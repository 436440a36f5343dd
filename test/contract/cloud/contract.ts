// What every Cloud promises, whatever is behind it: one suite, run on each provider over the wire
// and on the simulation's cloud in memory. It judges by what the cloud shows afterwards.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { baseOf, cidr, contains, familyOf, lengthOf } from '#core/ip.ts'
import { type InstanceId, type SubnetId, token } from '#core/names.ts'
import type {
  BlockRequest,
  Cloud,
  CloudNic,
  CloudObservation,
  Failure,
  FailureKind,
  Outcome,
} from '#core/ports.ts'

/** What can be made to go wrong with the next call of that method. */
export type Trouble =
  | 'throttled'
  | 'denied'
  | 'unavailable'
  /** The work is done and the answer never arrives. */
  | 'lostReply'
  /** The connection breaks before anything is done. */
  | 'reset'
  /** Never answered. */
  | 'hang'
  /** A proxy's page instead of an answer. */
  | 'html'
  /** The work is done and the answer is cut off. */
  | 'malformed'
  | 'exhausted'
  | 'fragmented'
  /** Two blocks are granted, however many are asked for. */
  | 'partial'

export type Method = Exclude<keyof Cloud, 'describeNode'>

/** A cloud with one VPC: two instances of a small type that allows prefixes, in one zone. */
export interface CloudUnderTest {
  readonly cloud: Cloud
  readonly instance: InstanceId
  /** The same cloud as seen by a second instance. */
  readonly neighbour: Cloud
  /** In the instance's zone, with room for 110 NICs and more. */
  readonly subnet: SubnetId
  /** Lengths of the blocks it lends beside single addresses: 28 on AWS. */
  readonly prefixLength: number
  /** NICs with more than this need a second page. */
  readonly pageSize: number
  /** The next call, on the wire, of this method meets this trouble. */
  trouble(method: Method, trouble: Trouble): void
  /** Marks the NIC as somebody else's. */
  disown(nic: CloudNic): Promise<void>
  /** The real state, without lag: blocks held by the NIC; undefined when there is no such NIC. */
  heldBlocks(nic: string): number | undefined
  close(): Promise<void>
}

/** Runs the whole suite on one implementation. */
export const cloudContract = (name: string, makeCloud: () => Promise<CloudUnderTest>): void =>
  void describe(`cloud contract: ${name}`, () => {
    let under: CloudUnderTest
    beforeEach(async () => void (under = await makeCloud()))
    afterEach(() => under.close())

    const never = new AbortController().signal
    const none: BlockRequest = { family: 4, length: 32, count: 0 }
    const addresses = (count: number): BlockRequest => ({ family: 4, length: 32, count })
    const prefixes = (count: number): BlockRequest => ({
      family: 4,
      length: under.prefixLength,
      count,
    })

    let made = 0
    const create = (blocks = none, name = `token-${++made}`) =>
      under.cloud.createNic(
        { token: token(name), subnet: under.subnet, securityGroups: [], blocks: [blocks] },
        never,
      )
    const attached = async (blocks = none, deviceIndex = 1): Promise<CloudNic> => {
      const nic = value(await create(blocks))
      return value(await under.cloud.attachNic({ nic: nic.id, deviceIndex }, never))
    }
    const lend = (nic: CloudNic, blocks: BlockRequest, signal = never) =>
      under.cloud.lendBlocks({ nic: nic.id, blocks }, signal)
    const giveBack = (nic: CloudNic, blocks: CloudNic['blocks']) =>
      under.cloud.returnBlocks({ nic: nic.id, blocks }, never)
    const observed = async (): Promise<CloudObservation> => value(await under.cloud.observe(never))

    /** The NIC as observed, once the observation satisfies the condition: describes may lag. */
    const seen = async (
      nic: CloudNic,
      isReached: (nic: CloudNic) => boolean,
    ): Promise<CloudNic> => {
      for (let looks = 0; looks < 600; looks++) {
        const found = (await observed()).nics.find(({ id }) => id === nic.id)
        if (found !== undefined && isReached(found)) return found
        await sleep(50)
      }
      throw new Error(`${nic.id} is not observed as expected`)
    }

    describe('the node', () => {
      test('is described with its limits, subnets, groups and VPC', async () => {
        const facts = value(await under.cloud.describeNode(never))
        expect(facts.instanceId).toBe(under.instance)
        expect(facts.limits.nicsMax).toBeGreaterThan(1)
        expect(facts.limits.blocksPerNicMax[4]).toBeGreaterThan(1)
        expect(facts.limits.prefixes).toBe(true)
        expect(facts.subnets.map(({ id }) => id)).toContain(under.subnet)
        expect(facts.subnets.every(({ zone }) => zone === facts.zone)).toBe(true)
        expect(facts.securityGroups.length).toBeGreaterThan(0)
        const [subnet] = facts.subnets
        const inside = subnet?.cidrs.every(block => facts.vpc.some(vpc => contains(vpc, block)))
        expect(inside).toBe(true)
      })

      test('has its primary NIC, with address and gateway, and nothing else', async () => {
        const { nics, subnets } = await observed()
        expect(nics).toHaveLength(1)
        expect(nics[0]).toMatchObject({
          isPrimary: true,
          isManaged: true,
          token: undefined,
          blocks: [],
        })
        expect(nics[0]?.attachment).toMatchObject({ kind: 'attached', deviceIndex: 0 })
        expect(nics[0]?.primaryAddresses.length).toBeGreaterThan(0)
        expect(nics[0]?.gateways.length).toBeGreaterThan(0)
        expect(subnets.find(({ id }) => id === under.subnet)?.available).toBeGreaterThan(0)
      })
    })

    describe('create', () => {
      test('gives an unattached NIC with its blocks and token', async () => {
        const nic = value(await create(addresses(3), 'mine'))
        expect(nic).toMatchObject({ isPrimary: false, isManaged: true, token: 'mine' })
        expect(nic.attachment.kind).toBe('none')
        expect(nic.blocks).toHaveLength(3)
        const same = await seen(nic, ({ blocks }) => blocks.length === 3)
        expect(same.blocks).toEqual(nic.blocks)
        expect(same.token).toBe('mine')
      })

      test('gives prefixes at once', async () => {
        const nic = value(await create(prefixes(2)))
        expect(nic.blocks.map(lengthOf)).toEqual([under.prefixLength, under.prefixLength])
      })

      test('with a known token gives the same NIC', async () => {
        const first = value(await create(addresses(1), 'again'))
        const second = value(await create(addresses(1), 'again'))
        expect(second.id).toBe(first.id)
        await seen(first, () => true)
        expect((await observed()).nics).toHaveLength(2)
      })

      test('is not seen by a neighbour', async () => {
        const nic = value(await create())
        await seen(nic, () => true)
        const ids = value(await under.neighbour.observe(never)).nics.map(({ id }) => id)
        expect(ids).not.toContain(nic.id)
      })

      test('whose reply is lost is ambiguous, and the token finds the NIC', async () => {
        under.trouble('createNic', 'lostReply')
        expectFailure(await create(addresses(1), 'lost'), 'transient', true)
        const nic = value(await create(addresses(1), 'lost'))
        await seen(nic, () => true)
        expect((await observed()).nics.filter(({ token: t }) => t === 'lost')).toHaveLength(1)
      })
    })

    describe('attach', () => {
      test('puts the NIC at its device index and makes it die with the instance', async () => {
        const nic = await attached(addresses(1), 2)
        expect(nic.attachment).toMatchObject({
          instance: under.instance,
          deviceIndex: 2,
          isProtected: true,
        })
        const same = await seen(nic, ({ attachment: a }) => a.kind === 'attached' && a.isProtected)
        expect(same).toMatchObject({ isPrimary: false, mac: nic.mac })
      })

      test('of what is attached succeeds', async () => {
        const nic = await attached()
        const again = value(await under.cloud.attachNic({ nic: nic.id, deviceIndex: 1 }, never))
        expect(again.id).toBe(nic.id)
        expect(again.attachment).toMatchObject({ deviceIndex: 1, isProtected: true })
      })

      test('at a taken device index is a conflict', async () => {
        await attached()
        const other = value(await create())
        expectFailure(
          await under.cloud.attachNic({ nic: other.id, deviceIndex: 1 }, never),
          'conflict',
          false,
        )
      })

      test('of a NIC that a neighbour holds is a conflict', async () => {
        const nic = value(await create())
        value(await under.neighbour.attachNic({ nic: nic.id, deviceIndex: 1 }, never))
        expectFailure(
          await under.cloud.attachNic({ nic: nic.id, deviceIndex: 1 }, never),
          'conflict',
          false,
        )
      })

      test('beyond the instance type is a limit', async () => {
        const { limits } = value(await under.cloud.describeNode(never))
        for (let index = 1; index < limits.nicsMax; index++) await attached(none, index)
        const extra = value(await create())
        const deviceIndex = limits.nicsMax
        expectFailure(
          await under.cloud.attachNic({ nic: extra.id, deviceIndex }, never),
          'limit',
          false,
        )
      })

      test('whose reply is lost is ambiguous, and trying again succeeds', async () => {
        const nic = await seen(value(await create()), () => true)
        under.trouble('attachNic', 'lostReply')
        const wanted = { nic: nic.id, deviceIndex: 1 }
        expectFailure(await under.cloud.attachNic(wanted, never), 'transient', true)
        const again = value(await under.cloud.attachNic(wanted, never))
        expect(again.attachment).toMatchObject({ deviceIndex: 1, isProtected: true })
      })
    })

    describe('detach and delete', () => {
      test('lead back to nothing, and may be repeated', async () => {
        const nic = await attached(addresses(2))
        await seen(nic, ({ attachment }) => attachment.kind === 'attached')
        for (let times = 0; times < 2; times++) value(await under.cloud.detachNic(nic.id, never))
        await seen(nic, ({ attachment }) => attachment.kind === 'none')
        for (let times = 0; times < 2; times++) value(await under.cloud.deleteNic(nic.id, never))
        value(await under.cloud.detachNic(nic.id, never))
        expect(under.heldBlocks(nic.id)).toBeUndefined()
      })

      test('delete of an attached NIC may be tried again later', async () => {
        const nic = await attached()
        await seen(nic, ({ attachment }) => attachment.kind === 'attached')
        expectFailure(await under.cloud.deleteNic(nic.id, never), 'transient')
        value(await under.cloud.detachNic(nic.id, never))
        value(await under.cloud.deleteNic(nic.id, never))
        expect(under.heldBlocks(nic.id)).toBeUndefined()
      })

      // Whoever attached it knows it is attached, though no description shows it yet.
      test('detach at once after attach detaches', async () => {
        const nic = await attached()
        value(await under.cloud.detachNic(nic.id, never))
        for (let tries = 0; under.heldBlocks(nic.id) !== undefined; tries++) {
          expect(tries).toBeLessThan(1000)
          await under.cloud.deleteNic(nic.id, never)
        }
      })

      test('the primary NIC cannot be detached', async () => {
        const [primary] = (await observed()).nics
        expectFailure(await under.cloud.detachNic(primary!.id, never), 'denied', false)
      })

      test('a neighbour’s NIC is not detached', async () => {
        const nic = await seen(await attached(), ({ attachment }) => attachment.kind === 'attached')
        expectFailure(await under.neighbour.detachNic(nic.id, never), 'conflict', false)
        await seen(nic, ({ attachment }) => attachment.kind === 'attached')
      })
    })

    describe('lend', () => {
      test('returns only what it added', async () => {
        const nic = await attached(addresses(2))
        const first = value(await lend(nic, addresses(2)))
        const second = value(await lend(nic, addresses(1)))
        expect(first).toHaveLength(2)
        expect(second).toHaveLength(1)
        const all = [...nic.blocks, ...first, ...second]
        const now = await seen(nic, ({ blocks }) => blocks.length === all.length)
        expect(new Set(now.blocks)).toEqual(new Set(all))
      })

      test('mixes prefixes and addresses on one NIC', async () => {
        const nic = await attached(addresses(1))
        const [prefix] = value(await lend(nic, prefixes(1)))
        expect(lengthOf(prefix!)).toBe(under.prefixLength)
        expect(familyOf(prefix!)).toBe(4)
        const now = await seen(nic, ({ blocks }) => blocks.length === 2)
        expect(now.blocks).toContain(prefix)
      })

      test('of nothing is nothing', async () => {
        const nic = await attached()
        expect(value(await lend(nic, none))).toEqual([])
      })

      test('to the primary NIC works', async () => {
        const [primary] = (await observed()).nics
        expect(value(await lend(primary!, addresses(1)))).toHaveLength(1)
      })

      test('beyond the NIC’s limit is a limit and changes nothing', async () => {
        const { limits } = value(await under.cloud.describeNode(never))
        const nic = await attached()
        value(await lend(nic, addresses(limits.blocksPerNicMax[4])))
        expectFailure(await lend(nic, addresses(1)), 'limit', false)
        expect(under.heldBlocks(nic.id)).toBe(limits.blocksPerNicMax[4])
      })

      test('that gets fewer than it asked for says so', async () => {
        const nic = await attached()
        under.trouble('lendBlocks', 'partial')
        expect(value(await lend(nic, addresses(3)))).toHaveLength(2)
      })

      // No token: sending it again could lend twice. So it is sent once, and looked at.
      test('whose reply is lost is ambiguous, and an observation shows the blocks', async () => {
        const nic = await attached()
        under.trouble('lendBlocks', 'lostReply')
        expectFailure(await lend(nic, addresses(2)), 'transient', true)
        expect(under.heldBlocks(nic.id)).toBe(2)
        await seen(nic, ({ blocks }) => blocks.length === 2)
      })

      test('to a NIC that does not exist is notFound', async () => {
        const nic = await seen(value(await create()), () => true)
        value(await under.cloud.deleteNic(nic.id, never))
        expectFailure(await lend(nic, addresses(1)), 'notFound', false)
      })
    })

    describe('return', () => {
      test('takes addresses and prefixes back together', async () => {
        const nic = await attached(addresses(3))
        const [prefix] = value(await lend(nic, prefixes(1)))
        const blocks = [nic.blocks[0]!, prefix!]
        expect(new Set(value(await giveBack(nic, blocks)))).toEqual(new Set(blocks))
        expect(under.heldBlocks(nic.id)).toBe(2)
      })

      test('counts what is already gone as returned', async () => {
        const nic = await attached(addresses(3))
        const [first, second] = nic.blocks
        value(await giveBack(nic, [first!]))
        await seen(nic, ({ blocks }) => blocks.length === 2)
        expect(new Set(value(await giveBack(nic, [first!, second!])))).toEqual(
          new Set([first, second]),
        )
        expect(under.heldBlocks(nic.id)).toBe(1)
        expect(value(await giveBack(nic, [first!]))).toEqual([first])
      })

      test('from a NIC that is gone is done', async () => {
        const nic = await seen(value(await create(addresses(1))), () => true)
        value(await under.cloud.deleteNic(nic.id, never))
        expect(value(await giveBack(nic, nic.blocks))).toEqual(nic.blocks)
      })

      test('never touches blocks it was not given', async () => {
        const nic = await attached(addresses(2))
        const stranger = cidr(`${baseOf(nic.blocks[0]!).replace(/\d+$/, '250')}/32`)
        value(await giveBack(nic, [stranger]))
        expect(under.heldBlocks(nic.id)).toBe(2)
      })

      test('whose reply is lost is ambiguous, and trying again succeeds', async () => {
        const nic = await attached(addresses(2))
        under.trouble('returnBlocks', 'lostReply')
        expectFailure(await giveBack(nic, nic.blocks), 'transient', true)
        expect(value(await giveBack(nic, nic.blocks))).toEqual(nic.blocks)
        expect(under.heldBlocks(nic.id)).toBe(0)
      })
    })

    describe('observe', () => {
      test('shows every NIC when they fill more than a page', async () => {
        const count = under.pageSize + 5
        const made: CloudNic[] = []
        for (let nics = 0; nics < count; nics++) made.push(value(await create()))
        for (const nic of made.slice(-3)) await seen(nic, () => true)
        const { nics } = await observed()
        expect(new Set(nics.map(({ id }) => id)).size).toBe(count + 1)
        expect(nics).toHaveLength(count + 1)
      })

      test('leaves a NIC that somebody else manages alone', async () => {
        const nic = await attached()
        await under.disown(nic)
        expect((await seen(nic, ({ isManaged }) => !isManaged)).isPrimary).toBe(false)
      })
    })

    describe('failures', () => {
      const kinds: readonly (readonly [Method, Trouble, FailureKind, boolean])[] = [
        ['createNic', 'throttled', 'throttled', false],
        ['createNic', 'denied', 'denied', false],
        ['createNic', 'exhausted', 'exhausted', false],
        ['createNic', 'fragmented', 'fragmented', false],
        ['createNic', 'unavailable', 'transient', true],
        ['lendBlocks', 'throttled', 'throttled', false],
        ['lendBlocks', 'denied', 'denied', false],
        ['lendBlocks', 'exhausted', 'exhausted', false],
        ['lendBlocks', 'fragmented', 'fragmented', false],
        ['lendBlocks', 'unavailable', 'transient', true],
        ['lendBlocks', 'reset', 'transient', true],
        ['lendBlocks', 'html', 'transient', true],
        ['lendBlocks', 'malformed', 'transient', true],
        ['observe', 'throttled', 'throttled', false],
        ['observe', 'denied', 'denied', false],
      ]
      const run = async (method: Method, nic: CloudNic, trouble: Trouble) => {
        const blocks = trouble === 'fragmented' ? prefixes(1) : addresses(1)
        under.trouble(method, trouble)
        if (method === 'createNic') return create(blocks)
        return method === 'observe' ? under.cloud.observe(never) : lend(nic, blocks)
      }

      test.each(kinds)('%s that meets %s is %s', async (...row) => {
        const [method, trouble, kind, ambiguous] = row
        const nic = await attached()
        const failure = expectFailure(await run(method, nic, trouble), kind, ambiguous)
        expect(failure.call).not.toBe('')
        expect(failure.message).toContain(failure.call)
      })

      test.each(['reset', 'html', 'malformed', 'unavailable'] as const)(
        'observe that meets one %s succeeds all the same',
        async trouble => {
          await attached()
          under.trouble('observe', trouble)
          expect((await observed()).nics).toHaveLength(2)
        },
      )
    })

    describe('abort', () => {
      test('before a call is without effect and certain', async () => {
        const nic = await attached()
        const signal = AbortSignal.abort()
        expectFailure(await lend(nic, addresses(1), signal), 'transient', false)
        expectFailure(await under.cloud.observe(signal), 'transient', false)
        expectFailure(await under.cloud.describeNode(signal), 'transient', false)
        expect(under.heldBlocks(nic.id)).toBe(0)
      })

      test('during a call ends it, uncertain if it could change anything', async () => {
        const nic = await attached()
        for (const method of ['lendBlocks', 'observe'] as const) {
          under.trouble(method, 'hang')
          const controller = new AbortController()
          const { signal } = controller
          const running: Promise<Outcome<unknown>> =
            method === 'observe' ? under.cloud.observe(signal) : lend(nic, addresses(1), signal)
          setTimeout(() => controller.abort(), 50)
          expectFailure(await running, 'transient', method === 'lendBlocks')
        }
      })
    })
  })

const value = <Value>(outcome: Outcome<Value>): Value => {
  if (outcome.kind === 'failed') throw new Error(outcome.failure.message)
  return outcome.value
}

const expectFailure = (
  outcome: Outcome<unknown>,
  kind: FailureKind,
  ambiguous?: boolean,
): Failure => {
  if (outcome.kind === 'ok') throw new Error(`succeeded with ${JSON.stringify(outcome.value)}`)
  expect(outcome.failure.kind).toBe(kind)
  if (ambiguous !== undefined) expect(outcome.failure.ambiguous).toBe(ambiguous)
  return outcome.failure
}
