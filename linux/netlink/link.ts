// Links over rtnetlink: veth pairs made in place, changes, queries, and what the kernel reports.
// Layout: include/uapi/linux/if_link.h, rtnetlink.h, ip.h; behaviour: net/core/rtnetlink.c.

import {
  listAttributes,
  mac,
  nest,
  optional,
  readAttributes,
  readMac,
  readText,
  readU32,
  structured,
  text,
  u32,
  u8,
} from './attribute.ts'
import type { Attribute } from './attribute.ts'
import { CHANGE, DUMP } from './message.ts'
import type { Reply, Request } from './message.ts'

/** Per-interface IPv4 sysctls that netlink can set, by their names below net/ipv4/conf. */
export type Ipv4Setting = keyof typeof IPV4_SETTING
export type Ipv4Settings = Partial<Readonly<Record<Ipv4Setting, number>>>

/** One end of a new veth pair; the kernel takes the index we choose, so nothing is looked up. */
export type VethEnd = { readonly index: number; readonly name: string; readonly mac: string }

export type NewVeth = VethEnd & {
  readonly peer: VethEnd & { readonly netnsFd: number }
  readonly mtu: number
  readonly group: number
  /** Whether the host end is brought up at once, as it is by default. */
  readonly isUp?: boolean
}

/** What may change on an existing link; what is left out stays as it is. */
export type LinkChange = {
  readonly index: number
  readonly up?: boolean
  readonly name?: string
  readonly mac?: string
  readonly mtu?: number
  readonly group?: number
  readonly masterIndex?: number
  readonly netnsFd?: number
  readonly ipv4?: Ipv4Settings
  /** `none` keeps the kernel from giving itself a link-local IPv6 address. */
  readonly ipv6AddressGeneration?: Ipv6AddressGeneration
}

export type Ipv6AddressGeneration = (typeof IPV6_ADDRESS_GENERATION)[number]

/** A link as the kernel reports it. */
export type Link = {
  readonly index: number
  readonly name: string
  readonly mac: string | undefined
  readonly permanentMac: string | undefined
  readonly mtu: number
  readonly group: number
  readonly isUp: boolean
  readonly hasCarrier: boolean
  readonly isLoopback: boolean
  /** `veth`, `bridge`, …; undefined for hardware and loopback. */
  readonly kind: string | undefined
  /** Index of a veth's other end, in the namespace with the id `peerNamespaceId`. */
  readonly peerIndex: number | undefined
  readonly peerNamespaceId: number | undefined
  readonly masterIndex: number | undefined
  readonly queues: number | undefined
  readonly ipv4: Ipv4Settings
  readonly ipv6AddressGeneration: Ipv6AddressGeneration | undefined
}

/**
 * Creates a veth pair, host end up unless said otherwise, peer down in its namespace. The peer
 * must not be brought up here: it is opened before it is paired, which fails with ENOTCONN
 * (drivers/net/veth.c). Settings of the host end need a `changeLink` after it: rtnetlink ignores
 * them on creation.
 */
export const createVeth = ({ peer, ...end }: NewVeth): Request => ({
  type: RTM_NEWLINK,
  flags: CHANGE.add,
  header: linkHeader({ index: end.index, up: end.isUp ?? true }),
  attributes: [
    ...vethAttributes(end, end.mtu),
    u32(IFLA.group, end.group),
    nest(IFLA.linkInfo, [
      text(IFLA_INFO_KIND, 'veth'),
      nest(IFLA_INFO_DATA, [
        structured(VETH_INFO_PEER, linkHeader({ index: peer.index }), [
          ...vethAttributes(peer, end.mtu),
          u32(IFLA.netnsFd, peer.netnsFd),
        ]),
      ]),
    ]),
  ],
})

/** Creates a link without options of its own: `dummy` or `bridge`, for tests and the emulator. */
export const createLink = (link: LinkChange & { readonly kind: 'dummy' | 'bridge' }): Request => ({
  ...changeLink(link),
  flags: CHANGE.add,
  attributes: [
    ...changeLink(link).attributes,
    nest(IFLA.linkInfo, [text(IFLA_INFO_KIND, link.kind)]),
  ],
})

/** Changes an existing link. Set its address generation in a request before it is brought up. */
export const changeLink = (link: LinkChange): Request => {
  // The kernel brings the link up first, and its link-local address would already be there
  // (net/core/rtnetlink.c, do_setlink).
  if (link.up === true && link.ipv6AddressGeneration !== undefined) {
    throw new TypeError(`link ${link.index}: set ipv6AddressGeneration first, bring it up after`)
  }
  return {
    type: RTM_NEWLINK,
    flags: CHANGE.change,
    header: linkHeader(link),
    attributes: [
      ...optional(link.name, value => text(IFLA.name, value)),
      ...optional(link.mac, value => mac(IFLA.address, value)),
      ...optional(link.mtu, value => u32(IFLA.mtu, value)),
      ...optional(link.group, value => u32(IFLA.group, value)),
      ...optional(link.masterIndex, value => u32(IFLA.master, value)),
      ...optional(link.netnsFd, value => u32(IFLA.netnsFd, value)),
      ...familySettings(link),
    ],
  }
}

/** Deletes a link and its peer. Takes about 20 ms; the daemon uses deleteLinkInBackground. */
export const removeLink = (index: number): Request => ({
  type: RTM_DELLINK,
  flags: CHANGE.remove,
  header: linkHeader({ index }),
  attributes: [],
})

/** Asks for one link by index or by name. */
export const getLink = (by: { readonly index: number } | { readonly name: string }): Request => ({
  type: RTM_GETLINK,
  flags: CHANGE.change,
  header: linkHeader({ index: 'index' in by ? by.index : 0 }),
  attributes: [SKIP_STATISTICS, ...('name' in by ? [text(IFLA.name, by.name)] : [])],
})

export const dumpLinks = (): Request => ({
  type: RTM_GETLINK,
  flags: DUMP,
  header: linkHeader({ index: 0 }),
  attributes: [SKIP_STATISTICS],
})

/** The link a RTM_NEWLINK message describes; undefined for any other message. */
export const decodeLink = ({ type, body }: Pick<Reply, 'type' | 'body'>): Link | undefined => {
  if (type !== RTM_NEWLINK || body.length < LINK_HEADER_BYTES) return undefined
  const flags = body.readUInt32LE(8)
  const found = readAttributes(body, LINK_HEADER_BYTES)
  const info = readAttributes(found.get(IFLA.linkInfo) ?? NOTHING)
  return {
    index: body.readInt32LE(4),
    name: readText(found.get(IFLA.name)) ?? '',
    mac: readMac(found.get(IFLA.address)),
    permanentMac: readMac(found.get(IFLA.permanentAddress)),
    mtu: readU32(found.get(IFLA.mtu)) ?? 0,
    group: readU32(found.get(IFLA.group)) ?? 0,
    isUp: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    kind: readText(info.get(IFLA_INFO_KIND)),
    peerIndex: readU32(found.get(IFLA.link)),
    peerNamespaceId: found.get(IFLA.linkNetnsId)?.readInt32LE(0),
    masterIndex: readU32(found.get(IFLA.master)),
    queues: readU32(found.get(IFLA.txQueues)),
    ...readFamilySettings(found.get(IFLA.familySpecific) ?? NOTHING),
  }
}

/** The peer a `createVeth` message asks for, as a link: the inverse of the request. */
export const decodeVethPeer = ({ body }: Pick<Reply, 'body'>): Link | undefined => {
  const found = readAttributes(body, LINK_HEADER_BYTES)
  const info = readAttributes(found.get(IFLA.linkInfo) ?? NOTHING)
  const peer = readAttributes(info.get(IFLA_INFO_DATA) ?? NOTHING).get(VETH_INFO_PEER)
  return peer === undefined ? undefined : decodeLink({ type: RTM_NEWLINK, body: peer })
}

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const IFF_UP = 0x1
const IFF_LOOPBACK = 0x8
const IFF_LOWER_UP = 0x10000
const LINK_HEADER_BYTES = 16
const NOTHING = Buffer.alloc(0)

const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkInfo: 18,
  familySpecific: 26,
  group: 27,
  netnsFd: 28,
  extendedMask: 29,
  txQueues: 31,
  rxQueues: 32,
  linkNetnsId: 37,
  permanentAddress: 54,
} as const

const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const AF_INET = 2
const AF_INET6 = 10
const IFLA_INET_CONF = 1
const IFLA_INET6_ADDR_GEN_MODE = 8
const IPV6_ADDRESS_GENERATION = ['eui64', 'none', 'stablePrivacy', 'random'] as const

// RTEXT_FILTER_SKIP_STATS: counters are most of a link's message and nobody here reads them.
const SKIP_STATISTICS = u32(IFLA.extendedMask, 1 << 3)

// IPV4_DEVCONF_* of include/uapi/linux/ip.h.
const IPV4_SETTING = {
  forwarding: 1,
  proxy_arp: 3,
  accept_redirects: 4,
  send_redirects: 6,
  rp_filter: 8,
  log_martians: 11,
  arp_filter: 13,
  arp_announce: 18,
  arp_ignore: 19,
  arp_accept: 21,
  arp_notify: 22,
  accept_local: 23,
  src_valid_mark: 24,
  route_localnet: 26,
} as const

const linkHeader = ({ index, up }: { readonly index: number; readonly up?: boolean }): Buffer => {
  const header = Buffer.alloc(LINK_HEADER_BYTES)
  header.writeInt32LE(index, 4)
  header.writeUInt32LE(up === true ? IFF_UP : 0, 8)
  header.writeUInt32LE(up === undefined ? 0 : IFF_UP, 12)
  return header
}

// One queue instead of one per processor makes creation a sixth cheaper.
const vethAttributes = (end: VethEnd, mtu: number): readonly Attribute[] => [
  text(IFLA.name, end.name),
  mac(IFLA.address, end.mac),
  u32(IFLA.mtu, mtu),
  u32(IFLA.txQueues, 1),
  u32(IFLA.rxQueues, 1),
]

const familySettings = ({ ipv4, ipv6AddressGeneration }: LinkChange): readonly Attribute[] => {
  const settings = Object.entries(ipv4 ?? {}) as [Ipv4Setting, number][]
  const values = settings.map(([name, value]) => u32(IPV4_SETTING[name], value))
  const families = [
    ...(values.length === 0 ? [] : [nest(AF_INET, [nest(IFLA_INET_CONF, values)])]),
    ...optional(ipv6AddressGeneration, mode =>
      nest(AF_INET6, [u8(IFLA_INET6_ADDR_GEN_MODE, IPV6_ADDRESS_GENERATION.indexOf(mode))]),
    ),
  ]
  return families.length === 0 ? [] : [nest(IFLA.familySpecific, families)]
}

// The kernel takes IPv4 settings as attributes but reports them as an array (net/ipv4/devinet.c).
const readFamilySettings = (source: Buffer): Pick<Link, 'ipv4' | 'ipv6AddressGeneration'> => {
  const families = new Map(listAttributes(source))
  const values = readAttributes(families.get(AF_INET) ?? NOTHING).get(IFLA_INET_CONF) ?? NOTHING
  const known = Object.entries(IPV4_SETTING).filter(([, place]) => place * 4 <= values.length)
  const mode = readAttributes(families.get(AF_INET6) ?? NOTHING).get(IFLA_INET6_ADDR_GEN_MODE)
  return {
    ipv4: Object.fromEntries(
      known.map(([name, place]) => [name, values.readInt32LE((place - 1) * 4)]),
    ),
    ipv6AddressGeneration: mode && IPV6_ADDRESS_GENERATION[mode.readUInt8(0)],
  }
}
