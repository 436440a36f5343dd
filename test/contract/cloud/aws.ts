// An emulated VPC for the contract's cases: the official SDK, redirected by its own environment.

import { CreateTagsCommand } from '@aws-sdk/client-ec2'
import { afterAll } from 'vitest'
import { cidr } from '#core/ip.ts'
import { instanceId, subnetId } from '#core/names.ts'
import type { Description } from '#emulator/description.ts'
import { type Emulator, defaultAccount, startEmulator } from '#emulator/emulator.ts'
import type { Effect } from '#emulator/model/faults.ts'
import type { LatencyProfile } from '#emulator/model/latency.ts'
import { blocksOf } from '#emulator/model/world.ts'
import { createClient } from '#providers/aws/client.ts'
import { createAwsCloud } from '#providers/aws/cloud.ts'
import type { CloudOptions, ProviderCloud } from '#providers/common/options.ts'
import type { CloudUnderTest, Method, Trouble } from './contract.ts'
import { crowd } from './crowd.ts'

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
  denied: { kind: 'fail', code: 'UnauthorizedOperation', status: 403 },
  unavailable: { kind: 'fail', code: 'Unavailable', status: 503 },
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
      zone: 'us-east-1a',
      cidr: cidr('10.0.0.0/20'),
      cidr6: cidr('2001:db8:0:100::/64'),
    },
  ],
  instances: ['one', 'two'].map(name => ({ name, type: 'm5.large', subnet: 'a' })),
}

export const cloudOptions = {
  cluster: 'contract',
  tags: {},
  subnets: { kind: 'default' },
  securityGroups: [],
} as const

const [key] = defaultAccount.keys
const keysBefore = { ...process.env }
afterAll(() => void (process.env = keysBefore))

/** How a cloud is made once the environment names the emulator. */
export type Create = (options: CloudOptions) => ProviderCloud

/** An emulated VPC and its two instances; undone by `close`. */
export const makeAws = async (
  latency: LatencyProfile,
  create: Create = createAwsCloud,
): Promise<CloudUnderTest> => {
  const emulator = await startEmulator({
    seed: 1,
    latency,
    throttleFactor: 1000,
    vpc: smallVpc,
  })
  process.env['AWS_ENDPOINT_URL_EC2'] = emulator.endpoint
  process.env['AWS_REGION'] = emulator.region
  process.env['AWS_ACCESS_KEY_ID'] = key.accessKeyId
  process.env['AWS_SECRET_ACCESS_KEY'] = key.secretAccessKey
  const subnet = emulator.ids.subnetIds['a'] ?? ''
  const cloud = await cloudOf(emulator, 'one', create)
  const neighbour = await cloudOf(emulator, 'two', create)
  return {
    cloud,
    neighbour,
    instance: instanceId(emulator.ids.instanceIds['one'] ?? ''),
    subnet: subnetId(subnet),
    prefixLength: 28,
    pageSize: 100,
    trouble: (method, trouble) => {
      // A subnet's troubles lie behind the calls, whichever they are.
      const isBehind = trouble === 'exhausted' || trouble === 'fragmented'
      const where = isBehind ? { subnet } : { action: actions[method] }
      emulator.addFault({ ...where, effect: effects[trouble], count: 1 })
    },
    crowd: async count => crowd(emulator, count),
    disown: nic => tag(nic.id, 'node.k8s.amazonaws.com/no_manage'),
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

// The metadata service is found by an environment variable that is read when the cloud is made.
export const cloudOf = async (
  emulator: Emulator,
  instance: string,
  create: Create = createAwsCloud,
): Promise<ProviderCloud> => {
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = await emulator.metadataEndpoint(instance)
  return create({ ...cloudOptions, node: instance })
}

const tag = async (resource: string, name: string): Promise<void> => {
  const client = createClient(async () => 'us-east-1')
  const input = { Resources: [resource], Tags: [{ Key: name, Value: 'true' }] }
  await client.send(new CreateTagsCommand(input))
  client.destroy()
}
