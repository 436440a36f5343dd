// The metadata service over HTTP: the token's rules, the tree, and what it learns late.
import { request as httpRequest } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { cidr, ip } from '#core/ip.ts'
import { type Emulator, type EmulatorOptions, startEmulator } from '#emulator/emulator.ts'
import { assign } from '#emulator/model/addresses.ts'
import { virtualClock } from '#emulator/model/clock.ts'
import { attachNic, createNic } from '#emulator/model/nics.ts'
import { nicsOfInstance } from '#emulator/model/world.ts'
import { sampleVpc } from '#emulator/sample.ts'
import { instanceByAddress } from '#emulator/askers.ts'

const open: Emulator[] = []

afterEach(async () => {
  for (const emulator of open.splice(0)) await emulator.close()
})

const start = async (options: Partial<EmulatorOptions> = {}) => {
  const clock = virtualClock()
  const emulator = await startEmulator({
    seed: 1,
    latency: 'none',
    clock,
    vpc: sampleVpc,
    ...options,
  })
  open.push(emulator)
  return { emulator, clock, endpoint: await emulator.metadataEndpoint('node-a') }
}

interface Reply {
  readonly status: number
  readonly body: string
}

const send = (
  url: string,
  { method = 'GET', ...headers }: Readonly<Record<string, string>> = {},
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const outgoing = httpRequest(url, { method, headers, agent: false }, reply => {
      let body = ''
      reply.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, body }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })

const ttl = 'x-aws-ec2-metadata-token-ttl-seconds'

const tokenOf = async (endpoint: string, seconds = '60'): Promise<string> =>
  (await send(`${endpoint}/latest/api/token`, { method: 'PUT', [ttl]: seconds })).body

const read = async (endpoint: string, path: string): Promise<string> => {
  const token = await tokenOf(endpoint)
  const url = `${endpoint}/latest/${path}`
  const { status, body } = await send(url, { 'x-aws-ec2-metadata-token': token })
  return status === 200 ? body : String(status)
}

describe('the session token', () => {
  test('is given to a PUT with a lifetime between 1 second and 6 hours', async () => {
    const { endpoint } = await start()
    const put = async (headers: Readonly<Record<string, string>>) =>
      (await send(`${endpoint}/latest/api/token`, { method: 'PUT', ...headers })).status
    expect(await put({ [ttl]: '1' })).toBe(200)
    expect(await put({ [ttl]: '21600' })).toBe(200)
    expect(await put({})).toBe(400)
    expect(await put({ [ttl]: '0' })).toBe(400)
    expect(await put({ [ttl]: '21601' })).toBe(400)
    expect(await put({ [ttl]: 'soon' })).toBe(400)
    expect(await put({ [ttl]: '60', 'x-forwarded-for': '10.0.0.9' })).toBe(403)
  })

  test('is required, expires, and is good for one instance only', async () => {
    const { endpoint, emulator, clock } = await start()
    const get = async (token: string, at = endpoint) =>
      (await send(`${at}/latest/meta-data/mac`, { 'x-aws-ec2-metadata-token': token })).status
    const token = await tokenOf(endpoint, '60')
    expect((await send(`${endpoint}/latest/meta-data/mac`)).status).toBe(401)
    expect(await get('invented')).toBe(401)
    expect(await get(token)).toBe(200)
    expect(await get(token, await emulator.metadataEndpoint('node-b'))).toBe(401)
    await clock.advance(60_000)
    expect(await get(token)).toBe(401)
  })
})

test('directories list, files answer, with or without a last slash; the rest is 404', async () => {
  const { endpoint, emulator } = await start()
  const [nic] = nicsOfInstance(emulator.world, emulator.ids.instanceIds['node-a'] ?? '')
  const macs = 'meta-data/network/interfaces/macs'
  expect(await read(endpoint, 'meta-data/instance-id')).toBe(emulator.ids.instanceIds['node-a'])
  expect(await read(endpoint, 'meta-data/instance-type/')).toBe('m5.large')
  expect(await read(endpoint, 'meta-data/placement/availability-zone')).toBe('us-east-1a')
  expect(await read(endpoint, macs)).toBe(`${nic?.mac}/`)
  expect(await read(endpoint, `${macs}/`)).toBe(`${nic?.mac}/`)
  expect(await read(endpoint, `${macs}/${nic?.mac}/local-ipv4s`)).toBe('10.0.0.10')
  expect(await read(endpoint, `${macs}/${nic?.mac}/vpc-ipv4-cidr-blocks`)).toBe('10.0.0.0/16')
  expect(await read(endpoint, `${macs}/${nic?.mac}/ipv4-prefix`)).toBe('404')
  expect(await read(endpoint, `${macs}/${nic?.mac}/network-card`)).toBe('404')
  expect(await read(endpoint, 'meta-data/instance-id/more')).toBe('404')
  expect(await read(endpoint, 'meta-data/__proto__')).toBe('404')
  const document = await read(endpoint, 'dynamic/instance-identity/document')
  expect(JSON.parse(document)).toMatchObject({ region: 'us-east-1', privateIp: '10.0.0.10' })
})

test('a NIC is listed late, and its further addresses later still', async () => {
  const { endpoint, emulator, clock } = await start({ latency: 'documented' })
  const { world, ids } = emulator
  const empty = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }
  const instanceId = ids.instanceIds['node-a'] ?? ''
  const nic = createNic(world, {
    subnetId: ids.subnetIds['a'] ?? '',
    description: '',
    groupIds: [],
    primaryAddress: undefined,
    lend4: { ...empty, addressCount: 4 },
    lend6: empty,
    tags: {},
  })
  await clock.advance(2000)
  const place = { deviceIndex: 1, cardIndex: 0, deleteOnTermination: false }
  attachNic(world, { nicId: nic.id, instanceId, ...place })
  const counts: number[] = []
  for (let ms = 0; ms < 15_000; ms += 50) {
    await clock.advance(50)
    const text = await read(endpoint, `meta-data/network/interfaces/macs/${nic.mac}/local-ipv4s`)
    counts.push(text === '404' ? 0 : text.split('\n').length)
  }
  expect([...new Set(counts)]).toEqual([0, 1, 5])
  assign(world, nic.id, { ...empty, prefixCount: 1, family: 4, allowReassignment: false })
  const prefixPath = `meta-data/network/interfaces/macs/${nic.mac}/ipv4-prefix`
  expect(await read(endpoint, prefixPath)).toBe('404')
  await clock.advance(5000)
  expect(await read(endpoint, prefixPath)).toMatch(/^10\.0\.0\.\d+\/28$/)
})

test('role credentials are kept, then renewed some minutes before they expire', async () => {
  const { endpoint, clock } = await start()
  const path = 'meta-data/iam/security-credentials'
  expect(await read(endpoint, path)).toBe('eniway-node')
  const key = async () => {
    const value: unknown = JSON.parse(await read(endpoint, `${path}/eniway-node`))
    return value as { readonly AccessKeyId: string; readonly Expiration: string }
  }
  const first = await key()
  expect(first.AccessKeyId).toMatch(/^ASIA[0-9A-F]{16}$/)
  expect(await key()).toEqual(first)
  await clock.advance(5.9 * 3600_000)
  const second = await key()
  expect(second.AccessKeyId).not.toBe(first.AccessKeyId)
  expect(Date.parse(first.Expiration)).toBeGreaterThan(clock.now())
})

test('the asker is found by address: the host one hop away, its pods two', async () => {
  const { emulator } = await start()
  const { world, ids } = emulator
  const instanceId = ids.instanceIds['node-a'] ?? ''
  const nicId = nicsOfInstance(world, instanceId)[0]?.id ?? ''
  const request = { addressCount: 0, prefixCount: 0, family: 4, allowReassignment: false } as const
  const blocks = { addresses: [ip('10.0.0.77')], prefixes: [cidr('10.0.0.96/28')] }
  assign(world, nicId, { ...request, ...blocks })
  const ask = (address: string) => instanceByAddress(world, address)
  expect(ask('10.0.0.10')).toEqual({ instanceId, hops: 1 })
  expect(ask('::ffff:10.0.0.10')).toEqual({ instanceId, hops: 1 })
  expect(ask('10.0.0.77')).toEqual({ instanceId, hops: 2 })
  expect(ask('10.0.0.100')).toEqual({ instanceId, hops: 2 })
  expect(ask('10.0.0.200')).toBeUndefined()
})

test('the service can be made to fail for one instance', async () => {
  const { emulator, endpoint } = await start()
  const other = await emulator.metadataEndpoint('node-b')
  emulator.addFault({ effect: { kind: 'metadataFail', status: 503 }, instance: 'node-a', count: 1 })
  const get = async (at: string) => (await send(`${at}/latest/meta-data/mac`)).status
  expect([await get(other), await get(endpoint), await get(endpoint)]).toEqual([401, 503, 401])
})

test('a terminated instance hears nothing', async () => {
  const { emulator, endpoint } = await start()
  emulator.terminateInstance('node-a')
  await expect(send(`${endpoint}/latest/meta-data/mac`)).rejects.toThrow(/hang up|ECONNRESET/)
})
