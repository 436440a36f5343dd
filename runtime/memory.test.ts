import { expect, test } from 'vitest'
import { giveMemoryBack } from './memory.ts'

test('what nobody holds any more is given back', () => {
  const resident = (): number => process.memoryUsage().rss
  let held: unknown[] | undefined = Array.from({ length: 2_000_000 }, (_, i) => ({ i }))
  const full = resident()
  expect(held).toHaveLength(2_000_000)
  held = undefined
  giveMemoryBack()
  expect(resident()).toBeLessThan(full - 30 * 2 ** 20)
})
