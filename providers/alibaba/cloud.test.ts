// The cloud against a scripted ECS, for what no healthy cloud does: stuck states, pages, answers
// without what they promise.

import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nicId, securityGroupId, subnetId, token } from '#core/names.ts'
import type { Outcome } from '#core/ports.ts'
import { createAlibabaCloud } from './cloud.ts'

type Query = URLSearchParams
type Refusal = { readonly Code: string; readonly Message: string }
/** The members of an answer, or a refusal; `times` counts the calls of this action. */
type Script = (query: Query, times: number) => object | Refusal

let server: Server
let script: Record<string, Script>
let asked: string[]
let paths: Record<string, string>
const before = { ...process.env }
const never = new AbortController().signal

const nic = (id: string, changes: object = {}) => ({
  NetworkInterfaceId: id,
  MacAddress: '00:16:3e:00:00:01',
  VSwitchId: 'vsw-1',
  Type: 'Secondary',
  Status: 'InUse',
  InstanceId: 'i-1',
  DeleteOnRelease: true,
  PrivateIpAddress: '10.0.0.9',
  SecurityGroupIds: { SecurityGroupId: ['sg-1'] },
  ...changes,
})
const primary = nic('eni-0', { Type: 'Primary', PrivateIpAddress: '10.0.0.4' })
const free = { Status: 'Available', InstanceId: '' }
const listed = (...nics: object[]) => ({ NetworkInterfaceSets: { NetworkInterfaceSet: nics } })
const busy = { Code: 'Operation.Conflict', Message: 'ecs task is conflicted.' }
const vSwitch = (id: string, zone = 'z') => ({
  VSwitchId: id,
  ZoneId: zone,
  CidrBlock: '10.0.0.0/24',
  AvailableIpAddressCount: 9,
})
const vSwitches = (list: readonly object[], total = list.length) => ({
  VSwitches: { VSwitch: list },
  TotalCount: total,
})

const known: Readonly<Record<string, string>> = {
  'instance-id': 'i-1',
  'instance/instance-type': 'ecs.x.large',
  'zone-id': 'z',
  'vpc-id': 'vpc-1',
  mac: '00:16:3e:00:00:01',
  'network/interfaces/macs/00:16:3e:00:00:01/vpc-cidr-block': '10.0.0.0/16',
}

beforeEach(async () => {
  asked = []
  paths = { ...known }
  script = {
    DescribeVSwitches: () => vSwitches([vSwitch('vsw-1')]),
    DescribeNetworkInterfaces: () => listed(primary),
    DescribeInstanceTypes: () => ({
      InstanceTypes: {
        InstanceType: [
          { InstanceTypeId: 'ecs.x.large', EniQuantity: 3, EniPrivateIpAddressQuantity: 6 },
        ],
      },
    }),
  }
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', base())
    const action = request.headers['x-acs-action']?.toString()
    if (request.method === 'PUT') return void response.end('token')
    if (action === undefined) {
      const text = paths[url.pathname.replace('/latest/meta-data/', '')]
      return void response.writeHead(text === undefined ? 404 : 200).end(text)
    }
    asked.push(action)
    const times = asked.filter(name => name === action).length
    const said = script[action]?.(url.searchParams, times) ?? {}
    const status = 'Code' in said ? 403 : 200
    response.writeHead(status).end(JSON.stringify({ RequestId: '1', ...said }))
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  Object.assign(process.env, {
    ALIBABA_CLOUD_ECS_ENDPOINT: base(),
    ALIBABA_CLOUD_VPC_ENDPOINT: base(),
    ALIBABA_CLOUD_METADATA_ENDPOINT: base(),
    ALIBABA_CLOUD_REGION_ID: 'cn-hangzhou',
    ALIBABA_CLOUD_ACCESS_KEY_ID: 'id',
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'secret',
  })
})
afterEach(() => {
  process.env = { ...before }
  vi.useRealTimers()
  server.closeAllConnections()
  server.close()
})

const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const cloud = () =>
  createAlibabaCloud({
    node: 'one',
    cluster: undefined,
    tags: {},
    subnets: { kind: 'default' },
    securityGroups: [],
  })

const value = <Value>(outcome: Outcome<Value>): Value => {
  if (outcome.kind === 'failed') throw new Error(outcome.failure.message)
  return outcome.value
}
const count = (action: string) => asked.filter(name => name === action).length

/** Lets pauses pass at once; what the network does stays real. */
const hurried = async <Value>(working: Promise<Value>): Promise<Value> => {
  let isDone = false
  void working.finally(() => (isDone = true)).catch(() => {})
  while (!isDone) {
    await vi.advanceTimersByTimeAsync(100)
    await new Promise(resolve => setImmediate(resolve))
  }
  return working
}

describe('lists', () => {
  test('of NICs are read to their last page', async () => {
    const pages: Readonly<Record<string, object>> = {
      '': { ...listed(primary, nic('eni-1')), NextToken: 'two' },
      two: { ...listed(nic('eni-2')), NextToken: 'three' },
      three: listed(nic('eni-3')),
    }
    script['DescribeNetworkInterfaces'] = query => {
      expect(query.get('MaxResults')).toBe('500')
      const isByInstance = query.get('InstanceId') === 'i-1'
      expect(isByInstance || query.get('Tag.1.Key') === 'eniway.io/node-instance').toBe(true)
      return isByInstance ? pages[query.get('NextToken') ?? '']! : listed()
    }
    const { nics } = value(await cloud().observe(never))
    expect(nics.map(({ id }) => id)).toEqual(['eni-0', 'eni-1', 'eni-2', 'eni-3'])
  })

  test('of vSwitches too, whose pages have numbers', async () => {
    const all = Array.from({ length: 120 }, (_, index) => vSwitch(`vsw-${index}`))
    script['DescribeVSwitches'] = query => {
      const from = (Number(query.get('PageNumber')) - 1) * 50
      return vSwitches(all.slice(from, from + Number(query.get('PageSize'))), all.length)
    }
    const { subnets } = value(await cloud().observe(never))
    expect(subnets.map(({ id }) => id)).toEqual(['vsw-1'])
    expect(count('DescribeVSwitches')).toBe(3)
  })

  test('leave out what is being deleted and what a neighbour has taken', async () => {
    script['DescribeNetworkInterfaces'] = query =>
      query.has('InstanceId')
        ? listed(primary)
        : listed(
            nic('eni-1', { Status: 'Deleting', InstanceId: '' }),
            nic('eni-2', { InstanceId: 'i-2' }),
            nic('eni-3', { InstanceId: '' }),
            nic('eni-4', free),
          )
    const { nics } = value(await cloud().observe(never))
    expect(nics.map(({ id }) => id)).toEqual(['eni-0', 'eni-4'])
  })
})

describe('the node', () => {
  test('of an unknown type is denied in one sentence', async () => {
    script['DescribeInstanceTypes'] = () => ({ InstanceTypes: { InstanceType: [] } })
    const outcome = await cloud().describeNode(never)
    expect(outcome).toMatchObject({ failure: { kind: 'denied', code: 'InvalidInstanceType' } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain(
      'DescribeInstanceTypes on instance type ecs.x.large failed: ECS does not know',
    )
  })

  test('counts prefixes of the VPC that only its vSwitches show', async () => {
    const added = { ...vSwitch('vsw-2', 'y'), CidrBlock: '172.16.0.0/24' }
    script['DescribeVSwitches'] = () => vSwitches([vSwitch('vsw-1'), added])
    expect(value(await cloud().describeNode(never)).vpc).toEqual(['10.0.0.0/16', '172.16.0.0/24'])
  })
})

describe('create', () => {
  const request = {
    token: token('t'),
    subnet: subnetId('vsw-1'),
    securityGroups: [securityGroupId('sg-2')],
    blocks: [
      { family: 4, length: 32, count: 60 },
      { family: 6, length: 128, count: 3 },
    ],
  } as const

  test('asks for all at once, for no more than ECS grants, and to die with the instance', async () => {
    const made = nic('eni-1', free)
    let sent = new URLSearchParams()
    script['CreateNetworkInterface'] = query => {
      sent = query
      return made
    }
    script['DescribeNetworkInterfaces'] = () => listed(made)
    value(await cloud().createNic(request, never))
    expect(Object.fromEntries(sent)).toMatchObject({
      RegionId: 'cn-hangzhou',
      VSwitchId: 'vsw-1',
      'SecurityGroupIds.1': 'sg-2',
      SecondaryPrivateIpAddressCount: '49',
      Ipv6AddressCount: '3',
      DeleteOnRelease: 'true',
      ClientToken: 't',
      'Tag.1.Key': 'eniway.io/node-instance',
      'Tag.1.Value': 'i-1',
      'Tag.2.Key': 'eniway.io/token',
      'Tag.2.Value': 't',
    })
  })

  test('whose description cannot be had returns what was created', async () => {
    script['CreateNetworkInterface'] = () => nic('eni-1', free)
    script['DescribeNetworkInterfaces'] = () => ({ Code: 'Throttling.User', Message: '' })
    expect(value(await cloud().createNic(request, never))).toMatchObject({
      id: 'eni-1',
      fixedBlocks: ['10.0.0.9/32'],
    })
  })

  test('that answers without an id created nothing, for certain', async () => {
    script['CreateNetworkInterface'] = () => ({ NetworkInterfaceId: '' })
    expect(await cloud().createNic(request, never)).toMatchObject({
      failure: { kind: 'transient', code: 'NotCreated', ambiguous: false },
    })
  })
})

describe('attach', () => {
  const wanted = { nic: nicId('eni-1'), deviceIndex: 1 }

  test('that ECS gives up is uncertain, after a while', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    script['DescribeNetworkInterfaces'] = () => listed(primary, nic('eni-1', free))
    expect(await hurried(cloud().attachNic(wanted, never))).toMatchObject({
      failure: { kind: 'transient', code: 'NotYetAttached', ambiguous: true },
    })
    expect(count('AttachNetworkInterface')).toBe(1)
  })

  test('that takes long is under way', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    script['DescribeNetworkInterfaces'] = (_, times) =>
      listed(primary, nic('eni-1', times > 2 ? { Status: 'Attaching' } : free))
    expect(value(await hurried(cloud().attachNic(wanted, never))).attachment).toMatchObject({
      kind: 'attaching',
      deviceIndex: 1,
    })
  })

  test('makes a NIC die with the instance that would not', async () => {
    let isProtected = false
    script['DescribeNetworkInterfaces'] = () =>
      listed(primary, nic('eni-1', { DeleteOnRelease: isProtected }))
    script['ModifyNetworkInterfaceAttribute'] = query => {
      isProtected = query.get('DeleteOnRelease') === 'true'
      return {}
    }
    const attached = value(await cloud().attachNic(wanted, never))
    expect(attached.attachment).toMatchObject({ isProtected: true })
    expect(isProtected).toBe(true)
    expect(count('AttachNetworkInterface')).toBe(0)
  })
})

describe('detach', () => {
  test('that is stuck is asked for again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    script['DescribeNetworkInterfaces'] = () =>
      listed(nic('eni-1', count('DetachNetworkInterface') > 1 ? free : { Status: 'Detaching' }))
    script['DetachNetworkInterface'] = query => {
      expect(query.get('InstanceId')).toBe('i-1')
      return {}
    }
    value(await hurried(cloud().detachNic(nicId('eni-1'), never)))
    expect(count('DetachNetworkInterface')).toBe(2)
  })

  test('of what is free or gone sends nothing', async () => {
    const client = cloud()
    script['DescribeNetworkInterfaces'] = () => listed(nic('eni-1', free))
    value(await client.detachNic(nicId('eni-1'), never))
    value(await client.detachNic(nicId('eni-2'), never))
    expect(count('DetachNetworkInterface')).toBe(0)
  })
})

describe('delete', () => {
  test('waits until the NIC is gone', async () => {
    script['DescribeNetworkInterfaces'] = (_, times) =>
      times < 3 ? listed(nic('eni-1', { ...free, Status: 'Deleting' })) : listed()
    value(await cloud().deleteNic(nicId('eni-1'), never))
    expect(count('DescribeNetworkInterfaces')).toBe(3)
  })

  test('of one that stays is to be asked for again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    script['DescribeNetworkInterfaces'] = () =>
      listed(nic('eni-1', { ...free, Status: 'Deleting' }))
    expect(await hurried(cloud().deleteNic(nicId('eni-1'), never))).toMatchObject({
      failure: { kind: 'transient', code: 'StillThere' },
    })
  })
})

test('a NIC that ECS is busy with is tried again, and only that', async () => {
  script['AssignPrivateIpAddresses'] = (_, times) =>
    times < 3
      ? busy
      : { AssignedPrivateIpAddressesSet: { PrivateIpSet: { PrivateIpAddress: ['10.0.0.7'] } } }
  const request = { nic: nicId('eni-1'), blocks: { family: 4, length: 32, count: 1 } } as const
  expect(value(await cloud().lendBlocks(request, never))).toEqual(['10.0.0.7/32'])
  script['AssignPrivateIpAddresses'] = () => ({ Code: 'InternalError', Message: '' })
  await cloud().lendBlocks(request, never)
  expect(count('AssignPrivateIpAddresses')).toBe(4)
})

test('the IPv6 router comes from metadata, which may be silent', async () => {
  const six = { Ipv6Sets: { Ipv6Set: [{ Ipv6Address: '2001:db8::7' }] } }
  script['DescribeVSwitches'] = () =>
    vSwitches([{ ...vSwitch('vsw-1'), Ipv6CidrBlock: '2001:db8::/64' }])
  script['DescribeNetworkInterfaces'] = () => listed({ ...primary, ...six })
  const client = cloud()
  const gateways = async () => value(await client.observe(never)).nics[0]?.gateways
  expect(await gateways()).toEqual(['10.0.0.253', '2001:db8::ffff:ffff:ffff:fff7'])
  paths['network/interfaces/macs/00:16:3e:00:00:01/ipv6-gateway'] = '2001:db8::fd'
  expect(await gateways()).toEqual(['10.0.0.253', '2001:db8::fd'])
})
