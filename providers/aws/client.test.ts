// What the SDK and the metadata client do on a bad wire: a tiny server answers every request with
// the same misbehaviour, and the result must be a failure of the right kind, in bounded time.

import { DeleteNetworkInterfaceCommand, DescribeSubnetsCommand } from '@aws-sdk/client-ec2'
import { type RequestListener, type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcomeOf } from '../common/calls.ts'
import { present } from '../common/shapes.ts'
import { call, read } from './calls.ts'
import { createClient } from './client.ts'
import { createMetadata } from './metadata.ts'

let server: Server
let requests = 0
let listener: RequestListener
const environment = { ...process.env }
const never = new AbortController().signal

beforeEach(async () => {
  requests = 0
  server = createServer((request, response) => {
    requests += 1
    request.resume().once('end', () => listener(request, response))
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  process.env['AWS_ENDPOINT_URL_EC2'] = base()
  process.env['AWS_ACCESS_KEY_ID'] = 'key'
  process.env['AWS_SECRET_ACCESS_KEY'] = 'secret'
})
afterEach(() => {
  process.env = { ...environment }
  server.closeAllConnections()
  server.close()
})

const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const client = () => createClient(async () => 'us-east-1', { requestMs: 150 })
const site = { call: 'DeleteNetworkInterface', on: 'NIC eni-1', isRead: false }

const behaviours: Readonly<Record<string, RequestListener>> = {
  'never answers': () => {},
  'never ends its answer': (_, response) => void response.writeHead(200).write('<a>'),
  resets: request => void request.socket.resetAndDestroy(),
  'cuts its answer': (request, response) => {
    response.writeHead(200, { 'content-length': 999 }).write('<a>', () => request.socket.destroy())
  },
  'answers with a proxy’s page': (_, response) =>
    void response.writeHead(502).end('<html>bad</html>'),
  'answers with half an XML': (_, response) => void response.end('<DeleteNetworkInterfaceRe'),
}

describe.each(Object.entries(behaviours))('a server that %s', (_, behaviour) => {
  beforeEach(() => void (listener = behaviour))

  test('makes a mutation fail once, transient and ambiguous', async () => {
    const command = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: 'eni-1' })
    const outcome = await outcomeOf(() => call(site, never, () => client().send(command)))
    expect(outcome).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: true },
    })
    expect(requests).toBe(1)
  })

  test('makes a read fail after bounded tries, without ambiguity', async () => {
    const ec2 = client()
    const reading = { call: 'DescribeSubnets', on: 'a zone' }
    const outcome = await outcomeOf(() =>
      read(reading, never, () => ec2.send(new DescribeSubnetsCommand({}))),
    )
    expect(outcome).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: false },
    })
    expect(requests).toBe(4)
  })
})

test('a read that breaks once succeeds', async () => {
  listener = (request, response) => {
    if (requests === 1) return void request.socket.resetAndDestroy()
    response.end('<DescribeSubnetsResponse><subnetSet/></DescribeSubnetsResponse>')
  }
  const ec2 = client()
  const work = async () => present((await ec2.send(new DescribeSubnetsCommand({}))).Subnets, 'x')
  const outcome = await outcomeOf(() => read({ call: 'DescribeSubnets', on: 'x' }, never, work))
  expect(outcome).toEqual({ kind: 'ok', value: [] })
})

// A captive portal's 200 would otherwise read as "there are no subnets".
test('a page with status 200 is malformed, not an empty list', async () => {
  listener = (_, response) => void response.end('<html><body>Log in</body></html>')
  const ec2 = client()
  const work = async () => present((await ec2.send(new DescribeSubnetsCommand({}))).Subnets, 'x')
  const outcome = await outcomeOf(() => call({ ...site, isRead: true }, never, work))
  expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'MalformedResponse' } })
})

test('a throttled read is not repeated here: the core owns the budget', async () => {
  listener = (_, response) =>
    void response
      .writeHead(503)
      .end('<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>')
  const ec2 = client()
  const outcome = await outcomeOf(() =>
    read({ call: 'DescribeSubnets', on: 'x' }, never, () =>
      ec2.send(new DescribeSubnetsCommand({})),
    ),
  )
  expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'throttled' } })
  expect(requests).toBe(1)
})

describe('metadata', () => {
  /** A metadata service whose tokens die when told to. */
  const service = (paths: Readonly<Record<string, string>>) => {
    const state = { token: 1, granted: 0, refuse: 0 }
    listener = (request, response) => {
      const answer = (status: number, text = '') => void response.writeHead(status).end(text)
      if (request.method === 'PUT') {
        state.granted += 1
        const isAsked = request.headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined
        return answer(isAsked ? 200 : 400, `token-${state.token}`)
      }
      if (request.headers['x-aws-ec2-metadata-token'] !== `token-${state.token}`) return answer(401)
      if (state.refuse-- > 0) return answer(503)
      const text = paths[(request.url ?? '').replace('/latest/meta-data/', '')]
      return text === undefined ? answer(404) : answer(200, text)
    }
    return state
  }

  test('takes one token for many requests and a new one when it dies', async () => {
    const state = service({ mac: '02:00:00:00:00:01\n' })
    const metadata = createMetadata(base())
    const two = await Promise.all([metadata.need('mac', never), metadata.need('mac', never)])
    expect(two).toEqual(['02:00:00:00:00:01', '02:00:00:00:00:01'])
    expect(state.granted).toBe(1)
    state.token = 2
    expect(await metadata.need('mac', never)).toBe('02:00:00:00:00:01')
    expect(state.granted).toBe(2)
  })

  test('a missing list is empty, a late service is waited for', async () => {
    const state = service({ list: 'a\nb\n' })
    const metadata = createMetadata(base())
    expect(await metadata.list('absent', never)).toEqual([])
    state.refuse = 2
    expect(await metadata.list('list', never)).toEqual(['a', 'b'])
  })

  test('a service that is forbidden is denied at once, with advice', async () => {
    listener = (_, response) => void response.writeHead(403).end()
    const outcome = await outcomeOf(() => createMetadata(base()).need('mac', never))
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain('hop limit of 2')
    expect(requests).toBe(1)
  })

  test('a service that is switched off is denied without a request', async () => {
    const outcome = await outcomeOf(() => createMetadata(undefined).need('mac', never))
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
  })

  test('an abort ends the waiting', async () => {
    listener = (_, response) => void response.writeHead(503).end()
    const controller = new AbortController()
    const waiting = outcomeOf(() => createMetadata(base()).need('mac', controller.signal))
    setTimeout(() => controller.abort(), 50)
    expect(await waiting).toMatchObject({ kind: 'failed', failure: { kind: 'transient' } })
  })

  test('an endless answer is cut', async () => {
    const controller = new AbortController()
    let answers = 0
    listener = (request, response) => {
      if (request.method === 'PUT') return void response.end('t')
      // A second question shows that the first answer was given up.
      if (++answers > 1) controller.abort()
      response.write('x'.repeat(80_000))
    }
    const reading = outcomeOf(() => createMetadata(base()).need('mac', controller.signal))
    expect(await reading).toMatchObject({ kind: 'failed', failure: { ambiguous: false } })
    expect(answers).toBe(2)
  })
})

test('every call on the wire is told, with its end', async () => {
  listener = (_, response) =>
    void response
      .writeHead(400)
      .end('<Response><Errors><Error><Code>TagLimitExceeded</Code></Error></Errors></Response>')
  const told: string[] = []
  const ec2 = createClient(async () => 'us-east-1', {
    onCall: (name, result) => void told.push(`${name} ${result}`),
  })
  await outcomeOf(() => call(site, never, () => ec2.send(new DescribeSubnetsCommand({}))))
  listener = (_, response) => void response.end('<DescribeSubnetsResponse/>')
  await ec2.send(new DescribeSubnetsCommand({}))
  expect(told).toEqual(['DescribeSubnets TagLimitExceeded', 'DescribeSubnets ok'])
})
