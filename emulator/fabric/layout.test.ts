import { expect, test } from 'vitest'
import { isRunId } from './layout.ts'

test('a run id is short, lower case and without hyphens', () => {
  for (const good of ['a', 'demo7', 'x'.repeat(24)]) expect(isRunId(good)).toBe(true)
  for (const bad of ['', 'A', 'a-b', '../x', 'x'.repeat(25)]) expect(isRunId(bad)).toBe(false)
})
