import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakeDaemon } from './fake.ts'
import { handle } from './handle.ts'
import { pendingDirectory, replayPendingDels } from './pending.ts'

let directory = ''
let reports: string[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ew-pending-'))
  reports = []
})

afterEach(() => rmSync(directory, { recursive: true }))

const callOf = (containerId: string, changes: object = {}): string =>
  JSON.stringify({
    environment: {
      CNI_COMMAND: 'DEL',
      CNI_CONTAINERID: containerId,
      CNI_IFNAME: 'eth0',
      ...changes,
    },
    stdin: '{"cniVersion":"1.0.0","name":"net"}',
  })

const put = (name: string, text: string, atSeconds = 1000) => {
  writeFileSync(join(directory, name), text)
  utimesSync(join(directory, name), atSeconds, atSeconds)
}

const replay = async (daemon = fakeDaemon()) => {
  const done = await replayPendingDels({
    directory,
    del: ({ call, queuedAtMs }) => handle(call, daemon, { queuedAtMs }),
    report: sentence => reports.push(sentence.replaceAll(directory, 'DIR')),
  })
  return { done, daemon }
}

test('the directory lies beside the socket', () =>
  expect(pendingDirectory('/run/eniway/cni.sock')).toBe('/run/eniway/pending-del'))

test('waiting DELs are done oldest first and then gone', async () => {
  put('a.json', callOf('new'), 2000)
  put('b.json', callOf('old'), 1000)
  const { done, daemon } = await replay()
  expect(done).toBe(2)
  expect(daemon.requests).toMatchObject([
    { containerId: 'old', queuedAtMs: 1_000_000 },
    { containerId: 'new', queuedAtMs: 2_000_000 },
  ])
  expect(readdirSync(directory)).toEqual([])
})

test('nothing waits when there is no directory', async () => {
  rmSync(directory, { recursive: true })
  expect((await replay()).done).toBe(0)
  mkdirSync(directory)
})

test('files that are no DEL are moved aside and told, and never block the others', async () => {
  put('0.json', '{"environment":')
  mkdirSync(join(directory, '1.json'))
  put('2.json', callOf('x', { CNI_COMMAND: 'ADD' }))
  put('3.json', callOf('../x'))
  put('4.json', callOf('good'))
  put('.5', 'being written')
  const { done, daemon } = await replay()
  expect(done).toBe(1)
  expect(daemon.requests).toMatchObject([{ containerId: 'good' }])
  expect(readdirSync(directory).toSorted()).toEqual(['.5', 'corrupt'])
  expect(readdirSync(join(directory, 'corrupt')).toSorted()).toEqual([
    '0.json',
    '1.json',
    '2.json',
    '3.json',
  ])
  expect(reports).toHaveLength(4)
  expect(reports).toContain(
    'DIR/2.json can never be done (it does not hold a DEL) and was moved to DIR/corrupt/2.json; look and delete it',
  )
})

test('a DEL the daemon could not do waits for the next replay', async () => {
  put('a.json', callOf('a'))
  put('b.json', callOf('b'))
  const busy = fakeDaemon()
  const del = busy.del
  Object.assign(busy, {
    del: (request: Parameters<typeof del>[0]) =>
      request.containerId === 'a'
        ? Promise.resolve({ kind: 'failed', code: 11, message: 'disk full', details: '' })
        : del(request),
  })
  expect((await replay(busy)).done).toBe(1)
  expect(readdirSync(directory)).toEqual(['a.json'])
  expect(reports).toEqual([
    'DIR/a.json waits for the next replay: {"cniVersion":"1.0.0","code":11,"msg":"disk full"}',
  ])
  expect((await replay()).done).toBe(1)
  expect(readdirSync(directory)).toEqual([])
})
