// Netlink attributes as a tree of values, and their bytes: length, type, payload, padding to four.
// Numbers are in host order (little-endian, checked in linux/native.ts) unless the name says so.

import { bytesOf, ipFromBytes } from '#core/ip.ts'
import type { Ip } from '#core/ip.ts'

/** One attribute; a list as data is a nest. */
export type Attribute = {
  readonly type: number
  readonly data: Uint8Array | readonly Attribute[]
}

const HEADER_BYTES = 4
const NESTED = 0x8000
const TYPE_MASK = 0x3fff
const ATTRIBUTE_BYTES_MAX = 0xffff

export const align = (length: number): number => (length + 3) & ~3

export const bytes = (type: number, data: Uint8Array): Attribute => ({ type, data })
export const nest = (type: number, data: readonly Attribute[]): Attribute => ({ type, data })
export const u8 = (type: number, value: number): Attribute => ({ type, data: Uint8Array.of(value) })

export const u32 = (type: number, value: number): Attribute => {
  const data = Buffer.allocUnsafe(4)
  data.writeUInt32LE(value)
  return { type, data }
}

/** A u32 in network order, as nf_tables wants its numbers. */
export const networkU32 = (type: number, value: number): Attribute => {
  const data = Buffer.allocUnsafe(4)
  data.writeUInt32BE(value >>> 0)
  return { type, data }
}

export const text = (type: number, value: string): Attribute => ({
  type,
  data: Buffer.from(`${value}\0`, 'latin1'),
})

/** A fixed structure followed by attributes, as the peer of a veth is described. */
export const structured = (
  type: number,
  header: Uint8Array,
  attributes: readonly Attribute[],
): Attribute => {
  const data = Buffer.alloc(header.length + sizeOfAttributes(attributes))
  data.set(header)
  writeAttributes(data, header.length, attributes)
  return { type, data }
}

/** No attribute when there is no value, for fields that may be left out. */
export const optional = <T>(
  value: T | undefined,
  encode: (value: T) => Attribute,
): readonly Attribute[] => (value === undefined ? [] : [encode(value)])

export const address = (type: number, value: Ip): Attribute => ({ type, data: bytesOf(value) })
export const mac = (type: number, value: string): Attribute => ({ type, data: macBytes(value) })

/** Bytes a list of attributes takes, padding included. */
export const sizeOfAttributes = (attributes: readonly Attribute[]): number => {
  let size = 0
  for (const attribute of attributes) size += align(HEADER_BYTES + sizeOfData(attribute.data))
  return size
}

/** Writes attributes from `offset` on and returns the offset behind them. */
export const writeAttributes = (
  target: Buffer,
  offset: number,
  attributes: readonly Attribute[],
): number => {
  let at = offset
  for (const { type, data } of attributes) {
    const length = HEADER_BYTES + sizeOfData(data)
    if (!(length <= ATTRIBUTE_BYTES_MAX)) {
      throw new RangeError(`netlink attribute ${type} has ${length} bytes; 65,535 is the limit`)
    }
    target.writeUInt16LE(length, at)
    target.writeUInt16LE(isNest(data) ? type | NESTED : type, at + 2)
    if (isNest(data)) writeAttributes(target, at + HEADER_BYTES, data)
    else target.set(data, at + HEADER_BYTES)
    target.fill(0, at + length, at + align(length))
    at += align(length)
  }
  return at
}

/** Attributes in order; stops at the first one that does not fit. */
export const listAttributes = (
  source: Buffer,
  offset = 0,
): readonly (readonly [number, Buffer])[] => {
  const found: [number, Buffer][] = []
  let at = offset
  while (at + HEADER_BYTES <= source.length) {
    const length = source.readUInt16LE(at)
    if (length < HEADER_BYTES || at + length > source.length) break
    const type = source.readUInt16LE(at + 2) & TYPE_MASK
    found.push([type, source.subarray(at + HEADER_BYTES, at + length)])
    at += align(length)
  }
  return found
}

/** Attributes by type; the last of a type wins. */
export const readAttributes = (source: Buffer, offset = 0): ReadonlyMap<number, Buffer> =>
  new Map(listAttributes(source, offset))

export const readU32 = (data: Buffer | undefined): number | undefined => data?.readUInt32LE(0)

export const readText = (data: Buffer | undefined): string | undefined => {
  if (data === undefined) return undefined
  const end = data.indexOf(0)
  return data.toString('latin1', 0, end < 0 ? data.length : end)
}

export const readAddress = (data: Buffer | undefined): Ip | undefined =>
  data === undefined || (data.length !== 4 && data.length !== 16) ? undefined : ipFromBytes(data)

export const readMac = (data: Buffer | undefined): string | undefined =>
  data === undefined ? undefined : data.toString('hex').replace(/..(?=.)/g, '$&:')

/** Six bytes of `0a:58:a9:fe:01:01`; throws a programmer error for anything else. */
export const macBytes = (value: string): Uint8Array => {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value)) {
    throw new TypeError(`"${value}" is not a MAC address of six bytes`)
  }
  return Buffer.from(value.replaceAll(':', ''), 'hex')
}

const isNest = (data: Attribute['data']): data is readonly Attribute[] => Array.isArray(data)

const sizeOfData = (data: Attribute['data']): number =>
  isNest(data) ? sizeOfAttributes(data) : data.length
