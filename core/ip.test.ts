// Text to address and back, and the arithmetic on prefixes.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  addressAt,
  addressesOf,
  bytesOf,
  cidr,
  cidrOf,
  compareIp,
  contains,
  everywhere,
  hostCidr,
  ip,
  ipFromBytes,
  overlaps,
  parseCidr,
  parseIp,
  sizeOf,
  valueOf,
} from './ip.ts'

const check = (text: string, want: string | undefined) => expect(parseIp(text)).toBe(want)
const checkCidr = (text: string, want: string | undefined) => expect(parseCidr(text)).toBe(want)

test.each([
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['10.0.1.7', '10.0.1.7'],
  ['256.0.0.1', undefined],
  ['10.0.0', undefined],
  ['10.0.0.0.1', undefined],
  // Octal to some parsers, decimal to others.
  ['10.0.0.01', undefined],
  ['10.0.0.1 ', undefined],
  [' 10.0.0.1', undefined],
  ['10.0.0.-1', undefined],
  ['10.0.0.1\n', undefined],
  ['', undefined],
])('IPv4 %j', check)

test.each([
  // RFC 5952 section 4.1: no leading zeros; 4.2.1: as short as can be; 4.3: lower case.
  ['2001:0db8::0001', '2001:db8::1'],
  ['2001:DB8::A', '2001:db8::a'],
  ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
  // 4.2.2: one group of zeros is not shortened.
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  // 4.2.3: the longest run, and of equals the first.
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['1:0:0:0:0:0:0:0', '1::'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['1:2:3:4:5:6:7', undefined],
  ['1:2:3:4::5:6:7:8', undefined],
  ['1::2::3', undefined],
  [':::', undefined],
  [':1', undefined],
  ['1:', undefined],
  [':1:2:3:4:5:6:7:8', undefined],
  ['12345::', undefined],
  ['g::', undefined],
  ['fe80::1%eth0', undefined],
  ['::10.0.0.256', undefined],
  // A dotted quad stands for the last two groups only (RFC 4291 section 2.2).
  ['10.0.0.1::', undefined],
  ['::10.0.0.1:1', undefined],
  ['1:2:3:4:5:6:10.0.0.1', '1:2:3:4:5:6:a00:1'],
  ['::1:', undefined],
])('IPv6 %j', check)

test.each([
  ['10.0.0.5/32', '10.0.0.5/32'],
  ['10.0.0.5/28', '10.0.0.0/28'],
  ['10.0.0.5/0', '0.0.0.0/0'],
  ['2001:db8::5/64', '2001:db8::/64'],
  ['2001:db8::5/128', '2001:db8::5/128'],
  ['10.0.0.5', undefined],
  ['10.0.0.5/', undefined],
  ['10.0.0.5/33', undefined],
  ['10.0.0.5/-1', undefined],
  ['10.0.0.5/1e1', undefined],
  ['10.0.0.5/24/24', undefined],
  ['::/129', undefined],
  ['/24', undefined],
])('prefix %j', checkCidr)

test('literals that are not addresses are programmer errors', () => {
  expect(() => ip('10.0.0')).toThrow('"10.0.0" is not an address or prefix')
  expect(() => cidr('10.0.0.0')).toThrow('"10.0.0.0" is not an address or prefix')
})

test.each([
  ['10.0.0.0/28', '10.0.0.15', true],
  ['10.0.0.0/28', '10.0.0.16', false],
  ['10.0.0.0/28', '10.0.0.0/29', true],
  ['10.0.0.0/28', '10.0.0.0/27', false],
  ['10.0.0.0/28', '10.0.0.0/28', true],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '2001:db8::/32', true],
  ['2001:db8::/64', '2001:db8:0:1::', false],
])('%s contains %s: %s', (outer, inner, want) =>
  expect(contains(cidr(outer), inner.includes('/') ? cidr(inner) : ip(inner))).toBe(want),
)

test('prefixes overlap when one contains the other', () => {
  expect(overlaps(cidr('10.0.0.0/28'), cidr('10.0.0.8/29'))).toBe(true)
  expect(overlaps(cidr('10.0.0.8/29'), cidr('10.0.0.0/28'))).toBe(true)
  expect(overlaps(cidr('10.0.0.0/29'), cidr('10.0.0.8/29'))).toBe(false)
})

test('addresses by place', () => {
  expect(addressesOf(cidr('10.0.0.252/30')).join(' ')).toBe(
    '10.0.0.252 10.0.0.253 10.0.0.254 10.0.0.255',
  )
  expect(addressesOf(cidr('10.0.0.7/32'))).toEqual(['10.0.0.7'])
  expect(addressAt(cidr('10.0.0.0/8'), 65_536)).toBe('10.1.0.0')
  expect(addressAt(cidr('2001:db8::/64'), 0x1_0000)).toBe('2001:db8::1:0')
  expect(() => addressAt(cidr('10.0.0.0/28'), 16)).toThrow('16 not in 10.0.0.0/28')
  expect(() => addressAt(cidr('10.0.0.0/28'), -1)).toThrow('-1 not in 10.0.0.0/28')
  expect(addressesOf(cidr('10.0.0.0/16')).length).toBe(65_536)
  expect(() => addressesOf(cidr('10.0.0.0/15'))).toThrow('too many addresses')
})

test('sizes', () => {
  const size = (text: string) => sizeOf(cidr(text))
  expect(['10.0.0.1/32', '10.0.0.0/28', '::1/128', '::/80'].map(size)).toEqual([1, 16, 1, 2 ** 31])
})

test('orders by family, then by number and not by text', () => {
  const sorted = ['10.0.0.10', '::1', '10.0.0.9', '9.0.0.0'].map(ip).sort(compareIp)
  expect(sorted.join(' ')).toBe('9.0.0.0 10.0.0.9 10.0.0.10 ::1')
  expect(compareIp(ip('::1'), ip('0:0:0::1'))).toBe(0)
})

test('everywhere and one address', () => {
  expect([everywhere(4), everywhere(6)]).toEqual(['0.0.0.0/0', '::/0'])
  expect([hostCidr(ip('10.0.0.1')), hostCidr(ip('::1'))]).toEqual(['10.0.0.1/32', '::1/128'])
})

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Runs of zeros are what the canonical text is about.
  fc
    .array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 })
    .map(list => Uint8Array.from(list)),
)

test('bytes, text and number are the same address', () =>
  fc.assert(
    fc.property(bytes, given => {
      const address = ipFromBytes(given)
      expect(parseIp(address)).toBe(address)
      expect(bytesOf(address)).toEqual(given)
      const hex = Buffer.from(given).toString('hex')
      expect(valueOf(address)).toBe(BigInt(`0x${hex}`))
    }),
  ))

test('canonical text agrees with the URL standard, which follows RFC 5952', () =>
  fc.assert(
    fc.property(fc.ipV6(), text => {
      // The URL parser writes the same canonical form between brackets.
      const parsed = URL.parse(`http://[${text}]/`)
      if (parsed !== null) expect(`[${parseIp(text)}]`).toBe(parsed.hostname)
    }),
  ))

test('an address lies in the prefix cut from it, and in no neighbour', () =>
  fc.assert(
    fc.property(bytes, fc.nat({ max: 128 }), (given, wanted) => {
      const address = ipFromBytes(given)
      const length = Math.min(wanted, given.length * 8)
      const block = cidrOf(address, length)
      expect(contains(block, address)).toBe(true)
      expect(parseCidr(block)).toBe(block)
      if (length === 0) return
      const flipped = Uint8Array.from(given)
      flipped[(length - 1) >> 3]! ^= 0x80 >> ((length - 1) & 7)
      expect(contains(block, ipFromBytes(flipped))).toBe(false)
    }),
  ))

test('only 4 or 16 bytes are an address', () =>
  expect(() => ipFromBytes(new Uint8Array(5))).toThrow('an address has 4 or 16 bytes, not 5'))
