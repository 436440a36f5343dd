// Elements of nf_tables sets and maps as netlink messages, so that a pod's entry costs no child
// process. Layout: include/uapi/linux/netfilter/nf_tables.h. Interval sets belong to the ruleset
// text: here every element is one key.

import { bytesOf, ipFromBytes } from '#core/ip.ts'
import type { Ip } from '#core/ip.ts'
import {
  bytes,
  listAttributes,
  nest,
  networkU32,
  optional,
  readAttributes,
  readText,
  text,
} from '../netlink/attribute.ts'
import type { Attribute } from '../netlink/attribute.ts'
import { CHANGE, DUMP } from '../netlink/message.ts'
import type { Reply, Request } from '../netlink/message.ts'

/** A set or map of an inet table, and the parts its key is concatenated from. */
export type ElementSet = {
  readonly table: string
  readonly name: string
  /** `number` is four bytes in host order, as `iif` and `mark` are. */
  readonly key: readonly KeyPart[]
}

export type KeyPart = 'number' | 'ip4' | 'ip6'

/** One element; elements of plain sets have no value. */
export type Element = {
  readonly key: readonly (number | Ip)[]
  readonly value: ElementValue | undefined
}

export type ElementValue =
  | { readonly kind: 'goto' | 'jump'; readonly chain: string }
  | { readonly kind: 'accept' | 'drop' }
  | { readonly kind: 'number'; readonly number: number }

/** How many elements one transaction may change: it is one netlink message of at most 16 MiB. */
export const ELEMENTS_MAX = 65_536

/** Opens and closes a transaction: the kernel applies all of it or nothing. */
export const BATCH = { begin: batchMark(0x10), end: batchMark(0x11) } as const

/** Adds elements; one that is there with the same value is accepted, with another one refused. */
export const addElements = (set: ElementSet, elements: readonly Element[]): readonly Request[] =>
  elementRequests(set, elements, { type: NFT_MSG_NEWSETELEM, flags: CHANGE.change | NLM_F_CREATE })

/** Removes elements by key; one that is absent makes the kernel refuse the transaction (ENOENT). */
export const removeElements = (set: ElementSet, elements: readonly Element[]): readonly Request[] =>
  elementRequests(
    set,
    elements.map(({ key }) => ({ key, value: undefined })),
    { type: NFT_MSG_DELSETELEM, flags: CHANGE.remove },
  )

export const dumpElements = (set: ElementSet): Request => ({
  type: NFT_MSG_GETSETELEM,
  flags: DUMP,
  header: NFGEN_INET,
  attributes: [text(LIST_TABLE, set.table), text(LIST_SET, set.name)],
})

/** The elements one message of a dump, or one request to add or remove, holds. */
export const decodeElements = (
  set: ElementSet,
  { type, body }: Pick<Reply, 'type' | 'body'>,
): readonly Element[] => {
  if (type !== NFT_MSG_NEWSETELEM && type !== NFT_MSG_DELSETELEM) return []
  const list = readAttributes(body, NFGEN_INET.length).get(LIST_ELEMENTS) ?? NOTHING
  return listAttributes(list).map(([, data]) => {
    const element = readAttributes(data)
    const key = readAttributes(element.get(ELEM_KEY) ?? NOTHING).get(DATA_VALUE) ?? NOTHING
    return { key: decodeKey(set, key), value: decodeValue(element.get(ELEM_DATA)) }
  })
}

/** A text that is equal for equal keys. */
export const keyText = (element: Pick<Element, 'key'>): string => element.key.join(' ')

const SUBSYSTEM = 10 << 8
const NFT_MSG_NEWSETELEM = SUBSYSTEM | 12
const NFT_MSG_GETSETELEM = SUBSYSTEM | 13
const NFT_MSG_DELSETELEM = SUBSYSTEM | 14
const NLM_F_CREATE = 0x400
const NFPROTO_INET = 1
const LIST_ELEM = 1
const LIST_TABLE = 1
const LIST_SET = 2
const LIST_ELEMENTS = 3
const ELEM_KEY = 1
const ELEM_DATA = 2
const DATA_VALUE = 1
const DATA_VERDICT = 2
const VERDICT_CODE = 1
const VERDICT_CHAIN = 2
const VERDICTS = { drop: 0, accept: 1, jump: -3, goto: -4 } as const
const NOTHING = Buffer.alloc(0)

// The list of a message is one attribute of at most 64 KiB; an element with the longest chain name
// takes some 350 bytes.
const ELEMENTS_PER_MESSAGE = 128

// struct nfgenmsg: family, version, resource.
const NFGEN_INET = Buffer.from([NFPROTO_INET, 0, 0, 0])

// The resource of a batch is the subsystem, in network order.
function batchMark(type: number): Request {
  return { type, flags: 1, header: Buffer.from([0, 0, 0, 10]), attributes: [] }
}

const elementRequests = (
  set: ElementSet,
  elements: readonly Element[],
  kind: Pick<Request, 'type' | 'flags'>,
): readonly Request[] => {
  if (!(elements.length <= ELEMENTS_MAX)) {
    throw new RangeError(
      `${elements.length} elements for ${set.name}; ${ELEMENTS_MAX} is the limit`,
    )
  }
  const count = Math.ceil(elements.length / ELEMENTS_PER_MESSAGE)
  return Array.from({ length: count }, (_, index) => {
    const start = index * ELEMENTS_PER_MESSAGE
    const part = elements.slice(start, start + ELEMENTS_PER_MESSAGE)
    const list = part.map(element => nest(LIST_ELEM, encodeElement(set, element)))
    const names = [text(LIST_TABLE, set.table), text(LIST_SET, set.name)]
    return { ...kind, header: NFGEN_INET, attributes: [...names, nest(LIST_ELEMENTS, list)] }
  })
}

const encodeElement = (set: ElementSet, { key, value }: Element): readonly Attribute[] => [
  nest(ELEM_KEY, [bytes(DATA_VALUE, encodeKey(set, key))]),
  ...optional(value, given => nest(ELEM_DATA, [encodeValue(given)])),
]

// Each part fills whole registers of four bytes (net/netfilter/nf_tables_api.c).
const encodeKey = (set: ElementSet, key: Element['key']): Uint8Array => {
  if (key.length !== set.key.length) {
    throw new TypeError(`a key of ${set.name} has ${set.key.length} parts, not ${key.length}`)
  }
  return Buffer.concat(
    key.map(part => (typeof part === 'number' ? hostNumber(part) : bytesOf(part))),
  )
}

const decodeKey = (set: ElementSet, data: Buffer): Element['key'] => {
  let at = 0
  return set.key.map(part => {
    const start = at
    at += KEY_BYTES[part]
    return part === 'number' ? data.readUInt32LE(start) : ipFromBytes(data.subarray(start, at))
  })
}

const KEY_BYTES = { number: 4, ip4: 4, ip6: 16 } as const

const encodeValue = (value: ElementValue): Attribute => {
  if (value.kind === 'number') return bytes(DATA_VALUE, hostNumber(value.number))
  const chain = 'chain' in value ? value.chain : undefined
  return nest(DATA_VERDICT, [
    networkU32(VERDICT_CODE, VERDICTS[value.kind]),
    ...optional(chain, name => text(VERDICT_CHAIN, name)),
  ])
}

const decodeValue = (data: Buffer | undefined): ElementValue | undefined => {
  if (data === undefined) return undefined
  const found = readAttributes(data)
  const number = found.get(DATA_VALUE)
  if (number?.length === 4) return { kind: 'number', number: number.readUInt32LE(0) }
  const verdict = readAttributes(found.get(DATA_VERDICT) ?? NOTHING)
  const code = verdict.get(VERDICT_CODE)?.readInt32BE(0)
  const chain = readText(verdict.get(VERDICT_CHAIN)) ?? ''
  if (code === VERDICTS.goto) return { kind: 'goto', chain }
  if (code === VERDICTS.jump) return { kind: 'jump', chain }
  if (code === VERDICTS.drop) return { kind: 'drop' }
  return code === VERDICTS.accept ? { kind: 'accept' } : undefined
}

const hostNumber = (value: number): Buffer => {
  const data = Buffer.alloc(4)
  data.writeUInt32LE(value)
  return data
}
