import { expect, test } from 'vitest'
import { unknownType, wantedOf, type Flags } from './options.ts'

const flags: Flags = {
  cloud: 'aws',
  instanceType: 'm5.large',
  blockSize: '32',
  ipFamilies: 'ipv4',
  reserve: '0',
  coolingSeconds: '30',
  output: 'text',
}

const wanted = (changed: Partial<Flags>) => wantedOf({ ...flags, ...changed })

const check = (changed: Partial<Flags>, sentence: string) =>
  expect(() => wanted(changed)).toThrow(sentence)

test('families come in any order, IPv4 first', () => {
  expect(wanted({ ipFamilies: 'ipv6, ipv4' }).families).toEqual(['ipv4', 'ipv6'])
  expect(wanted({ ipFamilies: 'ipv6' }).families).toEqual(['ipv6'])
})

test('only AWS publishes pods on the host network', () => {
  expect(wanted({}).hostNetwork).toBe(2)
  expect(wanted({ cloud: 'azure' }).hostNetwork).toBe(0)
  expect(wanted({ cloud: 'azure', hostNetwork: '4' }).hostNetwork).toBe(4)
})

// An address rests after its pod: so many are on rest at any time.
test('a rate is multiplied by the cooling time and rounded up', () => {
  const addresses = (reserve: string, coolingSeconds = '30') =>
    wanted({ reserve, coolingSeconds }).reserve.addresses
  expect(addresses('7')).toBe(7)
  expect(addresses('20/min')).toBe(10)
  expect(addresses('0.5/s')).toBe(15)
  expect(addresses('600/h')).toBe(5)
  expect(addresses('1/h')).toBe(1)
  expect(addresses('20/min', '60')).toBe(20)
  expect(addresses('20/min', '0')).toBe(0)
})

test('what cannot be used is one sentence', () => {
  check({ cloud: 'gcp' }, '--cloud is "gcp", but it must be aws, azure or alibaba')
  check({ cloud: '' }, '--cloud is ""')
  check({ blockSize: '24' }, '--block-size is "24", but it must be 32, 28 or auto')
  check({ ipFamilies: 'ipv5' }, '--ip-families is "ipv5"')
  check({ ipFamilies: 'ipv4,ipv4' }, 'each once')
  check({ ipFamilies: '' }, '--ip-families is ""')
  check({ reserve: '-1' }, '--reserve is "-1"')
  check({ reserve: '20/day' }, '--reserve is "20/day"')
  check({ reserve: '99999999' }, '--reserve is "99999999", but it must be a whole number from 0')
  check({ nicsMax: '0' }, '--nics-max is "0", but it must be a whole number from 1 to 127')
  check({ nicsMax: '2.5' }, '--nics-max is "2.5"')
  check({ hostNetwork: 'two' }, '--host-network is "two"')
  check({ coolingSeconds: '4000' }, '--cooling-seconds is "4000"')
})

test('an unknown type is told from one of another cloud', () => {
  expect(unknownType('aws', 'm5.lagre')).toContain('did you mean m5.large,')
  expect(unknownType('azure', 'm5.large')).toContain('it is one of aws: use --cloud aws')
  expect(unknownType('aws', 'nothing like it at all')).toContain('ask the cloud with --live')
})
