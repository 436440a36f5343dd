// The nftables table as text; what it does to packets is shown by the kernel tests.

import { expect, test } from 'vitest'
import { cidr, ip } from './ip.ts'
import { mac } from './names.ts'
import { rulesetText } from './ruleset.ts'
import type { PresentNic } from './wiring.ts'

const nic = (slot: number): PresentNic => ({
  slot,
  mac: mac(`02:00:00:00:00:0${slot}`),
  isPrimary: slot === 1,
  primaryAddresses: [ip(`10.0.16.${3 + slot}`)],
  gateways: [ip('10.0.16.1')],
  device: {
    ifindex: 1 + slot,
    name: `eth${slot - 1}`,
    mac: mac(`02:00:00:00:00:0${slot}`),
    mtu: 9001,
  },
})
const nat = { isEnabled: true, insideCidrs: [cidr('10.0.0.0/16'), cidr('192.168.0.0/16')] }

const check = (text: string, want: string) => expect(text.trim()).toBe(want.trim())

/** The chains of one transaction by name, without the frame. */
const chain = (text: string, name: string): string =>
  text.slice(text.indexOf(`  chain ${name} {`)).split('\n  }\n', 1)[0] ?? ''

test('two NICs, with source NAT', () =>
  check(
    rulesetText({ nics: [nic(1), nic(2)], nat }),
    `
table inet eniway {
  map pods4 { type iface_index . ipv4_addr : verdict; }
  map pods6 { type iface_index . ipv6_addr : verdict; }
  map delegated4 { type ipv4_addr : verdict; }
  map delegated6 { type ipv6_addr : verdict; }
  set elsewhere4 { type ipv4_addr; }
  set elsewhere6 { type ipv6_addr; }
  set inside4 { type ipv4_addr; flags interval; auto-merge; }
  set inside6 { type ipv6_addr; flags interval; auto-merge; }
}
flush table inet eniway
flush set inet eniway inside4
flush set inet eniway inside6
table inet eniway {
  set inside4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/16, 192.168.0.0/16 }; }
  chain via_1 { meta mark set meta mark & 0x80ffffff | 0x01000000; }
  chain arrived_1 { ct mark set ct mark & 0x80ffffff | 0x01000000; }
  chain pod_1 {
    ct direction reply ct mark & 0x7f000000 vmap { 0x01000000 : goto via_1, 0x02000000 : goto via_2 }
    ip daddr @elsewhere4 accept
    ip6 daddr @elsewhere6 accept
    ip daddr @inside4 goto via_1
    meta nfproto ipv6 goto via_1
    fib daddr type local goto via_1
    goto via_1
  }
  chain via_2 { meta mark set meta mark & 0x80ffffff | 0x02000000; }
  chain arrived_2 { ct mark set ct mark & 0x80ffffff | 0x02000000; }
  chain pod_2 {
    ct direction reply ct mark & 0x7f000000 vmap { 0x01000000 : goto via_1, 0x02000000 : goto via_2 }
    ip daddr @elsewhere4 accept
    ip6 daddr @elsewhere6 accept
    ip daddr @inside4 goto via_2
    meta nfproto ipv6 goto via_2
    fib daddr type local goto via_2
    goto via_1
  }
  chain from_pods {
    iif . ip saddr vmap @pods4
    iif . ip6 saddr vmap @pods6
    ip6 saddr { ::, fe80::/10 } meta l4proto ipv6-icmp drop
    counter drop comment "spoofed"
  }
  chain choose_nic {
    type filter hook prerouting priority -90; policy accept;
    iifgroup 57879 goto from_pods
    ip saddr vmap @delegated4
    ip6 saddr vmap @delegated6
    ct direction reply ct mark & 0x7f000000 vmap { 0x02000000 : goto via_2 }
  }
  chain remember_nic {
    type filter hook prerouting priority -150; policy accept;
    ct state new iif vmap { 2 : goto arrived_1, 3 : goto arrived_2 }
  }
  chain answer {
    type route hook output priority -150; policy accept;
    ct state related ip saddr vmap { 10.0.16.5 : goto via_2 }
    ct state related accept
    ct direction reply ct mark & 0x7f000000 vmap { 0x02000000 : goto via_2 }
  }
  chain translate {
    type nat hook postrouting priority 100; policy accept;
    oif 2 ip saddr @inside4 ip saddr != 10.0.16.4 ip daddr != @inside4 snat ip to 10.0.16.4 fully-random
  }
}
`,
  ))

test('without source NAT pods reach the world through their own NIC', () => {
  const text = rulesetText({ nics: [nic(1), nic(2)], nat: { ...nat, isEnabled: false } })
  expect(chain(text, 'pod_2').trimEnd().split('\n').at(-1)).toBe('    goto via_2')
  expect(text).not.toContain('snat')
})

test('before any NIC has appeared pods may still not spoof', () => {
  const text = rulesetText({ nics: [], nat: { isEnabled: true, insideCidrs: [] } })
  expect(text).toContain('counter drop comment "spoofed"')
  expect(text).not.toMatch(/vmap \{ {2}\}/)
  expect(text).not.toContain('elements')
})

test('insides of both families go to their own sets', () => {
  const insideCidrs = [cidr('10.0.0.0/16'), cidr('2001:db8::/56')]
  const text = rulesetText({ nics: [nic(1)], nat: { isEnabled: true, insideCidrs } })
  expect(text).toContain('auto-merge; elements = { 10.0.0.0/16 }; }')
  expect(text).toContain('auto-merge; elements = { 2001:db8::/56 }; }')
})

// Pods are map elements: the text, which is loaded whole, must not grow with them.
test('its length is a matter of NICs', () => {
  const lines = (count: number) =>
    rulesetText({ nics: Array.from({ length: count }, (_, i) => nic(i + 1)), nat }).split('\n')
      .length
  expect(lines(9) - lines(3)).toBe(6 * (lines(3) - lines(2)))
})

test('the maps are declared and not emptied: packets of running pods go on', () => {
  const text = rulesetText({ nics: [nic(1)], nat })
  expect(text).not.toMatch(/flush map|delete|flush ruleset/)
})
