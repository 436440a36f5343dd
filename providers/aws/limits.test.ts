import { expect, test } from 'vitest'
import { limitsOf } from './limits.ts'

const network = {
  MaximumNetworkInterfaces: 3,
  Ipv4AddressesPerInterface: 10,
  Ipv6AddressesPerInterface: 10,
  Ipv6Supported: true,
  DefaultNetworkCardIndex: 0,
  NetworkCards: [{ NetworkCardIndex: 0, MaximumNetworkInterfaces: 3 }],
}

test('m5.large: the NIC’s own address takes a slot', () =>
  expect(limitsOf({ Hypervisor: 'nitro', BareMetal: false, NetworkInfo: network })).toEqual({
    nicsMax: 3,
    blocksPerNicMax: { 4: 9, 6: 9 },
    hotPlug: true,
    blocksPerNodeMax: undefined,
    prefixes: true,
  }))

// p4d.24xlarge says 60 in all; the cards beside the default one are for other things.
test('of several network cards the default one counts', () => {
  const cards = [0, 1, 2, 3].map(index => ({
    NetworkCardIndex: index,
    MaximumNetworkInterfaces: 15,
  }))
  const info = { ...network, MaximumNetworkInterfaces: 60, NetworkCards: cards }
  expect(limitsOf({ Hypervisor: 'nitro', NetworkInfo: info }).nicsMax).toBe(15)
})

test('prefixes need Nitro or metal', () => {
  expect(limitsOf({ Hypervisor: 'xen', NetworkInfo: network }).prefixes).toBe(false)
  expect(limitsOf({ BareMetal: true, NetworkInfo: network }).prefixes).toBe(true)
})

test('a type without IPv6 lends none', () =>
  expect(limitsOf({ NetworkInfo: { ...network, Ipv6Supported: false } }).blocksPerNicMax[6]).toBe(
    0,
  ))
