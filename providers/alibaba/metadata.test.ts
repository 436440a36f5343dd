// The metadata client and the credentials it brings, against a tiny service whose tokens and
// answers are as the test wants them.

import { mkdtempSync, rmSync } from 'node:fs'
import { type RequestListener, type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcomeOf } from '../common/calls.ts'
import { alibabaEnvironment } from './config.ts'
import { createCredentials } from './credentials.ts'
import { createMetadata } from './metadata.ts'

let server: Server
let listener: RequestListener
let asked: string[] = []
const never = new AbortController().signal

beforeEach(async () => {
  asked = []
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    listener(request, response)
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const metadata = () => createMetadata(base())

/** A service in hardened mode; its current token can be made to die. */
const service = (paths: Readonly<Record<string, string>>) => {
  const state = { token: 1, granted: 0, refuse: 0 }
  listener = (request, response) => {
    const answer = (status: number, text = '') => void response.writeHead(status).end(text)
    if (request.method === 'PUT') {
      state.granted += 1
      const isAsked = request.headers['x-aliyun-ecs-metadata-token-ttl-seconds'] === '21600'
      return answer(isAsked ? 200 : 400, `token-${state.token}`)
    }
    if (request.headers['x-aliyun-ecs-metadata-token'] !== `token-${state.token}`)
      return answer(401)
    if (state.refuse-- > 0) return answer(503)
    const text = paths[(request.url ?? '').replace('/latest/meta-data/', '')]
    return text === undefined ? answer(404) : answer(200, text)
  }
  return state
}

describe('metadata', () => {
  test('takes one token for many requests and a new one when it dies', async () => {
    const state = service({ mac: '00:16:3e:00:00:01\n' })
    const client = metadata()
    const two = await Promise.all([client.need('mac', never), client.need('mac', never)])
    expect(two).toEqual(['00:16:3e:00:00:01', '00:16:3e:00:00:01'])
    expect(state.granted).toBe(1)
    state.token = 2
    expect(await client.need('mac', never)).toBe('00:16:3e:00:00:01')
    expect(state.granted).toBe(2)
  })

  test.each([
    ['lines', 'a\nb\n', ['a', 'b']],
    ['JSON', '["10.0.0.1","10.0.0.2"]', ['10.0.0.1', '10.0.0.2']],
    ['brackets', '[2001:db8::1, 2001:db8::2]', ['2001:db8::1', '2001:db8::2']],
    ['one', '192.168.0.0/16', ['192.168.0.0/16']],
    ['empty', '[]', []],
  ] as const)('reads a list as %s', async (...[, text, want]) => {
    service({ list: text })
    expect(await metadata().list('list', never)).toEqual(want)
  })

  test('a missing path is nothing, a late service is waited for', async () => {
    const state = service({ list: 'a' })
    const client = metadata()
    expect(await client.list('absent', never)).toEqual([])
    expect(await client.glance('absent', never)).toBeUndefined()
    state.refuse = 2
    expect(await client.list('list', never)).toEqual(['a'])
    state.refuse = 1
    expect(await client.glance('list', never)).toBeUndefined()
    expect(await client.glance('list', never)).toBe('a')
  })

  test('a service that is forbidden is denied at once, with advice', async () => {
    listener = (_, response) => void response.writeHead(403).end()
    const outcome = await outcomeOf(() => metadata().need('mac', never))
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain(
      'enable instance metadata',
    )
    expect(asked).toEqual(['PUT /latest/api/token'])
  })

  test('an abort ends the waiting', async () => {
    listener = (_, response) => void response.writeHead(503).end()
    const controller = new AbortController()
    const waiting = outcomeOf(() => metadata().need('mac', controller.signal))
    setTimeout(() => controller.abort(), 50)
    expect(await waiting).toMatchObject({ kind: 'failed', failure: { kind: 'transient' } })
  })
})

describe('credentials', () => {
  const role = {
    AccessKeyId: 'STS.id',
    AccessKeySecret: 'secret',
    SecurityToken: 'token',
    Code: 'Success',
  }
  const roles = 'ram/security-credentials/'
  const sourceOf = (variables: Readonly<Record<string, string>> = {}) =>
    createCredentials(alibabaEnvironment(variables), metadata())
  const get = (source = sourceOf()) => outcomeOf(() => source.get(never))

  test('of the environment come before all others', async () => {
    listener = (_, response) => void response.writeHead(500).end()
    const keys = { ALIBABA_CLOUD_ACCESS_KEY_ID: 'id', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 's' }
    expect(await get(sourceOf(keys))).toMatchObject({
      value: { accessKeyId: 'id', provider: 'static_ak', principal: 'the owner of AccessKey id' },
    })
    const sts = { ...keys, ALIBABA_CLOUD_SECURITY_TOKEN: 't' }
    expect(await get(sourceOf(sts))).toMatchObject({
      value: { securityToken: 't', provider: 'static_sts' },
    })
    expect(asked).toEqual([])
  })

  test('of the instance’s role are kept, and fetched anew when told to', async () => {
    service({ [roles]: 'eniway-node\n', [`${roles}eniway-node`]: JSON.stringify(role) })
    const source = sourceOf()
    for (let times = 0; times < 3; times++) {
      expect(await get(source)).toMatchObject({
        value: {
          accessKeyId: 'STS.id',
          securityToken: 'token',
          provider: 'ecs_ram_role',
          principal: 'RAM role eniway-node',
        },
      })
    }
    expect(asked).toHaveLength(3)
    source.forget()
    await get(source)
    expect(asked).toHaveLength(5)
  })

  test('of a named role need no list of roles', async () => {
    service({ [`${roles}mine`]: JSON.stringify(role) })
    await get(sourceOf({ ALIBABA_CLOUD_ECS_METADATA: 'mine' }))
    expect(asked.at(-1)).toBe(`GET /latest/meta-data/${roles}mine`)
  })

  test.each([
    ['no role', {}, {}, 'the instance has no RAM role'],
    [
      'a role without keys',
      { [roles]: 'mine', [`${roles}mine`]: '{"Code":"Failed"}' },
      {},
      'metadata holds no credentials of RAM role mine',
    ],
    [
      'metadata switched off',
      {},
      { ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true' },
      'no keys are set',
    ],
  ])('%s is denied and says so', async (...[, paths, variables, want]) => {
    service(paths)
    const outcome = await get(sourceOf(variables))
    expect(outcome).toMatchObject({ failure: { kind: 'denied', ambiguous: false } })
    const message = outcome.kind === 'failed' ? outcome.failure.message : ''
    expect(message).toContain(want)
    expect(message).toContain('give the instance a RAM role')
  })

  // The SDK's provider asks STS over TLS alone, so what can be shown here is that it is the one
  // asked, and that its trouble becomes a sentence.
  test('by OIDC come before metadata, from the SDK’s own provider', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eniway-oidc-'))
    const variables = {
      ALIBABA_CLOUD_ROLE_ARN: 'acs:ram::1:role/eniway',
      ALIBABA_CLOUD_OIDC_PROVIDER_ARN: 'acs:ram::1:oidc-provider/x',
      ALIBABA_CLOUD_OIDC_TOKEN_FILE: join(folder, 'absent'),
    }
    const before = { ...process.env }
    Object.assign(process.env, variables)
    const outcome = await get(sourceOf(variables))
    process.env = before
    rmSync(folder, { recursive: true })
    expect(outcome).toMatchObject({ failure: { kind: 'denied', code: 'NoCredentials' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain('ENOENT')
    expect(asked).toEqual([])
  })
})

test('the environment is read once, empty means unset', () => {
  const environment = alibabaEnvironment({
    ALIBABA_CLOUD_REGION_ID: '',
    ALIBABA_CLOUD_ACCESS_KEY_ID: 'id',
    ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED: 'TRUE',
  })
  expect(environment).toEqual({
    region: undefined,
    ecsEndpoint: undefined,
    vpcEndpoint: undefined,
    isInsideVpc: true,
    metadataEndpoint: 'http://100.100.100.200',
    keys: undefined,
    hasOidc: false,
    mayAskForRole: true,
    roleName: undefined,
  })
})
