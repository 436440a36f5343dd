// The nftables table `inet eniway` as text: anti-spoofing and the choice of NIC for what pods send,
// connection marks that bring answers back through the NIC a connection came in on, and source NAT
// for what leaves the VPC. Its length grows with NICs, never with pods: pods are map elements.

import { type Cidr, familyOf, type Family } from './ip.ts'
import { markMask, nicMark, type PresentNic } from './wiring.ts'

/** Group of all pod links; rules tell by it what comes from a pod. Chosen high, to be alone. */
export const podLinkGroup = 0xe217

export const tableName = 'eniway'

/** Maps from (device, source address) to the chain of the pod's NIC. */
export const podMap = (family: Family): string => `pods${family}`

/** Maps from source address to the chain of its NIC, of pods that other plugins connect. */
export const delegatedMap = (family: Family): string => `delegated${family}`

/** The same addresses as a set, for packets to them: the main table knows the way. */
export const delegatedSet = (family: Family): string => `elsewhere${family}`

/** Chain for packets of pods whose addresses belong to the NIC in this slot. */
export const podChain = (slot: number): string => `pod_${slot}`

export type RulesetOptions = {
  readonly nics: readonly PresentNic[]
  readonly nat: { readonly isEnabled: boolean; readonly insideCidrs: readonly Cidr[] }
}

/**
 * One transaction for `nft -f -`: makes the table if needed and replaces every chain, while the
 * maps keep their elements, so that packets of running pods meet the old rules or the new ones.
 */
export const rulesetText = (options: RulesetOptions): string =>
  [
    `table inet ${tableName} {`,
    ...declarations,
    '}',
    `flush table inet ${tableName}`,
    ...flushSets,
    `table inet ${tableName} {`,
    ...insideSets(options.nat.insideCidrs),
    ...options.nics.flatMap(nic => nicChains(nic, options)),
    ...fromPods(options.nics),
    ...arrivals(options.nics),
    ...answers(options.nics),
    ...nat(options),
    '}',
    '',
  ].join('\n')

const declarations = [
  '  map pods4 { type iface_index . ipv4_addr : verdict; }',
  '  map pods6 { type iface_index . ipv6_addr : verdict; }',
  '  map delegated4 { type ipv4_addr : verdict; }',
  '  map delegated6 { type ipv6_addr : verdict; }',
  '  set elsewhere4 { type ipv4_addr; }',
  '  set elsewhere6 { type ipv6_addr; }',
  '  set inside4 { type ipv4_addr; flags interval; auto-merge; }',
  '  set inside6 { type ipv6_addr; flags interval; auto-merge; }',
]

const flushSets = [`flush set inet ${tableName} inside4`, `flush set inet ${tableName} inside6`]

const insideSets = (cidrs: readonly Cidr[]): readonly string[] =>
  ([4, 6] as const).flatMap(family => {
    const own = cidrs.filter(cidr => familyOf(cidr) === family)
    if (own.length === 0) return []
    const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
    const elements = `elements = { ${own.join(', ')} }`
    return [`  set inside${family} { type ${type}; flags interval; auto-merge; ${elements}; }`]
  })

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`

const otherBits = hex((0xffff_ffff - markMask) >>> 0)

// Only our bits of a mark change: the others belong to kube-proxy and whoever else marks packets.
const setMark = (slot: number): string =>
  `meta mark set meta mark & ${otherBits} | ${hex(nicMark(slot))}`

const nicChains = (nic: PresentNic, { nics, nat }: RulesetOptions): readonly string[] => {
  const { slot } = nic
  const back = nics.map(each => `${hex(nicMark(each.slot))} : goto via_${each.slot}`).join(', ')
  const primary = nics.find(each => each.isPrimary)
  const outside = nat.isEnabled && primary !== undefined ? primary.slot : slot
  return [
    `  chain via_${slot} { ${setMark(slot)}; }`,
    `  chain arrived_${slot} { ct mark set ct mark & ${otherBits} | ${hex(nicMark(slot))}; }`,
    `  chain ${podChain(slot)} {`,
    // An answer leaves where its connection came in: the peer knows no other address of ours.
    `    ct direction reply ct mark & ${hex(markMask)} vmap { ${back} }`,
    // No NIC's table knows a pod that another plugin connects.
    '    ip daddr @elsewhere4 accept',
    '    ip6 daddr @elsewhere6 accept',
    `    ip daddr @inside4 goto via_${slot}`,
    // IPv6 is never translated, so it always leaves through the NIC that owns the address.
    `    meta nfproto ipv6 goto via_${slot}`,
    // kube-proxy in ipvs mode: the service address is the node's own until ipvs rewrites it.
    `    fib daddr type local goto via_${slot}`,
    `    goto via_${outside}`,
    '  }',
  ]
}

// After destination NAT (priority -100), so that a service address has become a pod address. What
// comes back to a node that only passed a connection on leaves where the connection came in, too.
const fromPods = (nics: readonly PresentNic[]): readonly string[] => [
  '  chain from_pods {',
  '    iif . ip saddr vmap @pods4',
  '    iif . ip6 saddr vmap @pods6',
  // A pod's kernel asks for routers, neighbours and groups by itself (RFC 4861, 3810). Nobody has
  // to hear it: both ends know each other by permanent entries, and a pod is no router.
  '    ip6 saddr { ::, fe80::/10 } meta l4proto ipv6-icmp drop',
  '    counter drop comment "spoofed"',
  '  }',
  '  chain choose_nic {',
  '    type filter hook prerouting priority -90; policy accept;',
  `    iifgroup ${podLinkGroup} goto from_pods`,
  // The link is not ours to name: that it sends from its own address only is up to who made it.
  '    ip saddr vmap @delegated4',
  '    ip6 saddr vmap @delegated6',
  ...returning(nics),
  '  }',
]

// Answers to connections that came in on a secondary NIC; the primary one is where the rest leaves.
const returning = (nics: readonly PresentNic[]): readonly string[] => {
  const entries = nics
    .filter(nic => !nic.isPrimary)
    .map(({ slot }) => `${hex(nicMark(slot))} : goto via_${slot}`)
  if (entries.length === 0) return []
  return [`    ct direction reply ct mark & ${hex(markMask)} vmap { ${entries.join(', ')} }`]
}

// Before destination NAT; a connection belongs to the NIC of its first packet.
const arrivals = (nics: readonly PresentNic[]): readonly string[] => {
  const entries = nics.map(({ slot, device }) => `${device.ifindex} : goto arrived_${slot}`)
  return [
    '  chain remember_nic {',
    '    type filter hook prerouting priority -150; policy accept;',
    ...(entries.length === 0 ? [] : [`    ct state new iif vmap { ${entries.join(', ')} }`]),
    '  }',
  ]
}

// What the node itself answers to a connection that came in on a secondary NIC. An error message
// about a connection (ICMP) has its source chosen already, so it leaves where that address
// belongs.
const answers = (nics: readonly PresentNic[]): readonly string[] => [
  '  chain answer {',
  '    type route hook output priority -150; policy accept;',
  ...([4, 6] as const).flatMap(family => errorsOf(nics, family)),
  '    ct state related accept',
  ...returning(nics),
  '  }',
]

const errorsOf = (nics: readonly PresentNic[], family: Family): readonly string[] => {
  const entries = nics
    .filter(nic => !nic.isPrimary)
    .flatMap(({ slot, primaryAddresses }) =>
      primaryAddresses
        .filter(address => familyOf(address) === family)
        .map(address => `${address} : goto via_${slot}`),
    )
  if (entries.length === 0) return []
  const source = family === 4 ? 'ip saddr' : 'ip6 saddr'
  return [`    ct state related ${source} vmap { ${entries.join(', ')} }`]
}

const nat = ({ nics, nat: { isEnabled } }: RulesetOptions): readonly string[] => {
  const primary = nics.find(nic => nic.isPrimary)
  const source = primary?.primaryAddresses.find(ip => familyOf(ip) === 4)
  const rule =
    isEnabled && primary !== undefined && source !== undefined
      ? [
          `    oif ${primary.device.ifindex} ip saddr @inside4 ip saddr != ${source} ` +
            `ip daddr != @inside4 snat ip to ${source} fully-random`,
        ]
      : []
  return [
    '  chain translate {',
    '    type nat hook postrouting priority 100; policy accept;',
    ...rule,
    '  }',
  ]
}
