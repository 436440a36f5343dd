// Golden texts: whole answers as they go over the wire, written down by hand from the samples in
// the ECS and VPC API references, so that the face is judged by something that shares no model with
// the SDK.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Reply, type Sample, startSample } from './sample.ts'

let sample: Sample

beforeAll(async () => {
  sample = await startSample()
})

afterAll(() => sample.emulator.close())

/** Ids that come from the seed replaced by their kind, and one member per line. */
const readable = ({ body }: Reply): string =>
  JSON.stringify(JSON.parse(body), undefined, 1)
    .replaceAll(/\b(eni|i|sg|vpc|vsw)-bp1[0-9a-z]{17}/g, '$1-ID')
    .replaceAll(/[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/g, 'REQUEST')
    .replaceAll(/02(:[0-9a-f]{2}){5}/g, 'MAC')

const check = async (reply: Promise<Reply>, want: unknown): Promise<void> => {
  const seen = await reply
  expect(seen.contentType).toBe('application/json;charset=utf-8')
  expect(readable(seen)).toBe(JSON.stringify(want, undefined, 1))
}

const created = {
  RequestId: 'REQUEST',
  NetworkInterfaceId: 'eni-ID',
  NetworkInterfaceName: 'pods-1',
  Description: 'a&b "c"',
  Status: 'Available',
  Type: 'Secondary',
  VpcId: 'vpc-ID',
  VSwitchId: 'vsw-ID',
  ZoneId: 'cn-hangzhou-i',
  MacAddress: 'MAC',
  PrivateIpAddress: '10.0.0.30',
  PrivateIpSets: {
    PrivateIpSet: [
      { PrivateIpAddress: '10.0.0.30', Primary: true },
      { PrivateIpAddress: '10.0.0.31', Primary: false },
    ],
  },
  Ipv4PrefixSets: { Ipv4PrefixSet: [] },
  Ipv6Sets: { Ipv6Set: [{ Ipv6Address: '2408:4005:3e8:f100::30' }] },
  Ipv6PrefixSets: { Ipv6PrefixSet: [] },
  SecurityGroupIds: { SecurityGroupId: ['sg-ID'] },
  SourceDestCheck: false,
  Tags: { Tag: [{ TagKey: 'role', TagValue: 'pod' }] },
  OwnerId: '1234567890123456',
  ServiceManaged: false,
  ResourceGroupId: '',
}

test('CreateNetworkInterface, then the same NIC in use', async () => {
  const { subnet, group, nodeA } = sample.ids
  const reply = sample.rpc('CreateNetworkInterface', {
    VSwitchId: subnet,
    'SecurityGroupIds.1': group,
    NetworkInterfaceName: 'pods-1',
    Description: 'a&b "c"',
    PrimaryIpAddress: '10.0.0.30',
    'PrivateIpAddress.1': '10.0.0.31',
    'Ipv6Address.1': '2408:4005:3e8:f100::30',
    'Tag.1.Key': 'role',
    'Tag.1.Value': 'pod',
    DeleteOnRelease: true,
  })
  await check(reply, created)
  const nic = String((await reply).read('NetworkInterfaceId'))
  const attach = { NetworkInterfaceId: nic, InstanceId: nodeA }
  await check(sample.rpc('AttachNetworkInterface', attach), { RequestId: 'REQUEST' })
  const filters = { InstanceId: nodeA, Type: 'Secondary', MaxResults: 500 }
  const { RequestId: _, ...members } = created
  await check(sample.rpc('DescribeNetworkInterfaces', filters), {
    RequestId: 'REQUEST',
    NetworkInterfaceSets: {
      NetworkInterfaceSet: [
        {
          ...members,
          Status: 'InUse',
          InstanceId: 'i-ID',
          Attachment: { InstanceId: 'i-ID', DeviceIndex: 1, TrunkNetworkInterfaceId: '' },
          DeleteOnRelease: true,
          CreationTime: '2026-01-01T00:00:00Z',
          NetworkInterfaceTrafficMode: 'Standard',
          AssociatedPublicIp: {},
        },
      ],
    },
    NextToken: '',
  })
})

test('DescribeNetworkInterfaceAttribute of a NIC that hangs nowhere', async () => {
  const { subnet, group } = sample.ids
  const made = await sample.rpc('CreateNetworkInterface', {
    VSwitchId: subnet,
    SecurityGroupId: group,
  })
  const id = String(made.read('NetworkInterfaceId'))
  const reply = await sample.rpc('DescribeNetworkInterfaceAttribute', { NetworkInterfaceId: id })
  expect(reply.read('InstanceId')).toBe('')
  expect(reply.read('Attachment')).toEqual({})
  expect(reply.read('Status')).toBe('Available')
  expect(reply.read('NetworkInterfaceId')).toBe(id)
})

test('the assign calls answer what this call added', async () => {
  const { large } = sample.ids
  const nic =
    sample.emulator.state().nics.find(one => one.attachment?.instanceId === large)?.id ?? ''
  await check(
    sample.rpc('AssignPrivateIpAddresses', {
      NetworkInterfaceId: nic,
      'PrivateIpAddress.1': '10.0.0.40',
      'PrivateIpAddress.2': '10.0.0.41',
    }),
    {
      RequestId: 'REQUEST',
      AssignedPrivateIpAddressesSet: {
        NetworkInterfaceId: 'eni-ID',
        PrivateIpSet: { PrivateIpAddress: ['10.0.0.40', '10.0.0.41'] },
        Ipv4PrefixSet: { Ipv4Prefixes: [] },
      },
    },
  )
  await check(
    sample.rpc('AssignPrivateIpAddresses', {
      NetworkInterfaceId: nic,
      'Ipv4Prefix.1': '10.0.0.48/28',
    }),
    {
      RequestId: 'REQUEST',
      AssignedPrivateIpAddressesSet: {
        NetworkInterfaceId: 'eni-ID',
        PrivateIpSet: { PrivateIpAddress: [] },
        Ipv4PrefixSet: { Ipv4Prefixes: ['10.0.0.48/28'] },
      },
    },
  )
  await check(
    sample.rpc('AssignIpv6Addresses', {
      NetworkInterfaceId: nic,
      'Ipv6Prefix.1': '2408:4005:3e8:f100:1::/80',
    }),
    {
      RequestId: 'REQUEST',
      NetworkInterfaceId: 'eni-ID',
      Ipv6Sets: { Ipv6Address: [] },
      Ipv6PrefixSets: { Ipv6Prefix: ['2408:4005:3e8:f100:1::/80'] },
    },
  )
  await check(
    sample.rpc('UnassignPrivateIpAddresses', {
      NetworkInterfaceId: nic,
      'PrivateIpAddress.1': '10.0.0.40',
      'Ipv4Prefix.1': '10.0.0.48/28',
    }),
    { RequestId: 'REQUEST' },
  )
})

test('DescribeInstanceTypes', () =>
  check(sample.rpc('DescribeInstanceTypes', { 'InstanceTypes.1': 'ecs.g6.large', RegionId: '' }), {
    RequestId: 'REQUEST',
    InstanceTypes: {
      InstanceType: [
        {
          InstanceTypeId: 'ecs.g6.large',
          InstanceTypeFamily: 'ecs.g6',
          CpuCoreCount: 2,
          MemorySize: 8,
          CpuArchitecture: 'X86',
          EniQuantity: 2,
          EniTotalQuantity: 2,
          EniTrunkSupported: false,
          EniPrivateIpAddressQuantity: 6,
          EniIpv6AddressQuantity: 1,
          EriQuantity: 0,
          GPUAmount: 0,
          GPUSpec: '',
        },
      ],
    },
    NextToken: '',
  }))

test('DescribeInstances', async () => {
  const { emulator, rpc } = sample
  const id = emulator.ids.instanceIds['node-b'] ?? ''
  await check(rpc('DescribeInstances', { InstanceIds: JSON.stringify([id]) }), {
    RequestId: 'REQUEST',
    Instances: {
      Instance: [
        {
          InstanceId: 'i-ID',
          InstanceName: 'node-b',
          HostName: 'node-b',
          Status: 'Running',
          InstanceType: 'ecs.g6.large',
          InstanceTypeFamily: 'ecs.g6',
          Cpu: 2,
          Memory: 8192,
          RegionId: 'cn-hangzhou',
          ZoneId: 'cn-hangzhou-j',
          CreationTime: '2026-01-01T00:00Z',
          StartTime: '2026-01-01T00:00Z',
          InstanceNetworkType: 'vpc',
          InstanceChargeType: 'PostPaid',
          OSType: 'linux',
          SecurityGroupIds: { SecurityGroupId: ['sg-ID'] },
          VpcAttributes: {
            VpcId: 'vpc-ID',
            VSwitchId: 'vsw-ID',
            NatIpAddress: '',
            PrivateIpAddress: { IpAddress: ['10.0.2.10'] },
          },
          NetworkInterfaces: {
            NetworkInterface: [
              {
                NetworkInterfaceId: 'eni-ID',
                MacAddress: 'MAC',
                PrimaryIpAddress: '10.0.2.10',
                Type: 'Primary',
                PrivateIpSets: {
                  PrivateIpSet: [{ PrivateIpAddress: '10.0.2.10', Primary: true }],
                },
                Ipv4PrefixSets: { Ipv4PrefixSet: [] },
                Ipv6Sets: { Ipv6Set: [] },
                Ipv6PrefixSets: { Ipv6PrefixSet: [] },
              },
            ],
          },
          MetadataOptions: {
            HttpEndpoint: 'enabled',
            HttpTokens: 'required',
            HttpPutResponseHopLimit: 1,
          },
          Tags: { Tag: [{ TagKey: 'Name', TagValue: 'node-b' }] },
          PublicIpAddress: { IpAddress: [] },
          InnerIpAddress: { IpAddress: [] },
          OperationLocks: { LockReason: [] },
          ResourceGroupId: '',
        },
      ],
    },
    PageNumber: 1,
    PageSize: 10,
    TotalCount: 1,
    NextToken: '',
  })
})

test('DescribeVSwitches is an action of VPC, and writes tags in its own way', () =>
  check(
    sample.rpc('DescribeVSwitches', { VSwitchId: sample.emulator.ids.subnetIds['tiny'] ?? '' }),
    {
      RequestId: 'REQUEST',
      VSwitches: {
        VSwitch: [
          {
            VSwitchId: 'vsw-ID',
            VSwitchName: 'tiny',
            Description: '',
            Status: 'Available',
            VpcId: 'vpc-ID',
            ZoneId: 'cn-hangzhou-i',
            CidrBlock: '10.0.1.0/28',
            Ipv6CidrBlock: '',
            EnabledIpv6: false,
            AvailableIpAddressCount: 12,
            IsDefault: false,
            OwnerId: 1_234_567_890_123_456,
            ResourceGroupId: '',
            NetworkAclId: '',
            Tags: { Tag: [] },
          },
        ],
      },
      PageNumber: 1,
      PageSize: 10,
      TotalCount: 1,
    },
  ))

test('DescribeSecurityGroups', () =>
  check(sample.rpc('DescribeSecurityGroups', { SecurityGroupName: 'closed', MaxResults: 10 }), {
    RequestId: 'REQUEST',
    RegionId: 'cn-hangzhou',
    SecurityGroups: {
      SecurityGroup: [
        {
          SecurityGroupId: 'sg-ID',
          SecurityGroupName: 'closed',
          Description: 'closed group',
          SecurityGroupType: 'normal',
          VpcId: 'vpc-ID',
          RuleCount: 0,
          ServiceManaged: false,
          ResourceGroupId: '',
          Tags: { Tag: [] },
        },
      ],
    },
    NextToken: '',
  }))

test('an error names the request, the host, a code, and where to read on', async () => {
  const reply = await sample.rpc('DeleteNetworkInterface', {
    NetworkInterfaceId: sample.ids.primary,
  })
  expect(reply.status).toBe(400)
  expect(readable(reply)).toBe(
    JSON.stringify(
      {
        RequestId: 'REQUEST',
        HostId: 'ecs.cn-hangzhou.aliyuncs.com',
        Code: 'InvalidOperation.InvalidEniState',
        Message: 'The operation is not allowed in the current eni state: "eni-ID" is InUse.',
        Recommend:
          'https://api.alibabacloud.com/troubleshoot?q=InvalidOperation.InvalidEniState' +
          '&product=Ecs&requestId=REQUEST',
      },
      undefined,
      1,
    ),
  )
})

test('a full vSwitch is said in words that others have seen', async () => {
  const tiny = sample.emulator.ids.subnetIds['tiny'] ?? ''
  const request = { VSwitchId: tiny, SecurityGroupId: sample.ids.group }
  const reply = await sample.rpc('CreateNetworkInterface', {
    ...request,
    SecondaryPrivateIpAddressCount: 12,
  })
  expect(reply.result).toBe('403 InvalidVSwitchId.IpNotEnough')
  expect(reply.read('Message')).toBe(`The specified VSwitch "${tiny}" has not enough IpAddress.`)
})
