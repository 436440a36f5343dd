// An emulated virtual network for the contract's cases: the official SDKs, redirected by their own
// environment, over TLS with a certificate that this process is told to trust.

import { readFileSync } from 'node:fs'
import { setDefaultCACertificates } from 'node:tls'
import { afterAll } from 'vitest'
import { cidr } from '#core/ip.ts'
import { instanceId, subnetId } from '#core/names.ts'
import { defaultAccount } from '#emulator/azure/account.ts'
import { type IdScope, subnetId as armSubnetId, vmId } from '#emulator/azure/ids.ts'
import type { DescribedInstance, Description } from '#emulator/description.ts'
import { type Emulator, type EmulatorOptions, startEmulator } from '#emulator/emulator.ts'
import type { Effect } from '#emulator/model/faults.ts'
import type { LatencyProfile } from '#emulator/model/latency.ts'
import type { Nic } from '#emulator/model/types.ts'
import { blocksOf, putNic } from '#emulator/model/world.ts'
import { createAzureCloud } from '#providers/azure/cloud.ts'
import type { CloudOptions, ProviderCloud } from '#providers/common/options.ts'
import type { CloudUnderTest, Method, Trouble } from './contract.ts'
import { crowd } from './crowd.ts'

/** What one method sends on the wire that trouble can strike. */
const actions: Readonly<Record<Method, string>> = {
  observe: 'networkInterfaces/read',
  createNic: 'networkInterfaces/write',
  attachNic: 'virtualMachines/write',
  detachNic: 'virtualMachines/write',
  deleteNic: 'networkInterfaces/delete',
  lendBlocks: 'networkInterfaces/write',
  returnBlocks: 'networkInterfaces/write',
}

const effects: Readonly<Record<Trouble, Effect>> = {
  throttled: { kind: 'throttle' },
  denied: { kind: 'fail', code: 'AuthorizationFailed', status: 403 },
  unavailable: { kind: 'fail', code: 'ServiceUnavailable', status: 503 },
  slow: { kind: 'delay', ms: 300 },
  lostReply: { kind: 'loseReply' },
  reset: { kind: 'reset' },
  hang: { kind: 'hang' },
  html: { kind: 'html', status: 502 },
  malformed: { kind: 'malformed' },
  exhausted: { kind: 'subnetExhausted' },
  fragmented: { kind: 'subnetFragmented' },
  partial: { kind: 'partial', granted: 2 },
}

// NICs are attached before the start, and tagged for pods; Azure takes no slash in a tag's name.
const bornNics = [{ subnet: 'a', tags: { 'eniway.io_pods': 'true' } }]

/** A machine with a second NIC for pods. */
export const machine = (
  name: string,
  more: Partial<DescribedInstance> = {},
): DescribedInstance => ({
  name,
  type: 'Standard_D4s_v5',
  subnet: 'a',
  secondaryNics: bornNics,
  ...more,
})

/** One subnet of one region. */
export const smallNetwork = (instances: readonly DescribedInstance[]): Description => ({
  cidrs: [cidr('10.0.0.0/16')],
  cidrs6: [cidr('2001:db8:0:100::/56')],
  subnets: [
    {
      name: 'a',
      zone: 'eastus-1',
      cidr: cidr('10.0.0.0/20'),
      cidr6: cidr('2001:db8:0:100::/64'),
    },
  ],
  instances,
})

const cloudOptions = {
  cluster: 'contract',
  tags: {},
  subnets: { kind: 'default' },
  securityGroups: [],
} as const

const environmentBefore = { ...process.env }
afterAll(() => void (process.env = environmentBefore))

/** An emulator that this process trusts. */
export const startAzure = async (
  options: Pick<EmulatorOptions, 'vpc'> & Partial<EmulatorOptions>,
): Promise<Emulator> => {
  const emulator = await startEmulator({
    platform: 'azure',
    seed: 1,
    latency: 'none',
    throttleFactor: 1000,
    ...options,
  })
  const { NODE_EXTRA_CA_CERTS: path = '' } = await emulator.environment()
  setDefaultCACertificates([readFileSync(path, 'utf8')])
  return emulator
}

/** How a cloud is made once the environment names the emulator. */
export type Create = (options: CloudOptions) => ProviderCloud

const [application] = defaultAccount.keys

/**
 * The cloud as that machine sees it; the environment is read when it is made. An application
 * proves who it is, because the identity library keeps a machine's tokens for the whole process.
 */
export const cloudOf = async (
  emulator: Emulator,
  instance: string,
  create: Create = createAzureCloud,
): Promise<ProviderCloud> => {
  const { accessKeyId, secretAccessKey } = application
  const principal = { AZURE_CLIENT_ID: accessKeyId, AZURE_CLIENT_SECRET: secretAccessKey }
  Object.assign(process.env, await emulator.environment(instance), principal)
  return create({ ...cloudOptions, node: instance })
}

export const scopeOf = ({ world }: Emulator): IdScope => ({
  world,
  subscriptionId: defaultAccount.id,
})

/** The model's NIC behind an id of Azure's. */
export const nicBehind = (emulator: Emulator, id: string): Nic | undefined =>
  emulator.state().nics.find(nic => nic.id === id.split('/').at(-1))

/** An emulated network and two machines; undone by `close`. */
export const makeAzure = async (
  latency: LatencyProfile,
  create: Create = createAzureCloud,
): Promise<CloudUnderTest> => {
  const emulator = await startAzure({
    latency,
    vpc: smallNetwork([machine('one'), machine('two')]),
  })
  const scope = scopeOf(emulator)
  const subnet = emulator.world.subnets.get(emulator.ids.subnetIds['a'] ?? '')!
  const one = emulator.world.instances.get(emulator.ids.instanceIds['one'] ?? '')!
  const cloud = await cloudOf(emulator, 'one', create)
  const neighbour = await cloudOf(emulator, 'two', create)
  return {
    cloud,
    neighbour,
    instance: instanceId(vmId(scope, one).toLowerCase()),
    subnet: subnetId(armSubnetId(scope, subnet).toLowerCase()),
    prefixLength: 28,
    pageSize: 100,
    trouble: (method, trouble) => {
      // A subnet's troubles lie behind the calls, whichever they are.
      const isBehind = trouble === 'exhausted' || trouble === 'fragmented'
      const where = isBehind ? { subnet: subnet.id } : { action: actions[method] }
      emulator.addFault({ ...where, effect: effects[trouble], count: 1 })
    },
    crowd: async count => crowd(emulator, count),
    disown: async ({ id }) => {
      const nic = nicBehind(emulator, id)!
      putNic(emulator.world, nic.id, { ...nic, tags: { 'eniway.io_unmanaged': 'true' } })
    },
    heldBlocks: id => {
      const found = nicBehind(emulator, id)
      return found === undefined ? undefined : blocksOf(found).length - 1
    },
    close: async () => {
      cloud.close()
      neighbour.close()
      await emulator.close()
    },
  }
}
