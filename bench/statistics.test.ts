import { expect, test } from 'vitest'
import { maximum, mean, median, percentile, rounded } from './statistics.ts'

const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)

test('percentiles are samples, found by nearest rank', () => {
  expect(percentile(hundred, 0.99)).toBe(99)
  expect(median(hundred)).toBe(50)
  expect(maximum(hundred)).toBe(100)
  expect(percentile([7], 0.99)).toBe(7)
  expect(() => median([])).toThrow('no samples')
})

test('mean and rounding', () => {
  expect(mean([1, 2, 6])).toBe(3)
  expect(rounded(0.123456)).toBe(0.123)
  expect(rounded(12345)).toBe(12300)
})
