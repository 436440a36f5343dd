// Netlink messages: requests to bytes, bytes to answers, and which answer belongs to which request.
// Pure; linux/kernel.ts sends what is built here.

import { errnoName, errnoText } from '../errno.ts'
import {
  align,
  readAttributes,
  readText,
  readU32,
  sizeOfAttributes,
  writeAttributes,
} from './attribute.ts'
import type { Attribute } from './attribute.ts'

/** One message without its sequence number: a fixed header of its kind, then attributes. */
export type Request = {
  readonly type: number
  readonly flags: number
  readonly header: Uint8Array
  readonly attributes: readonly Attribute[]
}

/** What the kernel says about one request. `offset` points at the refused bytes of the request. */
export type Ack =
  | { readonly ok: true }
  | {
      readonly ok: false
      readonly errno: number
      readonly code: string
      readonly message: string
      readonly offset: number | undefined
    }

/** One received message; `body` starts behind the nlmsghdr. */
export type Reply = {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly body: Buffer
}

/** include/uapi/linux/netlink.h */
export const FLAG = {
  request: 0x01,
  ack: 0x04,
  interrupted: 0x10,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  dump: 0x300,
} as const

/** Flags of changes: `add` fails when the thing exists, `replace` overwrites it. */
export const CHANGE = {
  add: FLAG.request | FLAG.ack | FLAG.create | FLAG.exclusive,
  replace: FLAG.request | FLAG.ack | FLAG.create | FLAG.replace,
  change: FLAG.request | FLAG.ack,
  remove: FLAG.request | FLAG.ack,
} as const

export const DUMP = FLAG.request | FLAG.dump

const HEADER_BYTES = 16
const ERROR_HEADER_BYTES = 4
const TYPE_ERROR = 2
const TYPE_DONE = 3
const FLAG_CAPPED = 0x100
const FLAG_TLVS = 0x200
const EXTENDED_MESSAGE = 1
const EXTENDED_OFFSET = 2

/** Bytes of all requests, numbered from `sequence` on (modulo 2^32). */
export const encodeRequests = (requests: readonly Request[], sequence: number): Buffer => {
  let size = 0
  for (const request of requests) size += align(sizeOfRequest(request))
  const target = Buffer.alloc(size)
  let at = 0
  for (const [index, request] of requests.entries()) {
    target.writeUInt32LE(sizeOfRequest(request), at)
    target.writeUInt16LE(request.type, at + 4)
    target.writeUInt16LE(request.flags, at + 6)
    target.writeUInt32LE((sequence + index) >>> 0, at + 8)
    target.set(request.header, at + HEADER_BYTES)
    at += HEADER_BYTES + align(request.header.length)
    at = writeAttributes(target, at, request.attributes)
  }
  return target
}

/** Messages of one or more datagrams, in order; stops at a torn one. */
export const decodeReplies = (source: Buffer): readonly Reply[] => {
  const replies: Reply[] = []
  let at = 0
  while (at + HEADER_BYTES <= source.length) {
    const length = source.readUInt32LE(at)
    if (length < HEADER_BYTES || at + length > source.length) break
    replies.push({
      type: source.readUInt16LE(at + 4),
      flags: source.readUInt16LE(at + 6),
      sequence: source.readUInt32LE(at + 8),
      body: source.subarray(at + HEADER_BYTES, at + length),
    })
    at += align(length)
  }
  return replies
}

/** True for messages that carry data, false for acknowledgements and the end of a dump. */
export const isData = (reply: Reply): boolean =>
  reply.type !== TYPE_ERROR && reply.type !== TYPE_DONE

/** True when a dump saw the table change while it ran, so that entries may be missing or double. */
export const isInterrupted = (replies: readonly Reply[]): boolean =>
  replies.some(reply => (reply.flags & FLAG.interrupted) !== 0)

/**
 * One ack per request, in order. A request without an answer (the kernel was never reached, or its
 * batch was abandoned) counts as refused with ECANCELED.
 */
export const acksOf = (
  replies: readonly Reply[],
  { sequence, count }: { readonly sequence: number; readonly count: number },
): readonly Ack[] => {
  const acks = Array.from<Ack>({ length: count }).fill(UNANSWERED)
  for (const reply of replies) {
    const index = (reply.sequence - sequence) >>> 0
    // The first answer counts: a failing nf_tables commit is followed by acks of its messages.
    if (isData(reply) || index >= count || acks[index] !== UNANSWERED) continue
    acks[index] = ackOf(reply)
  }
  return acks
}

/** The verdict of one NLMSG_ERROR or NLMSG_DONE. */
export const ackOf = (reply: Reply): Ack => {
  const errno = reply.body.length < ERROR_HEADER_BYTES ? 0 : -reply.body.readInt32LE(0)
  if (errno === 0) return OK
  const extended = extendedAttributes(reply)
  const message = readText(extended.get(EXTENDED_MESSAGE))
  return refused(errno, message, readU32(extended.get(EXTENDED_OFFSET)))
}

/** An ack that says no; the text falls back to the usual one for the errno. */
export const refused = (errno: number, message?: string, offset?: number): Ack => ({
  ok: false,
  errno,
  code: errnoName(errno),
  message: message ?? errnoText(errno),
  offset,
})

const OK: Ack = { ok: true }
const ECANCELED = 125
const UNANSWERED = refused(ECANCELED, 'the kernel did not answer this request')

const sizeOfRequest = (request: Request): number =>
  HEADER_BYTES + align(request.header.length) + sizeOfAttributes(request.attributes)

// Behind the error number stands the request: its header only when capped, else all of it
// (Documentation/userspace-api/netlink/intro.rst, "Extended ACK").
const extendedAttributes = ({ type, flags, body }: Reply): ReadonlyMap<number, Buffer> => {
  if ((flags & FLAG_TLVS) === 0) return new Map()
  if (type === TYPE_DONE) return readAttributes(body, ERROR_HEADER_BYTES)
  const quoted = (flags & FLAG_CAPPED) === 0 ? body.readUInt32LE(ERROR_HEADER_BYTES) : HEADER_BYTES
  return readAttributes(body, ERROR_HEADER_BYTES + align(quoted))
}
