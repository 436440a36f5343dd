// The rules of the cloud without any wire format: limits, exhaustion, the life of a NIC, and the
// lags, all on virtual time.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Cidr, addressesOf, cidr, contains, ip } from '#core/ip.ts'
import { sampleWorld } from '#emulator/sample.ts'
import { type LendRequest, assign, availableCount, unassign } from './addresses.ts'
import { runInstance, terminateInstance } from './instances.ts'
import { latencyProfiles } from './latency.ts'
import { attachNic, createNic, deleteNic, detachNic, setDeleteOnTermination } from './nics.ts'
import { Refusal } from './refusal.ts'
import { nicStatus } from './types.ts'
import { type World, allNics, blocksOf, nicOf, nicsOfInstance, nicsSeen } from './world.ts'

const nothing: LendRequest = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }
const addresses = (count: number): LendRequest => ({ ...nothing, addressCount: count })
const prefixes = (count: number): LendRequest => ({ ...nothing, prefixCount: count })

const create = (world: World, subnetId: string, lend4 = nothing) =>
  createNic(world, {
    subnetId,
    description: '',
    groupIds: [],
    primaryAddress: undefined,
    lend4,
    lend6: nothing,
    tags: {},
  })

const lend = (world: World, nicId: string, request: LendRequest) =>
  assign(world, nicId, { ...request, family: 4, allowReassignment: false })

const attach = (world: World, between: readonly [nicId: string, instanceId: string], more = {}) =>
  attachNic(world, {
    nicId: between[0],
    instanceId: between[1],
    deviceIndex: 1,
    cardIndex: 0,
    deleteOnTermination: false,
    ...more,
  })

const reason = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    if (error instanceof Refusal) return error.reason.kind
    throw error
  }
  return 'done'
}

const setup = (...options: Parameters<typeof sampleWorld>) => {
  const sample = sampleWorld(...options)
  const { ids, world } = sample
  const node = ids.instanceIds['node-a'] ?? ''
  const primary = nicsOfInstance(world, node)[0]
  if (primary === undefined) throw new Error('the sample has no primary NIC')
  const subnet = (name: string): string => ids.subnetIds[name] ?? ''
  return { ...sample, node, primary, subnet }
}

describe('limits', () => {
  test('m5.large: ten slots per NIC, a prefix takes one', () => {
    const { world, primary } = setup()
    lend(world, primary.id, addresses(7))
    lend(world, primary.id, prefixes(2))
    expect(reason(() => lend(world, primary.id, addresses(1)))).toBe('slotsExceeded')
    expect(blocksOf(nicOf(world, primary.id))).toHaveLength(10)
  })

  test('a refused request lends nothing at all', () => {
    const { world, primary, subnet } = setup()
    const before = availableCount(world, subnet('a'))
    const taken = { ...addresses(0), addresses: [ip('10.0.0.20'), ip('10.0.0.10')] }
    expect(reason(() => lend(world, primary.id, taken))).toBe('addressTaken')
    expect(reason(() => lend(world, primary.id, addresses(10)))).toBe('slotsExceeded')
    expect(availableCount(world, subnet('a'))).toBe(before)
  })

  test('m5.large carries three NICs, each on a free device index', () => {
    const { world, node, subnet } = setup()
    const nics = [1, 2, 3].map(() => create(world, subnet('a')).id)
    const [one = '', two = '', three = ''] = nics
    expect(reason(() => attach(world, [one, node], { deviceIndex: 0 }))).toBe('deviceIndexTaken')
    attach(world, [one, node], { deviceIndex: 1 })
    expect(reason(() => attach(world, [one, node], { deviceIndex: 2 }))).toBe('nicBusy')
    attach(world, [two, node], { deviceIndex: 2 })
    expect(reason(() => attach(world, [three, node], { deviceIndex: 3 }))).toBe('nicsExceeded')
  })

  test('an address count that only other types allow is refused at attach', () => {
    const { world, node, subnet } = setup()
    const nic = create(world, subnet('a'), addresses(12))
    expect(reason(() => attach(world, [nic.id, node]))).toBe('slotsExceeded')
  })

  test('zones, cards and quotas', () => {
    const { world, node, subnet } = setup()
    const far = create(world, subnet('b')).id
    const near = create(world, subnet('a')).id
    expect(reason(() => attach(world, [far, node]))).toBe('zoneDiffers')
    expect(reason(() => attach(world, [near, node], { cardIndex: 1 }))).toBe('cardMissing')
    while (allNics(world).length < 20) create(world, subnet('a'))
    expect(reason(() => create(world, subnet('a')))).toBe('nicQuotaExceeded')
  })

  test('prefixes need a Nitro type', () => {
    const { world, subnet } = setup()
    const old = runInstance(world, {
      name: 'old',
      netns: 'ew-old',
      type: 't2.medium',
      subnetId: subnet('a'),
      groupIds: [],
      primaryAddress: undefined,
      role: undefined,
      metadataHops: 1,
      tags: {},
      isBooted: true,
    })
    const nic = nicsOfInstance(world, old.id)[0]?.id ?? ''
    expect(reason(() => lend(world, nic, prefixes(1)))).toBe('prefixesUnsupported')
  })
})

describe('a subnet that runs out', () => {
  test('exhausted: eleven addresses and no more', () => {
    const { world, subnet } = setup()
    create(world, subnet('tiny'), addresses(8))
    create(world, subnet('tiny'), addresses(1))
    expect(availableCount(world, subnet('tiny'))).toBe(0)
    expect(reason(() => create(world, subnet('tiny')))).toBe('subnetExhausted')
  })

  test('fragmented: addresses yes, prefixes no', () => {
    const { world, primary, subnet } = setup()
    // One address in each /28; an m5.large NIC has room for nine of them.
    const spread = Array.from({ length: 14 }, (_, i) => ip(`10.0.0.${16 * i + 19}`))
    lend(world, primary.id, { ...nothing, addresses: spread.slice(0, 9) })
    const other = create(world, subnet('a'))
    lend(world, other.id, { ...nothing, addresses: spread.slice(9) })
    expect(availableCount(world, subnet('a'))).toBeGreaterThan(200)
    expect(reason(() => lend(world, other.id, prefixes(1)))).toBe('subnetFragmented')
    expect(reason(() => lend(world, other.id, addresses(1)))).toBe('done')
  })

  test('exhausted or fragmented on request, while the fault lasts', () => {
    const { world, primary, subnet } = setup()
    world.faults.add({ effect: { kind: 'subnetExhausted' }, subnet: subnet('a') })
    expect(availableCount(world, subnet('a'))).toBe(0)
    expect(reason(() => lend(world, primary.id, addresses(1)))).toBe('subnetExhausted')
    world.faults.clear()
    world.faults.add({ effect: { kind: 'subnetFragmented' }, subnet: subnet('a') })
    expect(reason(() => lend(world, primary.id, prefixes(1)))).toBe('subnetFragmented')
    expect(reason(() => lend(world, primary.id, addresses(1)))).toBe('done')
  })
})

describe('the life of a NIC', () => {
  test('pending, available, attaching, in-use, detaching, available, gone', async () => {
    const { world, clock, node, subnet } = setup('documented')
    const nic = create(world, subnet('a'))
    const status = () => nicStatus(nicOf(world, nic.id), clock.now())
    expect(reason(status)).toBe('notFound')
    await clock.advance(2000)
    expect(status()).toBe('available')
    const { id } = attach(world, [nic.id, node])
    expect(status()).toBe('attaching')
    await clock.advance(8500)
    expect(status()).toBe('in-use')
    expect(nicOf(world, nic.id).attachment?.isPlugged).toBe(true)
    expect(reason(() => deleteNic(world, nic.id))).toBe('nicAttached')
    detachNic(world, id)
    expect(status()).toBe('detaching')
    expect(reason(() => deleteNic(world, nic.id))).toBe('nicAttached')
    await clock.advance(6000)
    expect(status()).toBe('available')
    deleteNic(world, nic.id)
    expect(reason(status)).toBe('notFound')
  })

  test('a NIC detached while it attaches does not come back', async () => {
    const { world, clock, node, subnet } = setup('documented')
    const nic = create(world, subnet('a'))
    await clock.advance(2000)
    const { id } = attach(world, [nic.id, node])
    detachNic(world, id)
    await clock.advance(20_000)
    expect(nicOf(world, nic.id).attachment).toBeUndefined()
  })

  test('the primary NIC stays', () => {
    const { world, primary } = setup()
    expect(reason(() => detachNic(world, primary.attachment?.id ?? ''))).toBe('primaryNic')
  })

  test('a device that never appears, an attachment that never ends', async () => {
    const { world, clock, node, subnet } = setup()
    world.faults.add({ effect: { kind: 'deviceMissing' }, instance: 'node-a', count: 1 })
    const one = create(world, subnet('a'))
    attach(world, [one.id, node])
    expect(nicOf(world, one.id).attachment).toMatchObject({ state: 'attached', isPlugged: false })
    world.faults.add({ effect: { kind: 'attachStuck' }, count: 1 })
    const two = create(world, subnet('a'))
    attach(world, [two.id, node], { deviceIndex: 2 })
    await clock.advance(3600_000)
    expect(nicOf(world, two.id).attachment?.state).toBe('attaching')
  })

  test('what is marked so ends with its instance, the rest becomes available', () => {
    const { world, node, subnet } = setup()
    const [kept, gone] = [create(world, subnet('a')), create(world, subnet('a'))]
    attach(world, [kept.id, node])
    const { id: attachmentId } = attach(world, [gone.id, node], { deviceIndex: 2 })
    setDeleteOnTermination(world, { nicId: gone.id, attachmentId, value: true })
    terminateInstance(world, node)
    expect(reason(() => nicOf(world, gone.id))).toBe('notFound')
    expect(nicOf(world, kept.id).attachment).toBeUndefined()
    expect(reason(() => attach(world, [kept.id, node]))).toBe('instanceState')
  })
})

describe('lags', () => {
  test('describes are stale for a while after a change, and never twice', async () => {
    const { world, clock, primary } = setup('documented')
    const count = () =>
      nicsSeen(world, 'describe').find(nic => nic.id === primary.id)?.addresses.length
    lend(world, primary.id, addresses(3))
    expect(count()).toBe(0)
    const seen: (number | undefined)[] = []
    for (let ms = 0; ms <= 1000; ms += 100) {
      seen.push(count())
      await clock.advance(100)
    }
    expect(seen).toEqual(seen.toSorted((a = 0, b = 0) => a - b))
    expect(count()).toBe(3)
  })

  test('metadata can be made later still', async () => {
    const { world, clock, primary } = setup('documented')
    world.faults.add({ effect: { kind: 'metadataLate', ms: 18_000 }, instance: 'node-a' })
    lend(world, primary.id, addresses(1))
    const count = () =>
      nicsSeen(world, 'metadata').find(nic => nic.id === primary.id)?.addresses.length
    await clock.advance(18_000)
    expect(count()).toBe(0)
    await clock.advance(3000)
    expect(count()).toBe(1)
  })
})

test('an address can be moved between NICs when the caller says so', () => {
  const { world, primary, subnet } = setup()
  const address = ip('10.0.0.99')
  const request = { ...nothing, addresses: [address], family: 4 as const }
  const other = create(world, subnet('a'))
  assign(world, other.id, { ...request, allowReassignment: false })
  const move = (allowReassignment: boolean) =>
    reason(() => assign(world, primary.id, { ...request, allowReassignment }))
  expect([move(false), move(true)]).toEqual(['addressTaken', 'done'])
  expect(nicOf(world, other.id).addresses).toEqual([])
  expect(nicOf(world, primary.id).addresses).toEqual([address])
})

test('the same seed gives the same ids, addresses, MACs and delays', async () => {
  const run = async (seed: number) => {
    const { world, clock, node, subnet } = setup('documented', seed)
    const nic = create(world, subnet('a'), prefixes(2))
    await clock.advance(2000)
    attach(world, [nic.id, node])
    await clock.advance(10_000)
    return { nics: allNics(world), known: [...world.knownAt], ids: [...world.subnets.keys()] }
  }
  expect(await run(5)).toEqual(await run(5))
  expect(await run(5)).not.toEqual(await run(6))
})

// Whatever callers try in whatever order, a block has one holder and the subnet's books balance.
test('no address has two holders, and the subnet counts right', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(6), fc.nat(3), fc.nat(9)), { maxLength: 60 }), steps => {
      const { world, subnet } = setup()
      for (const [action, which, count] of steps) {
        const nic = allNics(world).filter(one => one.subnetId === subnet('a'))[which]
        reason(() => step(world, { action, count, subnetId: subnet('a'), nicId: nic?.id ?? '' }))
      }
      const held = allNics(world).filter(nic => nic.subnetId === subnet('a'))
      const blocks = held.flatMap(blocksOf).filter(block => contains(cidr('10.0.0.0/24'), block))
      const all = blocks.flatMap((block: Cidr) => addressesOf(block))
      expect(new Set(all).size).toBe(all.length)
      expect(availableCount(world, subnet('a'))).toBe(251 - all.length)
    }),
  ))

const step = (
  world: World,
  on: {
    readonly action: number
    readonly count: number
    readonly subnetId: string
    readonly nicId: string
  },
): void => {
  const { action, count, subnetId, nicId } = on
  if (action === 0) create(world, subnetId, addresses(count))
  if (action === 1) create(world, subnetId, prefixes(count % 4))
  if (action === 2) lend(world, nicId, addresses(count))
  if (action === 3) lend(world, nicId, prefixes(count % 3))
  if (action === 4) deleteNic(world, nicId)
  if (action === 5) {
    const nic = nicOf(world, nicId)
    unassign(world, nicId, { addresses: nic.addresses.slice(0, count), prefixes: [] })
  }
  if (action === 6) {
    const nic = nicOf(world, nicId)
    unassign(world, nicId, { addresses: [], prefixes: nic.prefixes.slice(0, 1) })
  }
}

test('profiles: fast is documented / 50, none is none, slow has tails', () => {
  const { none, fast, documented, slow } = latencyProfiles
  expect(none.attachingMs).toEqual({ min: 0, max: 0 })
  expect(fast.attachingMs.max * 50).toBe(documented.attachingMs.max)
  expect(slow.attachingMs.tail?.max).toBe(150_000)
})
