// Whatever a client sends, the face answers as ECS would: no call may end the emulator, and no call
// that is refused may change anything.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildVpc } from '#emulator/description.ts'
import { createCallLog } from '#emulator/model/calls.ts'
import { virtualClock } from '#emulator/model/clock.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { allNics, createWorld } from '#emulator/model/world.ts'
import type { Answer } from '#emulator/wire/answer.ts'
import { accountKeys } from '#emulator/wire/keys.ts'
import { createAuthenticate } from './auth.ts'
import { createFace } from './face.ts'
import { createKeyRing } from './keys.ts'
import { sampleKey, sampleVpc, unsigned } from './sample.ts'
import { createThrottle } from './throttle.ts'
import { alibabaTraits } from './traits.ts'

const setup = () => {
  const clock = virtualClock()
  const { none: latency } = latencyProfiles
  const quotas = { ...alibabaTraits.quotas, nicsMax: 40 }
  const world = createWorld({ ...alibabaTraits, quotas, seed: 1, clock, latency })
  const ids = buildVpc(world, sampleVpc)
  const account = { id: '1', keys: [{ accessKeyId: sampleKey }] }
  const face = createFace({
    world,
    authenticate: createAuthenticate(createKeyRing(world.chance, accountKeys(account))),
    throttle: createThrottle(1000),
    calls: createCallLog(),
    ownerId: '1',
    region: 'cn-hangzhou',
  })
  let nonce = 0
  const send = (action: string, form: Readonly<Record<string, string>>): Promise<Answer> => {
    const query = new URLSearchParams({ RegionId: 'cn-hangzhou', ...form }).toString()
    const headers = {
      authorization: unsigned(sampleKey),
      'x-acs-action': action,
      'x-acs-version': action === 'DescribeVSwitches' ? '2016-04-28' : '2014-05-26',
      'x-acs-date': '2026-01-01T00:00:00Z',
      'x-acs-signature-nonce': String(++nonce),
    }
    return face({ method: 'POST', url: `/?${query}`, headers, body: '' })
  }
  return { world, ids, send, nic: allNics(world)[0] }
}

const actionNames = [
  'DescribeNetworkInterfaces',
  'DescribeNetworkInterfaceAttribute',
  'DescribeInstances',
  'DescribeInstanceTypes',
  'DescribeSecurityGroups',
  'DescribeVSwitches',
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'AssignPrivateIpAddresses',
  'UnassignPrivateIpAddresses',
  'AssignIpv6Addresses',
  'UnassignIpv6Addresses',
  'TagResources',
  'UntagResources',
  'ListTagResources',
] as const

const parameterNames = [
  'NetworkInterfaceId',
  'NetworkInterfaceId.1',
  'InstanceId',
  'InstanceIds',
  'VSwitchId',
  'SecurityGroupId',
  'SecurityGroupId.1',
  'SecondaryPrivateIpAddressCount',
  'PrivateIpAddress.1',
  'PrimaryIpAddress',
  'Ipv4PrefixCount',
  'Ipv4Prefix.1',
  'Ipv6AddressCount',
  'Ipv6Address.1',
  'Ipv6Prefix.1',
  'ClientToken',
  'MaxResults',
  'NextToken',
  'PageNumber',
  'PageSize',
  'Tag.1.Key',
  'Tag.1.Value',
  'Tag.99999.Key',
  'ResourceType',
  'ResourceId.1',
  'TagKey.1',
  'DeleteOnRelease',
  'SourceDestCheck',
  'Description',
  'Status',
  'RegionId',
] as const

test('no call ends the emulator, and a refused one changes nothing', async () => {
  const { world, ids, send, nic } = setup()
  const value = fc.oneof(
    fc.constantFrom(nic?.id ?? '', ...Object.values(ids.instanceIds)),
    fc.constantFrom(...Object.values(ids.subnetIds), ...Object.values(ids.groupIds), 'eni'),
    fc.constantFrom('10.0.0.50', '10.0.0.64/28', '2408:4005:3e8:f100:7::/80', '::', '[]', '["x"]'),
    fc.constantFrom('0', '1', '3', '-1', '999999999', 'true', 'Available', '__proto__', ''),
    fc.string({ maxLength: 12 }),
  )
  const call = fc.tuple(
    fc.oneof(fc.constantFrom(...actionNames), fc.constant('toString')),
    fc.dictionary(fc.constantFrom(...parameterNames), value, { maxKeys: 7, noNullPrototype: true }),
  )
  const picture = () => JSON.stringify([[...world.nics], [...world.instances], [...world.groups]])
  await fc.assert(
    fc.asyncProperty(call, async ([action, form]) => {
      const before = picture()
      const answer = await send(action, form)
      if (answer.kind !== 'answer') throw new Error(`no answer: ${answer.kind}`)
      const body = JSON.parse(answer.body) as Readonly<Record<string, unknown>>
      expect(body['RequestId']).toBe(answer.headers['x-acs-request-id'])
      expect(answer.status).toBeLessThan(500)
      if (answer.status !== 200) {
        expect(body['Code']).toMatch(/^[A-Za-z0-9.]+$/)
        expect(picture()).toBe(before)
      }
    }),
    { numRuns: 2000 },
  )
})
