// Machines and scale sets: what they show, and how their NICs change.
import { describe, expect, test } from 'vitest'
import { type JsonObject, objectOf, objectsOf } from './json.ts'
import { azureSample, configLines, configsIn, said } from './testing.ts'

const compute = (path: string): string => {
  const group = '/subscriptions/00000000-0000-4000-8000-00000000a201/resourceGroups/eniway-nodes'
  return `${group}/providers/Microsoft.Compute/${path}`
}

const propertiesOf = (value: JsonObject): JsonObject => objectOf(value['properties'])

const nicIdsOf = (machine: JsonObject): readonly string[] =>
  objectsOf(objectOf(propertiesOf(machine)['networkProfile'])['networkInterfaces']).map(one =>
    said(one['id']),
  )

test('a machine shows its NICs, the primary one first', async () => {
  const sample = azureSample()
  const { body } = await sample.send('GET', compute('virtualMachines/NODE-B'))
  expect(nicIdsOf(body)).toEqual([sample.nicPath('node-b', 0), sample.nicPath('node-b', 1)])
  expect(body).toMatchObject({
    name: 'node-b',
    location: 'eastus',
    zones: ['1'],
    properties: { hardwareProfile: { vmSize: 'Standard_D4s_v5' }, provisioningState: 'Succeeded' },
  })
  expect(propertiesOf(body)['instanceView']).toBeUndefined()
  const viewed = await sample.send('GET', compute('virtualMachines/node-b?$expand=instanceView'))
  const view = objectOf(propertiesOf(viewed.body)['instanceView'])
  expect(objectsOf(view['statuses'])[1]).toMatchObject({ code: 'PowerState/running' })
  const own = await sample.send('GET', compute('virtualMachines/node-b/instanceView'))
  expect(own.body).toEqual(view)
})

test('lists hold what is a resource of its own: no member of a uniform scale set', async () => {
  const sample = azureSample()
  const names = async (path: string) =>
    objectsOf((await sample.send('GET', compute(path))).body['value']).map(one => one['name'])
  expect(await names('virtualMachines')).toEqual(['member-f', 'node-a', 'node-b', 'node-t'])
  expect(await names('virtualMachineScaleSets')).toEqual(['flex', 'pool'])
  expect(await names('virtualMachineScaleSets/pool/virtualMachines')).toEqual(['pool_0'])
  const flexible = await sample.send('GET', compute('virtualMachines/member-f'))
  expect(propertiesOf(flexible.body)['virtualMachineScaleSet']).toEqual({
    id: compute('virtualMachineScaleSets/flex'),
  })
  const nics = compute('x').replace('Microsoft.Compute/x', 'Microsoft.Network/networkInterfaces')
  expect(objectsOf((await sample.send('GET', nics)).body['value'])).toHaveLength(5)
})

describe('NICs of a plain machine', () => {
  const extra = async () => {
    const sample = azureSample()
    const path = compute('virtualMachines/node-a')
    const nic = sample.nicPath('node-a').replace(/[^/]+$/, 'extra')
    const subnet = { id: sample.subnetPath('nodes') }
    const ipConfigurations = [{ name: 'one', properties: { subnet } }]
    await sample.send('PUT', nic, {
      body: { location: 'eastus', properties: { ipConfigurations } },
    })
    const networkProfile = { networkInterfaces: [{ id: sample.nicPath('node-a') }, { id: nic }] }
    const body = { location: 'eastus', properties: { networkProfile } }
    return { sample, path, nic, body }
  }

  test('cannot be changed while it runs', async () => {
    const { sample, path, body } = await extra()
    for (const method of ['PUT', 'PATCH']) {
      const answer = await sample.send(method, path, { body })
      expect(`${answer.status} ${answer.code}`).toBe(
        '400 AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported',
      )
    }
  })

  test('cannot be taken from it while it runs either', async () => {
    const { sample } = await extra()
    const networkProfile = { networkInterfaces: [{ id: sample.nicPath('node-b') }] }
    const body = { location: 'eastus', properties: { networkProfile } }
    const answer = await sample.send('PUT', compute('virtualMachines/node-b'), { body })
    expect(answer.code).toMatch(/^AddingOrDeletingNetworkInterfaces/)
    expect(sample.nicOf('node-b', 1).nic.attachment).toBeDefined()
  })

  test('can be added while it is deallocated, and be there when it starts', async () => {
    const { sample, path, nic, body } = await extra()
    expect((await sample.send('POST', `${path}/deallocate`)).status).toBe(202)
    expect((await sample.send('PUT', path, { body })).code).toBe('ok')
    expect((await sample.send('POST', `${path}/start`)).status).toBe(202)
    const shown = (await sample.send('GET', nic)).body
    expect(propertiesOf(shown)).toMatchObject({ virtualMachine: { id: path }, primary: false })
    expect(sample.nicOf('node-a', 1).nic.attachment).toMatchObject({ isPlugged: true })
    const refused = await sample.send('DELETE', nic)
    expect(`${refused.status} ${refused.code}`).toBe('400 NicInUse')
  })

  test('cannot be more than the size allows', async () => {
    const { sample, path, body } = await extra()
    const third = sample.nicPath('node-a').replace(/[^/]+$/, 'third')
    const subnet = { id: sample.subnetPath('nodes') }
    const ipConfigurations = [{ name: 'one', properties: { subnet } }]
    const created = { location: 'eastus', properties: { ipConfigurations } }
    await sample.send('PUT', third, { body: created })
    await sample.send('POST', `${path}/deallocate`)
    const { networkProfile } = body.properties
    const networkInterfaces = [...networkProfile.networkInterfaces, { id: third }]
    const properties = { networkProfile: { networkInterfaces } }
    const answer = await sample.send('PUT', path, { body: { ...body, properties } })
    expect(answer.code).toBe('NetworkInterfaceCountExceeded')
  })
})

describe('the member of a uniform scale set', () => {
  const path = compute('virtualMachineScaleSets/pool/virtualMachines/0')

  const member = async () => {
    const sample = azureSample()
    const { body } = await sample.send('GET', path)
    const profile = objectOf(propertiesOf(body)['networkProfileConfiguration'])
    const [nic = {}] = objectsOf(profile['networkInterfaceConfigurations'])
    /** The member's JSON with other NIC configurations and without the image. */
    const withNics = (...nics: readonly JsonObject[]): JsonObject => ({
      ...body,
      properties: {
        ...propertiesOf(body),
        storageProfile: {},
        networkProfileConfiguration: { networkInterfaceConfigurations: nics },
      },
    })
    const withConfigs = (...configs: readonly JsonObject[]): JsonObject =>
      withNics({
        ...nic,
        properties: {
          ...propertiesOf(nic),
          ipConfigurations: [...objectsOf(propertiesOf(nic)['ipConfigurations']), ...configs],
        },
      })
    return { sample, body, nic, withNics, withConfigs }
  }

  test('names no addresses; its NIC does', async () => {
    const { sample, nic, withConfigs } = await member()
    expect(nic['name']).toBe('nic0')
    const [config = {}] = objectsOf(propertiesOf(nic)['ipConfigurations'])
    expect(propertiesOf(config)['privateIPAddress']).toBeUndefined()
    const length = { privateIPAddressPrefixLength: 28, privateIPAddress: '10.0.0.99' }
    const body = withConfigs({ name: 'two' }, { name: 'three', properties: length })
    expect((await sample.send('PUT', path, { body })).code).toBe('ok')
    const lower = path.replace('Microsoft.Compute', 'microsoft.Compute')
    const shown = (await sample.send('GET', `${lower}/networkInterfaces/NIC0`)).body
    expect(shown['id']).toBe(`${path}/networkInterfaces/nic0`)
    expect(configLines(shown)).toEqual([
      'ipconfig1 10.0.0.20 Succeeded',
      expect.stringMatching(/^two 10\.0\.0\.\d+ Succeeded$/),
      // Prefixes do not exist there: it is one address.
      expect.stringMatching(/^three 10\.0\.0\.\d+ Succeeded$/),
    ])
    for (const list of [
      `${path}/networkInterfaces`,
      path.replace(/virtualMachines\/0$/, 'networkInterfaces'),
    ]) {
      expect(objectsOf((await sample.send('GET', list)).body['value'])).toEqual([shown])
    }
    const plain = shown['id'] as string
    const direct = sample.nicPath('node-a').replace(/[^/]+$/, plain.split('/').at(-1) ?? '')
    expect((await sample.send('GET', direct)).code).toBe('ResourceNotFound')
  })

  test('refuses the image of another subscription, a stale etag, and other NICs', async () => {
    const { sample, body, nic, withNics, withConfigs } = await member()
    const code = async (changed: JsonObject, ifMatch?: string) =>
      (await sample.send('PUT', path, { body: changed, ...(ifMatch !== undefined && { ifMatch }) }))
        .code
    expect(await code(body)).toBe('LinkedAuthorizationFailed')
    expect(await code(withConfigs(), '"old"')).toBe('PreconditionFailed')
    expect(await code(withConfigs(), said(body['etag']))).toBe('ok')
    expect(await code(withNics())).toMatch(/^AddingOrDeletingNetworkInterfaces/)
    expect(await code(withNics(nic, { name: 'nic1' }))).toMatch(/^AddingOrDeleting/)
    expect(
      await code(
        withConfigs({ name: 'x', properties: { subnet: { id: sample.subnetPath('four') } } }),
      ),
    ).toBe('VMScaleSetIpConfigurationsOnSameNicCannotUseDifferentSubnets')
  })

  test('does nothing to its NICs when the body has none', async () => {
    const { sample } = await member()
    const before = sample.nicOf('member-u')
    expect((await sample.send('PUT', path, { body: { location: 'eastus' } })).code).toBe('ok')
    expect(sample.nicOf('member-u')).toEqual(before)
  })

  test('is gone when it has ended, and its number is not used again', async () => {
    const { sample } = await member()
    const missing = await sample.send('GET', path.replace(/0$/, '1'))
    expect(`${missing.status} ${missing.code}`).toBe('404 NotFound')
    expect((await sample.send('GET', path.replace('pool', 'none'))).code).toBe('ResourceNotFound')
  })

  test('keeps others out while it changes', async () => {
    const sample = azureSample({ latency: 'documented' })
    const put = async () => {
      const body = { location: 'eastus', properties: {} }
      const turning = sample.clock.advance(1000)
      const answer = await sample.send('PUT', path, { body })
      await turning
      return `${answer.status} ${answer.code}`
    }
    expect(await put()).toBe('200 ok')
    expect(await put()).toBe('409 AnotherOperationInProgress')
    await sample.clock.advance(10_000)
    expect(await put()).toBe('200 ok')
  })
})

test('a subnet shows its configurations while they are few, and none when they are many', async () => {
  const sample = azureSample()
  const path = sample.subnetPath('four')
  const shown = async () => propertiesOf((await sample.send('GET', path)).body)
  expect(objectsOf((await shown())['ipConfigurations'])).toHaveLength(2)
  expect((await shown())['addressPrefix']).toBe('10.0.2.0/23')
  const nic = sample.nicPath('node-b')
  const body = (await sample.send('GET', nic)).body
  const more = Array.from({ length: 99 }, (_, i) => ({ name: `x${i}` }))
  const properties = { ...propertiesOf(body), ipConfigurations: [...configsIn(body), ...more] }
  expect((await sample.send('PUT', nic, { body: { ...body, properties } })).code).toBe('ok')
  expect((await shown())['ipConfigurations']).toBeUndefined()
})

test('networks, groups, sizes and quotas can be read, page by page', async () => {
  const sample = azureSample()
  const scope = '/subscriptions/00000000-0000-4000-8000-00000000a201'
  const vnet = sample.subnetPath('nodes').replace(/\/subnets\/.*/, '')
  const network = propertiesOf((await sample.send('GET', vnet)).body)
  expect(network['addressSpace']).toEqual({
    addressPrefixes: ['10.0.0.0/16', 'fd00:0:0:100::/56'],
  })
  expect(objectsOf(network['subnets'])).toHaveLength(3)
  const groups = vnet.replace(/virtualNetworks\/.*/, 'networkSecurityGroups')
  const group = (await sample.send('GET', `${groups}/default`)).body
  expect(objectsOf(propertiesOf(group)['securityRules'])[0]).toMatchObject({
    name: 'inbound-0',
    properties: { access: 'Allow', direction: 'Inbound', protocol: '*' },
  })
  const usages = `${scope}/providers/Microsoft.Network/locations/eastus/usages`
  expect(objectsOf((await sample.send('GET', usages)).body['value'])[0]).toMatchObject({
    currentValue: 6,
    limit: 65_536,
  })
  const skus: JsonObject[] = []
  let url = `${scope}/providers/Microsoft.Compute/skus?$filter=location eq 'eastus'`
  for (let pages = 0; url !== '' && pages < 9; pages++) {
    const { body } = await sample.send('GET', url)
    skus.push(...objectsOf(body['value']))
    url = said(body['nextLink']).replace(/^https:\/\/[^/]+/, '')
  }
  expect(skus).toHaveLength(63)
  const capabilities = objectsOf(
    skus.find(one => one['name'] === 'Standard_D4s_v5')?.['capabilities'],
  )
  expect(capabilities).toContainEqual({ name: 'MaxNetworkInterfaces', value: '2' })
  const bad = await sample.send(
    'GET',
    `${scope}/providers/Microsoft.Compute/skus?$filter=name eq 'x'`,
  )
  expect(bad.code).toBe('InvalidParameter')
})
