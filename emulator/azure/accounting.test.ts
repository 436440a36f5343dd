// Whatever is written to NICs, in whatever order and with whatever troubles: in the end exactly the
// addresses that NICs hold are taken from their subnets, and none twice.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Cidr, baseOf, lengthOf, valueOf } from '#core/ip.ts'
import { allNics, blocksOf } from '#emulator/model/world.ts'
import type { JsonObject } from './json.ts'
import { type AzureSample, azureSample, configsIn, withConfigs } from './testing.ts'

const machines = ['node-a', 'member-f'] as const

const step = fc.record({
  machine: fc.constantFrom(...machines),
  /** Kept share of the secondary configurations. */
  kept: fc.double({ min: 0, max: 1, noNaN: true }),
  added: fc.array(
    fc.constantFrom<JsonObject>(
      {},
      {},
      { privateIPAddressPrefixLength: 28 },
      { privateIPAddressVersion: 'IPv6' },
      { privateIPAddress: '10.0.0.90', privateIPAllocationMethod: 'Static' },
      { privateIPAddress: '10.0.0.80/28', privateIPAllocationMethod: 'Static' },
    ),
    { maxLength: 3 },
  ),
  trouble: fc.constantFrom('none', 'none', 'operationFail', 'partial', 'foreignWrite'),
  waitMs: fc.constantFrom(0, 500, 30_000),
})

test('no address is lost and none has two holders', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async steps => {
      const sample = azureSample({ latency: 'documented' })
      for (const [i, one] of steps.entries()) await perform(sample, i, one)
      await sample.clock.advance(60_000)
      const four = sample.world.subnets.get(sample.ids.subnetIds['nodes'] ?? '')
      expect(takenIn(sample)).toEqual(heldIn(sample, four?.cidr as Cidr))
    }),
    { numRuns: 150 },
  )
})

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const perform = async (sample: AzureSample, i: number, one: Step): Promise<void> => {
  const path = sample.nicPath(one.machine)
  const { body: nic } = await within(sample, sample.send('GET', path))
  const [primary = {}, ...others] = configsIn(nic)
  const kept = others.slice(0, Math.round(others.length * one.kept))
  const added = one.added.map((properties, j) => ({ name: `c${i}-${j}`, properties }))
  setTrouble(sample, one.trouble)
  await within(
    sample,
    sample.send('PUT', path, { body: withConfigs(nic, [primary, ...kept, ...added]) }),
  )
  sample.world.faults.clear()
  await sample.clock.advance(one.waitMs)
}

const setTrouble = (sample: AzureSample, trouble: Step['trouble']): void => {
  const { faults } = sample.world
  if (trouble === 'operationFail') faults.add({ effect: { kind: trouble, code: 'Canceled' } })
  if (trouble === 'partial') faults.add({ effect: { kind: trouble, granted: 1 } })
  if (trouble === 'foreignWrite') faults.add({ effect: { kind: trouble } })
}

const within = async <T>(sample: AzureSample, work: Promise<T>): Promise<T> => {
  const turning = sample.clock.advance(1000)
  const value = await work
  await turning
  return value
}

const takenIn = ({ world, ids }: AzureSample): readonly string[] => {
  const spaces = world.spaces.get(ids.subnetIds['nodes'] ?? '')
  return [spaces?.four, spaces?.six].flatMap(space =>
    (space?.taken ?? []).map(({ start, end }) => `${start}-${end}`),
  )
}

/** What NICs hold and Azure keeps, as intervals that do not touch. */
const heldIn = ({ world, ids }: AzureSample, four: Cidr): readonly string[] => {
  const subnet = world.subnets.get(ids.subnetIds['nodes'] ?? '')
  return [four, subnet?.cidr6 as Cidr].flatMap(range => {
    const isFour = !range.includes(':')
    const base = valueOf(baseOf(range))
    const size = 1n << BigInt((isFour ? 32 : 128) - lengthOf(range))
    const blocks = allNics(world)
      .filter(nic => nic.subnetId === subnet?.id)
      .flatMap(blocksOf)
      .filter(block => !block.includes(':') === isFour)
    const own = blocks.map(block => {
      const start = valueOf(baseOf(block)) - base
      return { start, end: start + (1n << BigInt((isFour ? 32 : 128) - lengthOf(block))) }
    })
    return merged([{ start: 0n, end: 4n }, ...own, { start: size - 1n, end: size }])
  })
}

type Interval = { readonly start: bigint; readonly end: bigint }

const merged = (intervals: readonly Interval[]): readonly string[] => {
  const sorted = intervals.toSorted((a, b) => (a.start < b.start ? -1 : 1))
  const result: Interval[] = []
  for (const next of sorted) {
    const last = result.at(-1)
    if (last !== undefined && next.start < last.end) throw new Error('an address has two holders')
    if (last?.end === next.start) result[result.length - 1] = { start: last.start, end: next.end }
    else result.push(next)
  }
  return result.map(({ start, end }) => `${start}-${end}`)
}
