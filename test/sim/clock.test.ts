import { expect, test } from 'vitest'
import { after } from '#core/names.ts'
import { createScheduler, dayStart } from './clock.ts'

test('steps run by time, then in the order they were asked for', async () => {
  const scheduler = createScheduler()
  const seen: string[] = []
  scheduler.in(20, () => seen.push('late'))
  scheduler.in(10, () => seen.push('first'))
  scheduler.in(10, () => seen.push('second'))
  const cancel = scheduler.in(15, () => seen.push('cancelled'))
  cancel()
  await scheduler.run(after(dayStart, 100))
  expect(seen).toEqual(['first', 'second', 'late'])
  expect(scheduler.clock.now()).toBe(dayStart + 100)
})

test('what a promise leads to is done before time passes', async () => {
  const scheduler = createScheduler()
  const seen: number[] = []
  const chain = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await scheduler.sleep(10)
      await Promise.resolve()
      seen.push(scheduler.clock.now() - dayStart)
    }
  }
  const done = chain()
  await scheduler.run(after(dayStart, 100))
  await done
  expect(seen).toEqual([10, 20, 30])
})

test('a loop that lets no time pass is noticed', async () => {
  const scheduler = createScheduler()
  const spin = (): void => scheduler.clock.soon(spin)
  spin()
  await expect(scheduler.run(after(dayStart, 1))).rejects.toThrow('no time passed')
})
