// The metadata service over HTTP: its header, its versions, its documents, its tokens, and what it
// learns late.
import { type Server, request as httpRequest } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { assign } from '#emulator/model/addresses.ts'
import { objectOf, objectsOf, parseJson } from './json.ts'
import { createMetadataServer } from './metadata.ts'
import { createMetadataThrottle } from './metadata-throttle.ts'
import { type AzureSample, azureSample, said } from './testing.ts'

const open: Server[] = []

afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

interface StartOptions {
  readonly instance?: string
  readonly hops?: number
  readonly factor?: number
}

const start = async (
  sample: AzureSample,
  { instance = 'node-a', hops = 1, factor = 1000 }: StartOptions = {},
) => {
  const instanceId = sample.ids.instanceIds[instance] ?? ''
  const endpoint = () => 'https://127.0.0.1:8443'
  const ask = () => ({ instanceId, hops })
  const throttle = createMetadataThrottle(factor)
  const server = createMetadataServer({ arm: sample.arm, throttle, endpoint, ask })
  open.push(server)
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return (path: string, headers: Readonly<Record<string, string>> = { metadata: 'true' }) =>
    get(`http://127.0.0.1:${port}${path}`, headers)
}

const get = (url: string, headers: Readonly<Record<string, string>>) =>
  new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
    const outgoing = httpRequest(url, { headers, agent: false }, reply => {
      let text = ''
      reply.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })

const version = 'api-version=2021-02-01'

test('asks for its header and a version, and refuses proxies', async () => {
  const ask = await start(azureSample())
  const path = `/metadata/instance?${version}`
  const status = async (url: string, headers?: Readonly<Record<string, string>>) =>
    (await ask(url, headers)).status
  expect(await status(path)).toBe(200)
  expect(await status(path, {})).toBe(400)
  expect(await status(path, { metadata: 'no' })).toBe(400)
  expect(await status(path, { metadata: 'True', 'x-forwarded-for': '10.0.0.9' })).toBe(400)
  expect(await status('/metadata/instance')).toBe(400)
  expect(await status('/metadata/instance?api-version=2021-02-02')).toBe(400)
  expect(await status(`/metadata/other?${version}`)).toBe(404)
  expect(await status(`/metadata/instance/compute/none?${version}`)).toBe(404)
  const { text } = await ask('/metadata/instance')
  expect(parseJson(text)).toEqual({
    error:
      'Bad request. api-version was not specified in the request. For more information refer to ' +
      'aka.ms/azureimds',
    'newest-versions': ['2025-07-24', '2025-04-07', '2023-11-15'],
  })
  const versions = objectOf(parseJson((await ask('/metadata/versions')).text))
  expect(versions['apiVersions']).toContain('2021-02-01')
})

test('describes the machine and its NICs', async () => {
  const sample = azureSample()
  const ask = await start(sample)
  const compute = parseJson((await ask(`/metadata/instance/compute?${version}`)).text)
  expect(compute).toMatchObject({
    name: 'node-a',
    azEnvironment: 'AzurePublicCloud',
    location: 'eastus',
    resourceGroupName: 'eniway-nodes',
    subscriptionId: '00000000-0000-4000-8000-00000000a201',
    resourceId: sample
      .nicPath('node-a')
      .replace(/Microsoft.Network\/.*/, 'Microsoft.Compute/virtualMachines/node-a'),
    vmScaleSetName: '',
    vmSize: 'Standard_D4s_v5',
    zone: '1',
  })
  const network = parseJson((await ask(`/metadata/instance/network?${version}`)).text)
  expect(network).toEqual({
    interface: [
      {
        ipv4: {
          ipAddress: [{ privateIpAddress: '10.0.0.10', publicIpAddress: '' }],
          subnet: [{ address: '10.0.0.0', prefix: '24' }],
        },
        ipv6: { ipAddress: [] },
        macAddress: sample.nicOf('node-a').nic.mac.replaceAll(':', '').toUpperCase(),
      },
    ],
  })
  const text = async (path: string) =>
    (await ask(`/metadata/instance/${path}?${version}&format=text`)).text
  expect(await text('compute/vmSize')).toBe('Standard_D4s_v5')
  expect(await text('network/interface/0/ipv4/ipAddress/0/privateIpAddress')).toBe('10.0.0.10')
  expect(await text('')).toBe('compute/\nnetwork/')
  expect((await ask(`/metadata/instance/compute/vmSize?${version}`)).status).toBe(400)
})

test('a member of a scale set is called after it', async () => {
  const ask = await start(azureSample(), { instance: 'member-u' })
  const compute = objectOf(parseJson((await ask(`/metadata/instance/compute?${version}`)).text))
  expect(compute).toMatchObject({ name: 'pool_0', vmScaleSetName: 'pool' })
  expect(compute['resourceId']).toMatch(/virtualMachineScaleSets\/pool\/virtualMachines\/0$/)
})

test('further addresses are listed late', async () => {
  const sample = azureSample({ latency: 'documented' })
  const ask = await start(sample)
  const empty = { addresses: [], prefixes: [], prefixCount: 0, allowReassignment: false }
  const { nic } = sample.nicOf('node-a')
  assign(sample.world, nic.id, { ...empty, family: 4, addressCount: 2 })
  assign(sample.world, nic.id, { ...empty, family: 6, addressCount: 1 })
  const counts = async () => {
    const { text } = await ask(`/metadata/instance/network/interface/0?${version}`)
    const shown = objectOf(parseJson(text))
    return ['ipv4', 'ipv6'].map(family => objectsOf(objectOf(shown[family])['ipAddress']).length)
  }
  expect(await counts()).toEqual([1, 0])
  await sample.clock.advance(6000)
  expect(await counts()).toEqual([3, 1])
})

test('the managed identity has tokens for Resource Manager', async () => {
  const sample = azureSample()
  const ask = await start(sample)
  const path = '/metadata/identity/oauth2/token?api-version=2018-02-01'
  const token = async (more: string) => {
    const { status, text } = await ask(`${path}${more}`)
    return { status, body: objectOf(parseJson(text)) }
  }
  const granted = await token('&resource=https%3A%2F%2Fmanagement.azure.com%2F')
  const expiresOn = sample.clock.now() / 1000 + 86_400
  expect(granted).toMatchObject({
    status: 200,
    body: {
      expires_in: '86400',
      expires_on: String(expiresOn),
      resource: 'https://management.azure.com/',
      token_type: 'Bearer',
    },
  })
  const own = said(granted.body['client_id'])
  const used = await sample.send('GET', sample.nicPath('node-a'), {
    token: said(granted.body['access_token']),
  })
  expect(used.code).toBe('ok')
  const resource = '&resource=https%3A%2F%2Fmanagement.azure.com'
  const check = async (more: string, want: string) => {
    const { status, body } = await token(more)
    expect(`${status} ${said(body['error']) || 'ok'}`).toBe(want)
  }
  await check(`${resource}&client_id=${own}`, '200 ok')
  await check(`${resource}&client_id=other`, '400 invalid_request')
  await check('', '400 invalid_request')
  await check('&resource=https%3A%2F%2Fvault.azure.net', '400 invalid_resource')
  await check('&resource=https%3A%2F%2F127.0.0.1%3A8443', '200 ok')
  const { status, text } = await ask(`${path}${resource}`, {})
  expect([status, objectOf(parseJson(text))['error']]).toEqual([400, 'invalid_request'])
})

test('a machine may ask five times a second, and twenty times for tokens', async () => {
  const sample = azureSample()
  const ask = await start(sample, { factor: 1 })
  const statuses = async (count: number, path: string) => {
    const all: number[] = []
    for (let i = 0; i < count; i++) all.push((await ask(path)).status)
    return all
  }
  const path = '/metadata/versions'
  expect(await statuses(6, path)).toEqual([200, 200, 200, 200, 200, 429])
  const tokens = await statuses(21, '/metadata/identity/oauth2/token')
  expect([new Set(tokens.slice(0, 20)), tokens[20]]).toEqual([new Set([400]), 429])
  await sample.clock.advance(400)
  expect(await statuses(3, path)).toEqual([200, 200, 429])
})

test('pods, strangers and the dead hear nothing', async () => {
  const sample = azureSample()
  const pod = await start(sample, { hops: 2 })
  const stranger = await start(sample, { instance: 'nobody' })
  const path = `/metadata/instance?${version}`
  for (const ask of [pod, stranger]) await expect(ask(path)).rejects.toThrow(/hang up|ECONNRESET/)
})

test('can be made to fail for one machine', async () => {
  const sample = azureSample()
  const ask = await start(sample)
  const other = await start(sample, { instance: 'node-b' })
  const effect = { kind: 'metadataFail', status: 503 } as const
  sample.world.faults.add({ effect, instance: 'node-a', count: 1 })
  const path = `/metadata/instance?${version}`
  const statuses = [await other(path), await ask(path), await ask(path)].map(one => one.status)
  expect(statuses).toEqual([200, 503, 200])
})
