// Turns among runtimes that share nothing but a directory, one of which dies in the middle.

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stillClock } from './fake.ts'
import { linesIn } from './lines.ts'

let home: string
let directory: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'ew-lines-'))
  directory = home
})

afterEach(() => rmSync(home, { recursive: true }))

const { clock } = stillClock()

/** Takes a turn with lines of its own; `log` gets the name when it has it. */
const take = (container: string | undefined, { name, log }: { name: string; log: string[] }) =>
  linesIn(directory)
    .take(container, { clock })
    .then(taken => {
      if (taken.kind === 'failed') throw new Error(taken.message)
      log.push(name)
      return taken.value
    })

const settle = () => new Promise(resolve => setTimeout(resolve, 100))
const left = () => readdirSync(join(directory, 'turns'))

test('points 70 and 120: one container in order, others beside it, everybody alone', async () => {
  const log: string[] = []
  const a1 = await take('a', { name: 'a1', log })
  const a2 = take('a', { name: 'a2', log })
  const b1 = await take('b', { name: 'b1', log })
  await settle()
  const gc = take(undefined, { name: 'gc', log })
  await settle()
  const b2 = take('b', { name: 'b2', log })
  await settle()
  expect(log).toEqual(['a1', 'b1'])
  await b1()
  await a1()
  await settle()
  expect(log).toEqual(['a1', 'b1', 'a2'])
  await (
    await a2
  )()
  await (
    await gc
  )()
  await (
    await b2
  )()
  expect(log).toEqual(['a1', 'b1', 'a2', 'gc', 'b2'])
  expect(left()).toEqual([])
})

test('many at once: never two, and nothing is left', async () => {
  let inside = 0
  const turns = Array.from({ length: 40 }, async () => {
    const release = await take('a', { name: '', log: [] })
    expect(++inside).toBe(1)
    await new Promise(resolve => setImmediate(resolve))
    inside--
    await release()
  })
  await Promise.all(turns)
  expect(left()).toEqual([])
})

test('who was killed holds nobody up', async () => {
  const program = `
    import { linesIn } from ${JSON.stringify(join(import.meta.dirname, 'lines.ts'))}
    await linesIn(${JSON.stringify(directory)}).take('a', { clock: undefined })
    console.log('taken')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program])
  await new Promise(resolve => child.stdout.once('data', resolve))
  const log: string[] = []
  const waiting = take('a', { name: 'second', log })
  await settle()
  expect(log).toEqual([])
  child.kill('SIGKILL')
  await (
    await waiting
  )()
  // Found dead from the start, not only when it dies meanwhile.
  expect(left()).toHaveLength(1)
  await (
    await take('a', { name: 'third', log })
  )()
  expect(left()).toEqual([])
  expect(log).toEqual(['second', 'third'])
})

test('who waits can give up; a directory that cannot be made is said so', async () => {
  const release = await take('a', { name: '', log: [] })
  const stop = new AbortController()
  const waiting = linesIn(directory).take('a', { clock, signal: stop.signal })
  await settle()
  stop.abort()
  expect(await waiting).toMatchObject({ kind: 'failed', code: 113 })
  await release()
  expect(left()).toEqual([])
  expect(await linesIn('/dev/null').take('a', { clock })).toMatchObject({ code: 5 })
})

test('a directory whose path is too long for a socket', async () => {
  directory = join(home, 'x'.repeat(120))
  const release = await take('a', { name: '', log: [] })
  await release()
  expect(left()).toEqual([])
})
