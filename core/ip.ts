// Addresses and prefixes of both families as branded canonical strings, and the arithmetic on them.
// Everything that reads text from outside parses it here; inside, an Ip or Cidr is always valid.

declare const ipBrand: unique symbol
declare const cidrBrand: unique symbol

/**
 * An address in canonical text: dotted quad, or RFC 5952 (lower case, longest zero run as `::`).
 */
export type Ip = string & { readonly [ipBrand]: true }

/**
 * A prefix in canonical text; bits after the prefix length are zero. `10.0.0.5/32` is one
 * address.
 */
export type Cidr = string & { readonly [cidrBrand]: true }

export type Family = 4 | 6

export const bothFamilies: readonly Family[] = [4, 6]

export const familyOf = (text: Ip | Cidr): Family => (text.includes(':') ? 6 : 4)

/** Bits of an address: 32 or 128. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128)

/** Parses one address of either family; undefined when the text is not an address. */
export const parseIp = (text: string): Ip | undefined => {
  const value = text.includes(':') ? parse6(text) : parse4(text)
  return value === undefined ? undefined : formatIp(value, text.includes(':') ? 6 : 4)
}

/** Parses `address/length`; host bits are cleared. Undefined when the text is not a prefix. */
export const parseCidr = (text: string): Cidr | undefined => {
  const slash = text.indexOf('/')
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash))
  const length = text.slice(slash + 1)
  if (ip === undefined || !/^\d{1,3}$/.test(length)) return undefined
  return Number(length) <= bitsOf(familyOf(ip)) ? cidrOf(ip, Number(length)) : undefined
}

/** For literals that are known to be addresses: throws a programmer error otherwise. */
export const ip = (text: string): Ip => known(parseIp(text), text)

/** For literals that are known to be prefixes: throws a programmer error otherwise. */
export const cidr = (text: string): Cidr => known(parseCidr(text), text)

/** The prefix of the given length that holds the address. */
export const cidrOf = (address: Ip, length: number): Cidr => {
  const family = familyOf(address)
  const shift = BigInt(bitsOf(family) - length)
  return `${formatIp((valueOf(address) >> shift) << shift, family)}/${length}` as Cidr
}

/** The prefix that is just this address: /32 or /128. */
export const hostCidr = (address: Ip): Cidr => `${address}/${bitsOf(familyOf(address))}` as Cidr

/** The prefix of all addresses: where a default route leads. */
export const everywhere = (family: Family): Cidr => (family === 4 ? '0.0.0.0/0' : '::/0') as Cidr

/** First address of a prefix. */
export const baseOf = (block: Cidr): Ip => block.slice(0, block.indexOf('/')) as Ip

export const lengthOf = (block: Cidr): number => Number(block.slice(block.indexOf('/') + 1))

/** Number of addresses; IPv6 prefixes longer than 2^31 are reported as 2^31. */
export const sizeOf = (block: Cidr): number =>
  2 ** Math.min(31, bitsOf(familyOf(block)) - lengthOf(block))

/** The address `offset` places after the first one of a prefix. Throws when it lies outside. */
export const addressAt = (block: Cidr, offset: number): Ip => {
  if (!(offset >= 0 && offset < sizeOf(block))) throw new RangeError(`${offset} not in ${block}`)
  if (offset === 0) return baseOf(block)
  return formatIp(valueOf(baseOf(block)) + BigInt(offset), familyOf(block))
}

/** Every address of a prefix in order; refuses prefixes of more than 65,536 addresses. */
export const addressesOf = (block: Cidr): readonly Ip[] => {
  const size = sizeOf(block)
  if (!(size <= 65_536)) throw new RangeError(`${block} has too many addresses to list`)
  return size === 1 ? [baseOf(block)] : Array.from({ length: size }, (_, i) => addressAt(block, i))
}

/** True when the address or the whole inner prefix lies in the outer one. */
export const contains = (outer: Cidr, inner: Ip | Cidr): boolean => {
  if (familyOf(outer) !== familyOf(inner)) return false
  const isBlock = inner.includes('/')
  if (isBlock && lengthOf(inner as Cidr) < lengthOf(outer)) return false
  const address = isBlock ? baseOf(inner as Cidr) : (inner as Ip)
  if (lengthOf(outer) === bitsOf(familyOf(outer))) return baseOf(outer) === address
  return cidrOf(address, lengthOf(outer)) === outer
}

export const overlaps = (a: Cidr, b: Cidr): boolean => contains(a, b) || contains(b, a)

/** Big-endian bytes: 4 or 16. */
export const bytesOf = (address: Ip): Uint8Array => {
  const family = familyOf(address)
  if (family === 4) return Uint8Array.from(address.split('.', 4).map(Number))
  const value = valueOf(address)
  return Uint8Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(120 - 8 * i)) & 0xffn))
}

/** Address from 4 or 16 big-endian bytes. */
export const ipFromBytes = (bytes: Uint8Array): Ip => {
  if (bytes.length === 4) return bytes.join('.') as Ip
  if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`)
  return formatIp(
    bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n),
    6,
  )
}

/** Orders by family, then by number. */
export const compareIp = (a: Ip, b: Ip): number => {
  if (a === b) return 0
  if (familyOf(a) !== familyOf(b)) return familyOf(a) - familyOf(b)
  return valueOf(a) < valueOf(b) ? -1 : 1
}

/** The address as an unsigned number. */
export const valueOf = (address: Ip): bigint =>
  known(familyOf(address) === 4 ? parse4(address) : parse6(address), address)

const known = <T>(value: T | undefined, text: string): T => {
  if (value === undefined) throw new TypeError(`"${text}" is not an address or prefix`)
  return value
}

const formatIp = (value: bigint, family: Family): Ip =>
  (family === 4 ? format4(Number(value)) : format6(value)) as Ip

const format4 = (value: number): string =>
  [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.')

const parse4 = (text: string): bigint | undefined => {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const parts = match.slice(1)
  // A leading zero is refused: some parsers read it as octal, so its meaning is not certain.
  if (parts.some(part => Number(part) > 255 || (part.length > 1 && part.startsWith('0')))) {
    return undefined
  }
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

const parse6 = (text: string): bigint | undefined => {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const last = text.slice(text.lastIndexOf(':') + 1)
  // An embedded dotted quad (RFC 4291 section 2.2) stands for the last two groups, nowhere else.
  const groups = halves.map((half, i) => {
    const parts = half === '' ? [] : half.split(':')
    const hasTail = i === halves.length - 1 && last.includes('.') && parts.at(-1) === last
    return hasTail ? [...parts.slice(0, -1), ...expandQuad(last)] : parts
  })
  const given = groups.flat()
  const zeros = 8 - given.length
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return undefined
  if (!given.every(group => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  const all = [
    ...(groups[0] ?? []),
    ...Array<string>(Math.max(0, zeros)).fill('0'),
    ...(groups[1] ?? []),
  ]
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

const expandQuad = (group: string): string[] => {
  const value = parse4(group)
  if (value === undefined) return ['invalid']
  return [(value >> 16n).toString(16), (value & 0xffffn).toString(16)]
}

const format6 = (value: bigint): string => {
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  )
  const [start, length] = longestZeroRun(groups)
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

const longestZeroRun = (groups: readonly string[]): readonly [number, number] => {
  let best: readonly [number, number] = [0, 0]
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (groups[end] === '0') end++
    if (end - start > best[1]) best = [start, end - start]
  }
  return best
}
