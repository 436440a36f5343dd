import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { convertExactly, convertResult } from './convert.ts'
import { decodeResult } from './decode.ts'
import { versions, type Version } from './versions.ts'

const full = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'host', mac: '0a:58:a9:fe:01:01', mtu: 1500, pciID: '0000:00:05.0' },
    { name: 'eth0', mac: '0a:58:0a:00:01:07', sandbox: '/run/netns/a' },
  ],
  ips: [
    { interface: 1, address: '10.0.1.7/24', gateway: '10.0.1.1' },
    { interface: 0, address: 'fd00::7/64' },
    { address: '10.0.2.7/24' },
  ],
  routes: [{ dst: '0.0.0.0/0', gw: '10.0.1.1', mtu: 1400, scope: 0 }, { dst: '::/0' }],
  dns: { nameservers: ['10.0.0.2'] },
}

const plain = (cniVersion: Version) => {
  const isOld = cniVersion === '0.1.0' || cniVersion === '0.2.0'
  return isOld
    ? { cniVersion, ip4: { ip: '10.0.1.7/24', routes: [{ dst: '0.0.0.0/0' }] }, dns: {} }
    : { cniVersion, ips: [{ address: '10.0.1.7/24' }], routes: [{ dst: '0.0.0.0/0' }], dns: {} }
}

/** The version converted to, then what was lost; or code and sentence. */
const check = (value: object, to: Version, want: string) => {
  const outcome = convertResult({ ...value }, { to })
  expect(
    outcome.kind === 'failed'
      ? `${outcome.code} ${outcome.message}`
      : `${String(outcome.value.value['cniVersion'])}: ${outcome.value.lost.join(' ')}`,
  ).toBe(want)
}

describe.each(versions)('points 146 to 151: from %s', from => {
  test.each(versions)('to %s nothing that both can express is lost', to => {
    check(plain(from), to, `${to}: `)
    const there = convertExactly(plain(from), { to })
    if (there.kind === 'failed') throw new Error(there.message)
    const back = convertExactly(there.value, { to: from })
    expect(convertResult(back.kind === 'failed' ? {} : back.value, { to })).toEqual({
      kind: 'parsed',
      value: { value: there.value, lost: [] },
    })
  })
})

test('points 148 and 149: what the target cannot express is named', () => {
  const later = 'interfaces[0].mtu interfaces[0].pciID routes[0].mtu routes[0].scope'
  check(full, '1.0.0', `1.0.0: ${later}`)
  check(full, '0.3.1', `0.3.1: ${later}`)
  check(
    full,
    '0.2.0',
    '0.2.0: interfaces[0] interfaces[1] ips[0].interface ips[1].interface ips[2] routes[0].mtu routes[0].scope',
  )
})

test('a conversion that may lose nothing refuses and says what', () => {
  expect(convertExactly(full, { to: '1.0.0' })).toEqual({
    kind: 'failed',
    code: 1,
    message:
      'CNI 1.0.0 cannot express interfaces[0].mtu, interfaces[0].pciID, routes[0].mtu, routes[0].scope of this result; use a newer cniVersion, or convert without them',
    details: '',
  })
})

test('point 148: no address at all has no old shape', () => {
  const none = { cniVersion: '1.0.0', interfaces: [{ name: 'eth0' }] }
  const sentence =
    '1 a result without an address cannot be written in CNI 0.2.0; use 0.3.0 or newer'
  check(none, '0.2.0', sentence)
})

test('point 151: an unknown version fails, the old two are one shape under two names', () => {
  check(
    { cniVersion: '9.9.9' },
    '1.0.0',
    '6 cniVersion of a CNI result is "9.9.9"; it must be a version of the CNI specification',
  )
  check({ cniVersion: '0.1.0', dns: { domain: 'x' } }, '0.2.0', '0.2.0: ')
})

test('points 139 and 145: a result without a version is of the version it came with', () => {
  expect(convertResult({ ip4: { ip: '10.0.0.5/24' } }, { from: '0.2.0', to: '1.0.0' })).toEqual({
    kind: 'parsed',
    value: { value: { cniVersion: '1.0.0', ips: [{ address: '10.0.0.5/24' }] }, lost: [] },
  })
})

test('foreign keys stay when the shape stays', () => {
  const value = { cniVersion: '1.0.0', ips: [], 'example.org/x': 1 }
  expect(convertExactly(value, { to: '1.0.0' })).toEqual({ kind: 'parsed', value })
})

test('two routes of one destination are two, in every version that has lists', () => {
  const routes = [{ dst: '10.0.0.0/8' }, { dst: '10.0.0.0/8' }]
  check({ cniVersion: '1.0.0', ips: [{ address: '10.0.0.5/24' }], routes }, '0.2.0', '0.2.0: ')
})

const byte = fc.integer({ min: 0, max: 255 })
const address4 = fc.tuple(byte, byte).map(([a, b]) => `10.0.${a}.${b}/24`)
const address6 = byte.map(a => `fd00::${(a + 1).toString(16)}/64`)
const some = <T>(entry: fc.Arbitrary<T>) => fc.array(entry, { maxLength: 3 })
const number = fc.option(fc.integer({ min: 0, max: 9000 }), { nil: undefined })

const anyResult = fc.record({
  interfaces: some(
    fc.record({ name: fc.constantFrom('a', 'b'), mtu: number, sandbox: fc.constantFrom('', '/x') }),
  ),
  ips: some(
    fc.record({
      address: fc.oneof(address4, address6),
      interface: fc.option(fc.nat(2), { nil: undefined }),
    }),
  ),
  routes: some(fc.record({ dst: fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '::/0'), mtu: number })),
})

test('what is said to lose nothing comes back as it was, by the long way too', () =>
  fc.assert(
    fc.property(anyResult, fc.constantFrom(...versions), (parts, to) => {
      const source = { cniVersion: '1.1.0', ...(JSON.parse(JSON.stringify(parts)) as object) }
      const there = convertExactly(source, { to })
      if (there.kind === 'failed') {
        expect(there.code).toBe(1)
        return
      }
      const back = convertExactly(there.value, { to: '1.1.0' })
      if (back.kind === 'failed') throw new Error(back.message)
      expect(inOrder(decodeResult(back.value, to))).toEqual(inOrder(decodeResult(source, to)))
    }),
  ))

// The old shapes have one place per family and no order between the two.
const inOrder = (outcome: ReturnType<typeof decodeResult>) => {
  if (outcome.kind === 'failed') throw new Error(outcome.message)
  const { interfaces, ips, routes } = outcome.value
  return [interfaces, ips, routes].map(list => list.map(one => JSON.stringify(one)).toSorted())
}
