// The AWS provider over the emulator's wire: the official SDK, redirected by its own environment.

import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { cidr, lengthOf } from '#core/ip.ts'
import { subnetId, token } from '#core/names.ts'
import { type Emulator, startEmulator } from '#emulator/emulator.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { createAwsCloud } from '#providers/aws/cloud.ts'
import { crowd } from './crowd.ts'
import type { Description } from '#emulator/description.ts'
import { cloudOf, cloudOptions, makeAws, smallVpc } from './aws.ts'
import { cloudContract } from './contract.ts'

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

  // EC2 refuses the whole call; a burst of pods would get nothing while there are addresses left.
  test('of more addresses than a subnet has, the last ones are lent too', () =>
    run({ vpc: tinyVpc }, async emulator => {
      const cloud = await cloudOf(emulator, 'one')
      const observed = await cloud.observe(never)
      const nic = observed.kind === 'ok' ? observed.value.nics[0]?.id : undefined
      crowd(emulator, 3)
      let held = 0
      for (let tries = 0; tries < 4; tries++) {
        const blocks = { family: 4, length: 32, count: 9 - held } as const
        const outcome = await cloud.lendBlocks({ nic: nic!, blocks }, never)
        if (outcome.kind === 'failed') expect(outcome.failure.kind).toBe('exhausted')
        else held += outcome.value.length
      }
      // Sixteen, without EC2's five, the two instances' own and three of somebody else.
      expect(held).toBe(6)
      cloud.close()
    }))
})

const tinyVpc: Description = {
  ...smallVpc,
  subnets: [{ name: 'a', zone: 'us-east-1a', cidr: cidr('10.0.0.0/28') }],
}
