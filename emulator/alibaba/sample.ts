// A small Alibaba VPC that the tests of this folder share, and a client that knows nothing of the
// SDK.
import { request as httpRequest } from 'node:http'
import { cidr, ip } from '#core/ip.ts'
import type { Description } from '#emulator/description.ts'
import { type Emulator, type EmulatorOptions, startEmulator } from '#emulator/emulator.ts'
import { type VirtualClock, virtualClock } from '#emulator/model/clock.ts'

/** Two nodes in two zones and a large one; `tiny` has twelve usable addresses. */
export const sampleVpc: Description = {
  cidrs: [cidr('10.0.0.0/16')],
  cidrs6: [cidr('2408:4005:3e8:f100::/56')],
  subnets: [
    {
      name: 'a',
      zone: 'cn-hangzhou-i',
      cidr: cidr('10.0.0.0/24'),
      cidr6: cidr('2408:4005:3e8:f100::/64'),
    },
    { name: 'tiny', zone: 'cn-hangzhou-i', cidr: cidr('10.0.1.0/28') },
    { name: 'b', zone: 'cn-hangzhou-j', cidr: cidr('10.0.2.0/24') },
  ],
  securityGroups: [{ name: 'closed', ingress: [], egress: [] }],
  instances: [
    { name: 'node-a', type: 'ecs.g7.large', subnet: 'a', primaryAddress: ip('10.0.0.10') },
    { name: 'node-b', type: 'ecs.g6.large', subnet: 'b', primaryAddress: ip('10.0.2.10') },
    { name: 'large', type: 'ecs.g7.4xlarge', subnet: 'a', primaryAddress: ip('10.0.0.20') },
  ],
}

/** A key without a secret: its signatures are not verified. */
export const sampleKey = 'LTAISAMPLE'

/** Everything at once and the clock standing still, unless told otherwise. */
export const startSample = async (options: Partial<EmulatorOptions> = {}): Promise<Sample> => {
  const clock = virtualClock()
  const accounts = [{ id: '1234567890123456', keys: [{ accessKeyId: sampleKey }] }]
  const emulator = await startEmulator({
    platform: 'alibaba',
    seed: 1,
    latency: 'none',
    clock,
    vpc: sampleVpc,
    accounts,
    ...options,
  })
  const rpc: Sample['rpc'] = (action, params = {}, headers = {}) =>
    send(emulator.endpoint, {
      query: { RegionId: emulator.region, ...params },
      headers: { ...headersOf(action, clock.now()), ...headers },
    })
  return { emulator, clock, rpc, ids: idsOf(emulator) }
}

/** A running sample. */
export interface Sample {
  readonly emulator: Emulator
  readonly clock: VirtualClock
  /** One call by the sample's key; a RegionId of '' is left out, and so is an empty header. */
  readonly rpc: (action: string, params?: Values, headers?: Values) => Promise<Reply>
  readonly ids: SampleIds
}

/** Ids of what the tests name most. */
export interface SampleIds {
  readonly subnet: string
  readonly group: string
  readonly nodeA: string
  readonly large: string
  /** The primary NIC of node-a. */
  readonly primary: string
}

type Values = Readonly<Record<string, string | number | boolean>>

/** What came back. */
export interface Reply {
  readonly status: number
  readonly contentType: string
  readonly body: string
  /** `200 ok`, or status and error code. */
  readonly result: string
  /** The member at a path such as `A.B.0.C`; undefined when there is none. */
  readonly read: (path: string) => unknown
}

const idsOf = ({ ids, state }: Emulator): SampleIds => {
  const nodeA = ids.instanceIds['node-a'] ?? ''
  return {
    subnet: ids.subnetIds['a'] ?? '',
    group: ids.groupIds['default'] ?? '',
    nodeA,
    large: ids.instanceIds['large'] ?? '',
    primary: state().nics.find(nic => nic.attachment?.instanceId === nodeA)?.id ?? '',
  }
}

let nonces = 0

/** The header of somebody whose key has no secret: only the key is looked at. */
export const unsigned = (accessKeyId: string): string =>
  `ACS3-HMAC-SHA256 Credential=${accessKeyId},SignedHeaders=host,Signature=${'0'.repeat(64)}`

const headersOf = (action: string, now: number): Values => ({
  authorization: unsigned(sampleKey),
  'x-acs-action': action,
  'x-acs-version': action === 'DescribeVSwitches' ? '2016-04-28' : '2014-05-26',
  'x-acs-date': `${new Date(now).toISOString().slice(0, 19)}Z`,
  'x-acs-signature-nonce': `nonce-${++nonces}`,
})

const given = (values: Values): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => [name, String(value)]),
  )

/** One POST as the SDK sends it: everything in the query, nothing in the body. */
const send = (
  endpoint: string,
  { query, headers }: { readonly query: Values; readonly headers: Values },
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const url = `${endpoint}/?${new URLSearchParams(given(query)).toString()}`
    const options = { method: 'POST', headers: given(headers), agent: false }
    const outgoing = httpRequest(url, options, incoming => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const contentType = incoming.headers['content-type'] ?? ''
        const body = Buffer.concat(chunks).toString()
        resolve(replyOf({ status: incoming.statusCode ?? 0, contentType, body }))
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })

const replyOf = (raw: Pick<Reply, 'status' | 'contentType' | 'body'>): Reply => {
  const read = (path: string): unknown => {
    const isJson = raw.contentType.startsWith('application/json')
    const root: unknown = isJson ? JSON.parse(raw.body) : undefined
    return path.split('.').reduce<unknown>((here, name) => memberOf(here, name), root)
  }
  const isError = raw.status !== 200
  return { ...raw, read, result: `${raw.status} ${isError ? String(read('Code')) : 'ok'}` }
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
