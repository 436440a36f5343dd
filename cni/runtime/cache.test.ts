import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheIn } from './cache-files.ts'
import { cacheFileName, decodeContent, encodeEntry, type CacheEntry } from './cache.ts'

const entry: CacheEntry = {
  network: 'net',
  attachment: {
    containerId: 'c1',
    ifName: 'eth0',
    netns: '/run/netns/a',
    args: [['K', 'V']],
    capabilityArgs: { ips: [] },
  },
  config: '{"name":"net"}',
  result: { cniVersion: '1.0.0' },
}

const golden =
  '{"kind":"cniCacheV1","containerId":"c1","config":"eyJuYW1lIjoibmV0In0=","ifName":"eth0","networkName":"net","netns":"/run/netns/a","cniArgs":[["K","V"]],"capabilityArgs":{"ips":[]},"result":{"cniVersion":"1.0.0"}}'

test('point 153: the format is the reference library’s', () => {
  expect(encodeEntry(entry)).toBe(golden)
  expect(decodeContent(golden, 'FILE')).toEqual({
    kind: 'parsed',
    value: { kind: 'entry', entry },
  })
})

test('empty parts are left out and read back', () => {
  const bare = { ...entry.attachment, netns: '', args: [], capabilityArgs: {} }
  const text = encodeEntry({ ...entry, attachment: bare, result: undefined })
  expect(Object.keys(JSON.parse(text))).toEqual([
    'kind',
    'containerId',
    'config',
    'ifName',
    'networkName',
  ])
  expect(decodeContent(text, 'FILE')).toMatchObject({ value: { entry: { attachment: bare } } })
})

test('point 153: without the kind it is a bare result', () =>
  expect(decodeContent('{"ip4":{}}', 'FILE')).toEqual({
    kind: 'parsed',
    value: { kind: 'bare', result: { ip4: {} } },
  }))

test.each([
  ['{', /^FILE cannot be read as JSON: /],
  ['{"kind":"cniCacheV1"}', /^FILE is no cached result: a key is missing/],
  [golden.replace('[["K","V"]]', '[["K"]]'), /^FILE is no cached result/],
])('what is damaged fails with code 6: %s', (text, want) => {
  const outcome = decodeContent(text, 'FILE')
  expect(outcome).toMatchObject({ kind: 'failed', code: 6 })
  expect(outcome.kind === 'failed' ? outcome.message : '').toMatch(want)
})

test('point 152 and 155: a name is the three joined, all of them', () => {
  const key = { network: 'net', containerId: 'c1', ifName: 'eth0' }
  expect(cacheFileName(key)).toEqual({ kind: 'parsed', value: 'net-c1-eth0' })
  expect(cacheFileName({ ...key, network: '' })).toMatchObject({ kind: 'failed', code: 4 })
})

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ew-cache-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

const key = { network: 'net', containerId: 'c1', ifName: 'eth0' }

test('point 152: written whole, for the owner alone, and removed', async () => {
  const cache = cacheIn(directory)
  expect(await cache.read(key)).toEqual({ kind: 'parsed', value: undefined })
  expect(await cache.list()).toEqual({ kind: 'parsed', value: [] })
  await cache.write(entry)
  const file = join(directory, 'results', 'net-c1-eth0')
  expect(readdirSync(join(directory, 'results'))).toEqual(['net-c1-eth0'])
  expect([statSync(join(directory, 'results')), statSync(file)].map(at => at.mode & 0o777)).toEqual(
    [0o700, 0o600],
  )
  expect(await cache.read(key)).toEqual({ kind: 'parsed', value: { result: entry.result, entry } })
  await cache.remove(key)
  expect(await cache.remove(key)).toMatchObject({ kind: 'parsed' })
  expect(await cache.read(key)).toEqual({ kind: 'parsed', value: undefined })
})

test('two attachments whose names meet are not taken for each other', async () => {
  const cache = cacheIn(directory)
  await cache.write({
    ...entry,
    network: 'a-b',
    attachment: { ...entry.attachment, containerId: 'c' },
  })
  expect(await cache.read({ network: 'a', containerId: 'b-c', ifName: 'eth0' })).toMatchObject({
    kind: 'failed',
    code: 114,
    message: expect.stringContaining('belongs to eth0 of container c in network a-b'),
  })
})

test('a list passes over what is no entry', async () => {
  const cache = cacheIn(directory)
  await cache.write(entry)
  mkdirSync(join(directory, 'results', 'folder'))
  writeFileSync(join(directory, 'results', 'garbage'), '{')
  writeFileSync(join(directory, 'results', '.1.new'), golden)
  expect(await cache.list()).toEqual({ kind: 'parsed', value: [entry] })
})

test('a directory that cannot be made is a failure with code 5', async () => {
  writeFileSync(join(directory, 'file'), '')
  const cache = cacheIn(join(directory, 'file'))
  expect(await cache.write(entry)).toMatchObject({ kind: 'failed', code: 5 })
})
