// The AWS provider over the emulator's wire: the official SDK, redirected by its own environment.

import { CreateTagsCommand } from '@aws-sdk/client-ec2'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { cidr, lengthOf } from '#core/ip.ts'
import { instanceId, subnetId, token } from '#core/names.ts'
import type { Description } from '#emulator/description.ts'
import { type Emulator, defaultAccount, startEmulator } from '#emulator/emulator.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { type LatencyProfile, latencyProfiles } from '#emulator/model/latency.ts'
import { blocksOf } from '#emulator/model/world.ts'
import { createAwsCloud } from '#providers/aws/cloud.ts'
import { createClient } from '#providers/aws/client.ts'
import { crowd } from './crowd.ts'
import { type CloudUnderTest, type Method, type Trouble, cloudContract } from './contract.ts'

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

const smallVpc: Description = {
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

const cloudOptions = {
  cluster: 'contract',
  tags: {},
  subnets: { kind: 'default' },
  securityGroups: [],
} as const

const [key] = defaultAccount.keys
const keysBefore = { ...process.env }
afterAll(() => void (process.env = keysBefore))

const makeAws = async (latency: LatencyProfile): Promise<CloudUnderTest> => {
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
  const cloud = await cloudOf(emulator, 'one')
  const neighbour = await cloudOf(emulator, 'two')
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
const cloudOf = async (emulator: Emulator, instance: string) => {
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = await emulator.metadataEndpoint(instance)
  return createAwsCloud({ ...cloudOptions, node: instance })
}

const tag = async (resource: string, name: string): Promise<void> => {
  const client = createClient(async () => 'us-east-1')
  const input = { Resources: [resource], Tags: [{ Key: name, Value: 'true' }] }
  await client.send(new CreateTagsCommand(input))
  client.destroy()
}

const { none, fast } = latencyProfiles
cloudContract('aws', () => makeAws(none))
// New ids are unknown for a while, describes are stale, attaching and detaching take time.
cloudContract('aws with its delays', () => makeAws({ ...fast, callMs: none.callMs }))

describe('aws beyond the port', () => {
  const run = async (
    options: Partial<Parameters<typeof startEmulator>[0]>,
    check: (emulator: Emulator) => Promise<void>,
  ): Promise<void> => {
    const emulator = await startEmulator({ seed: 1, latency: 'none', vpc: smallVpc, ...options })
    process.env['AWS_ENDPOINT_URL_EC2'] = emulator.endpoint
    for (const name of ['AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
      delete process.env[name]
    }
    try {
      await check(emulator)
    } finally {
      await emulator.close()
    }
  }
  const never = new AbortController().signal

  test('region and credentials come from metadata when the environment has none', () =>
    run({}, async emulator => {
      const cloud = await cloudOf(emulator, 'one')
      expect((await cloud.describeNode(never)).kind).toBe('ok')
      cloud.close()
    }))

  test('a right the role lacks is named', () =>
    run({ deniedToRoles: { 'eniway-node': ['CreateNetworkInterface'] } }, async emulator => {
      const cloud = await cloudOf(emulator, 'one')
      const request = {
        token: token('t'),
        subnet: subnetId(emulator.ids.subnetIds['a'] ?? ''),
        securityGroups: [],
        blocks: [{ family: 4, length: 32, count: 1 }],
      } as const
      const outcome = await cloud.createNic(request, never)
      expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
      const message = outcome.kind === 'failed' ? outcome.failure.message : ''
      expect(message).toContain('allow ec2:CreateNetworkInterface in the IAM policy')
      cloud.close()
    }))

  // Metadata trails the boot of an instance; a daemon that starts with it must not give up.
  test('late metadata is waited for', () =>
    run({}, async emulator => {
      const endpoint = await emulator.metadataEndpoint('one')
      const { port } = new URL(endpoint)
      let refusals = 3
      const proxy = createServer((request, response) => {
        if (refusals-- > 0) return void response.writeHead(503).end()
        const { method = 'GET', url: path = '/', headers } = request
        httpRequest({ port, method, path, headers }, answer => {
          response.writeHead(answer.statusCode ?? 500)
          answer.pipe(response)
        }).end()
      })
      await new Promise<void>(resolve => void proxy.listen(0, '127.0.0.1', resolve))
      const { port: late } = proxy.address() as AddressInfo
      process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = `http://127.0.0.1:${late}`
      const cloud = createAwsCloud({ ...cloudOptions, node: 'one' })
      expect((await cloud.observe(never)).kind).toBe('ok')
      cloud.close()
      proxy.closeAllConnections()
      proxy.close()
    }))

  test('IPv6 addresses and prefixes are lent and returned', () =>
    run({}, async emulator => {
      const cloud = await cloudOf(emulator, 'one')
      const observed = await cloud.observe(never)
      const nic = observed.kind === 'ok' ? observed.value.nics[0]?.id : undefined
      const lend = (length: number) =>
        cloud.lendBlocks({ nic: nic!, blocks: { family: 6, length, count: 1 } }, never)
      const lent = await Promise.all([lend(128), lend(80)])
      const blocks = lent.flatMap(outcome => (outcome.kind === 'ok' ? outcome.value : []))
      expect(blocks.map(lengthOf).toSorted((a, b) => a - b)).toEqual([80, 128])
      const returned = await cloud.returnBlocks({ nic: nic!, blocks }, never)
      expect(returned).toMatchObject({ kind: 'ok' })
      expect(new Set(returned.kind === 'ok' ? returned.value : [])).toEqual(new Set(blocks))
      cloud.close()
    }))
})
