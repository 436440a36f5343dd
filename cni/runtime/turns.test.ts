import { expect, test } from 'vitest'
import { createTurns } from './turns.ts'

/** Work that notes its start and ends when told. */
const makeWork = () => {
  const log: string[] = []
  const ends = new Map<string, () => void>()
  const work = (name: string) => () =>
    new Promise<void>(resolve => {
      log.push(name)
      ends.set(name, resolve)
    })
  const settle = () => new Promise<void>(resolve => setImmediate(resolve))
  const end = async (name: string) => {
    ends.get(name)?.()
    await settle()
  }
  return { log, work, end, settle }
}

test('point 70: one container waits, another does not', async () => {
  const { log, work, end, settle } = makeWork()
  const turns = createTurns()
  void turns.oneOf('a', work('a1'))
  void turns.oneOf('a', work('a2'))
  void turns.oneOf('b', work('b1'))
  await settle()
  expect(log).toEqual(['a1', 'b1'])
  await end('a1')
  expect(log).toEqual(['a1', 'b1', 'a2'])
})

test('point 120: a GC waits for all before it, and all after it wait', async () => {
  const { log, work, end, settle } = makeWork()
  const turns = createTurns()
  void turns.oneOf('a', work('a1'))
  void turns.alone(work('gc'))
  void turns.oneOf('a', work('a2'))
  void turns.oneOf('b', work('b1'))
  await settle()
  expect(log).toEqual(['a1'])
  await end('a1')
  expect(log).toEqual(['a1', 'gc'])
  await end('gc')
  expect(log).toEqual(['a1', 'gc', 'a2', 'b1'])
})

test('work that rejects ends its turn', async () => {
  const turns = createTurns()
  await expect(turns.oneOf('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await turns.oneOf('a', () => Promise.resolve(7))).toBe(7)
})
