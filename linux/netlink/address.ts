// Addresses of links over rtnetlink. Layout: include/uapi/linux/if_addr.h.

import type { Ip } from '#core/ip.ts'
import { address, readAddress, readAttributes, readU32, u32 } from './attribute.ts'
import { linuxFamily } from './family.ts'
import { CHANGE, DUMP } from './message.ts'
import type { Reply, Request } from './message.ts'

/** An address on a link. */
export type LinkAddress = {
  readonly index: number
  readonly address: Ip
  readonly prefixLength: number
  readonly scope: number
  /** No duplicate-address detection: an IPv6 address is usable at once. */
  readonly noDuplicateDetection: boolean
  /** The kernel adds no route for the prefix. */
  readonly noPrefixRoute: boolean
}

/** What is given when an address is added; the rest has the usual defaults. */
export type NewLinkAddress = Pick<LinkAddress, 'index' | 'address' | 'prefixLength'> &
  Partial<LinkAddress>

export const SCOPE = { global: 0, link: 253, host: 254 } as const

/** Adds an address; EEXIST when it is there. */
export const addAddress = (entry: NewLinkAddress): Request =>
  addressRequest(RTM_NEWADDR, CHANGE.add, entry)

/** Adds an address or updates the flags of one that is there. */
export const replaceAddress = (entry: NewLinkAddress): Request =>
  addressRequest(RTM_NEWADDR, CHANGE.replace, entry)

/** Removes an address; EADDRNOTAVAIL when it is not there. */
export const removeAddress = (entry: NewLinkAddress): Request =>
  addressRequest(RTM_DELADDR, CHANGE.remove, entry)

/** Asks for the addresses of both families, or of one link only. */
export const dumpAddresses = (index = 0): Request => {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES)
  header.writeUInt32LE(index, 4)
  return { type: RTM_GETADDR, flags: DUMP, header, attributes: [] }
}

/** The address a RTM_NEWADDR message describes; undefined for any other message. */
export const decodeAddress = ({
  type,
  body,
}: Pick<Reply, 'type' | 'body'>): LinkAddress | undefined => {
  if (type !== RTM_NEWADDR || body.length < ADDRESS_HEADER_BYTES) return undefined
  const found = readAttributes(body, ADDRESS_HEADER_BYTES)
  // With a peer, IFA_ADDRESS is the peer's and IFA_LOCAL ours; without one they may be alone.
  const own = readAddress(found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS))
  if (own === undefined) return undefined
  const flags = readU32(found.get(IFA_FLAGS)) ?? body.readUInt8(2)
  return {
    index: body.readUInt32LE(4),
    address: own,
    prefixLength: body.readUInt8(1),
    scope: body.readUInt8(3),
    noDuplicateDetection: (flags & IFA_F_NODAD) !== 0,
    noPrefixRoute: (flags & IFA_F_NOPREFIXROUTE) !== 0,
  }
}

const RTM_NEWADDR = 20
const RTM_DELADDR = 21
const RTM_GETADDR = 22
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_FLAGS = 8
const IFA_F_NODAD = 0x02
const IFA_F_NOPREFIXROUTE = 0x200
const ADDRESS_HEADER_BYTES = 8

const addressRequest = (type: number, flags: number, entry: NewLinkAddress): Request => {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES)
  header.writeUInt8(linuxFamily(entry.address), 0)
  header.writeUInt8(entry.prefixLength, 1)
  header.writeUInt8(entry.scope ?? SCOPE.global, 3)
  header.writeUInt32LE(entry.index, 4)
  const own = entry.address
  const options =
    (entry.noDuplicateDetection === true ? IFA_F_NODAD : 0) |
    (entry.noPrefixRoute === true ? IFA_F_NOPREFIXROUTE : 0)
  const attributes = [address(IFA_LOCAL, own), address(IFA_ADDRESS, own), u32(IFA_FLAGS, options)]
  return { type, flags, header, attributes }
}
