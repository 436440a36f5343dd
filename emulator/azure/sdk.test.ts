// The official clients against the face, over TLS and with their own credentials: they find what
// they look for, and their known traps are there.
import { readFileSync } from 'node:fs'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { ComputeManagementClient } from '@azure/arm-compute'
import { type NetworkInterface, NetworkManagementClient } from '@azure/arm-network'
import { EnvironmentCredential, ManagedIdentityCredential } from '@azure/identity'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { type Emulator, type EmulatorOptions, startEmulator } from '#emulator/emulator.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { azureVpc } from './testing.ts'

const trusted = getCACertificates('default')
const open: Emulator[] = []

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const emulator of open.splice(0)) await emulator.close()
})

afterAll(() => setDefaultCACertificates(trusted))

const start = async (options: Partial<EmulatorOptions> = {}) => {
  const common = { platform: 'azure', seed: 1, latency: 'none', vpc: azureVpc } as const
  const emulator = await startEmulator({ ...common, ...options })
  open.push(emulator)
  const environment = await emulator.environment('node-a')
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  const certificate = readFileSync(environment['NODE_EXTRA_CA_CERTS'] ?? '', 'utf8')
  setDefaultCACertificates([...trusted, certificate])
  const subscription = environment['AZURE_SUBSCRIPTION_ID'] ?? ''
  const endpoint = environment['AZURE_RESOURCE_MANAGER_ENDPOINT'] ?? ''
  const credential = new ManagedIdentityCredential()
  const settings = { endpoint, retryOptions: { maxRetries: 0 } }
  const network = new NetworkManagementClient(credential, subscription, settings)
  const compute = new ComputeManagementClient(credential, subscription, settings)
  const nicName = nicOf(emulator, 'node-a')
  return { emulator, endpoint, subscription, network, compute, nicName }
}

const nicOf = (emulator: Emulator, name: string): string => {
  const owner = emulator.ids.instanceIds[name]
  return emulator.state().nics.find(nic => nic.attachment?.instanceId === owner)?.id ?? ''
}

const group = 'eniway-nodes'

const withMore = (nic: NetworkInterface, ...names: readonly string[]): NetworkInterface => ({
  ...nic,
  ipConfigurations: [...(nic.ipConfigurations ?? []), ...names.map(name => ({ name }))],
})

const configsOf = (nic: NetworkInterface) =>
  nic.ipConfigurations?.map(one => `${one.name} ${one.provisioningState}`)

test('read, change and write a NIC, with the ETag that was read', async () => {
  const { network, nicName } = await start()
  const nic = await network.networkInterfaces.get(group, nicName)
  const requestOptions = { headers: { 'if-match': nic.etag ?? '' } }
  const changed = withMore(nic, 'one')
  changed.ipConfigurations?.push({ name: 'block', privateIPAddressPrefixLength: 28 })
  const write = () =>
    network.networkInterfaces.createOrUpdate(group, nicName, changed, { requestOptions })
  const written = await write()
  expect(configsOf(written)).toEqual(['ipconfig1 Succeeded', 'one Succeeded', 'block Succeeded'])
  expect(written.ipConfigurations?.[2]?.privateIPAddress).toMatch(/^10\.0\.0\.\d+\/28$/)
  await expect(write()).rejects.toMatchObject({ statusCode: 412, code: 'PreconditionFailed' })
})

test('an operation runs, and asks its poller to wait for ten seconds', async () => {
  const attachingMs = { min: 100, max: 100 }
  const { emulator, network, nicName } = await start({
    latency: { ...latencyProfiles.none, attachingMs },
  })
  const nic = await network.networkInterfaces.get(group, nicName)
  const poller = network.networkInterfaces.createOrUpdate(group, nicName, withMore(nic, 'one'))
  await poller.submitted()
  expect((await poller.poll()).status).toBe('running')
  const between = await network.networkInterfaces.get(group, nicName)
  expect([between.provisioningState, ...(configsOf(between) ?? [])]).toEqual([
    'Updating',
    'ipconfig1 Succeeded',
    'one Updating',
  ])
  while (!poller.isDone) await poller.poll()
  expect(poller.operationState?.status).toBe('succeeded')
  expect(emulator.results()['networkInterfaces/write']).toEqual({ ok: 1 })
})

test('an operation that fails says so in the text of its error only', async () => {
  const { emulator, network, nicName } = await start()
  const effect = { kind: 'operationFail', code: 'OperationPreempted' } as const
  emulator.addFault({ effect, action: 'networkInterfaces/write', count: 1 })
  const nic = await network.networkInterfaces.get(group, nicName)
  const write = network.networkInterfaces.createOrUpdate(group, nicName, withMore(nic, 'one'))
  const error: unknown = await Promise.resolve(write).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ message: expect.stringContaining('. OperationPreempted. ') })
  expect(error).not.toHaveProperty('code')
})

test('the typed client drops what it does not know, and so a write of it loses that', async () => {
  const { endpoint, subscription, network, nicName } = await start()
  const path = `${endpoint}/subscriptions/${subscription}/resourceGroups/${group}/providers/`
  const url = `${path}Microsoft.Network/networkInterfaces/${nicName}?api-version=2026-01-01`
  const token = await new ManagedIdentityCredential().getToken('https://management.azure.com')
  const raw = async (method: string, body?: object): Promise<Json> => {
    const headers = {
      authorization: `Bearer ${token.token}`,
      'content-type': 'application/json',
    }
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    return (await (await fetch(url, { method, headers, ...sent })).json()) as Json
  }
  const nic = await raw('GET')
  await raw('PUT', { ...nic, properties: { ...nic.properties, futureFeature: 'on' } })
  expect((await raw('GET')).properties).toHaveProperty('futureFeature', 'on')
  const known = await network.networkInterfaces.get(group, nicName)
  await network.networkInterfaces.createOrUpdate(group, nicName, known)
  expect((await raw('GET')).properties).not.toHaveProperty('futureFeature')
})

type Json = { readonly properties: Readonly<Record<string, unknown>> }

test('a member of a uniform scale set: its model is written, its NIC is read', async () => {
  const { network, compute } = await start()
  const member = await compute.virtualMachineScaleSetVMs.get(group, 'pool', '0')
  const [nic] = member.networkProfileConfiguration?.networkInterfaceConfigurations ?? []
  nic?.ipConfigurations?.push({ name: 'two' })
  const write = () => compute.virtualMachineScaleSetVMs.update(group, 'pool', '0', member)
  await expect(write()).rejects.toMatchObject({ code: 'LinkedAuthorizationFailed' })
  delete member.storageProfile?.imageReference
  await write()
  const list = network.networkInterfaces.listVirtualMachineScaleSetVMNetworkInterfaces
  const names: (string | undefined)[] = []
  for await (const one of list(group, 'pool', '0')) {
    names.push(...(one.ipConfigurations ?? []).map(config => config.name))
  }
  expect(names).toEqual(['ipconfig1', 'two'])
})

test('lists go on from page to page', async () => {
  const { emulator, network, compute } = await start()
  const nics: (string | undefined)[] = []
  for await (const nic of network.networkInterfaces.listAll()) nics.push(nic.name)
  expect(nics).toHaveLength(5)
  let sizes = 0
  for await (const sku of compute.resourceSkus.list({ filter: "location eq 'eastus'" })) {
    sizes += sku.resourceType === 'virtualMachines' ? 1 : 0
  }
  expect(sizes).toBe(63)
  expect(emulator.calls()['skus/read']).toBe(2)
})

test('reads of machine, network and groups', async () => {
  const { emulator, network, compute } = await start()
  const machine = await compute.virtualMachines.get(group, 'node-b', { expand: 'instanceView' })
  expect(machine.networkProfile?.networkInterfaces?.map(nic => nic.primary)).toEqual([true, false])
  expect(machine.instanceView?.statuses?.[1]?.code).toBe('PowerState/running')
  const subnet = await network.subnets.get('eniway-network', emulator.ids.vpcId, 'nodes')
  expect(subnet.addressPrefixes).toEqual(['10.0.0.0/24', 'fd00:0:0:100::/64'])
  const vnet = await network.virtualNetworks.get('eniway-network', emulator.ids.vpcId)
  expect(vnet.addressSpace?.addressPrefixes).toContain('10.0.0.0/16')
  const nsg = await network.networkSecurityGroups.get('eniway-network', 'default')
  expect(nsg.securityRules?.[0]?.access).toBe('Allow')
})

describe('credentials', () => {
  test('of an application, through the authority host', async () => {
    const { emulator, endpoint, subscription, nicName } = await start()
    for (const [name, value] of Object.entries(await emulator.environment())) {
      vi.stubEnv(name, value)
    }
    // A host that is not Microsoft's is known to the library only when it is told to ask nobody.
    const credential = new EnvironmentCredential({ disableInstanceDiscovery: true })
    const network = new NetworkManagementClient(credential, subscription, { endpoint })
    expect((await network.networkInterfaces.get(group, nicName)).name).toBe(nicName)
    vi.stubEnv('AZURE_CLIENT_SECRET', 'wrong')
    const wrong = new EnvironmentCredential({ disableInstanceDiscovery: true })
    await expect(wrong.getToken('https://management.azure.com/.default')).rejects.toThrow(
      /AADSTS7000215/,
    )
  })

  test('of a machine whose role may not write', async () => {
    const { network, nicName } = await start({
      deniedToRoles: { 'eniway-node': ['networkInterfaces/write'] },
    })
    const nic = await network.networkInterfaces.get(group, nicName)
    const write = network.networkInterfaces.createOrUpdate(group, nicName, nic)
    await expect(Promise.resolve(write)).rejects.toMatchObject({
      statusCode: 403,
      code: 'AuthorizationFailed',
      message: expect.stringContaining("'Microsoft.Network/networkInterfaces/write'"),
    })
  })
})

describe('bad days', () => {
  test('a proxy answers with HTML, an answer breaks off, the connection is reset', async () => {
    const { emulator, network, nicName } = await start()
    const get = () => network.networkInterfaces.get(group, nicName)
    emulator.addFault({ effect: { kind: 'html', status: 502 }, count: 1 })
    await expect(get()).rejects.toMatchObject({ statusCode: 502 })
    emulator.addFault({ effect: { kind: 'malformed' }, count: 1 })
    await expect(get()).rejects.toThrow(/JSON/)
    emulator.addFault({ effect: { kind: 'reset' }, count: 1 })
    await expect(get()).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await get()).name).toBe(nicName)
  })

  test('a client that is throttled waits as it is told', async () => {
    const { emulator, endpoint, subscription, nicName } = await start()
    const credential = new ManagedIdentityCredential()
    const patient = new NetworkManagementClient(credential, subscription, { endpoint })
    emulator.addFault({ effect: { kind: 'throttle' }, count: 1 })
    expect((await patient.networkInterfaces.get(group, nicName)).name).toBe(nicName)
    expect(emulator.results()['networkInterfaces/read']).toEqual({ TooManyRequests: 1, ok: 1 })
  })
})
