// What is sent reads back as what was meant: every codec against its own inverse. Whether the
// kernel agrees is judged in test/kernel/netlink.test.ts.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { bitsOf, cidrOf, ipFromBytes } from '#core/ip.ts'
import type { Family } from '#core/ip.ts'
import { addAddress, decodeAddress } from './address.ts'
import { changeLink, createVeth, decodeLink, decodeVethPeer } from './link.ts'
import { decodeReplies, encodeRequests } from './message.ts'
import type { Reply, Request } from './message.ts'
import { decodeNeighbour, replaceNeighbour } from './neighbour.ts'
import { addRoute, decodeRoute } from './route.ts'
import { addRule, decodeRule } from './rule.ts'

const sent = (request: Request): Reply => {
  const [reply] = decodeReplies(encodeRequests([request], 1))
  if (reply === undefined) throw new Error('the request did not read back at all')
  return reply
}

const check = <T>(
  entry: fc.Arbitrary<T>,
  encode: (value: T) => Request,
  decode: (reply: Reply) => unknown,
): void =>
  fc.assert(
    fc.property(entry, value => {
      expect(decode(sent(encode(value)))).toEqual(value)
    }),
  )

const u32 = fc.nat({ max: 0xffffffff })
const index = fc.integer({ min: 1, max: 0x7fffffff })
const byte = fc.nat({ max: 255 })
const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/)
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map(bytes => [...bytes].map(part => part.toString(16).padStart(2, '0')).join(':'))
const family = fc.constantFrom<Family>(4, 6)

const ipOf = (version: Family) => {
  const length = bitsOf(version) / 8
  return fc.uint8Array({ minLength: length, maxLength: length }).map(ipFromBytes)
}

const cidrOfFamily = (version: Family, minimum = 0) =>
  fc
    .tuple(ipOf(version), fc.integer({ min: minimum, max: bitsOf(version) }))
    .map(([address, length]) => cidrOf(address, length))

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

test('addresses', () => {
  const entry = family.chain(version =>
    fc.record({
      index: u32,
      address: ipOf(version),
      prefixLength: fc.integer({ min: 0, max: bitsOf(version) }),
      scope: byte,
      noDuplicateDetection: fc.boolean(),
      noPrefixRoute: fc.boolean(),
    }),
  )
  check(entry, addAddress, decodeAddress)
})

test('routes', () => {
  const entry = family.chain(version =>
    fc.record({
      destination: cidrOfFamily(version),
      table: u32,
      protocol: byte,
      scope: byte,
      kind: fc.constantFrom('unicast', 'local', 'blackhole', 'throw'),
      device: maybe(index),
      gateway: maybe(ipOf(version)),
      onLink: fc.boolean(),
      source: maybe(ipOf(version)),
      metric: maybe(u32),
    }),
  )
  check(entry, addRoute, decodeRoute)
})

test('rules', () => {
  const entry = family.chain(version =>
    fc.record({
      family: fc.constant(version),
      action: fc.constant('lookup'),
      priority: u32,
      table: u32,
      protocol: byte,
      mark: maybe(fc.record({ value: u32, mask: fc.integer({ min: 1, max: 0xffffffff }) })),
      from: maybe(cidrOfFamily(version)),
      to: maybe(cidrOfFamily(version)),
      inputName: maybe(name),
      outputName: maybe(name),
    }),
  )
  check(entry, addRule, decodeRule)
})

test('neighbours', () => {
  const entry = family.chain(version =>
    fc.record({ index, address: ipOf(version), mac, isPermanent: fc.constant(true) }),
  )
  check(entry, replaceNeighbour, decodeNeighbour)
})

test('veth pairs: both ends', () => {
  const end = { index, name, mac }
  const entry = fc.record({
    ...end,
    mtu: u32,
    group: u32,
    peer: fc.record({ ...end, netnsFd: fc.nat() }),
  })
  fc.assert(
    fc.property(entry, ({ peer, ...host }) => {
      const message = sent(createVeth({ ...host, peer }))
      expect(decodeLink(message)).toMatchObject({ ...host, isUp: true, kind: 'veth', queues: 1 })
      const { netnsFd: _, ...identity } = peer
      const want = { ...identity, mtu: host.mtu, isUp: false, queues: 1 }
      expect(decodeVethPeer(message)).toMatchObject(want)
    }),
  )
})

test('changes of a link', () => {
  const entry = fc.record({ index, name, mac, mtu: u32, group: u32, up: fc.boolean() })
  fc.assert(
    fc.property(entry, ({ up, ...value }) => {
      const read = decodeLink(sent(changeLink({ ...value, up })))
      expect(read).toMatchObject({ ...value, isUp: up })
    }),
  )
})

test('each decoder leaves messages of other kinds alone', () => {
  const other = sent({ type: 99, flags: 0, header: Buffer.alloc(16), attributes: [] })
  const decoders = [decodeAddress, decodeLink, decodeNeighbour, decodeRoute, decodeRule]
  expect(decoders.map(decode => decode(other))).toEqual(decoders.map(() => undefined))
})

test('what is not a MAC address is refused before the kernel sees it', () => {
  expect(() => changeLink({ index: 1, mac: '0a:58' })).toThrow('"0a:58" is not a MAC address')
})

// Together, the link would already have its own link-local address when told to make none.
test('a link is not brought up in the message that sets its address generation', () => {
  const both = { index: 1, up: true, ipv6AddressGeneration: 'none' } as const
  expect(() => changeLink(both)).toThrow('set ipv6AddressGeneration first')
})
