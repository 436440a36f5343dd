import { expect, test } from 'vitest'
import { parseCounters } from './ruleset.ts'

test('counters are read by name, and absent ones are 0', () => {
  const json = '{"nftables":[{"metainfo":{}},{"counter":{"name":"spoofed","packets":3}}]}'
  expect(parseCounters(json)).toEqual({
    spoofed: 3,
    forbidden: 0,
    unowned: 0,
    noPublicAddress: 0,
    delivered: 0,
  })
})
