// Network interfaces: what a PUT replaces, what it refuses, and how its operation goes.
import { describe, expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { assign } from '#emulator/model/addresses.ts'
import { blocksOf } from '#emulator/model/world.ts'
import type { JsonObject } from './json.ts'
import { objectOf } from './json.ts'
import {
  type AzureSample,
  azureSample,
  configLines,
  configsIn,
  withConfigs,
  said,
} from './testing.ts'

const read = async (sample: AzureSample, path: string): Promise<JsonObject> =>
  (await sample.send('GET', path)).body

/** A secondary configuration of the subnet `nodes` unless the properties say otherwise. */
const config = (name: string, properties: JsonObject = {}): JsonObject => ({ name, properties })

/** Adds configurations to a NIC with an ordinary read-modify-write. */
const add = async (
  sample: AzureSample,
  path: string,
  ...configs: readonly JsonObject[]
): ReturnType<AzureSample['send']> => {
  const nic = await read(sample, path)
  const body = withConfigs(nic, [...configsIn(nic), ...configs])
  return sample.send('PUT', path, { body, ifMatch: said(nic['etag']) })
}

describe('a PUT', () => {
  test('adds addresses of both families and prefixes, and the packets follow', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const six = { privateIPAddressVersion: 'IPv6' }
    const answer = await add(
      sample,
      path,
      config('one'),
      config('block', { privateIPAddressPrefixLength: 28 }),
      config('six', six),
    )
    expect([answer.status, answer.code]).toEqual([200, 'ok'])
    expect(answer.headers['retry-after']).toBe('10')
    const { nic } = sample.nicOf('node-a')
    expect(configLines(await read(sample, path))).toEqual([
      'ipconfig1 10.0.0.10 Succeeded',
      `one ${nic.addresses[0]} Succeeded`,
      `block ${nic.prefixes[0]} Succeeded`,
      `six ${nic.addresses6[0]} Succeeded`,
    ])
    expect(blocksOf(nic)).toHaveLength(4)
  })

  test('replaces the whole list: what is left out goes back to the subnet', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const address = { privateIPAddress: '10.0.0.77', privateIPAllocationMethod: 'Static' }
    await add(sample, path, config('one', address), config('two'))
    const nic = await read(sample, path)
    const kept = configsIn(nic).filter(one => one['name'] !== 'one')
    await sample.send('PUT', path, { body: withConfigs(nic, kept) })
    expect(configLines(await read(sample, path)).map(line => line.split(' ', 1)[0])).toEqual([
      'ipconfig1',
      'two',
    ])
    const again = await add(sample, sample.nicPath('member-f'), config('one', address))
    expect(again.code).toBe('ok')
  })

  test('moves a static configuration to the address that it names', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const at = (privateIPAddress: string): JsonObject =>
      config('one', { privateIPAddress, privateIPAllocationMethod: 'Static' })
    await add(sample, path, at('10.0.0.77'))
    const nic = await read(sample, path)
    const [first = {}] = configsIn(nic)
    await sample.send('PUT', path, { body: withConfigs(nic, [first, at('10.0.0.78')]) })
    expect(sample.nicOf('node-a').nic.addresses).toEqual(['10.0.0.78'])
    const other = sample.nicPath('member-f')
    expect((await add(sample, other, at('10.0.0.77'))).code).toBe('ok')
  })

  test('keeps addresses by name, whatever order they come in', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    await add(sample, path, config('one'), config('two'))
    const nic = await read(sample, path)
    const before = new Set(configLines(nic))
    const bare = configsIn(nic)
      .toReversed()
      .map(({ name, properties }) => ({
        name,
        properties: { primary: objectOf(properties)['primary'] },
      }))
    await sample.send('PUT', path, { body: withConfigs(nic, bare) })
    expect(new Set(configLines(await read(sample, path)))).toEqual(before)
  })

  test('stores what nobody here knows, and loses what a client leaves out', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const nic = await read(sample, path)
    const [first] = configsIn(nic)
    const more = { ...objectOf(first?.['properties']), publicIPAddress: { id: '/public' } }
    const body = withConfigs({ ...nic, tags: { owner: 'team' } }, [{ ...first, properties: more }])
    const properties = { ...objectOf(body['properties']), futureFeature: { level: 3 } }
    await sample.send('PUT', path, { body: { ...body, properties } })
    const stored = await read(sample, path)
    expect(objectOf(stored['properties'])['futureFeature']).toEqual({ level: 3 })
    expect(objectOf(configsIn(stored)[0]?.['properties'])['publicIPAddress']).toEqual({
      id: '/public',
    })
    expect(stored['tags']).toEqual({ owner: 'team' })
    await sample.send('PUT', path, { body: nic })
    const lost = await read(sample, path)
    expect(objectOf(lost['properties'])['futureFeature']).toBeUndefined()
    expect(objectOf(configsIn(lost)[0]?.['properties'])['publicIPAddress']).toBeUndefined()
    expect(lost['tags']).toBeUndefined()
  })

  test('takes security groups: one of the NIC, the same application groups everywhere', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const nic = await read(sample, path)
    const group = (type: string, name: string) => {
      const own = said(objectOf(objectOf(nic['properties'])['networkSecurityGroup'])['id'])
      return { id: own.replace(/networkSecurityGroups\/.*/, `${type}/${name}`) }
    }
    const asgs = [group('applicationSecurityGroups', 'database')]
    const configs = configsIn(nic).map(one => ({
      ...one,
      properties: { ...objectOf(one['properties']), applicationSecurityGroups: asgs },
    }))
    const body = withConfigs(nic, configs)
    const nsg = { networkSecurityGroup: group('networkSecurityGroups', 'WEB') }
    const properties = { ...objectOf(body['properties']), ...nsg }
    expect((await sample.send('PUT', path, { body: { ...body, properties } })).code).toBe('ok')
    const names = () =>
      sample.nicOf('node-a').nic.groupIds.map(id => sample.world.groups.get(id)?.name)
    expect(names()).toEqual(['web', 'database'])
    const without = { ...objectOf(nic['properties']), networkSecurityGroup: undefined }
    await sample.send('PUT', path, { body: { ...nic, properties: without } })
    const after = await read(sample, path)
    expect(objectOf(after['properties'])['networkSecurityGroup']).toBeUndefined()
  })

  test('creates a NIC that nobody has yet, which can be deleted again', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a').replace(/[^/]+$/, 'Extra')
    const subnet = { id: sample.subnetPath('nodes').toUpperCase() }
    const body = {
      location: 'East US',
      tags: { a: 'b' },
      properties: {
        ipConfigurations: [config('first', { subnet, primary: true }), config('second')],
      },
    }
    expect((await sample.send('PUT', path, { body })).status).toBe(201)
    const nic = await read(sample, path.toLowerCase())
    expect(nic['name']).toBe('Extra')
    expect(configsIn(nic)).toHaveLength(2)
    expect((await sample.send('DELETE', path)).status).toBe(202)
    expect((await sample.send('GET', path)).code).toBe('ResourceNotFound')
    expect((await sample.send('DELETE', path)).status).toBe(204)
  })
})

describe('a PUT is refused', () => {
  type Change = (nic: JsonObject, sample: AzureSample) => JsonObject

  const adding =
    (...configs: readonly JsonObject[]): Change =>
    nic =>
      withConfigs(nic, [...configsIn(nic), ...configs])

  const check = async (change: Change, want: string, instance = 'node-a') => {
    const sample = azureSample()
    const path = sample.nicPath(instance)
    const nic = await read(sample, path)
    const spaces = JSON.stringify([...sample.world.spaces.values()].map(freeOf))
    const answer = await sample.send('PUT', path, { body: change(nic, sample) })
    expect(`${answer.status} ${answer.code}`).toBe(want)
    expect(await read(sample, path)).toEqual(nic)
    expect(JSON.stringify([...sample.world.spaces.values()].map(freeOf))).toBe(spaces)
  }

  const freeOf = ({ four }: { readonly four: { readonly taken: readonly object[] } }) =>
    four.taken.map(({ start, end }: { start?: bigint; end?: bigint }) => `${start}-${end}`)

  const fixed = (privateIPAddress: string): JsonObject => ({
    privateIPAddress,
    privateIPAllocationMethod: 'Static',
  })

  test('for what it says itself', async () => {
    const primary = { primary: true }
    await check(() => ({}), '400 LocationRequired')
    await check(nic => ({ ...nic, location: 'westus' }), '409 InvalidResourceLocation')
    await check(nic => withConfigs(nic, []), '400 InvalidPrimaryIPConfiguration')
    await check(adding(config('x', primary)), '400 NetworkInterfaceMustHaveOneOneIPConfigAsPrimary')
    await check(
      nic => withConfigs(nic, [config('ipconfig1'), config('x')]),
      '400 NetworkInterfaceMustHaveOneOneIPConfigAsPrimary',
    )
    await check(
      nic => withConfigs(nic, [config('renamed', primary)]),
      '400 IpConfigDeleteNotSupported',
    )
    await check(adding(config('x'), config('X')), '400 DuplicateResourceName')
    await check(nic => ({ ...nic, tags: { 'a/b': 'c' } }), '400 InvalidTagNameCharacters')
    const tags = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`t${i}`, '']))
    await check(nic => ({ ...nic, tags }), '400 TooManyTags')
    await check(adding(config('')), '400 InvalidResourceName')
    await check(
      adding(config('x', { privateIPAddressPrefixLength: 27 })),
      '400 InvalidPrivateIPAddressPrefixLength',
    )
    const six = { privateIPAddressVersion: 'IPv6', privateIPAddressPrefixLength: 80 }
    await check(adding(config('x', six)), '400 InvalidPrivateIPAddressPrefixLength')
    const long = { ...fixed('fd00:0:0:100:1::/80'), privateIPAddressVersion: 'IPv6' }
    await check(adding(config('x', long)), '400 InvalidIPAddressFormat')
    await check(adding(config('x', fixed('10.0.0.40/28'))), '400 InvalidIPAddressFormat')
    await check(adding(config('x', fixed('fd00:0:0:100::9'))), '400 InvalidIPAddressFormat')
    await check(
      adding(config('x', { privateIPAllocationMethod: 'Static' })),
      '400 InvalidIPAddressFormat',
    )
    await check(
      nic => ({
        ...nic,
        properties: { ...objectOf(nic['properties']), virtualMachine: { id: '/x' } },
      }),
      '409 OperationNotAllowed',
    )
  })

  test('for what it refers to', async () => {
    const subnet =
      (name: string): Change =>
      (nic, sample) =>
        adding(config('x', { subnet: { id: sample.subnetPath(name) } }))(nic, sample)
    await check(subnet('four'), '400 IpConfigurationsOnSameNicCannotUseDifferentSubnets')
    const other: Change = (nic, sample) =>
      withConfigs(nic, [
        config('ipconfig1', { primary: true, subnet: { id: sample.subnetPath('four') } }),
      ])
    await check(other, '400 PropertyChangeNotAllowed')
    const nsg: Change = nic => ({
      ...nic,
      properties: { ...objectOf(nic['properties']), networkSecurityGroup: { id: '/none' } },
    })
    await check(nsg, '400 InvalidResourceReference')
    const asg = { applicationSecurityGroups: [{ id: '/none' }] }
    await check(
      adding(config('x', asg)),
      '400 AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups',
    )
  })

  test('for what the subnet cannot give', async () => {
    const many = (count: number, properties?: JsonObject) =>
      adding(...Array.from({ length: count }, (_, i) => config(`x${i}`, properties)))
    await check(many(11), '400 SubnetIsFull', 'node-t')
    await check(many(1, { privateIPAddressPrefixLength: 28 }), '400 SubnetIsFull', 'node-t')
    await check(adding(config('x', fixed('10.0.0.20'))), '400 PrivateIPAddressIsAllocated')
    await check(adding(config('x', fixed('10.0.0.16/28'))), '400 PrivateIPAddressIsAllocated')
    await check(adding(config('x', fixed('10.0.0.3'))), '400 PrivateIPAddressInReservedRange')
    await check(adding(config('x', fixed('10.0.0.0/28'))), '400 PrivateIPAddressIsAllocated')
    await check(adding(config('x', fixed('10.0.9.9'))), '400 PrivateIPAddressNotInSubnet')
    await check(
      adding(config('x', { privateIPAddressVersion: 'IPv6' })),
      '400 SubnetDoesNotHaveIPv6AddressPrefix',
      'node-t',
    )
    // What was lent for the other family goes back.
    await check(
      adding(config('y'), config('x', { privateIPAddressVersion: 'IPv6' })),
      '400 SubnetDoesNotHaveIPv6AddressPrefix',
      'node-t',
    )
    const limit = '400 NetworkInterfaceIPConfigurationCountLimitReached'
    await check(many(256), limit, 'node-b')
    // One configuration of the machine's other NIC counts too.
    await check(many(255), limit, 'node-b')
  })

  test('for a stale etag', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const nic = await read(sample, path)
    await add(sample, path, config('one'))
    const answer = await sample.send('PUT', path, { body: nic, ifMatch: said(nic['etag']) })
    expect(`${answer.status} ${answer.code}`).toBe('412 PreconditionFailed')
    const absent = { body: nic, ifMatch: '*' }
    const other = path.replace(/[^/]+$/, 'none')
    expect((await sample.send('PUT', other, absent)).code).toBe('PreconditionFailed')
    expect((await sample.send('PUT', path, absent)).code).toBe('ok')
  })

  test('for a right that is missing, to the NIC or to what it joins', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const body = await read(sample, path)
    const put = (denied: string) =>
      sample.send('PUT', path, { body, token: sample.tokenWithout(denied) })
    const refused = await put('Microsoft.Network/networkInterfaces/WRITE')
    expect(`${refused.status} ${refused.code}`).toBe('403 AuthorizationFailed')
    const message = said(objectOf(refused.body['error'])['message'])
    expect(message.replaceAll(/[0-9a-f-]{36}(?=')/g, 'GUID')).toBe(
      "The client 'GUID' with object id 'GUID' does not have authorization to perform action " +
        `'Microsoft.Network/networkInterfaces/write' over scope '${path}' or the scope is ` +
        'invalid. If access was recently granted, please refresh your credentials.',
    )
    for (const denied of ['subnets/join', 'networkSecurityGroups/join']) {
      const linked = await put(denied)
      expect(`${linked.status} ${linked.code}`).toBe('403 LinkedAuthorizationFailed')
    }
    expect((await put('subnets/read')).code).toBe('ok')
  })
})

test('somebody else can be faster, and a write without If-Match loses what they did', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  const forestall = () =>
    sample.world.faults.add({
      effect: { kind: 'foreignWrite' },
      action: 'networkInterfaces/write',
      count: 1,
    })
  forestall()
  expect((await add(sample, path, config('one'))).code).toBe('PreconditionFailed')
  expect(configLines(await read(sample, path))[1]).toMatch(/^foreign-10-0-0-\d+ .* Succeeded$/)
  expect((await read(sample, path))['tags']).toEqual({ foreign: 'here' })
  const nic = await read(sample, path)
  forestall()
  await sample.send('PUT', path, { body: nic })
  expect(configsIn(await read(sample, path))).toHaveLength(2)
})

test('a subnet can be full or broken on request, which read alike', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  const subnet = sample.ids.subnetIds['nodes'] ?? ''
  const block = config('block', { privateIPAddressPrefixLength: 28 })
  for (const kind of ['subnetExhausted', 'subnetFragmented'] as const) {
    sample.world.faults.add({ effect: { kind }, subnet, count: 1 })
    expect((await add(sample, path, block)).code).toBe('SubnetIsFull')
  }
  expect((await add(sample, path, block)).code).toBe('ok')
})

test('what others do to the model shows: names, and a new etag', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  const before = (await read(sample, path))['etag']
  assign(sample.world, sample.nicOf('node-a').nic.id, {
    family: 4,
    addresses: [],
    addressCount: 1,
    prefixes: [cidr('10.0.0.64/28')],
    prefixCount: 0,
    allowReassignment: false,
  })
  const nic = await read(sample, path)
  expect(nic['etag']).not.toBe(before)
  expect(configLines(nic)).toEqual([
    'ipconfig1 10.0.0.10 Succeeded',
    expect.stringMatching(/^ipconfig2 10\.0\.0\.\d+ Succeeded$/),
    'ipconfig3 10.0.0.64/28 Succeeded',
  ])
})
