// Chance from one seed. Streams forked by label do not disturb each other: a further draw in one
// part of the world leaves the others' luck as it was, so that a failing day can be varied.

import type { Random } from '#core/ports.ts'
import { createRandom } from '#runtime/random.ts'

export type Chance = Random & {
  /** True with the given probability. */
  happens(probability: number): boolean
  /** A whole number from the range, both ends included. */
  between(low: number, high: number): number
  /** A fraction of the range's ratio above its low end: small numbers are as likely as large. */
  scaled(low: number, high: number): number
  pick<Item>(items: readonly Item[]): Item
  /** A waiting time with this mean, as between independent arrivals. */
  interval(meanMs: number): number
  fork(label: string): Chance
}

/** The stream that belongs to a seed; equal seeds give equal streams. */
export const createChance = (seed: number | string): Chance => {
  const random = createRandom(seed)
  const { fraction } = random
  const between = (low: number, high: number): number =>
    low + Math.floor(fraction() * (high - low + 1))
  return {
    ...random,
    between,
    happens: probability => fraction() < probability,
    scaled: (low, high) => Math.round(low * (high / low) ** fraction()),
    pick: items => {
      const item = items[between(0, items.length - 1)]
      if (item === undefined) throw new RangeError('cannot pick from an empty list')
      return item
    },
    interval: meanMs => Math.ceil(-Math.log(1 - fraction()) * meanMs),
    fork: label => createChance(`${seed}/${label}`),
  }
}
