import { expect, test } from 'vitest'
import { chanceOf } from './chance.ts'
import { createFaultBoard } from './faults.ts'

const board = () => createFaultBoard(chanceOf(1))

test('a fault strikes what it selects, as often as it says', () => {
  const faults = board()
  faults.add({ effect: { kind: 'throttle' }, action: 'X', instance: 'node-a', count: 2 })
  const strike = (action: string, instance: string) =>
    faults.strike(['throttle'], { action, instance: ['i-1', instance] }).length
  expect([strike('Y', 'node-a'), strike('X', 'node-b')]).toEqual([0, 0])
  expect([strike('X', 'node-a'), strike('X', 'node-a'), strike('X', 'node-a')]).toEqual([1, 1, 0])
  expect(faults.list()).toEqual([])
})

test('a probability is kept over many occasions and repeats with the seed', () => {
  const run = () => {
    const faults = board()
    faults.add({ effect: { kind: 'reset' }, probability: 0.25 })
    return Array.from({ length: 400 }, () => faults.strike(['reset'], {}).length)
  }
  const hits = run().reduce((sum, hit) => sum + hit, 0)
  expect(hits).toBeGreaterThan(60)
  expect(hits).toBeLessThan(140)
  expect(run()).toEqual(run())
})

test('looking at a fault does not use it up', () => {
  const faults = board()
  const id = faults.add({ effect: { kind: 'subnetExhausted' }, subnet: 's', count: 1 })
  expect(faults.isSet('subnetExhausted', { subnet: 's' })).toBe(true)
  expect(faults.isSet('subnetExhausted', { subnet: 's' })).toBe(true)
  expect(faults.remove(id)).toBe(true)
  expect(faults.isSet('subnetExhausted', { subnet: 's' })).toBe(false)
})
