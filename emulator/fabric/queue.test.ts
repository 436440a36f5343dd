import { expect, test } from 'vitest'
import { newQueue } from './queue.ts'

test('the queue keeps order and survives a failure', async () => {
  const queue = newQueue()
  const seen: string[] = []
  const slow = queue(async () => {
    await new Promise(resolve => setImmediate(resolve))
    seen.push('slow')
  })
  const bad = queue(() => Promise.reject(new Error('no')))
  const last = queue(async () => seen.push('last'))
  await expect(bad).rejects.toThrow('no')
  await Promise.all([slow, last])
  expect(seen).toEqual(['slow', 'last'])
})
