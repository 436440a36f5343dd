import { expect, test } from 'vitest'
import { percentilesOf } from './statistics.ts'

test('percentiles are values that were measured, by nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(percentilesOf(hundred)).toEqual({ count: 100, p50: 50, p99: 99 })
  expect(percentilesOf([3, 1, 2])).toEqual({ count: 3, p50: 2, p99: 3 })
  expect(percentilesOf([1.23456])).toEqual({ count: 1, p50: 1.23, p99: 1.23 })
})

test('no value gives zeros, so that a run that broke off has a report', () => {
  expect(percentilesOf([])).toEqual({ count: 0, p50: 0, p99: 0 })
})
