import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakeDaemon, type FakeDaemon } from './fake.ts'
import { cniRequestHandler } from './http.ts'
import type { Call } from './wire.ts'
import { callBytesMax, chooseProtocol, parseCall } from './wire.ts'

let directory = ''
let daemon: FakeDaemon
let server: Server
let answered: string[] = []

const socket = () => join(directory, 'cni.sock')

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ew-http-'))
  daemon = fakeDaemon()
  answered = []
  server = createServer(
    cniRequestHandler(daemon, {
      onAnswered: ({ call, reply }) =>
        answered.push(`${call.environment['CNI_COMMAND']} ${reply.exitCode}`),
    }),
  )
  await new Promise<void>(resolve => server.listen(socket(), resolve))
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
  rmSync(directory, { recursive: true })
})

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; text: string }

const post = (
  body: string | Buffer,
  options: { path?: string; method?: string; headers?: Record<string, string> } = {},
) =>
  new Promise<Answer>((resolve, reject) => {
    const { path = '/cni', method = 'POST', headers = {} } = options
    const sent = request({ socketPath: socket(), path, method, headers }, response => {
      text(response).then(
        said => resolve({ status: response.statusCode, headers: response.headers, text: said }),
        reject,
      )
    })
    sent.on('error', reject)
    // After a refusal the rest of the body meets a closed socket; Node's client forgets to care.
    sent.once('socket', used => used.on('error', () => undefined))
    sent.end(body)
  })

const add: Call = {
  environment: {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/ew-none',
    CNI_IFNAME: 'eth0',
  },
  stdin: '{"cniVersion":"1.0.0","name":"net"}',
}

test('a call is answered with exit code, protocol and stdout', async () => {
  const {
    status,
    headers,
    text: said,
  } = await post(JSON.stringify(add), {
    headers: { 'eniway-protocol': '1-7' },
  })
  expect(status).toBe(200)
  expect(headers['eniway-exit-code']).toBe('0')
  expect(headers['eniway-protocol']).toBe('1')
  expect(JSON.parse(said).cniVersion).toBe('1.0.0')
  expect([...daemon.held.keys()]).toEqual(['net c1 eth0'])
  expect(answered).toEqual(['ADD 0'])
})

test('garbage on stdin is a CNI error, not an HTTP error', async () => {
  const { status, headers, text: said } = await post(JSON.stringify({ ...add, stdin: '\u0000{' }))
  expect(status).toBe(200)
  expect(headers['eniway-exit-code']).toBe('1')
  expect(JSON.parse(said).code).toBe(6)
})

const refused = async (answer: Promise<Answer>, status: number, want: string) => {
  const { status: got, text: said } = await answer
  expect(`${got} ${said}`).toBe(`${status} ${want}\n`)
  expect(daemon.held.size).toBe(0)
}

test('what is no call is refused with what would be one', async () => {
  await refused(post('', { path: '/x', method: 'GET' }), 404, 'there is no /x here; send POST /cni')
  await refused(post('', { method: 'PUT' }), 405, 'send POST, not PUT')
  const shape =
    'a call is a JSON object with environment (an object of strings) and stdin (a string)'
  await refused(post('{'), 400, shape)
  await refused(post('{"environment":{"A":1},"stdin":""}'), 400, shape)
  await refused(
    post(JSON.stringify(add), { headers: { 'eniway-protocol': '2-3' } }),
    426,
    'this daemon speaks eniway-protocol 1-1; install the executable again',
  )
})

test('a call at the limit is read, one byte more is refused, announced or not', async () => {
  const padded = (bytes: number) => {
    const json = JSON.stringify(add)
    return json + ' '.repeat(bytes - json.length)
  }
  const want = `a call may have at most ${callBytesMax} bytes of JSON`
  await refused(post(padded(callBytesMax + 1)), 413, want)
  await refused(
    post(padded(callBytesMax + 1), { headers: { 'transfer-encoding': 'chunked' } }),
    413,
    want,
  )
  expect((await post(padded(callBytesMax))).status).toBe(200)
})

test('a caller that leaves aborts its ADD', async () => {
  const aborted = new Promise<void>(resolve => {
    const add: FakeDaemon['add'] = (_, signal) =>
      new Promise(done =>
        signal.addEventListener('abort', () => {
          resolve()
          done({ kind: 'failed', code: 11, message: 'gone', details: '' })
        }),
      )
    Object.assign(daemon, { add })
  })
  const sent = request({ socketPath: socket(), path: '/cni', method: 'POST' })
  sent.on('error', () => undefined)
  sent.end(JSON.stringify(add))
  server.once('request', () => setImmediate(() => sent.destroy()))
  await aborted
})

test.each<[string, number | undefined]>([
  ['1', 1],
  ['1-1', 1],
  ['1-9', 1],
  [' 0 - 2 ', 1],
  ['2', undefined],
  ['2-3', undefined],
  ['0', undefined],
  ['', undefined],
  ['x', undefined],
  ['-1', undefined],
])('protocol offer "%s" settles on %s', (offer, want) => expect(chooseProtocol(offer)).toBe(want))

test('a call is read back from its JSON', () => {
  expect(parseCall(JSON.stringify(add))).toEqual(add)
  expect(parseCall('[]')).toBeUndefined()
  expect(parseCall('{"environment":[],"stdin":""}')).toBeUndefined()
})
