import { cidr, ip } from '#core/ip.ts'
import { describe, expect, test } from 'vitest'
import { decodeResult, previousResult } from './decode.ts'
import { encodeResult } from './encode.ts'
import { noDns, type Result } from './result.ts'
import { versions, type Version } from './versions.ts'

const full: Result = {
  interfaces: [
    { name: 'ewy0123456789ab', mac: '0a:58:a9:fe:01:01', mtu: 9001 },
    { name: 'eth0', mac: '0a:58:0a:00:01:07', mtu: 9001, sandbox: '/run/netns/a' },
  ],
  ips: [
    { address: ip('10.0.1.7'), prefixLength: 32, gateway: ip('169.254.1.1'), interface: 1 },
    { address: ip('fd00::7'), prefixLength: 128, gateway: ip('fe80::1'), interface: 0 },
  ],
  routes: [
    { destination: cidr('0.0.0.0/0'), gateway: ip('169.254.1.1'), mtu: 1400, priority: 10 },
    { destination: cidr('::/0') },
  ],
  dns: noDns,
}

const old = [
  '"ip4":{"ip":"10.0.1.7/32","gateway":"169.254.1.1","routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}]}',
  '"ip6":{"ip":"fd00::7/128","gateway":"fe80::1","routes":[{"dst":"::/0"}]}',
  '"dns":{}}',
].join(',')

const middle = [
  '"interfaces":[{"name":"ewy0123456789ab","mac":"0a:58:a9:fe:01:01"},{"name":"eth0","mac":"0a:58:0a:00:01:07","sandbox":"/run/netns/a"}]',
  '"ips":[{"version":"4","interface":1,"address":"10.0.1.7/32","gateway":"169.254.1.1"},{"version":"6","interface":0,"address":"fd00::7/128","gateway":"fe80::1"}]',
  '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"::/0"}]',
  '"dns":{}}',
].join(',')

const first = [
  '"interfaces":[{"name":"ewy0123456789ab","mac":"0a:58:a9:fe:01:01"},{"name":"eth0","mac":"0a:58:0a:00:01:07","sandbox":"/run/netns/a"}]',
  '"ips":[{"interface":1,"address":"10.0.1.7/32","gateway":"169.254.1.1"},{"interface":0,"address":"fd00::7/128","gateway":"fe80::1"}]',
  '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"::/0"}]}',
].join(',')

const newest = [
  '"interfaces":[{"name":"ewy0123456789ab","mac":"0a:58:a9:fe:01:01","mtu":9001},{"name":"eth0","mac":"0a:58:0a:00:01:07","mtu":9001,"sandbox":"/run/netns/a"}]',
  '"ips":[{"interface":1,"address":"10.0.1.7/32","gateway":"169.254.1.1"},{"interface":0,"address":"fd00::7/128","gateway":"fe80::1"}]',
  '"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1","mtu":1400,"priority":10},{"dst":"::/0"}]}',
].join(',')

const golden: Readonly<Record<Version, string>> = {
  '0.1.0': old,
  '0.2.0': old,
  '0.3.0': middle,
  '0.3.1': middle,
  '0.4.0': middle,
  '1.0.0': first,
  '1.1.0': newest,
}

const encode = (result: Result, version: Version): string => {
  const encoded = encodeResult(result, version)
  return encoded.kind === 'failed'
    ? `${encoded.code} ${encoded.message}`
    : JSON.stringify(encoded.value)
}

describe.each(versions)('%s', version => {
  test('is written as the specification of that version shows it', () =>
    expect(encode(full, version)).toBe(`{"cniVersion":"${version}",${golden[version]}`))

  test('reads back what it wrote', () => {
    const decoded = decodeResult(JSON.parse(encode(full, version)), version)
    if (decoded.kind === 'failed') throw new Error(decoded.message)
    expect(encode(decoded.value, version)).toBe(encode(full, version))
  })

  test.each(versions)('converts to %s', other => {
    const decoded = decodeResult(JSON.parse(encode(full, version)), version)
    if (decoded.kind === 'failed') throw new Error(decoded.message)
    expect(encode(decoded.value, other)).toContain('"10.0.1.7/32"')
  })
})

test('dns is written when it says something, in every version', () => {
  const dns = { nameservers: ['10.0.0.2'], domain: '', search: ['a.b'], options: [] }
  expect(encode({ ...full, dns }, '1.1.0')).toContain(
    '"dns":{"nameservers":["10.0.0.2"],"search":["a.b"]}',
  )
})

test('the shapes without lists need an address', () => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: noDns }
  expect(encode(empty, '0.2.0')).toBe(
    '1 a result without an address cannot be written in CNI 0.2.0; use 0.3.0 or newer',
  )
  expect(encode(empty, '1.0.0')).toBe('{"cniVersion":"1.0.0"}')
})

const decode = (value: object, version: Version = '1.0.0'): string => {
  const decoded = decodeResult({ ...value }, version)
  return decoded.kind === 'failed'
    ? `${decoded.code} ${decoded.message}`
    : encode(decoded.value, '1.1.0')
}

test("a result without a version is read as the configuration's", () =>
  expect(decode({ ip4: { ip: '10.0.0.5/24' } }, '0.2.0')).toBe(
    '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.5/24"}]}',
  ))

test('later fields, a missing index and -1 are tolerated, index 0 is kept', () =>
  expect(
    decode({
      interfaces: [{ name: 'a', mtu: 1500, extra: 1 }],
      ips: [
        { address: '10.0.0.5/24', version: '4', interface: 0 },
        { address: '10.0.0.6/24', interface: -1 },
        { address: '10.0.0.7/24' },
      ],
      routes: null,
    }),
  ).toBe(
    '{"cniVersion":"1.1.0","interfaces":[{"name":"a","mtu":1500}],"ips":[{"interface":0,"address":"10.0.0.5/24"},{"address":"10.0.0.6/24"},{"address":"10.0.0.7/24"}]}',
  ))

test.each<[object, string]>([
  [
    { cniVersion: '7' },
    '6 cniVersion of a CNI result is "7"; it must be a version of the CNI specification',
  ],
  [{ ips: 'x' }, '6 ips of a CNI result is "x"; it must be a list'],
  [
    { ips: [{ address: '10.0.0.5' }] },
    '6 ips of a CNI result is {"address":"10.0.0.5"}; it must be an entry of that list',
  ],
  [
    { ips: [{ address: '10.0.0.5/33' }] },
    '6 ips of a CNI result is {"address":"10.0.0.5/33"}; it must be an entry of that list',
  ],
  [
    { routes: [{ dst: 'x' }] },
    '6 routes of a CNI result is {"dst":"x"}; it must be an entry of that list',
  ],
  [{ interfaces: [{}] }, '6 interfaces of a CNI result is {}; it must be an entry of that list'],
  [{ dns: 1 }, '6 dns of a CNI result is 1; it must be a dns object'],
])('a result that cannot be read: %j', (value, want) => expect(decode(value)).toBe(want))

test('a prevResult that is no object is a configuration error', () => {
  const config = { raw: {}, cniVersion: '1.0.0', name: 'n', runtimeConfig: {}, dns: noDns } as const
  const outcome = previousResult({ ...config, prevResult: 5 })
  expect(outcome).toMatchObject({ kind: 'failed', code: 7 })
  expect(previousResult({ ...config, prevResult: undefined })).toEqual({
    kind: 'parsed',
    value: undefined,
  })
})
