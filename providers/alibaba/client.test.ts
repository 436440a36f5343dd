// What the SDK and the metadata client do on a bad wire: a tiny server answers every request with
// the same misbehaviour, and the result must be a failure of the right kind, in bounded time.

import {
  DeleteNetworkInterfaceRequest,
  DescribeNetworkInterfacesRequest,
} from '@alicloud/ecs20140526'
import { type RequestListener, type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcomeOf } from '../common/calls.ts'
import { call, mutation, read } from './calls.ts'
import { createClient } from './client.ts'
import { alibabaEnvironment } from './config.ts'
import { createCredentials } from './credentials.ts'
import { createMetadata } from './metadata.ts'

let server: Server
let requests = 0
let queries: URLSearchParams[] = []
let headers: (string | undefined)[] = []
let listener: RequestListener
const never = new AbortController().signal

beforeEach(async () => {
  requests = 0
  queries = []
  headers = []
  server = createServer((request, response) => {
    requests += 1
    queries.push(new URL(request.url ?? '/', base()).searchParams)
    headers.push(request.headers['x-acs-action']?.toString())
    request.resume().once('end', () => listener(request, response))
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const clientOf = (
  given: { readonly requestMs?: number; readonly told?: string[]; readonly keys?: object } = {},
) => {
  const environment = alibabaEnvironment({
    ALIBABA_CLOUD_ECS_ENDPOINT: base(),
    ALIBABA_CLOUD_VPC_ENDPOINT: base(),
    ALIBABA_CLOUD_METADATA_ENDPOINT: base(),
    ...(given.keys ?? {
      ALIBABA_CLOUD_ACCESS_KEY_ID: 'id',
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'secret',
    }),
  })
  const metadata = createMetadata(environment.metadataEndpoint)
  return createClient({
    environment,
    region: async () => 'cn-hangzhou',
    credentials: createCredentials(environment, metadata),
    requestMs: given.requestMs ?? 150,
    onCall: (name, result) => void given.told?.push(`${name} ${result}`),
  })
}

const site = mutation('DeleteNetworkInterface', 'NIC eni-1')
const reading = { call: 'DescribeNetworkInterfaces', on: 'NIC eni-1' }

const remove = (client = clientOf(), signal = never) =>
  outcomeOf(() =>
    call(site, signal, () =>
      client.ecs(site.call, signal, (ecs, regionId) =>
        ecs.deleteNetworkInterface(
          new DeleteNetworkInterfaceRequest({ regionId, networkInterfaceId: 'eni-1' }),
        ),
      ),
    ),
  )

const list = (client = clientOf()) =>
  outcomeOf(() =>
    read(reading, never, () =>
      client.ecs(reading.call, never, (ecs, regionId) =>
        ecs.describeNetworkInterfaces(new DescribeNetworkInterfacesRequest({ regionId })),
      ),
    ),
  )

const answered = (body: unknown, status = 200, extra: Readonly<Record<string, string>> = {}) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return ((_, response) => void response.writeHead(status, extra).end(text)) as RequestListener
}

const behaviours: Readonly<Record<string, RequestListener>> = {
  'never answers': () => {},
  'never ends its answer': (_, response) => void response.writeHead(200).write('{"RequestId":'),
  'trickles its answer': (_, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 20)
    response.once('close', () => clearInterval(timer))
  },
  resets: request => void request.socket.resetAndDestroy(),
  'cuts its answer': (request, response) => {
    response.writeHead(200, { 'content-length': 999 }).write('{"R', () => request.socket.destroy())
  },
  'answers with a proxy’s page': answered('<html>bad</html>', 502),
  'answers with a log-in page and status 200': answered('<html>Log in</html>'),
  'answers with half a JSON': answered('{"RequestId":"1","Netw'),
  'answers with nothing': answered(''),
  'answers with JSON of another kind': answered('null'),
  'refuses with JSON of another kind': answered('null', 503),
  'answers with somebody else’s JSON': answered({ hello: 'world' }),
}

describe.each(Object.entries(behaviours))('a server that %s', (_, behaviour) => {
  beforeEach(() => void (listener = behaviour))

  test('makes a mutation fail once, transient and ambiguous', async () => {
    expect(await remove()).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: true, call: 'DeleteNetworkInterface' },
    })
    expect(requests).toBe(1)
  })

  test('makes a read fail after bounded tries, without ambiguity', async () => {
    expect(await list()).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: false },
    })
    expect(requests).toBe(4)
  })
})

// The SDK throws what it cannot read; it must not pass for a mistake of ours.
test('a list that is none makes a read fail, transient', async () => {
  listener = answered({ RequestId: '1', NetworkInterfaceSets: { NetworkInterfaceSet: {} } })
  expect(await list()).toMatchObject({
    failure: { kind: 'transient', code: 'MalformedResponse', ambiguous: false },
  })
})

const fine = { RequestId: '1', NetworkInterfaceSets: { NetworkInterfaceSet: [] } }

test('a read that breaks once succeeds', async () => {
  listener = (request, response) => {
    if (requests === 1) return void request.socket.resetAndDestroy()
    answered(fine)(request, response)
  }
  expect(await list()).toMatchObject({ kind: 'ok' })
})

// The SDK's default limits are three seconds and its `connectTimeout` is the socket's idle time.
test('a slow answer is waited for', async () => {
  listener = (request, response) =>
    void setTimeout(() => answered({ RequestId: '1' })(request, response), 3300)
  expect(await remove(clientOf({ requestMs: 10_000 }))).toMatchObject({ kind: 'ok' })
}, 20_000)

test('nobody listening is certain: nothing was sent', async () => {
  const client = clientOf()
  await new Promise(resolve => void server.close(resolve))
  expect(await remove(client)).toMatchObject({
    failure: { kind: 'transient', ambiguous: false, code: 'ECONNREFUSED' },
  })
})

test('region, action and signature go with every request', async () => {
  let authorization: string | undefined
  listener = (request, response) => {
    authorization = request.headers.authorization
    answered(fine)(request, response)
  }
  await list()
  expect(queries[0]?.get('RegionId')).toBe('cn-hangzhou')
  expect(headers).toEqual(['DescribeNetworkInterfaces'])
  expect(authorization).toMatch(/^ACS3-HMAC-SHA256 Credential=id,/)
})

describe('refusals', () => {
  const refused = (code: string, status: number, extra = {}) =>
    answered({ Code: code, Message: 'The words of ECS.', RequestId: '1' }, status, extra)

  test('a throttled read is not repeated here: the core owns the budget', async () => {
    listener = refused('Throttling.User', 400, { 'x-acs-retry-after': '700' })
    const failure = { kind: 'throttled', code: 'Throttling.User', retryAfterMs: 700 }
    expect(await list()).toMatchObject({ failure })
    expect(requests).toBe(1)
  })

  test('a missing right is named with its owner, in the cloud’s words', async () => {
    listener = refused('Forbidden.RAM', 403)
    const outcome = await remove()
    expect(outcome).toMatchObject({ failure: { kind: 'denied', ambiguous: false } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toBe(
      'DeleteNetworkInterface on NIC eni-1 failed: The words of ECS. (Forbidden.RAM); allow ' +
        'ecs:DeleteNetworkInterface in the RAM policy of the owner of AccessKey id',
    )
  })

  test('an error of the cloud itself may have taken effect', async () => {
    listener = refused('InternalError', 500)
    expect(await remove()).toMatchObject({ failure: { kind: 'transient', ambiguous: true } })
  })

  test('an error without a code is named by its status', async () => {
    listener = answered({ message: 'no' }, 403)
    expect(await remove()).toMatchObject({ failure: { kind: 'denied', code: 'HTTP 403' } })
  })
})

describe('giving up', () => {
  test('an abort settles at once, uncertain for a mutation', async () => {
    listener = () => {}
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 30)
    const outcome = await remove(clientOf({ requestMs: 60_000 }), controller.signal)
    expect(outcome).toMatchObject({ failure: { code: 'Aborted', ambiguous: true } })
  })

  test('what waits for its turn when given up is never sent', async () => {
    const held: (() => void)[] = []
    listener = (request, response) =>
      void held.push(() => answered({ RequestId: '1' })(request, response))
    const client = clientOf({ requestMs: 5000 })
    const running = Array.from({ length: 8 }, () => remove(client))
    await until(() => held.length === 8)
    const controller = new AbortController()
    const late = remove(client, controller.signal)
    controller.abort()
    expect(await late).toMatchObject({ failure: { code: 'Aborted' } })
    for (const answer of held) answer()
    for (const outcome of await Promise.all(running)) expect(outcome.kind).toBe('ok')
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(requests).toBe(8)
  })

  test('eight calls are under way at once, the others follow', async () => {
    let under = 0
    let most = 0
    listener = (request, response) => {
      most = Math.max(most, ++under)
      setTimeout(() => {
        under -= 1
        answered({ RequestId: '1' })(request, response)
      }, 20)
    }
    const client = clientOf({ requestMs: 5000 })
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => remove(client)))
    expect(outcomes.every(({ kind }) => kind === 'ok')).toBe(true)
    expect(most).toBe(8)
  })
})

const until = async (isReached: () => boolean): Promise<void> => {
  while (!isReached()) await new Promise(resolve => setTimeout(resolve, 5))
}

test('every call on the wire is told, with its end', async () => {
  const told: string[] = []
  const client = clientOf({ told })
  listener = answered({ Code: 'QuotaExceed.Tags', Message: '', RequestId: '1' }, 403)
  await remove(client)
  listener = answered(fine)
  await list(client)
  expect(told).toEqual(['DeleteNetworkInterface QuotaExceed.Tags', 'DescribeNetworkInterfaces ok'])
})
