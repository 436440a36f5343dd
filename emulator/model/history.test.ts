import { expect, test } from 'vitest'
import { type History, append, latest, seenBy } from './history.ts'

const version = (value: string | undefined, describe: number, metadata: number) => ({
  value,
  from: { describe, metadata, metadataBlocks: metadata + 5 },
})

const grow = (...steps: readonly (readonly [at: number, value: ReturnType<typeof version>])[]) =>
  steps.reduce<History<string>>((history, [at, next]) => append(history, next, at), [])

test('each observer catches up at its own time', () => {
  const history = grow([0, version('old', 0, 0)], [10, version('new', 20, 30)])
  const seen = (now: number) => [
    latest(history),
    seenBy(history, 'describe', now),
    seenBy(history, 'metadata', now),
    seenBy(history, 'metadataBlocks', now),
  ]
  expect(seen(10)).toEqual(['new', 'old', 'old', 'old'])
  expect(seen(20)).toEqual(['new', 'new', 'old', 'old'])
  expect(seen(30)).toEqual(['new', 'new', 'new', 'old'])
  expect(seen(35)).toEqual(['new', 'new', 'new', 'new'])
})

// A later change may become visible sooner than an earlier one; the earlier one is then never seen.
test('nobody goes back in time', () => {
  const history = grow(
    [0, version('a', 0, 0)],
    [1, version('b', 50, 50)],
    [2, version('c', 10, 10)],
  )
  expect(seenBy(history, 'describe', 9)).toBe('a')
  expect(seenBy(history, 'describe', 10)).toBe('c')
  expect(seenBy(history, 'describe', 60)).toBe('c')
})

test('a deletion is seen late, like any change', () => {
  const history = grow([0, version('a', 0, 0)], [1, version(undefined, 5, 8)])
  expect(latest(history)).toBeUndefined()
  expect(seenBy(history, 'describe', 4)).toBe('a')
  expect(seenBy(history, 'describe', 5)).toBeUndefined()
})

test('versions that nobody can see any more are forgotten', () => {
  const steps = Array.from(
    { length: 100 },
    (_, i) => [i * 100, version(`v${i}`, i * 100 + 1, i * 100 + 2)] as const,
  )
  expect(grow(...steps).length).toBeLessThanOrEqual(3)
})
