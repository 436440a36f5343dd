// The order of one turn: events, plan, save, then deeds; and how the loop ends.

import { expect, test } from 'vitest'
import { after, type Millis, millis } from '#core/names.ts'
import type { Clock, LedgerChange } from '#core/ports.ts'
import { createLoop } from './loop.ts'

/** Virtual time: everything runs when the test says so. */
const createTestClock = () => {
  let now = millis(0)
  const queue: (() => void)[] = []
  const timers = new Map<() => void, Millis>()
  const clock: Clock = {
    now: () => now,
    soon: run => void queue.push(run),
    at: (time, run) => {
      const entry = () => run()
      timers.set(entry, time)
      return () => void timers.delete(entry)
    },
  }
  const drain = () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) run()
  }
  const pass = (ms: number) => {
    now = after(now, ms)
    for (const [run, time] of timers) {
      if (time > now) continue
      timers.delete(run)
      run()
    }
    drain()
  }
  return { clock, drain, pass, timers }
}

type Options = {
  readonly plan?: (state: number, now: Millis) => { actions: string[]; wakeAt: Millis | undefined }
  readonly perform?: (action: string, post: (event: string) => void) => void
  readonly save?: (changes: readonly LedgerChange[]) => void
}

const changeText = (change: LedgerChange): string =>
  change.kind === 'put' ? `${change.key}→${String(change.value)}` : `drop ${change.key}`

/** The state is a number that each event raises; everything that happens is written down. */
const start = (options: Options = {}) => {
  const { clock, drain, pass, timers } = createTestClock()
  const log: string[] = []
  const fatal: unknown[] = []
  const loop = createLoop<number, string, string>({
    initial: 0,
    apply: (state, event) => {
      log.push(`apply ${event}`)
      return event.startsWith('note') ? state : state + 1
    },
    plan: (state, now) => {
      log.push(`plan ${state}`)
      return options.plan?.(state, now) ?? { actions: [], wakeAt: undefined }
    },
    started: action => `started ${action}`,
    changes: (before, now) =>
      before === now ? [] : [{ kind: 'put', key: `${before}`, value: now }],
    store: {
      save: changes => {
        log.push(`save ${changes.map(changeText).join()}`)
        options.save?.(changes)
      },
    },
    clock,
    perform: action => {
      log.push(`perform ${action}`)
      options.perform?.(action, event => loop.post(event))
    },
    onFatal: error => void fatal.push(error),
  })
  const taken = () => log.splice(0)
  return { loop, drain, pass, timers, taken, fatal }
}

const check = (got: readonly string[], want: readonly string[]) => expect(got).toEqual(want)

const oneDeed = (state: number) => ({
  actions: state === 1 ? ['deed'] : [],
  wakeAt: undefined,
})

test('it plans once at the start, and saves nothing when nothing changed', () => {
  const { drain, taken } = start()
  check(taken(), [])
  drain()
  check(taken(), ['plan 0'])
})

test('an action is applied as started and saved before it is performed', () => {
  const { loop, drain, taken } = start({ plan: oneDeed })
  drain()
  taken()
  loop.post('event')
  drain()
  check(taken(), ['apply event', 'plan 1', 'apply started deed', 'save 0→2', 'perform deed'])
})

test('a burst shares one turn and one save', () => {
  const { loop, drain, taken } = start()
  drain()
  taken()
  for (const name of ['a', 'b', 'c']) loop.post(name)
  check(taken(), [])
  drain()
  check(taken(), ['apply a', 'apply b', 'apply c', 'plan 3', 'save 0→3'])
})

test('events that say nothing durable cost no save', () => {
  const { loop, drain, taken } = start()
  drain()
  taken()
  loop.post('note')
  drain()
  check(taken(), ['apply note', 'plan 0'])
})

test('the result of work that answers at once is taken up in the same turn', () => {
  const { loop, drain, taken } = start({
    plan: oneDeed,
    perform: (action, post) => post(`done ${action}`),
  })
  loop.post('event')
  drain()
  check(taken(), [
    'apply event',
    'plan 1',
    'apply started deed',
    'save 0→2',
    'perform deed',
    'apply done deed',
    'plan 3',
    'save 2→3',
  ])
})

test('it wakes at the time the plan named, and only the last plan counts', () => {
  const wakes = [100, 40, undefined]
  const { loop, drain, pass, taken, timers } = start({
    plan: () => {
      const at = wakes.shift()
      return { actions: [], wakeAt: at === undefined ? undefined : millis(at) }
    },
  })
  drain()
  pass(10)
  loop.post('note')
  drain()
  expect([...timers.values()]).toEqual([40])
  taken()
  pass(29)
  check(taken(), [])
  pass(1)
  check(taken(), ['plan 0'])
  expect(timers.size).toBe(0)
})

test('a failed save stops everything before anything is performed', () => {
  const { loop, drain, pass, taken, fatal } = start({
    plan: oneDeed,
    save: () => {
      throw new Error('disk is full')
    },
  })
  loop.post('event')
  drain()
  expect(taken().at(-1)).toBe('save 0→2')
  expect(fatal).toEqual([new Error('disk is full')])
  loop.post('more')
  pass(1_000)
  check(taken(), [])
})

test('a broken invariant stops the loop and is handed on', () => {
  const { drain, fatal, loop, taken } = start({
    plan: () => {
      throw new Error('broken invariant: two holders')
    },
  })
  drain()
  expect(fatal).toEqual([new Error('broken invariant: two holders')])
  taken()
  loop.post('event')
  drain()
  check(taken(), [])
})

test('work that keeps producing work ends the process instead of hanging it', () => {
  const { drain, fatal } = start({
    plan: () => ({ actions: ['again'], wakeAt: undefined }),
    perform: (_, post) => post('note'),
  })
  drain()
  expect(String(fatal[0])).toBe('Error: one turn planned 10000 times in a row')
})

test('after stop nothing runs and no timer is left', () => {
  const { loop, drain, pass, taken, timers } = start({
    plan: () => ({ actions: [], wakeAt: millis(50) }),
  })
  drain()
  taken()
  loop.post('event')
  loop.stop()
  pass(100)
  check(taken(), [])
  expect(timers.size).toBe(0)
})

// A reply may end the process: what else was planned with it must not be half done by a zombie.
test('stopped while performing: the remaining actions are not performed', () => {
  const { loop, drain, taken } = start({
    plan: state => ({ actions: state === 0 ? ['stop', 'other'] : [], wakeAt: undefined }),
    perform: action => (action === 'stop' ? loop.stop() : undefined),
  })
  drain()
  expect(taken().filter(text => text.startsWith('perform'))).toEqual(['perform stop'])
})

test('the state is that after the last turn', () => {
  const { loop, drain } = start()
  loop.post('a')
  expect(loop.state()).toBe(0)
  drain()
  expect(loop.state()).toBe(1)
})
