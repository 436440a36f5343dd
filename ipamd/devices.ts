// Which of the node's links may be NICs, one for each hardware address. A cloud names NICs by MAC
// alone, and several links can have the same one.

import { parseMac } from '#core/names.ts'
import type { Device } from '#core/ports.ts'
import type { Link } from '#linux/netlink/link.ts'

/** Links on top of another one, whose MAC they share: never the NIC itself. */
const stackedKinds = ['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap']

/**
 * One device per MAC. Of two links with one MAC, one may be the port of the other (Azure's virtual
 * function under its synthetic NIC, a member of a bond or bridge): its master carries the traffic,
 * stays when the port is taken away, and is told by its index.
 */
export const devicesOf = (links: readonly Link[]): readonly Device[] => {
  const byMac = new Map<string, Link>()
  for (const link of links) {
    if (link.mac === undefined) continue
    const known = byMac.get(link.mac)
    if (known === undefined || isRather(link, known)) byMac.set(link.mac, link)
  }
  return [...byMac.values()].sort((a, b) => a.index - b.index).flatMap(toDevice)
}

// Before its master has taken it, a port that was plugged in is told by its age alone.
const isRather = (link: Link, known: Link): boolean => {
  if (link.masterIndex === known.index) return false
  if (known.masterIndex === link.index) return true
  const [rank, knownRank] = [rankOf(link), rankOf(known)]
  return rank === knownRank ? link.index < known.index : rank < knownRank
}

const rankOf = ({ masterIndex, kind }: Link): number => {
  if (kind !== undefined && stackedKinds.includes(kind)) return 2
  return masterIndex === undefined ? 0 : 1
}

const toDevice = (link: Link): readonly Device[] => {
  const mac = link.mac === undefined ? undefined : parseMac(link.mac)
  if (mac === undefined) return []
  return [{ ifindex: link.index, name: link.name, mac, mtu: link.mtu }]
}
