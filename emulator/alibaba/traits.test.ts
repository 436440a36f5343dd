// What the model is told of Alibaba Cloud: ids, gateways, reserved addresses, and a table of types
// without a row that could not be.
import { expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { availableCount } from '#emulator/model/addresses.ts'
import { startSample } from './sample.ts'
import { alibabaTraits } from './traits.ts'
import { cpusOf, memoryOf, typeLimits, typeNames, typeRow } from './types.ts'

const { gateway, nameId, regionOf } = alibabaTraits

test('the gateway is the third address from the end, and of IPv6 the ninth', () => {
  expect(gateway(cidr('10.0.0.0/24'))).toBe('10.0.0.253')
  expect(gateway(cidr('10.0.0.0/20'))).toBe('10.0.15.253')
  expect(gateway(cidr('10.0.1.16/28'))).toBe('10.0.1.29')
  expect(gateway(cidr('2408:4005:3e8:f100::/64'))).toBe('2408:4005:3e8:f100:ffff:ffff:ffff:fff7')
})

test('four addresses of a vSwitch are nobody’s', async () => {
  const { emulator } = await startSample()
  // A /28 without instances.
  expect(availableCount(emulator.world, emulator.ids.subnetIds['tiny'] ?? '')).toBe(12)
  await emulator.close()
})

test('ids: prefix, region mark and 17 characters', () => {
  const hex = 'f'.repeat(64)
  expect(nameId('nic', hex)).toMatch(/^eni-bp1[0-9a-z]{17}$/)
  expect(nameId('subnet', '0'.repeat(64))).toBe('vsw-bp100000000000000000')
  expect(nameId('instance', hex)).toMatch(/^i-bp1/)
})

test('a zone names its Region', () => {
  expect(regionOf('cn-hangzhou-i')).toBe('cn-hangzhou')
  expect(regionOf('ap-southeast-1a')).toBe('ap-southeast-1')
  expect(regionOf('cn-shanghai-cloudspe-a')).toBe('cn-shanghai-cloudspe')
})

test('every type can be launched and described; the default one can take a second NIC', () => {
  for (const name of typeNames) {
    const row = typeRow(name)
    expect(name).toMatch(/^ecs\.[a-z0-9-]+\.[0-9a-z]+$/)
    expect(row?.maxInterfaces).toBeGreaterThanOrEqual(2)
    expect(row?.totalInterfaces).toBeGreaterThanOrEqual(row?.maxInterfaces ?? 0)
    expect(row?.ipv4PerInterface).toBeGreaterThanOrEqual(2)
    expect(row?.ipv6PerInterface).toBeGreaterThanOrEqual(1)
    expect(typeLimits(name)?.cpus).toBe(cpusOf(name))
  }
  expect(typeLimits(alibabaTraits.defaults.instanceType)?.nicsMax).toBe(3)
  expect(typeLimits('ecs.g99.large')).toBeUndefined()
  expect([cpusOf('ecs.g7.large'), memoryOf('ecs.g7.large')]).toEqual([2, 8])
  expect([cpusOf('ecs.c7.xlarge'), memoryOf('ecs.c7.xlarge')]).toEqual([4, 8])
  expect([cpusOf('ecs.r7.16xlarge'), memoryOf('ecs.r7.16xlarge')]).toEqual([64, 512])
})
