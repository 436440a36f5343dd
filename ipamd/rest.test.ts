import { expect, test } from 'vitest'
import { type Millis, millis } from '#core/names.ts'
import { againMs, createRest, eventsMin, quietMs } from './rest.ts'

/** Counts rests on a clock with one timer. */
const setUp = () => {
  let now = 0
  let timer: { readonly at: Millis; readonly run: () => void } | undefined
  let rests = 0
  const rest = createRest({
    clock: {
      now: () => millis(now),
      soon: run => run(),
      at: (at, run) => {
        const set = { at, run }
        timer = set
        return () => void (timer = timer === set ? undefined : timer)
      },
    },
    onRest: () => void (rests += 1),
  })
  const pass = (ms: number): void => {
    now += ms
    if (timer === undefined || timer.at > now) return
    const { run } = timer
    timer = undefined
    run()
  }
  const work = (events: number): void => {
    for (let i = 0; i < events; i++) rest.busy()
  }
  return { pass, work, rest, rests: () => rests }
}

test('the start is followed by a rest, and that by more, far apart', () => {
  const { pass, rests } = setUp()
  pass(quietMs - 1)
  expect(rests()).toBe(0)
  pass(1)
  expect(rests()).toBe(1)
  pass(againMs - 1)
  expect(rests()).toBe(1)
  pass(1)
  expect(rests()).toBe(2)
})

test('work that goes on is not disturbed', () => {
  const { pass, work, rests } = setUp()
  for (let i = 0; i < 1_000; i++) {
    work(10)
    pass(quietMs - 1)
  }
  expect(rests()).toBe(0)
  pass(1)
  expect(rests()).toBe(1)
})

test('a few events are not worth a rest of their own', () => {
  const { pass, work, rests } = setUp()
  pass(quietMs)
  work(eventsMin - 1)
  pass(againMs - 1)
  expect(rests()).toBe(1)
  work(1)
  pass(quietMs - 1)
  expect(rests()).toBe(1)
  pass(1)
  expect(rests()).toBe(2)
})

test('work that begins again is waited for', () => {
  const { pass, work, rests } = setUp()
  pass(quietMs)
  pass(againMs - 1)
  work(1)
  pass(1)
  expect(rests()).toBe(1)
  pass(quietMs - 1)
  expect(rests()).toBe(2)
})

test('nothing happens after the end', () => {
  const { pass, rest, rests } = setUp()
  rest.stop()
  pass(quietMs)
  expect(rests()).toBe(0)
})
