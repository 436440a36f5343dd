import { expect, test } from 'vitest'
import { createGathering } from './gathering.ts'

const rounds = () => {
  let waiting: (() => void)[] = []
  const log: string[] = []
  const gathering = createGathering(run => void waiting.push(run))
  const round = (): void => {
    for (const run of waiting.splice(0)) run()
  }
  return { gathering, log, round, turn: () => void log.push('turn') }
}

test('a caller alone waits for nobody', () => {
  const { gathering, log, round, turn } = rounds()
  const caller = {}
  gathering.arriving(caller)
  gathering.arrived(caller)
  gathering.soon(turn)
  round()
  expect(log).toEqual(['turn'])
})

test('callers that arrive one by one share a turn', () => {
  const { gathering, log, round, turn } = rounds()
  let before: object = {}
  gathering.arriving(before)
  gathering.arrived(before)
  gathering.soon(turn)
  for (let i = 0; i < 50; i++) {
    const next = {}
    gathering.arriving(next)
    gathering.arrived(before)
    round()
    expect(log).toEqual([])
    before = next
  }
  gathering.arrived(before)
  round()
  expect(log).toEqual(['turn'])
})

test('whoever connects and says nothing holds up one turn, and not for long', () => {
  const { gathering, log, round, turn } = rounds()
  gathering.arriving({})
  gathering.soon(turn)
  for (let i = 0; i < 65; i++) round()
  expect(log).toEqual(['turn'])
  gathering.soon(turn)
  round()
  expect(log).toEqual(['turn', 'turn'])
})
