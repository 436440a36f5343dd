// A few hundred days with the ordinary tests, and the proof that the judge can fail. Thousands of
// days are `npm run sim`.

import { describe, expect, test } from 'vitest'
import { plantedBugs } from './planted.ts'
import { simulate } from './run.ts'
import type { Shape } from './shape.ts'

const failuresOf = async (from: number, count: number, shape?: Shape): Promise<string[]> => {
  const lines: string[] = []
  for (let seed = from; seed < from + count; seed++) {
    const { failures } = await simulate({ seed, ...(shape === undefined ? {} : { shape }) })
    lines.push(...failures.map(each => `seed ${seed}: ${each.checker}: ${each.message}`))
  }
  return lines
}

describe('days nobody has chosen', () => {
  for (let from = 1; from <= 200; from += 50) {
    test(`seeds ${from} to ${from + 49}`, { timeout: 60_000 }, async () => {
      expect(await failuresOf(from, 50)).toEqual([])
    })
  }
})

/** Every day once was like this. */
const simple: Shape = { habit: 'plug', families: [4] }

/** Days of that kind on which something once went wrong, and what it was. */
const once = [
  [39, 'an ADD was answered with no address, and a cooling address was returned'],
  [52, 'a block whose return was ordered stayed in between after a crash'],
  [73, 'a surplus that grew after it began was never returned'],
  [371, 'an address that an unsure call had returned was given to a pod'],
  [304, 'an address that a human took from a pod was lent again and given to another pod'],
  [419, 'a lost ledger let new links take the numbers of living ones, which were deleted'],
  [665, 'a lost ledger gave NICs new slots under living pods'],
  [952, 'addresses held by strangers made the pool grow and shrink without end'],
] as const

/** Days of the kind that the seed decides. */
const since = [
  [12340, "a stray's address that came back with a lend was given to a pod before the next look"],
  [10657, 'an unsure attachment that was described too early kept a NIC with room from growing'],
  [20466, 'a lost address that was lent again counted neither as held nor as lent'],
  [20927, 'a NIC was promised IPv6 addresses that another one then took of the instance'],
  [11714, 'an address that was lost counted against the maximum'],
] as const

describe('what once went wrong', () => {
  for (const [seed, what] of once) {
    test(`seed ${seed}: ${what}`, { timeout: 60_000 }, async () => {
      expect(await failuresOf(seed, 1, simple)).toEqual([])
    })
  }
  for (const [seed, what] of since) {
    test(`seed ${seed}: ${what}`, { timeout: 60_000 }, async () => {
      expect(await failuresOf(seed, 1)).toEqual([])
    })
  }
})

test('a seed gives the same history, bit for bit', async () => {
  for (const seed of [1, 7, 52]) {
    const [first, second] = [await simulate({ seed }), await simulate({ seed })]
    expect(second.hash).toBe(first.hash)
    expect(second.events).toBe(first.events)
  }
  expect((await simulate({ seed: 1 })).hash).not.toBe((await simulate({ seed: 2 })).hash)
})

/** Days until a planted bug must have been noticed. */
const patience = 60

describe('the judge notices when', () => {
  for (const { what, checker, make, change, shape } of plantedBugs) {
    test(what, { timeout: 60_000 }, async () => {
      for (let seed = 1; seed <= patience; seed++) {
        const { failures } = await simulate({
          seed,
          sabotage: make(),
          ...(change === undefined ? {} : { change }),
          ...(shape === undefined ? {} : { shape }),
        })
        if (failures.some(failure => failure.checker === checker)) return
      }
      expect.fail(`${checker} has not noticed in ${patience} days`)
    })
  }
})
