// Processes that misbehave. The clock stands still: what waits for it is what is tested.

import { closeSync, copyFileSync, openSync, chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Parsed } from '../spec/failure.ts'
import { findPlugin, runPlugin, type Ended, type RunOptions } from './exec.ts'
import { fakePlugins, stillClock, type FakePlugins } from './fake.ts'

let place: FakePlugins

beforeEach(() => {
  place = fakePlugins('one')
})

afterEach(() => place.remove())

const time = stillClock()

const run = (options: Partial<RunOptions> = {}): Promise<Parsed<Ended>> =>
  runPlugin(
    {
      file: join(place.bin, 'one'),
      environment: { PATH: process.env['PATH'], CNI_COMMAND: 'ADD' },
      stdin: '{}',
    },
    { clock: time.clock, ...options },
  )

const render = (outcome: Parsed<Ended>): string =>
  outcome.kind === 'failed'
    ? `${outcome.code} ${outcome.message.replaceAll(place.bin, 'BIN')}`
    : JSON.stringify(outcome.value)

const started = async (): Promise<void> => {
  while (place.calls()[0] === undefined) await new Promise(resolve => setTimeout(resolve, 5))
}

test('exit code, stdout and stderr; stderr is passed on', async () => {
  place.behave('one', 'ADD', { stdout: '{}', stderr: 'hm', exitCode: 3 })
  const heard: string[] = []
  expect(render(await run({ stderr: text => void heard.push(text) }))).toBe(
    '{"code":3,"signal":"","stdout":"{}","stderr":"hm"}',
  )
  expect(heard.join('')).toBe('hm')
  expect(time.waiting()).toBe(0)
})

test('point 57: a plugin that does not end is killed, and its children keep nobody waiting', async () => {
  place.behave('one', 'ADD', { run: 'sleep 60 & sleep 60' })
  const ended = run({ timeoutMs: 5_000 })
  await started()
  time.advance(4_999)
  expect(time.waiting()).toBe(1)
  time.advance(1)
  expect(render(await ended)).toBe('112 BIN/one did not end within 5 s and was killed')
})

test('point 57: an abort kills the plugin', async () => {
  place.behave('one', 'ADD', { run: 'sleep 60' })
  const controller = new AbortController()
  const ended = run({ signal: controller.signal })
  await started()
  controller.abort()
  expect(render(await ended)).toBe('113 BIN/one was ended because nobody waits for it any more')
  expect((await run({ signal: controller.signal })).kind).toBe('failed')
})

test('a plugin that a signal ended', async () => {
  place.behave('one', 'ADD', { run: 'kill -SEGV $$' })
  expect(render(await run())).toBe('{"signal":"SIGSEGV","stdout":"","stderr":""}')
})

test('a plugin that writes without end is killed', async () => {
  place.behave('one', 'ADD', { run: 'exec yes' })
  expect(render(await run())).toBe(
    '111 BIN/one wrote more than 4194304 bytes on stdout and was killed',
  )
})

test('a plugin that does not read a long stdin', async () => {
  place.behave('one', 'ADD', { stdout: '{}' })
  const environment = { CNI_COMMAND: 'VERSION' }
  const stdin = 'x'.repeat(1 << 20)
  const ended = await runPlugin({ file: '/bin/true', environment, stdin }, { clock: time.clock })
  expect(ended).toMatchObject({ kind: 'parsed', value: { code: 0 } })
})

test('point 56: a binary that is being written is tried again, five times', async () => {
  const file = join(place.bin, 'busy')
  copyFileSync('/bin/true', file)
  chmodSync(file, 0o755)
  const start = () => runPlugin({ file, environment: {}, stdin: '' }, { clock: time.clock })
  const wait = async (tries: number) => {
    for (let i = 0; i < tries; i++) {
      while (time.waiting() === 0) await new Promise(resolve => setTimeout(resolve, 1))
      time.advance(1000)
    }
  }
  const writer = openSync(file, 'r+')
  const given = start()
  await wait(5)
  expect(render(await given)).toBe('111 cannot start BIN/busy: it is being written to')
  const waited = start()
  await wait(2)
  closeSync(writer)
  await wait(1)
  expect(await waited).toMatchObject({ kind: 'parsed', value: { code: 0 } })
})

test('what cannot be executed', async () => {
  chmodSync(join(place.bin, 'one'), 0o644)
  expect(render(await run())).toMatch(/^111 cannot start BIN\/one: .*EACCES/)
})

test('points 18 and 56: the first regular file of the name', async () => {
  const other = join(place.directory, 'other')
  mkdirSync(join(other, 'one'), { recursive: true })
  expect(await findPlugin('one', ['', other, '/does/not/exist', place.bin])).toEqual({
    kind: 'parsed',
    value: join(place.bin, 'one'),
  })
})
