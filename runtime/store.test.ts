import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LedgerChange } from '#core/ports.ts'
import { silentLog } from './log.ts'
import { encodeChange, encodeHeader, encodeRecord } from './records.ts'
import { type LedgerOptions, openLedger } from './store.ts'

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'eniway-ledger-'))))
afterEach(() => rmSync(directory, { recursive: true }))

const put = (key: string, value: unknown): LedgerChange => ({ kind: 'put', key, value })
const drop = (key: string): LedgerChange => ({ kind: 'drop', key })
// JSON has no negative zero, and a ledger keeps what JSON keeps.
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const path = () => join(directory, 'ledger')
const open = (options: Partial<LedgerOptions> = {}) =>
  openLedger({ directory, log: silentLog, ...options })

/** Opens, saves and closes. */
const write = async (...saves: readonly LedgerChange[][]) => {
  const { store } = await open()
  for (const changes of saves) store.save(changes)
  store.close()
}

/** What a restart finds. */
const reopen = async () => {
  const { entries, problems, store } = await open()
  store.close()
  return { entries: Object.fromEntries(entries), problems }
}

test('a restart finds what was saved', async () => {
  await write(
    [put('a', { ip: '10.0.0.1' }), put('b', null)],
    [put('a', 2), drop('b')],
    [put('é', '\n')],
  )
  expect(await reopen()).toEqual({ entries: { a: 2, é: '\n' }, problems: [] })
})

test('a restart goes on where the last one ended', async () => {
  for (let run = 0; run < 4; run++) await write([put(`run ${run}`, run)])
  expect((await reopen()).entries).toEqual({ 'run 0': 0, 'run 1': 1, 'run 2': 2, 'run 3': 3 })
})

test('the directory is made when it is absent', async () => {
  const { store } = await open({ directory: join(directory, 'a/b') })
  store.save([put('a', 1)])
  store.close()
  expect(readdirSync(join(directory, 'a/b'))).toContain('ledger')
})

// The order of changes in one save counts.
test('the last change of a key in one save wins', async () => {
  await write([put('a', 1), drop('a'), put('a', 2)], [put('b', 1), drop('b')])
  expect((await reopen()).entries).toEqual({ a: 2 })
})

describe('compaction', () => {
  test('keeps the file small under churn and loses nothing', async () => {
    const { store } = await open({ deadBytesMax: 4096 })
    for (let save = 0; save < 2000; save++) store.save([put(`key ${save % 20}`, save)])
    expect(store.bytes()).toBeLessThan(8192)
    expect(store.count()).toBe(20)
    store.close()
    const { entries, problems } = await reopen()
    expect(problems).toEqual([])
    expect(entries['key 19']).toBe(1999)
    expect(entries['key 0']).toBe(1980)
  })

  test('a full disk is reported and the save still counts', async () => {
    const { problems, store } = await open({ deadBytesMax: 200 })
    // A directory in the way of the new file stands for every reason why it cannot be written.
    mkdirSync(`${path()}.new/x`, { recursive: true })
    for (let save = 0; save < 40; save++) store.save([put('a', save)])
    expect(problems[0]?.kind).toBe('compaction')
    expect(problems[0]?.message).toMatch(/cannot rewrite the ledger .*; it goes on growing/)
    rmSync(`${path()}.new`, { recursive: true })
    store.close()
    expect((await reopen()).entries).toEqual({ a: 39 })
  })

  test('a half-written new file of a crashed rewrite is ignored', async () => {
    await write([put('a', 1)])
    writeFileSync(`${path()}.new`, 'half')
    expect(await reopen()).toEqual({ entries: { a: 1 }, problems: [] })
    expect(readdirSync(directory)).not.toContain('ledger.new')
  })
})

test('a store that was closed or has failed refuses to save', async () => {
  const { store } = await open()
  expect(() => store.save([put('a', () => 1)])).toThrow('the value of "a" has no JSON form')
  expect(() => store.save([put('a', 1)])).toThrow('it is failed')
  store.close()
  expect(() => store.save([put('a', 1)])).toThrow('it is closed')
})

describe('damage', () => {
  const damage = (change: (bytes: Buffer) => Buffer) =>
    writeFileSync(path(), change(readFileSync(path())))

  test('a torn end is cut and reported, and the ledger goes on', async () => {
    await write([put('a', 1)], [put('b', 2)], [put('c', 3)])
    damage(bytes => bytes.subarray(0, bytes.length - 4))
    const { entries, problems } = await reopen()
    expect(entries).toEqual({ a: 1, b: 2 })
    expect(problems.map(({ kind }) => kind)).toEqual(['torn'])
    expect(problems[0]?.message).toContain('ended in the middle of a save')
    await write([put('d', 4)])
    expect(await reopen()).toEqual({ entries: { a: 1, b: 2, d: 4 }, problems: [] })
  })

  test('a damaged middle costs that save; later saves are kept, the file is set aside', async () => {
    await write([put('a', 1)], [put('b', 2)], [put('c', 3)])
    damage(bytes => {
      bytes[bytes.indexOf('"b"')] = 0
      return bytes
    })
    const { entries, problems } = await reopen()
    expect(entries).toEqual({ a: 1, c: 3 })
    expect(problems.map(({ kind }) => kind)).toEqual(['corrupt'])
    expect(problems[0]?.message).toMatch(
      /is damaged: \d+ unreadable bytes at offset \d+, saves 3 to 3 are missing; all 2 saves/,
    )
    expect(readdirSync(directory)).toContain('ledger.corrupt-1')
    expect(await reopen()).toEqual({ entries: { a: 1, c: 3 }, problems: [] })
  })

  test('every damaged file is kept under its own name', async () => {
    for (const key of ['a', 'b']) {
      await write([put(key, 1)])
      damage(bytes => Buffer.concat([Buffer.from('garbage\n'), bytes]))
      await reopen()
    }
    expect(readdirSync(directory)).toEqual(
      expect.arrayContaining(['ledger.corrupt-1', 'ledger.corrupt-2']),
    )
  })

  test.each([
    ['empty', Buffer.alloc(0), 'it is empty'],
    ['foreign', Buffer.from('{"pods": []}\n'), 'unreadable bytes at offset 0'],
    ['zeros', Buffer.alloc(5000), '5000 unreadable bytes at offset 0'],
  ])('a file that is %s is set aside and reported', async (_, bytes, words) => {
    writeFileSync(path(), bytes)
    const { entries, problems } = await reopen()
    expect(entries).toEqual({})
    expect(problems.map(({ kind }) => kind)).toEqual(['corrupt'])
    expect(problems[0]?.message).toContain(words)
    expect(readFileSync(`${path()}.corrupt-1`)).toEqual(bytes)
  })

  // A line copied from earlier, as by a failing disk: its number goes back, so it is not a save.
  test('an old save that appears again is not applied', async () => {
    await write([put('a', 1)], [put('a', 2)])
    damage(bytes => {
      const lines = bytes.toString().split('\n')
      return Buffer.from([...lines.slice(0, 3), lines[1], ''].join('\n'))
    })
    const { entries, problems } = await reopen()
    expect(entries).toEqual({ a: 2 })
    expect(problems).toHaveLength(1)
  })

  test('a line that vanished without a trace is noticed by its number', async () => {
    await write([put('a', 1)], [put('b', 2)], [put('c', 3)])
    damage(bytes => {
      const lines = bytes.toString().split('\n')
      return Buffer.from(lines.toSpliced(2, 1).join('\n'))
    })
    const { entries, problems } = await reopen()
    expect(entries).toEqual({ a: 1, c: 3 })
    expect(problems[0]?.message).toContain('saves 3 to 3 are missing')
  })

  test('a ledger of a newer eniway is refused and left alone', async () => {
    const newer = Buffer.concat([
      Buffer.from(newerHeader()),
      encodeRecord(2, [encodeChange(put('a', 1))]),
    ])
    writeFileSync(path(), newer)
    await expect(open()).rejects.toThrow(/it has format 2 and this eniway knows 1/)
    expect(readFileSync(path())).toEqual(newer)
  })
})

// Written by hand with an independent CRC-32 (python3 zlib), so that the format is pinned.
const newerHeader = () => '1 a6fe727d 38 {"format":"eniway-ledger","version":2}\n'

test('the format is fixed', () => {
  expect(encodeHeader(1).toString()).toBe('1 8dd321be 38 {"format":"eniway-ledger","version":1}\n')
  expect(encodeRecord(2, [put('a', 1), drop('b')].map(encodeChange)).toString()).toBe(
    '2 72114ec5 15 [["a",1],["b"]]\n',
  )
})

describe('any damage anywhere', () => {
  const anyChange = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      value: fc.jsonValue().map(plain),
    }),
    fc.record({
      kind: fc.constant('drop' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    }),
  )
  const saves = fc.array(fc.array(anyChange, { minLength: 1, maxLength: 3 }), { maxLength: 12 })
  const text = (value: unknown) => JSON.stringify(value)

  const expectNothingInvented = (entries: Record<string, unknown>, given: LedgerChange[][]) => {
    const saved = new Set(given.flat().map(one => one.kind === 'put' && text([one.key, one.value])))
    for (const entry of Object.entries(entries)) expect(saved).toContain(text(entry))
  }

  /** Builds a file, damages it, opens it, and checks what must hold however it was damaged. */
  const check = async (given: LedgerChange[][], harm: (bytes: Buffer) => Buffer) => {
    rmSync(directory, { recursive: true })
    await write(...given)
    const before = readFileSync(path())
    const boundaries = new Set(
      [...before.entries()].filter(([, b]) => b === 10).map(([i]) => i + 1),
    )
    const harmed = harm(Buffer.from(before))
    writeFileSync(path(), harmed)
    const { entries, problems } = await reopen()
    expectNothingInvented(entries, given)
    const isCutBetweenSaves = boundaries.has(harmed.length) && before.indexOf(harmed) === 0
    expect(problems.length).toBe(isCutBetweenSaves ? 0 : 1)
    // What was mended stays mended.
    expect(await reopen()).toEqual({ entries, problems: [] })
    return entries
  }

  test('a file cut anywhere keeps exactly the saves before the cut', () =>
    fc.assert(
      fc.asyncProperty(saves, fc.nat(), async (given, at) => {
        let length = 0
        const entries = await check(given, bytes => {
          length = at % (bytes.length + 1)
          return bytes.subarray(0, length)
        })
        // A save whose every byte but the line feed is there is proven too.
        let end = encodeHeader(1).length
        const kept = given.filter((changes, index) => {
          end += encodeRecord(index + 2, changes.map(encodeChange)).length
          return end - 1 <= length
        })
        expect(entries).toEqual(length === 0 ? {} : replay(kept))
      }),
      { numRuns: 60 },
    ))

  test('a flipped byte anywhere costs at most its own save', () =>
    fc.assert(
      fc.asyncProperty(
        saves,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (given, at, flip) => {
          const entries = await check(given, bytes => {
            bytes[at % bytes.length]! ^= flip
            return bytes
          })
          const without = given.map((_, index) => replay(given.toSpliced(index, 1)))
          expect([replay(given), ...without]).toContainEqual(entries)
        },
      ),
      { numRuns: 60 },
    ))

  test('random bytes written over any stretch are survived', () =>
    fc.assert(
      fc.asyncProperty(
        saves,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 60 }),
        async (given, at, noise) => {
          rmSync(directory, { recursive: true })
          await write(...given)
          const bytes = readFileSync(path())
          bytes.set(
            noise.subarray(0, Math.max(0, bytes.length - (at % bytes.length))),
            at % bytes.length,
          )
          writeFileSync(path(), bytes)
          const { entries } = await reopen()
          expectNothingInvented(entries, given)
        },
      ),
      { numRuns: 40 },
    ))

  const replay = (given: LedgerChange[][]) => {
    const entries = new Map<string, unknown>()
    for (const { key, ...rest } of given.flat()) {
      if (rest.kind === 'put') entries.set(key, rest.value)
      else entries.delete(key)
    }
    return Object.fromEntries(entries)
  }
})

// The promise everything rests on: what was acknowledged is there, whenever the process dies.
test('a process killed at any moment loses no acknowledged save', async () => {
  const module = (name: string) => JSON.stringify(join(import.meta.dirname, name))
  const script = `
    import { openLedger } from ${module('store.ts')}
    import { silentLog } from ${module('log.ts')}
    import { writeSync } from 'node:fs'
    const directory = ${JSON.stringify(directory)}
    const { entries, store } = await openLedger({ directory, log: silentLog, deadBytesMax: 2000 })
    for (let save = (entries.get('last') ?? 0) + 1; ; save++) {
      store.save([{ kind: 'put', key: 'last', value: save }])
      writeSync(1, save + '\\n')
    }`
  let acknowledged = 0
  for (let run = 0; run < 4; run++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.length > 4000 + 1777 * run) child.kill('SIGKILL')
    })
    await closed
    acknowledged = Number(text.split('\n').at(-2))
    const { entries, problems } = await reopen()
    expect(entries['last']).toBeGreaterThanOrEqual(acknowledged)
    expect(problems.every(({ kind }) => kind === 'torn')).toBe(true)
  }
  expect(acknowledged).toBeGreaterThan(1000)
})

test('an unusable directory is one clear sentence', async () => {
  writeFileSync(join(directory, 'file'), '')
  await expect(open({ directory: join(directory, 'file') })).rejects.toThrow(
    /cannot keep the ledger in .*file: .*; make it a directory this user may write/,
  )
})

test('a second ledger in the same directory is refused and the first goes on', async () => {
  const { store } = await open()
  await expect(open()).rejects.toThrow(
    `cannot use ${directory}: process ${process.pid} is already running with this directory`,
  )
  store.save([put('a', 1)])
  store.close()
  expect((await reopen()).entries).toEqual({ a: 1 })
})
