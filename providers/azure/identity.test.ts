// Who the machine is, from metadata alone; where Resource Manager is; and which credential is used.

import { type RequestListener, type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { outcomeOf } from '../common/calls.ts'
import { MalformedError } from '../common/failures.ts'
import { type AzureEnvironment, azureEnvironment } from './config.ts'
import { createCredential } from './credential.ts'
import { createSession, identityOf } from './identity.ts'
import type { ComputeMetadata } from './metadata.ts'
import { token } from './testing.ts'

const machine: ComputeMetadata = {
  azEnvironment: 'AzurePublicCloud',
  location: 'eastus',
  name: 'node-1',
  resourceGroupName: 'Group',
  resourceId: '/subscriptions/s/resourceGroups/Group/providers/Microsoft.Compute/virtualMachines/N',
  subscriptionId: 's',
  tagsList: [{ name: 'team', value: 'a' }],
  vmScaleSetName: '',
  vmSize: 'Standard_D4s_v5',
  zone: '2',
}
const compute = '/subscriptions/s/resourceGroups/Group/providers/Microsoft.Compute'

let server: Server
let listener: RequestListener
let requests = 0
// One for all tests: the identity library remembers the first service it found for the process.
beforeAll(async () => {
  server = createServer((request, response) => {
    requests += 1
    listener(request, response)
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
})
beforeEach(() => void (requests = 0))
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const never = new AbortController().signal

describe('the machine', () => {
  test('in a zone', () =>
    expect(identityOf(machine)).toEqual({
      instanceId: machine.resourceId?.toLowerCase(),
      subscription: 's',
      path: machine.resourceId,
      isUniform: false,
      tags: { team: 'a' },
      vmSize: 'Standard_D4s_v5',
      location: 'eastus',
      zone: 'eastus-2',
    }))

  test.each([
    ['of a flexible scale set', 'set', 'set_0a1b2c3d', `${compute}/virtualMachines/set_0a1b2c3d`],
    [
      'of a uniform one',
      'set',
      'set_12',
      `${compute}/virtualMachineScaleSets/set/virtualMachines/12`,
    ],
    ['alone', '', 'vm_7', `${compute}/virtualMachines/vm_7`],
  ])('%s, where metadata has no id', (...[, vmScaleSetName, name, want]) => {
    const { resourceId: _id, zone: _zone, ...others } = machine
    const identity = identityOf({ ...others, vmScaleSetName, name })
    expect(identity.path).toBe(want)
    expect(identity.isUniform).toBe(want.includes('ScaleSets'))
    expect(identity.zone).toBe('eastus')
  })

  test.each(['subscriptionId', 'location', 'vmSize'] as const)('without %s is malformed', key =>
    expect(() => identityOf({ ...machine, [key]: '' })).toThrow(MalformedError),
  )
})

const environmentWith = (more: Partial<AzureEnvironment> = {}): AzureEnvironment => ({
  ...azureEnvironment({}),
  metadataEndpoint: base(),
  ...more,
})
const open = (environment: AzureEnvironment) =>
  outcomeOf(() => {
    const parts = { environment, onCall: undefined, onOpen: () => undefined }
    return createSession({ ...parts, createCredential: () => ({ getToken: async () => token }) })(
      never,
    )
  })

describe('metadata', () => {
  test('is asked with its header, once, and waited for while it is late', async () => {
    let refusals = 2
    listener = (request, response) => {
      if (request.headers.metadata !== 'true') return void response.writeHead(400).end()
      if (refusals-- > 0) return void response.writeHead(410).end()
      response.end(JSON.stringify(machine))
    }
    expect(await open(environmentWith())).toMatchObject({ kind: 'ok' })
    expect(requests).toBe(3)
  })

  test('that is forbidden is denied at once, with advice', async () => {
    listener = (_, response) => void response.writeHead(403).end()
    const outcome = await open(environmentWith())
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain('without a proxy')
    expect(requests).toBe(1)
  })

  test('an endpoint without TLS gets no token', async () => {
    listener = (_, response) => void response.end(JSON.stringify(machine))
    const outcome = await open(environmentWith({ armEndpoint: 'http://arm.example' }))
    expect(outcome).toMatchObject({ failure: { kind: 'denied', code: 'InsecureEndpoint' } })
  })
})

describe('the environment', () => {
  const principal = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c' }
  test.each([
    [{}, 'managed', undefined],
    [{ AZURE_CLIENT_ID: 'c' }, 'managed', 'c'],
    [principal, 'managed', 'c'],
    [{ ...principal, AZURE_CLIENT_SECRET: 's' }, 'environment', 'c'],
    [{ ...principal, AZURE_CLIENT_CERTIFICATE_PATH: '/c' }, 'environment', 'c'],
    [{ ...principal, AZURE_FEDERATED_TOKEN_FILE: '/f' }, 'workload', 'c'],
    [{ AZURE_CLIENT_SECRET: 's' }, 'managed', undefined],
  ] as const)('%j is a %s identity', (environment, credential, clientId) =>
    expect(azureEnvironment(environment)).toMatchObject({ credential, clientId }),
  )

  test('a proxy is for Resource Manager', () => {
    expect(azureEnvironment({ https_proxy: 'http://p' }).isProxied).toBe(true)
    expect(azureEnvironment({ HTTP_PROXY: 'http://p' }).isProxied).toBe(false)
  })
})

describe('the credential', () => {
  const before = { ...process.env }
  afterEach(() => void (process.env = { ...before }))
  const scope = 'https://management.azure.com/.default'
  let clients = 0
  // The library keeps tokens for the whole process, by client.
  const managed = () => createCredential({ ...environmentWith(), clientId: `client-${++clients}` })
  const asked = async (credential = managed()) => {
    process.env['AZURE_POD_IDENTITY_AUTHORITY_HOST'] = base()
    return Promise.resolve(credential.getToken(scope)).then(
      found => found?.token,
      (error: Error & { code?: string }) => error,
    )
  }

  test('of a managed identity comes from the metadata service, past any proxy', async () => {
    process.env['HTTP_PROXY'] = 'http://127.0.0.1:1'
    let path = ''
    listener = (request, response) => {
      path = request.url ?? ''
      const body = { access_token: 'secret', expires_on: '4000000000', token_type: 'Bearer' }
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ ...body, resource: 'https://management.azure.com' }))
    }
    expect(await asked()).toBe('secret')
    expect(path).toMatch(/^\/metadata\/identity\/oauth2\/token/)
    expect(path).toContain('client_id=client-')
  })

  const refusal = { error: 'invalid_request', error_description: 'Identity not found' }
  test.each([
    ['an identity that is not assigned', 400, refusal, 'CredentialUnavailableError'],
    ['trouble inside', 500, refusal, 'CredentialTrouble'],
    ['too many questions', 429, refusal, 'CredentialTrouble'],
    ['an answer that says nothing', 200, {}, 'CredentialTrouble'],
    ['trouble that says nothing', 503, {}, 'CredentialTrouble'],
    ['a proxy’s page', 200, '<html>log in</html>', 'CredentialTrouble'],
    ['a proxy’s page of trouble', 502, '<html>bad gateway</html>', 'CredentialTrouble'],
    ['half an answer', 200, '{"access_token": "x', 'CredentialTrouble'],
  ] as const)('%s', async (...[, status, body, code]) => {
    listener = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    }
    expect(await asked()).toMatchObject({ code })
    // The one layer that repeats is not this one.
    expect(requests).toBe(1)
  })

  test('a service that breaks off is trouble that passes', async () => {
    listener = request => void request.socket.resetAndDestroy()
    expect(await asked()).toMatchObject({ code: 'CredentialTrouble' })
  })

  test('says nothing that was secret', async () => {
    const create = () => ({
      getToken: async () => {
        throw new Error('bad request: client_secret=hunter2 scope=x')
      },
    })
    const credential = createCredential(environmentWith(), create)
    const error = await asked(credential)
    expect(error).toMatchObject({ name: 'CredentialError' })
    expect(String(error)).not.toContain('hunter2')
  })
})
