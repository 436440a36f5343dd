// The fabric's nftables table as text: what is dropped, why, and under which counter. Sets and maps
// hold everything that differs between NICs, so that the rules a packet meets are always the same.
import { internetPort } from './layout.ts'

/** Our only table; it lives in the fabric's own namespace. */
export const tableName = 'inet fabric'

/** What the fabric counts, in packets; `delivered` counts packets handed to a NIC by forwarding. */
export interface FabricCounters {
  readonly spoofed: number
  readonly forbidden: number
  readonly unowned: number
  readonly noPublicAddress: number
  readonly delivered: number
}

/**
 * The empty table. A packet from a NIC passes, in this order: source check (before connection
 * tracking, so that forged packets leave no trace), owner check of the destination, the sender's
 * egress groups, the receiver's ingress groups. `accept` ends one base chain; the next still runs.
 *
 * source4, source6  device and single address that it may send from
 * block4, block6    device and prefix that it may send from (slower to match, hence apart)
 * unchecked         devices whose source and destination check is off
 * public4, public6  addresses that the internet can reach
 */
export const baseTable = (): readonly string[] => baseText.trim().split('\n')

const baseText = `
table ${tableName} {
  counter spoofed {}
  counter forbidden {}
  counter unowned {}
  counter noPublicAddress {}
  counter delivered {}

  set ports { type ifname; }
  set unchecked { type ifname; }
  set mac { type ifname . ether_addr; }
  set source4 { type ifname . ipv4_addr; }
  set source6 { type ifname . ipv6_addr; }
  set block4 { type ifname . ipv4_addr; flags interval; }
  set block6 { type ifname . ipv6_addr; flags interval; }
  set public4 { type ipv4_addr; }
  set public6 { type ipv6_addr; flags interval; }
  map leaving { type ifname : verdict; }
  map entering { type ifname : verdict; }

  chain routed {
    fib daddr type unreachable counter name unowned drop
    fib daddr type != unicast accept
    fib daddr oif missing counter name unowned drop
  }

  chain sourced {
    iifname . ether saddr != @mac counter name spoofed drop
    iifname @unchecked goto routed
    ip saddr 0.0.0.0 udp dport 67 drop
    ip6 saddr { ::, fe80::/10 } ip6 daddr { fe80::/10, ff02::/16 } accept
    ip6 saddr fe80::/10 fib daddr type local icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname . ip saddr @source4 goto routed
    iifname . ip6 saddr @source6 goto routed
    iifname . ip saddr @block4 goto routed
    iifname . ip6 saddr @block6 goto routed
    counter name spoofed drop
  }

  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname @ports goto sourced
    iifname "${internetPort}" goto routed
  }

  chain border {
    type filter hook forward priority filter - 10; policy accept;
    oifname "${internetPort}" ip saddr != @public4 counter name noPublicAddress drop
    oifname "${internetPort}" ip6 saddr != @public6 counter name noPublicAddress drop
    iifname "${internetPort}" ip daddr != @public4 counter name noPublicAddress drop
    iifname "${internetPort}" ip6 daddr != @public6 counter name noPublicAddress drop
  }

  chain sending {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    iifname vmap @leaving
    iifname @ports counter name forbidden drop
  }

  chain receiving {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    oifname vmap @entering
    oifname @ports counter name forbidden drop
  }

  chain delivering {
    type filter hook forward priority filter + 20; policy accept;
    oifname @ports counter name delivered
  }
}
`

/** Reads the counters from what `nft -j list counters` prints. */
export const parseCounters = (json: string): FabricCounters => {
  const listed = JSON.parse(json) as { nftables: { counter?: { name: string; packets: number } }[] }
  const packets = (name: keyof FabricCounters): number =>
    listed.nftables.find(entry => entry.counter?.name === name)?.counter?.packets ?? 0
  return {
    spoofed: packets('spoofed'),
    forbidden: packets('forbidden'),
    unowned: packets('unowned'),
    noPublicAddress: packets('noPublicAddress'),
    delivered: packets('delivered'),
  }
}
