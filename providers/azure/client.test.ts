// What the SDK's transport does on a bad wire: a server answers every request with the same
// misbehaviour, and the result must be a failure of the right kind, in bounded time, sent once.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcomeOf } from '../common/calls.ts'
import { call, read } from './calls.ts'
import type { ArmRequest } from './client.ts'
import { type FakeArm, type Handler, startFakeArm, token } from './testing.ts'

let fake: FakeArm
beforeEach(async () => void (fake = await startFakeArm()))
afterEach(() => fake.close())

const never = new AbortController().signal
const path = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n'
const get: ArmRequest = { service: 'network', call: 'NetworkInterfaces_Get', method: 'GET', path }
const put: ArmRequest = {
  ...get,
  call: 'NetworkInterfaces_CreateOrUpdate',
  method: 'PUT',
  body: { properties: { unheardOf: { kept: [1, null] } } },
  ifMatch: 'W/"1"',
}
const site = { call: put.call, on: 'NIC n', isRead: false }

const send = (request: ArmRequest, requestMs = 2000, signal = never) => {
  const arm = fake.client({ requestMs })
  return request.method === 'PUT'
    ? outcomeOf(() => call(site, signal, () => arm.send(request, signal)))
    : outcomeOf(() =>
        read({ call: request.call, on: 'NIC n' }, signal, () => arm.send(request, signal)),
      )
}

test('a request carries token, SDK, ETag and the whole body, unchanged', async () => {
  fake.handle = ({ body }) => ({ headers: { etag: 'W/"2"' }, body })
  const outcome = await send(put)
  expect(outcome).toMatchObject({ kind: 'ok', value: { status: 200, body: put.body } })
  const [asked] = fake.asked
  expect(asked?.body).toEqual(put.body)
  expect(asked?.headers).toMatchObject({ authorization: 'Bearer a-token', 'if-match': 'W/"1"' })
  expect(asked?.headers['user-agent']).toMatch(/^eniway azsdk-js-arm-network\/\d/)
})

test('the token is for the cloud, wherever the endpoint is', async () => {
  const scopes: unknown[] = []
  const credential = {
    getToken: async (asked: string | string[]) => {
      scopes.push(asked)
      return token
    },
  }
  fake.handle = () => ({ body: {} })
  const arm = fake.client({
    createCredential: () => credential,
    audience: 'https://management.chinacloudapi.cn',
  })
  await arm.send(get, never)
  await arm.send({ ...get, service: 'compute' }, never)
  expect(new Set(scopes.flat())).toEqual(new Set(['https://management.chinacloudapi.cn/.default']))
})

const behaviours: Readonly<Record<string, Handler>> = {
  'never answers': () => undefined,
  resets: ({ request }) => void request.socket.destroy(),
  'answers with a proxy’s page': () => ({ status: 502, body: '<html>bad gateway</html>' }),
  'answers 200 with a page': () => ({ body: '<html>log in</html>' }),
  'answers with half an object': () => ({
    headers: { 'content-type': 'application/json', 'content-length': '17' },
    body: '{"properties": {',
  }),
  'answers with a list': () => ({ body: [] }),
  'sends us elsewhere': () => ({ status: 302, headers: { location: 'https://192.0.2.1/' } }),
  'has trouble inside': () => ({
    status: 500,
    body: { error: { code: 'InternalServerError', message: 'An error occurred.' } },
  }),
}

describe.each(Object.entries(behaviours))('a server that %s', (_, behaviour) => {
  beforeEach(() => void (fake.handle = behaviour))

  test('makes a write fail once, transient and ambiguous', async () => {
    expect(await send(put, 150)).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: true },
    })
    expect(fake.asked).toHaveLength(1)
  })

  test('makes a read fail after bounded tries, without ambiguity', async () => {
    expect(await send(get, 150)).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: false },
    })
    expect(fake.asked).toHaveLength(4)
  })
})

test('a request may have less time than others', async () => {
  fake.handle = () => undefined
  const outcome = await send({ ...put, withinMs: 50 }, 60_000)
  expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'ETIMEDOUT' } })
})

test('an answer that never ends is given up', async () => {
  fake.handle = ({ request }) => {
    // Headers of an answer whose body does not come.
    request.socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n')
    request.socket.write('content-length: 100\r\n\r\n{')
  }
  expect(await send(put, 150)).toMatchObject({
    kind: 'failed',
    failure: { kind: 'transient', ambiguous: true, code: 'ETIMEDOUT' },
  })
})

test('a refused connection is certain', async () => {
  const arm = fake.client({ endpoint: 'https://127.0.0.1:1' })
  expect(await outcomeOf(() => call(site, never, () => arm.send(put, never)))).toMatchObject({
    kind: 'failed',
    failure: { kind: 'transient', ambiguous: false, code: 'ECONNREFUSED' },
  })
})

test('an abort ends the call at once', async () => {
  fake.handle = () => undefined
  const controller = new AbortController()
  const sending = send(put, 60_000, controller.signal)
  setTimeout(() => controller.abort(), 50)
  expect(await sending).toMatchObject({
    kind: 'failed',
    failure: { kind: 'transient', ambiguous: true, code: 'Aborted' },
  })
})

test('a throttled read is not repeated here, and says how long to wait', async () => {
  fake.handle = () => ({
    status: 429,
    headers: { 'retry-after': '17' },
    body: { error: { code: 'SubscriptionRequestsThrottled', message: 'Number of requests.' } },
  })
  expect(await send(get)).toMatchObject({
    kind: 'failed',
    failure: { kind: 'throttled', retryAfterMs: 17_000 },
  })
  expect(fake.asked).toHaveLength(1)
})

// The token goes with every request, also with those to URLs that answers name.
test.each(['https://192.0.2.1/x', 'http://127.0.0.1/x', 'nonsense'])(
  'no request goes to %s because an answer said so',
  async elsewhere => {
    const arm = fake.client()
    const sending = call({ ...site, isRead: true }, never, () =>
      arm.send({ ...get, path: elsewhere }, never),
    )
    expect(await outcomeOf(() => sending)).toMatchObject({ failure: { kind: 'transient' } })
    expect(fake.asked).toHaveLength(0)
  },
)

test('a token that was refused is not used again', async () => {
  let made = 0
  const createCredential = () => {
    const mine = { ...token, token: `token-${++made}` }
    return { getToken: async () => mine }
  }
  const arm = fake.client({ createCredential })
  fake.handle = ({ headers }) =>
    headers.authorization === 'Bearer token-1'
      ? { status: 401, body: { error: { code: 'ExpiredAuthenticationToken' } } }
      : { body: {} }
  await expect(arm.send(get, never)).rejects.toMatchObject({ code: 'ExpiredAuthenticationToken' })
  await expect(arm.send(get, never)).resolves.toMatchObject({ status: 200 })
  await arm.send(get, never)
  expect(made).toBe(2)
})

test('every request on the wire is told, with its end', async () => {
  const told: string[] = []
  const arm = fake.client({ onCall: (name, result) => void told.push(`${name} ${result}`) })
  fake.handle = () => ({ body: {} })
  await arm.send(get, never)
  fake.handle = () => ({ status: 409, body: { error: { code: 'AnotherOperationInProgress' } } })
  await arm.send(put, never).catch(() => undefined)
  expect(told).toEqual([
    'NetworkInterfaces_Get ok',
    'NetworkInterfaces_CreateOrUpdate AnotherOperationInProgress',
  ])
})
