// An emulated VPC for the contract's cases: the official SDK, redirected by the variables that
// Alibaba Cloud's own tools read.

import { TagResourcesRequest } from '@alicloud/ecs20140526'
import { afterAll } from 'vitest'
import { cidr } from '#core/ip.ts'
import { instanceId, subnetId } from '#core/names.ts'
import type { Description } from '#emulator/description.ts'
import { type Emulator, startEmulator } from '#emulator/emulator.ts'
import type { Effect } from '#emulator/model/faults.ts'
import type { LatencyProfile } from '#emulator/model/latency.ts'
import { blocksOf } from '#emulator/model/world.ts'
import { createClient } from '#providers/alibaba/client.ts'
import { createAlibabaCloud } from '#providers/alibaba/cloud.ts'
import { alibabaEnvironment } from '#providers/alibaba/config.ts'
import { createCredentials } from '#providers/alibaba/credentials.ts'
import { createMetadata } from '#providers/alibaba/metadata.ts'
import type { CloudOptions, ProviderCloud } from '#providers/common/options.ts'
import type { CloudUnderTest, Method, Trouble } from './contract.ts'
import { crowd } from './crowd.ts'
import { never } from './steps.ts'

/** What one method sends on the wire that trouble can strike. */
const actions: Readonly<Record<Method, string>> = {
  observe: 'DescribeNetworkInterfaces',
  createNic: 'CreateNetworkInterface',
  attachNic: 'AttachNetworkInterface',
  detachNic: 'DetachNetworkInterface',
  deleteNic: 'DeleteNetworkInterface',
  lendBlocks: 'AssignPrivateIpAddresses',
  returnBlocks: 'UnassignPrivateIpAddresses',
}

const effects: Readonly<Record<Trouble, Effect>> = {
  throttled: { kind: 'throttle' },
  denied: { kind: 'fail', code: 'Forbidden.RAM', status: 403 },
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

/** One zone, two instances. */
export const smallVpc: Description = {
  cidrs: [cidr('10.0.0.0/16')],
  cidrs6: [cidr('2001:db8:0:100::/56')],
  subnets: [
    {
      name: 'a',
      zone: 'cn-hangzhou-i',
      cidr: cidr('10.0.0.0/20'),
      cidr6: cidr('2001:db8:0:100::/64'),
    },
  ],
  instances: ['one', 'two'].map(name => ({ name, type: 'ecs.g7.large', subnet: 'a' })),
}

export const cloudOptions = {
  cluster: 'contract',
  tags: {},
  subnets: { kind: 'default' },
  securityGroups: [],
} as const

const before = { ...process.env }
afterAll(() => void (process.env = before))

/** How a cloud is made once the environment names the emulator. */
export type Create = (options: CloudOptions) => ProviderCloud

/** An emulated VPC and its two instances; undone by `close`. */
export const makeAlibaba = async (
  latency: LatencyProfile,
  create: Create = createAlibabaCloud,
): Promise<CloudUnderTest> => {
  const emulator = await startEmulator({
    platform: 'alibaba',
    seed: 1,
    latency,
    throttleFactor: 1000,
    vpc: smallVpc,
  })
  const subnet = emulator.ids.subnetIds['a'] ?? ''
  const cloud = await cloudOf(emulator, 'one', create)
  const neighbour = await cloudOf(emulator, 'two', create)
  return {
    cloud,
    neighbour,
    instance: instanceId(emulator.ids.instanceIds['one'] ?? ''),
    subnet: subnetId(subnet),
    prefixLength: 28,
    pageSize: 500,
    trouble: (method, trouble) => {
      // A vSwitch's troubles lie behind the calls, whichever they are.
      const isBehind = trouble === 'exhausted' || trouble === 'fragmented'
      const where = isBehind ? { subnet } : { action: actions[method] }
      emulator.addFault({ ...where, effect: effects[trouble], count: 1 })
    },
    crowd: async count => crowd(emulator, count),
    disown: nic => tag(nic.id, 'eniway.io/unmanaged'),
    heldBlocks: nic => {
      const found = emulator.state().nics.find(({ id }) => id === nic)
      return found === undefined ? undefined : blocksOf(found).length - 1
    },
    close: async () => {
      cloud.close()
      neighbour.close()
      await emulator.close()
    },
  }
}

/** Each instance has its metadata service; the variables are read when the cloud is made. */
export const cloudOf = async (
  emulator: Emulator,
  instance: string,
  create: Create = createAlibabaCloud,
): Promise<ProviderCloud> => {
  Object.assign(process.env, await emulator.environment(instance))
  return create({ ...cloudOptions, node: instance })
}

const tag = async (resource: string, key: string): Promise<void> => {
  const environment = alibabaEnvironment()
  const credentials = createCredentials(environment, createMetadata(environment.metadataEndpoint))
  const region = async () => environment.region ?? ''
  const given = { resourceType: 'eni', resourceId: [resource], tag: [{ key, value: 'true' }] }
  await createClient({ environment, credentials, region }).ecs(
    'TagResources',
    never,
    (ecs, regionId) => ecs.tagResources(new TagResourcesRequest({ ...given, regionId })),
  )
}
