import { expect, test } from 'vitest'
import { createRandom } from './random.ts'

const take = (seed: string | number, count: number) => {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => random.fraction())
}

test('a seed repeats itself, another seed does not', () => {
  expect(take(7, 50)).toEqual(take('7', 50))
  expect(take(7, 50)).not.toEqual(take(8, 50))
})

// The sequence is part of what a recorded seed means, so it may not change by accident.
test('the sequence of a seed is fixed', () => {
  expect(createRandom('eniway').hex(24)).toBe('3a7c4e655ddc06ef9674362f')
})

test.each([1, 'a long seed', 0])('numbers of seed %s fill [0, 1) evenly', seed => {
  const numbers = take(seed, 20_000)
  expect(numbers.every(number => number >= 0 && number < 1)).toBe(true)
  const buckets = Array.from({ length: 10 }, () => 0)
  for (const number of numbers) buckets[Math.floor(number * 10)]! += 1
  // Binomial with 20,000 draws: 2,000 ± 42; 250 is six standard deviations.
  for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(250)
})

test('hex has the digits asked for', () => {
  const random = createRandom()
  for (const digits of [0, 1, 8, 12, 33]) {
    expect(random.hex(digits)).toMatch(new RegExp(`^[0-9a-f]{${digits}}$`))
  }
})

test('unseeded sources differ', () => {
  expect(createRandom().hex(32)).not.toBe(createRandom().hex(32))
})
