// The metadata service over HTTP: the token's rules, the tree, and what it learns late.
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { assign } from '#emulator/model/addresses.ts'
import { createKeyRing } from './keys.ts'
import { createMetadataServer } from './metadata.ts'
import { type Sample, sampleVpc, startSample } from './sample.ts'

const open: Sample[] = []

afterEach(async () => {
  for (const sample of open.splice(0)) await sample.emulator.close()
})

const start = async (options: Parameters<typeof startSample>[0] = {}) => {
  const sample = await startSample(options)
  open.push(sample)
  return { ...sample, endpoint: await sample.emulator.metadataEndpoint('node-a') }
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

const ttl = 'x-aliyun-ecs-metadata-token-ttl-seconds'
const tokenHeader = 'x-aliyun-ecs-metadata-token'

const tokenOf = async (endpoint: string, seconds = '60'): Promise<string> =>
  (await send(`${endpoint}/latest/api/token`, { method: 'PUT', [ttl]: seconds })).body

const read = async (endpoint: string, path: string): Promise<string> => {
  const url = `${endpoint}/latest/meta-data/${path}`
  const { status, body } = await send(url, { [tokenHeader]: await tokenOf(endpoint) })
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
    expect((await send(`${endpoint}/latest/api/token`)).status).toBe(405)
  })

  test('is required, expires, and is good for one instance only', async () => {
    const { endpoint, emulator, clock } = await start()
    const get = async (token: string, at = endpoint) =>
      (await send(`${at}/latest/meta-data/mac`, { [tokenHeader]: token })).status
    const token = await tokenOf(endpoint, '60')
    expect((await send(`${endpoint}/latest/meta-data/mac`)).status).toBe(403)
    expect(await get('invented')).toBe(401)
    expect(await get(token)).toBe(200)
    expect(await get(token, await emulator.metadataEndpoint('node-b'))).toBe(401)
    await clock.advance(60_000)
    expect(await get(token)).toBe(401)
  })

  test('is not needed on an instance that does not insist', async () => {
    const [first, ...others] = sampleVpc.instances
    const lax = { name: 'node-a', type: 'ecs.g7.large', subnet: 'a', ...first }
    const instances = [{ ...lax, tags: { HttpTokens: 'optional' } }, ...others]
    const { endpoint, rpc, ids } = await start({ vpc: { ...sampleVpc, instances } })
    expect((await send(`${endpoint}/latest/meta-data/instance-id`)).body).toBe(ids.nodeA)
    expect((await send(`${endpoint}/latest/meta-data/mac`, { [tokenHeader]: 'x' })).status).toBe(
      401,
    )
    const seen = await rpc('DescribeInstances', { InstanceIds: JSON.stringify([ids.nodeA]) })
    expect(seen.read('Instances.Instance.0.MetadataOptions.HttpTokens')).toBe('optional')
  })
})

test('directories list, files answer, with or without a last slash; the rest is 404', async () => {
  const { endpoint, emulator, ids } = await start()
  const nic = emulator.state().nics.find(({ id }) => id === ids.primary)
  const macs = 'network/interfaces/macs'
  expect(await read(endpoint, 'instance-id')).toBe(ids.nodeA)
  expect(await read(endpoint, 'instance/instance-type/')).toBe('ecs.g7.large')
  expect(await read(endpoint, 'region-id')).toBe('cn-hangzhou')
  expect(await read(endpoint, 'zone-id')).toBe('cn-hangzhou-i')
  expect(await read(endpoint, 'vpc-id')).toBe(emulator.ids.vpcId)
  expect(await read(endpoint, 'vpc-cidr-block')).toBe('10.0.0.0/16')
  expect(await read(endpoint, 'vswitch-id')).toBe(ids.subnet)
  expect(await read(endpoint, 'mac')).toBe(nic?.mac)
  expect(await read(endpoint, macs)).toBe(`${nic?.mac}/`)
  const of = (name: string) => read(endpoint, `${macs}/${nic?.mac}/${name}`)
  expect(await of('network-interface-id')).toBe(ids.primary)
  expect(await of('primary-ip-address')).toBe('10.0.0.10')
  expect(await of('private-ipv4s')).toBe('["10.0.0.10"]')
  expect(await of('gateway')).toBe('10.0.0.253')
  expect(await of('netmask')).toBe('255.255.255.0')
  expect(await of('vswitch-id')).toBe(ids.subnet)
  expect(await of('vswitch-cidr-block')).toBe('10.0.0.0/24')
  for (const name of ['ipv6s', 'ipv6-gateway', 'vswitch-ipv6-cidr-block']) {
    expect(await of(name)).toBe('404')
  }
  expect(await of('ipv4-prefixes')).toBe('404')
  expect(await read(endpoint, 'instance-id/more')).toBe('404')
  expect(await read(endpoint, '__proto__')).toBe('404')
})

test('lists of IPv6 addresses and prefixes stand in brackets, without quotes', async () => {
  const { endpoint, emulator, ids, rpc } = await start()
  const nic = { NetworkInterfaceId: ids.primary }
  const six = { 'Ipv6Address.1': '2408:4005:3e8:f100::5', 'Ipv6Address.2': '2408:4005:3e8:f100::6' }
  await rpc('AssignIpv6Addresses', { ...nic, ...six })
  await rpc('AssignPrivateIpAddresses', { ...nic, 'Ipv4Prefix.1': '10.0.0.64/28' })
  await rpc('AssignPrivateIpAddresses', { ...nic, 'PrivateIpAddress.1': '10.0.0.5' })
  const mac = emulator.state().nics.find(({ id }) => id === ids.primary)?.mac
  const of = (name: string) => read(endpoint, `network/interfaces/macs/${mac}/${name}`)
  expect(await of('ipv6s')).toBe('[2408:4005:3e8:f100::5,2408:4005:3e8:f100::6]')
  expect(await of('ipv6-gateway')).toBe('2408:4005:3e8:f100:ffff:ffff:ffff:fff7')
  expect(await of('vswitch-ipv6-cidr-block')).toBe('2408:4005:3e8:f100::/64')
  expect(await of('vpc-ipv6-cidr-blocks')).toBe('[2408:4005:3e8:f100::/56]')
  expect(await of('ipv4-prefixes')).toBe('[10.0.0.64/28]')
  expect(await of('private-ipv4s')).toBe('["10.0.0.10","10.0.0.5"]')
})

test('addresses appear late', async () => {
  const { endpoint, emulator, ids, clock } = await start({ latency: 'documented' })
  const empty = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }
  const prefixes = [cidr('10.0.0.64/28')]
  assign(emulator.world, ids.primary, { ...empty, prefixes, family: 4, allowReassignment: false })
  const mac = emulator.state().nics.find(({ id }) => id === ids.primary)?.mac
  const path = `network/interfaces/macs/${mac}/ipv4-prefixes`
  expect(await read(endpoint, path)).toBe('404')
  await clock.advance(5000)
  expect(await read(endpoint, path)).toBe('[10.0.0.64/28]')
})

test('role credentials are kept, then renewed before they expire', async () => {
  const { endpoint, clock } = await start()
  const path = 'ram/security-credentials'
  expect(await read(endpoint, path)).toBe('eniway-node')
  const key = async () => {
    const value: unknown = JSON.parse(await read(endpoint, `${path}/eniway-node`))
    return value as Readonly<Record<'AccessKeyId' | 'Expiration' | 'Code', string>>
  }
  const first = await key()
  expect(first.AccessKeyId).toMatch(/^STS\.[0-9A-F]{24}$/)
  expect(first.Code).toBe('Success')
  expect(await key()).toEqual(first)
  await clock.advance(5.6 * 3600_000)
  expect((await key()).AccessKeyId).not.toBe(first.AccessKeyId)
  expect(Date.parse(first.Expiration)).toBeGreaterThan(clock.now())
})

test('the service can be made to fail for one instance; a released one hears nothing', async () => {
  const { emulator, endpoint } = await start()
  const other = await emulator.metadataEndpoint('node-b')
  emulator.addFault({ effect: { kind: 'metadataFail', status: 503 }, instance: 'node-a', count: 1 })
  const get = async (at: string) => (await send(`${at}/latest/meta-data/mac`)).status
  expect([await get(other), await get(endpoint), await get(endpoint)]).toEqual([403, 503, 403])
  emulator.terminateInstance('node-a')
  await expect(get(endpoint)).rejects.toThrow(/hang up|ECONNRESET/)
})

test('a token does not reach a caller beyond the hop limit', async () => {
  const { emulator, ids } = await start()
  const { world, region } = emulator
  const keys = createKeyRing(world.chance, [])
  const ask = () => ({ instanceId: ids.nodeA, hops: 2 })
  const server = createMetadataServer({ world, keys, ownerId: '1', region, deniedToRoles: {}, ask })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const put = send(`${at}/latest/api/token`, { method: 'PUT', [ttl]: '60' })
  await expect(put).rejects.toThrow(/hang up|ECONNRESET/)
  expect((await send(`${at}/latest/meta-data/instance-id`)).status).toBe(403)
  server.close()
})
