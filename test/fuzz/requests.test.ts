// The daemon's end of the wire under bytes that no executable would send: whatever comes, an answer
// is whole, says what is wrong in one sentence, and the next caller is served.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakeDaemon, type FakeDaemon } from '#cni/plugin/fake.ts'
import { handle } from '#cni/plugin/handle.ts'
import { cniRequestHandler } from '#cni/plugin/http.ts'
import { parseCall, type Call } from '#cni/plugin/wire.ts'
import { serve, type HttpServer } from '#runtime/http.ts'
import { converse, readAnswers, type Answer } from './wire.ts'

let directory = ''
let daemon: FakeDaemon
let server: HttpServer
let faults: unknown[] = []

const socket = () => join(directory, 'cni.sock')

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ew-requests-'))
  daemon = fakeDaemon(200)
  faults = []
  const handler = cniRequestHandler(daemon, { report: fault => faults.push(fault) })
  server = await serve({ kind: 'unix', path: socket() }, handler)
})

afterEach(async () => {
  await server.close(0)
  rmSync(directory, { recursive: true })
})

const statusOf = (stdin: string): Call => ({ environment: { CNI_COMMAND: 'STATUS' }, stdin })

const healthy = statusOf('{"cniVersion":"1.1.0","name":"net"}')

/** As cni/shim/eniway.c writes it. */
const write = (body: string, length = Buffer.byteLength(body)): Buffer =>
  Buffer.from(
    [
      'POST /cni HTTP/1.1',
      'Host: eniway',
      'Connection: close',
      'Content-Type: application/json',
      'eniway-protocol: 1-1',
      `Content-Length: ${length}`,
      '',
      body,
    ].join('\r\n'),
  )

const kept = (request: Buffer): Buffer =>
  Buffer.from(request.toString('latin1').replace('Connection: close\r\n', ''), 'latin1')

const refusals = new Set([400, 404, 405, 408, 413, 417, 426, 431])

// A CNI answer, or a refusal in one line.
const checkAnswer = ({ status, headers, body }: Answer) => {
  if (status !== 200) {
    expect(refusals).toContain(status)
    if (status !== 417) expect(body).toMatch(/^[a-z][^\n]{9,}\n$/)
    return
  }
  expect(headers.get('eniway-exit-code')).toMatch(/^[01]$/)
  if (headers.get('eniway-exit-code') === '1') {
    const { code, msg } = JSON.parse(body) as { code: number; msg: string }
    expect(code).not.toBe(100)
    expect(msg).toMatch(/\S/)
  }
}

const checkTalk = async (pieces: readonly Buffer[]): Promise<readonly Answer[]> => {
  const answers = readAnswers(await converse(socket(), pieces))
  answers.forEach(checkAnswer)
  const [next] = readAnswers(await converse(socket(), [write(JSON.stringify(healthy))]))
  expect(next?.status).toBe(200)
  expect(faults).toEqual([])
  return answers
}

const cut = (bytes: Buffer, places: readonly number[]): readonly Buffer[] => {
  const sorted = [0, ...places.map(place => place % (bytes.length + 1)), bytes.length].toSorted(
    (a, b) => a - b,
  )
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
}

const places = fc.array(fc.nat(), { maxLength: 6 })
const names = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'FOO', '')
const stdins = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc
    .record({ cniVersion: fc.constantFrom('1.0.0', '1.1.0', '0.3.1', 'x'), name: fc.string() })
    .map(value => JSON.stringify(value)),
)
const calls: fc.Arbitrary<Call> = fc.record({
  environment: fc
    .tuple(names, fc.dictionary(fc.string(), fc.string({ unit: 'binary' })))
    .map(([CNI_COMMAND, more]) => ({
      ...more,
      CNI_COMMAND,
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/ew-none',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin',
    })),
  stdin: stdins,
})

test('any bytes, in any pieces', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), pieces =>
      checkTalk(pieces.map(piece => Buffer.from(piece))).then(() => undefined),
    ),
    { numRuns: 150 },
  ))

const words = fc.constantFrom(
  '\r\n',
  '\r\n\r\n',
  '\n',
  ' ',
  '\0',
  ':',
  'Content-Length: 5\r\n',
  'content-length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: h2c\r\nConnection: upgrade\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'PRI * HTTP/2.0\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
  '99999999999999999999',
  'eniway-protocol: 9\r\n',
  '5\r\nhello\r\n0\r\n\r\n',
  '{',
  '"',
  String.raw`\u0000`,
)

type Mutation = (bytes: Buffer) => Buffer

const mutations: fc.Arbitrary<Mutation> = fc
  .tuple(fc.nat(), fc.nat(), fc.nat(255), words)
  .chain(([at, length, byte, word]) =>
    fc.constantFrom<Mutation>(
      bytes => splice(bytes, at, { remove: 1, insert: Buffer.of(byte) }),
      bytes => splice(bytes, at, { remove: length % 40, insert: Buffer.alloc(0) }),
      bytes => splice(bytes, at, { remove: 0, insert: Buffer.from(word) }),
      bytes => splice(bytes, at, { remove: word.length, insert: Buffer.from(word) }),
      bytes => bytes.subarray(0, at % (bytes.length + 1)),
      bytes => Buffer.concat([bytes, bytes.subarray(at % (bytes.length + 1))]),
    ),
  )

const splice = (bytes: Buffer, at: number, change: { remove: number; insert: Buffer }): Buffer => {
  const place = at % (bytes.length + 1)
  const rest = bytes.subarray(Math.min(place + change.remove, bytes.length))
  return Buffer.concat([bytes.subarray(0, place), change.insert, rest])
}

test('real requests after some bytes, words and lines have moved', () =>
  fc.assert(
    fc.asyncProperty(
      calls,
      fc.array(mutations, { minLength: 1, maxLength: 4 }),
      places,
      async (call, changes, where) => {
        const real = write(JSON.stringify(call))
        await checkTalk(
          cut(
            changes.reduce((bytes, change) => change(bytes), real),
            where,
          ),
        )
      },
    ),
    { numRuns: 300 },
  ))

test('calls arrive whole, however they are cut and joined, and are answered in order', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(calls, { minLength: 1, maxLength: 4 }),
      places,
      async (sent, where) => {
        const twin = fakeDaemon(200)
        const want = []
        for (const call of sent) want.push(await handle(call, twin))
        daemon.held.clear()
        const bytes = Buffer.concat(sent.map(call => kept(write(JSON.stringify(call)))))
        const answers = await checkTalk(cut(bytes, where))
        const got = answers.map(({ headers, body }) => ({
          exitCode: Number(headers.get('eniway-exit-code')),
          stdout: body,
        }))
        expect(got).toEqual(want)
        expect([...daemon.held.keys()]).toEqual([...twin.held.keys()])
      },
    ),
    { numRuns: 120 },
  ))

test('a length that is not that of the body costs one refusal at most', () =>
  fc.assert(
    fc.asyncProperty(calls, fc.integer({ min: -300, max: 300 }), async (call, error) => {
      const body = JSON.stringify(call)
      const length = Math.max(0, Buffer.byteLength(body) + error)
      const answers = await checkTalk([write(body, length)])
      if (error === 0) expect(answers.map(({ status }) => status)).toEqual([200])
      else expect(answers.filter(({ status }) => status === 200)).toEqual([])
    }),
    { numRuns: 120 },
  ))

const check = async (request: string | Buffer, want: string) => {
  const answers = await checkTalk([Buffer.from(request)])
  expect(answers.map(({ status, body }) => `${status} ${body.trimEnd()}`).join(', ')).toBe(want)
}

const body = JSON.stringify(healthy)

test.each<[string, () => string | Buffer, string]>([
  [
    'two lengths',
    () => write(body).toString().replace('Host:', 'Content-Length: 3\r\nHost:'),
    '400 the request cannot be read as HTTP/1.1: Parse Error: Duplicate Content-Length',
  ],
  [
    'a negative length',
    () => write(body, -5),
    '400 the request cannot be read as HTTP/1.1: Parse Error: Invalid character in Content-Length',
  ],
  [
    'a length beyond all numbers',
    () =>
      write(body)
        .toString()
        .replace(/Length: \d+/, `Length: ${'9'.repeat(30)}`),
    '400 the request cannot be read as HTTP/1.1: Parse Error: Content-Length overflow',
  ],
  [
    'a head without end',
    () => `POST /cni HTTP/1.1\r\n${'X-Y: z\r\n'.repeat(3000)}`,
    '431 the request cannot be read as HTTP/1.1: Parse Error: Header overflow',
  ],
  [
    'a word that is no method',
    () => 'HELO you\r\n\r\n',
    '400 the request cannot be read as HTTP/1.1: Parse Error: Invalid method encountered',
  ],
  [
    'more than was announced, behind a call that closes',
    () => Buffer.concat([write(body), Buffer.from('trailing')]),
    '400 the request cannot be read as HTTP/1.1: Parse Error: Data after `Connection: close`',
  ],
  [
    'a call that is nested too deep to be written again',
    () => write(JSON.stringify(statusOf(`{"name":${'['.repeat(300_000)}${']'.repeat(300_000)}}`))),
    '200 {"cniVersion":"1.1.0","code":6,"msg":"the network configuration on stdin is nested more than 500 levels deep"}',
  ],
])('%s', (_, request, want) => check(request(), want))

test('what is announced and never comes ends with the connection', async () => {
  const answers = await checkTalk([write(body, 5000)])
  expect(answers.filter(({ status }) => status === 200)).toEqual([])
  expect(daemon.requests).toEqual([])
})

test('a call survives its JSON, any other text is no call', () => {
  const environment = fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
  const any = fc.record({ environment, stdin: fc.string({ unit: 'binary' }) })
  fc.assert(
    fc.property(any, call => {
      expect(parseCall(JSON.stringify(call))).toEqual(call)
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), text => {
      const call = parseCall(text)
      if (call !== undefined) expect(parseCall(JSON.stringify(call))).toEqual(call)
    }),
    { numRuns: 500 },
  )
})
