// Neighbour entries (who has which MAC) over rtnetlink. Layout: include/uapi/linux/neighbour.h.

import type { Ip } from '#core/ip.ts'
import { address, mac, readAddress, readAttributes, readMac } from './attribute.ts'
import { linuxFamily } from './family.ts'
import { CHANGE, DUMP } from './message.ts'
import type { Reply, Request } from './message.ts'

/** A neighbour; entries that are not permanent are the kernel's own and may change any time. */
export type Neighbour = {
  readonly index: number
  readonly address: Ip
  readonly mac: string | undefined
  readonly isPermanent: boolean
}

export type NewNeighbour = Pick<Neighbour, 'index' | 'address'> & { readonly mac: string }

/** Sets a permanent neighbour, whatever entry was there. */
export const replaceNeighbour = (entry: NewNeighbour): Request => ({
  type: RTM_NEWNEIGH,
  flags: CHANGE.replace,
  header: neighbourHeader(entry, { state: NUD_PERMANENT }),
  attributes: [address(NDA_DST, entry.address), mac(NDA_LLADDR, entry.mac)],
})

/**
 * Tells the kernel a neighbour's MAC until it hears of another one. The entry is not collected when
 * there are many, and does not count among them (NTF_EXT_LEARNED, net/core/neighbour.c).
 */
export const teachNeighbour = (entry: NewNeighbour): Request => ({
  type: RTM_NEWNEIGH,
  flags: CHANGE.replace,
  header: neighbourHeader(entry, { state: NUD_STALE, flags: NTF_EXT_LEARNED }),
  attributes: [address(NDA_DST, entry.address), mac(NDA_LLADDR, entry.mac)],
})

/** Has the kernel answer on a link for an IPv4 address that is not its own. */
export const answerFor = (entry: Pick<Neighbour, 'index' | 'address'>): Request => ({
  type: RTM_NEWNEIGH,
  flags: CHANGE.replace,
  header: neighbourHeader(entry, { state: NUD_PERMANENT, flags: NTF_PROXY }),
  attributes: [address(NDA_DST, entry.address)],
})

/** Removes a neighbour; ENOENT when there is none. */
export const removeNeighbour = (entry: Pick<Neighbour, 'index' | 'address'>): Request => ({
  type: RTM_DELNEIGH,
  flags: CHANGE.remove,
  header: neighbourHeader(entry, { state: NUD_PERMANENT }),
  attributes: [address(NDA_DST, entry.address)],
})

export const dumpNeighbours = (): Request => ({
  type: RTM_GETNEIGH,
  flags: DUMP,
  header: Buffer.alloc(NEIGHBOUR_HEADER_BYTES),
  attributes: [],
})

/** The entry a RTM_NEWNEIGH message describes; undefined for bridge entries and other messages. */
export const decodeNeighbour = ({
  type,
  body,
}: Pick<Reply, 'type' | 'body'>): Neighbour | undefined => {
  if (type !== RTM_NEWNEIGH || body.length < NEIGHBOUR_HEADER_BYTES) return undefined
  const found = readAttributes(body, NEIGHBOUR_HEADER_BYTES)
  const of = readAddress(found.get(NDA_DST))
  if (of === undefined) return undefined
  return {
    index: body.readInt32LE(4),
    address: of,
    mac: readMac(found.get(NDA_LLADDR)),
    isPermanent: (body.readUInt16LE(8) & NUD_PERMANENT) !== 0,
  }
}

const RTM_NEWNEIGH = 28
const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30
const NDA_DST = 1
const NDA_LLADDR = 2
const NUD_STALE = 0x04
const NUD_PERMANENT = 0x80
const NTF_PROXY = 0x08
const NTF_EXT_LEARNED = 0x10
const NEIGHBOUR_HEADER_BYTES = 12

const neighbourHeader = (
  entry: Pick<Neighbour, 'index' | 'address'>,
  { state, flags = 0 }: { readonly state: number; readonly flags?: number },
): Buffer => {
  const header = Buffer.alloc(NEIGHBOUR_HEADER_BYTES)
  header.writeUInt8(linuxFamily(entry.address), 0)
  header.writeInt32LE(entry.index, 4)
  header.writeUInt16LE(state, 8)
  header.writeUInt8(flags, 10)
  return header
}
