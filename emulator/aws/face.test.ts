// Whatever a client sends, the face answers as EC2 would: no call may end the emulator, and no call
// that is refused may change anything.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { sampleWorld } from '#emulator/sample.ts'
import { allNics } from '#emulator/model/world.ts'
import { createCallLog } from '#emulator/model/calls.ts'
import type { Answer } from '#emulator/wire/answer.ts'
import { createFace } from './face.ts'
import { createKeyRing } from './keys.ts'
import { createThrottle } from './throttle.ts'

const key = {
  accessKeyId: 'AKIAFACE',
  accountId: '1',
  secret: undefined,
  sessionToken: undefined,
  expiresAt: undefined,
  deniedActions: [],
  role: undefined,
}

const setup = () => {
  const { world, ids } = sampleWorld()
  const face = createFace({
    world,
    keys: createKeyRing(world.chance, [key]),
    throttle: createThrottle(1000),
    calls: createCallLog(),
    ownerId: '1',
    netnsOf: name => name,
  })
  const send = (form: Readonly<Record<string, string>>): Promise<Answer> => {
    const body = new URLSearchParams({ Version: '2016-11-15', ...form }).toString()
    const scope = '20260101/us-east-1/ec2/aws4_request'
    const authorization =
      `AWS4-HMAC-SHA256 Credential=AKIAFACE/${scope}, SignedHeaders=host, ` +
      `Signature=${'0'.repeat(64)}`
    const headers = { authorization, 'x-amz-date': '20260101T000000Z' }
    return face({ method: 'POST', url: '/', headers, body })
  }
  const nic = allNics(world)[0]
  return { world, ids, send, nic }
}

const actionNames = [
  'DescribeNetworkInterfaces',
  'DescribeInstances',
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'AssignPrivateIpAddresses',
  'UnassignPrivateIpAddresses',
  'AssignIpv6Addresses',
  'UnassignIpv6Addresses',
  'CreateTags',
  'DeleteTags',
  'CreateSubnet',
  'RunInstances',
  'TerminateInstances',
] as const

const parameterNames = [
  'NetworkInterfaceId',
  'NetworkInterfaceId.1',
  'InstanceId',
  'InstanceId.1',
  'SubnetId',
  'AttachmentId',
  'DeviceIndex',
  'NetworkCardIndex',
  'SecondaryPrivateIpAddressCount',
  'PrivateIpAddress.1',
  'PrivateIpAddresses.1.PrivateIpAddress',
  'PrivateIpAddresses.1.Primary',
  'Ipv4PrefixCount',
  'Ipv4Prefix.1',
  'Ipv6AddressCount',
  'Ipv6Prefix.1',
  'ClientToken',
  'MaxResults',
  'NextToken',
  'Filter.1.Name',
  'Filter.1.Value.1',
  'ResourceId.1',
  'Tag.1.Key',
  'SecurityGroupId.1',
  'SourceDestCheck.Value',
  'VpcId',
  'CidrBlock',
  'AvailabilityZone',
  'InstanceType',
  'MinCount',
  'MaxCount',
  'Tag.99999.Key',
] as const

test('no call ends the emulator, and a refused one changes nothing', async () => {
  const { world, ids, send, nic } = setup()
  const value = fc.oneof(
    fc.constantFrom(nic?.id ?? '', nic?.attachment?.id ?? '', ...Object.values(ids.instanceIds)),
    fc.constantFrom(...Object.values(ids.subnetIds), ids.vpcId, 'm5.large', 'us-east-1a'),
    fc.constantFrom('10.0.0.50', '10.0.0.64/28', '2600:1f18:0:100::/80', '10.0.9.0/24', '::'),
    fc.constantFrom('0', '1', '3', '-1', '999999999', 'true', 'status', '*', '\\', '__proto__', ''),
    fc.string({ maxLength: 12 }),
  )
  const call = fc.tuple(
    fc.oneof(fc.constantFrom(...actionNames), fc.constant('toString')),
    fc.dictionary(fc.constantFrom(...parameterNames), value, { maxKeys: 7, noNullPrototype: true }),
  )
  const picture = () => JSON.stringify([[...world.nics], [...world.instances], [...world.subnets]])
  await fc.assert(
    fc.asyncProperty(call, async ([action, form]) => {
      const before = picture()
      const answer = await send({ Action: action, ...form })
      if (answer.kind !== 'answer') throw new Error(`no answer: ${answer.kind}`)
      expect(answer.body).toMatch(/^<\?xml .*\n<.*>$/s)
      if (answer.status !== 200) {
        expect(answer.body).toMatch(/<Code>[A-Za-z0-9.]+<\/Code>/)
        expect(picture()).toBe(before)
      }
    }),
    { numRuns: 2000 },
  )
})
