// Unicast routes over rtnetlink. Layout: include/uapi/linux/rtnetlink.h.
// Multipath routes are reported without gateway and device: eniway makes none.

import { baseOf, cidr, cidrOf, lengthOf } from '#core/ip.ts'
import type { Cidr, Family, Ip } from '#core/ip.ts'
import { address, optional, readAddress, readAttributes, readU32, u32 } from './attribute.ts'
import { SCOPE } from './address.ts'
import { familyFromLinux, linuxFamily } from './family.ts'
import { CHANGE, DUMP } from './message.ts'
import type { Reply, Request } from './message.ts'

/** A route; `device` is an interface index, `source` the address to prefer when sending. */
export type Route = {
  readonly destination: Cidr
  readonly table: number
  readonly protocol: number
  readonly scope: number
  readonly kind: RouteKind
  readonly device: number | undefined
  readonly gateway: Ip | undefined
  /** The gateway is on the link even when no address of ours covers it. */
  readonly onLink: boolean
  readonly source: Ip | undefined
  readonly metric: number | undefined
}

export type RouteKind = (typeof ROUTE_KINDS)[number]

/** What is given when a route is added; the rest has the usual defaults. */
export type NewRoute = Pick<Route, 'destination'> & Partial<Route>

/** Limits a dump to a table or to the routes of one protocol number; the kernel filters. */
export type RouteFilter = {
  readonly family: Family
  readonly table?: number | undefined
  readonly protocol?: number | undefined
}

/** The protocol number on every route and rule of eniway: what carries another is foreign. */
export const ROUTE_PROTOCOL = 0xe2

export const TABLE = { main: 254, local: 255 } as const

/** Adds a route; EEXIST when the table has one for this destination and metric. */
export const addRoute = (route: NewRoute): Request => routeRequest(RTM_NEWROUTE, CHANGE.add, route)

/** Adds a route or takes the place of the one for this destination and metric. */
export const replaceRoute = (route: NewRoute): Request =>
  routeRequest(RTM_NEWROUTE, CHANGE.replace, route)

/** Removes a route; ESRCH when there is none like it. */
export const removeRoute = (route: NewRoute): Request =>
  routeRequest(RTM_DELROUTE, CHANGE.remove, route)

export const dumpRoutes = ({ family, table, protocol }: RouteFilter): Request => {
  const header = Buffer.alloc(ROUTE_HEADER_BYTES)
  header.writeUInt8(linuxFamily(family), 0)
  header.writeUInt8(protocol ?? 0, 5)
  const attributes = optional(table, value => u32(RTA_TABLE, value))
  return { type: RTM_GETROUTE, flags: DUMP, header, attributes }
}

/** The route a RTM_NEWROUTE message describes; undefined for messages and kinds we do not know. */
export const decodeRoute = ({ type, body }: Pick<Reply, 'type' | 'body'>): Route | undefined => {
  if (type !== RTM_NEWROUTE || body.length < ROUTE_HEADER_BYTES) return undefined
  const family = familyFromLinux(body.readUInt8(0))
  const kind = ROUTE_KINDS[body.readUInt8(7) - 1]
  // Cloned entries are cached exceptions such as a learned path MTU, not routes anybody set.
  if (family === undefined || kind === undefined || isCloned(body)) return undefined
  const found = readAttributes(body, ROUTE_HEADER_BYTES)
  return {
    destination: destinationOf({ family, length: body.readUInt8(1) }, found.get(RTA_DST)),
    table: readU32(found.get(RTA_TABLE)) ?? body.readUInt8(4),
    protocol: body.readUInt8(5),
    scope: body.readUInt8(6),
    kind,
    device: readU32(found.get(RTA_OIF)),
    gateway: readAddress(found.get(RTA_GATEWAY)),
    onLink: (body.readUInt32LE(8) & RTNH_F_ONLINK) !== 0,
    source: readAddress(found.get(RTA_PREFSRC)),
    metric: readU32(found.get(RTA_PRIORITY)),
  }
}

const RTM_NEWROUTE = 24
const RTM_DELROUTE = 25
const RTM_GETROUTE = 26
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_PREFSRC = 7
const RTA_TABLE = 15
const RTNH_F_ONLINK = 4
const RTM_F_CLONED = 0x200
const RT_TABLE_COMPAT = 252
const ROUTE_HEADER_BYTES = 12

// RTN_UNICAST is 1.
const ROUTE_KINDS = [
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const

const routeRequest = (type: number, flags: number, route: NewRoute): Request => {
  const table = route.table ?? TABLE.main
  const header = Buffer.alloc(ROUTE_HEADER_BYTES)
  header.writeUInt8(linuxFamily(route.destination), 0)
  header.writeUInt8(lengthOf(route.destination), 1)
  // The header has eight bits for the table; RTA_TABLE holds the whole number.
  header.writeUInt8(table < 256 ? table : RT_TABLE_COMPAT, 4)
  header.writeUInt8(route.protocol ?? ROUTE_PROTOCOL, 5)
  header.writeUInt8(route.scope ?? (route.gateway === undefined ? SCOPE.link : SCOPE.global), 6)
  header.writeUInt8(ROUTE_KINDS.indexOf(route.kind ?? 'unicast') + 1, 7)
  header.writeUInt32LE(route.onLink === true ? RTNH_F_ONLINK : 0, 8)
  const isDefault = lengthOf(route.destination) === 0
  const attributes = [
    u32(RTA_TABLE, table),
    ...(isDefault ? [] : [address(RTA_DST, baseOf(route.destination))]),
    ...optional(route.device, value => u32(RTA_OIF, value)),
    ...optional(route.gateway, value => address(RTA_GATEWAY, value)),
    ...optional(route.source, value => address(RTA_PREFSRC, value)),
    ...optional(route.metric, value => u32(RTA_PRIORITY, value)),
  ]
  return { type, flags, header, attributes }
}

const isCloned = (body: Buffer): boolean => (body.readUInt32LE(8) & RTM_F_CLONED) !== 0

const destinationOf = (
  { family, length }: { readonly family: Family; readonly length: number },
  data: Buffer | undefined,
): Cidr => {
  const base = readAddress(data)
  if (base !== undefined) return cidrOf(base, length)
  return family === 4 ? cidr('0.0.0.0/0') : cidr('::/0')
}
