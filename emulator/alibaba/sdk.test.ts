// The official SDK against the face: its signatures are verified, its models find every member, and
// its errors carry what the face said.
import * as ecsSdk from '@alicloud/ecs20140526'
import { $OpenApiUtil } from '@alicloud/openapi-core'
import * as vpcSdk from '@alicloud/vpc20160428'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#emulator/model/clock.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { alibabaPlatform } from './platform.ts'
import { type Sample, startSample } from './sample.ts'

// CommonJS: the class is what `default` gives, or a member of it, as the loader sees the packages.
const classOf = <Class>(module: { readonly default: { readonly default: Class } }): Class => {
  const exported: { readonly default?: Class } = module.default
  return exported.default ?? (exported as Class)
}

let sample: Sample

beforeAll(async () => {
  const { account } = alibabaPlatform.traits.defaults
  const deniedToRoles = { 'eniway-node': ['DeleteNetworkInterface'] }
  sample = await startSample({ accounts: [account], clock: systemClock, deniedToRoles })
})

afterAll(() => sample.emulator.close())

const regionId = 'cn-hangzhou'

const clientsOf = async (keys: object = {}) => {
  const env = await sample.emulator.environment()
  const config = new $OpenApiUtil.Config({
    accessKeyId: env['ALIBABA_CLOUD_ACCESS_KEY_ID'],
    accessKeySecret: env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
    endpoint: new URL(env['ALIBABA_CLOUD_ECS_ENDPOINT'] ?? '').host,
    protocol: 'http',
    regionId,
    ...keys,
  })
  return { ecs: new (classOf(ecsSdk))(config), vpc: new (classOf(vpcSdk))(config) }
}

interface SdkError {
  readonly name: string
  readonly code?: string
  readonly statusCode?: number
  readonly accessDeniedDetail?: Readonly<Record<string, unknown>> | null
}

const failure = async (call: Promise<unknown>): Promise<SdkError> =>
  call.then(
    () => ({ name: 'none' }),
    (error: unknown) => error as SdkError,
  )

test('the environment leads here, and to nobody else’s service', async () => {
  const { emulator } = sample
  expect(await emulator.environment('node-a')).toEqual({
    ALIBABA_CLOUD_ECS_ENDPOINT: emulator.endpoint,
    ALIBABA_CLOUD_VPC_ENDPOINT: emulator.endpoint,
    ALIBABA_CLOUD_REGION_ID: regionId,
    ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAIEMULATOR000000000000',
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'emulator-secret',
    ALIBABA_CLOUD_METADATA_ENDPOINT: await emulator.metadataEndpoint('node-a'),
  })
})

test('a NIC from creation to deletion', async () => {
  const { ecs, vpc } = await clientsOf()
  const { subnet, group, nodeA } = sample.ids
  const switches = await vpc.describeVSwitches(
    new vpcSdk.DescribeVSwitchesRequest({ regionId, vSwitchId: subnet }),
  )
  expect(switches.body?.vSwitches?.vSwitch?.[0]?.ipv6CidrBlock).toBe('2408:4005:3e8:f100::/64')
  const tag = [{ key: 'a b*', value: "x~'!()中+&=" }]
  const created = await ecs.createNetworkInterface(
    new ecsSdk.CreateNetworkInterfaceRequest({
      regionId,
      vSwitchId: subnet,
      securityGroupIds: [group],
      secondaryPrivateIpAddressCount: 2,
      ipv6AddressCount: 1,
      deleteOnRelease: true,
      clientToken: 'token',
      tag: tag.map(one => new ecsSdk.CreateNetworkInterfaceRequestTag(one)),
    }),
  )
  const networkInterfaceId = created.body?.networkInterfaceId
  expect(created.body?.privateIpSets?.privateIpSet?.map(one => one.primary)).toEqual([
    true,
    false,
    false,
  ])
  expect(created.body?.tags?.tag).toMatchObject([{ tagKey: 'a b*', tagValue: "x~'!()中+&=" }])
  const place = { regionId, networkInterfaceId, instanceId: nodeA }
  await ecs.attachNetworkInterface(new ecsSdk.AttachNetworkInterfaceRequest(place))
  const lent = await ecs.assignPrivateIpAddresses(
    new ecsSdk.AssignPrivateIpAddressesRequest({ ...place, ipv4PrefixCount: 1 }),
  )
  const prefixes = lent.body?.assignedPrivateIpAddressesSet?.ipv4PrefixSet?.ipv4Prefixes
  const lent6 = await ecs.assignIpv6Addresses(
    new ecsSdk.AssignIpv6AddressesRequest({ ...place, ipv6AddressCount: 2 }),
  )
  const seen = await ecs.describeNetworkInterfaces(
    new ecsSdk.DescribeNetworkInterfacesRequest({ regionId, instanceId: nodeA, maxResults: 500 }),
  )
  const nic = seen.body?.networkInterfaceSets?.networkInterfaceSet?.find(
    one => one.networkInterfaceId === networkInterfaceId,
  )
  expect(nic).toMatchObject({ status: 'InUse', type: 'Secondary', deleteOnRelease: true })
  expect(nic?.ipv4PrefixSets?.ipv4PrefixSet?.map(one => one.ipv4Prefix)).toEqual(prefixes)
  const six = nic?.ipv6Sets?.ipv6Set?.map(one => one.ipv6Address) ?? []
  expect(six.slice(1)).toEqual(lent6.body?.ipv6Sets?.ipv6Address)
  await ecs.unassignPrivateIpAddresses(
    new ecsSdk.UnassignPrivateIpAddressesRequest({ ...place, ipv4Prefix: prefixes }),
  )
  await ecs.unassignIpv6Addresses(
    new ecsSdk.UnassignIpv6AddressesRequest({ ...place, ipv6Address: six }),
  )
  await ecs.detachNetworkInterface(new ecsSdk.DetachNetworkInterfaceRequest(place))
  await ecs.deleteNetworkInterface(new ecsSdk.DeleteNetworkInterfaceRequest(place))
  expect(sample.emulator.state().nics.length).toBe(3)
})

test('instances and types', async () => {
  const { ecs } = await clientsOf()
  const instanceIds = JSON.stringify([sample.ids.nodeA])
  const request = new ecsSdk.DescribeInstancesRequest({ regionId, instanceIds })
  const [instance] = (await ecs.describeInstances(request)).body?.instances?.instance ?? []
  expect(instance).toMatchObject({ instanceType: 'ecs.g7.large', status: 'Running' })
  const instanceTypes = ['ecs.g7.large', 'ecs.unknown.large']
  const types = await ecs.describeInstanceTypes(
    new ecsSdk.DescribeInstanceTypesRequest({ instanceTypes }),
  )
  expect(types.body?.instanceTypes?.instanceType).toMatchObject([
    { eniQuantity: 3, eniPrivateIpAddressQuantity: 6, eniIpv6AddressQuantity: 6 },
  ])
})

describe('errors', () => {
  const list = async (keys = {}) => {
    const { ecs } = await clientsOf(keys)
    const request = new ecsSdk.DescribeNetworkInterfacesRequest({ regionId })
    return failure(ecs.describeNetworkInterfaces(request))
  }

  test('wrong credentials', async () => {
    expect(await list()).toEqual({ name: 'none' })
    expect(await list({ accessKeySecret: 'wrong' })).toMatchObject({
      name: expect.stringContaining('ClientError') as string,
      code: 'SignatureDoesNotMatch',
      statusCode: 400,
    })
    expect(await list({ accessKeyId: 'LTAIOTHER' })).toMatchObject({
      code: 'InvalidAccessKeyId.NotFound',
      statusCode: 404,
    })
  })

  test('on purpose: throttled, broken, cut, not JSON, reset', async () => {
    const struck = async (effect: Effect) => {
      const action = 'DescribeNetworkInterfaces'
      sample.emulator.addFault({ effect, action, count: 1 })
      const { name, code, statusCode } = await list()
      return [name.replace(/.*(?=(Throttling|Client|Server)Error)/, ''), code, statusCode]
    }
    expect(await struck({ kind: 'throttle' })).toEqual(['ThrottlingError', 'Throttling.Api', 400])
    const fail = { kind: 'fail', code: 'InternalError' } as const
    expect(await struck(fail)).toEqual(['ServerError', 'InternalError', 500])
    expect((await struck({ kind: 'malformed' }))[0]).toBe('SyntaxError')
    expect((await struck({ kind: 'html', status: 502 }))[0]).toBe('SyntaxError')
    expect((await struck({ kind: 'reset' }))[1]).toBe('ECONNRESET')
    expect(sample.emulator.results()['DescribeNetworkInterfaces']).toMatchObject({
      'Throttling.Api': 1,
      InternalError: 1,
      malformed: 1,
      html: 1,
      reset: 1,
    })
  })
})

test('credentials of the instance’s role sign calls, and a denial names the role', async () => {
  const base = `${await sample.emulator.metadataEndpoint('node-a')}/latest`
  const token = await text(`${base}/api/token`, 'PUT', {
    'x-aliyun-ecs-metadata-token-ttl-seconds': '60',
  })
  const path = `${base}/meta-data/ram/security-credentials/eniway-node`
  const document = await text(path, 'GET', { 'x-aliyun-ecs-metadata-token': token })
  const keys = JSON.parse(document) as Readonly<Record<string, string>>
  const { ecs } = await clientsOf({
    accessKeyId: keys['AccessKeyId'],
    accessKeySecret: keys['AccessKeySecret'],
    securityToken: keys['SecurityToken'],
    type: 'sts',
  })
  const request = new ecsSdk.DescribeNetworkInterfacesRequest({ regionId })
  expect((await ecs.describeNetworkInterfaces(request)).body?.totalCount).toBe(3)
  const remove = { regionId, networkInterfaceId: sample.ids.primary }
  const denied = await failure(
    ecs.deleteNetworkInterface(new ecsSdk.DeleteNetworkInterfaceRequest(remove)),
  )
  expect(denied).toMatchObject({ code: 'Forbidden.RAM', statusCode: 403 })
  expect(denied.accessDeniedDetail).toMatchObject({
    AuthAction: 'ecs:DeleteNetworkInterface',
    AuthPrincipalType: 'AssumedRoleUser',
    AuthPrincipalDisplayName: `eniway-node:${sample.ids.nodeA}`,
  })
})

const text = (url: string, method: string, headers: Record<string, string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = httpRequest(url, { method, headers, agent: false }, reply => {
      let body = ''
      reply.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      reply.on('end', () => resolve(body))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
