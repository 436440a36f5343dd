// The ledger's file format: what one save looks like on disk, and what a file of saves proves about
// itself after a crash or a bad disk. Pure; store.ts does the reading and writing.
//
// A line is `SEQUENCE CHECKSUM LENGTH JSON\n`. One save is one line, so a torn write loses all of
// it or nothing. JSON.stringify never writes a line feed inside a line, so after damage the next
// line feed is where proof can begin again; the checksum covers the sequence number too, so a line
// proves which save it is and a gap tells how many are missing.

import { crc32 } from 'node:zlib'
import type { LedgerChange } from '#core/ports.ts'

/** Incremented when a reader of the old format could misread the new one. */
export const formatVersion = 1

/** One proven line. The first of a file says what the file is; all others are saves. */
export type LedgerRecord = {
  readonly sequence: number
  readonly changes: readonly LedgerChange[]
  readonly bytes: number
}

/** Bytes that prove nothing, between two proven lines or at the end. */
export type Damage = {
  readonly offset: number
  readonly bytes: number
  /** Sequence of the last proven line before it; 0 when there is none. */
  readonly after: number
  /** Sequence of the first proven line behind it; undefined at the end of the file. */
  readonly before: number | undefined
}

export type Scan = {
  /** Version in the header; undefined when the header is damaged or absent. */
  readonly version: number | undefined
  readonly records: readonly LedgerRecord[]
  readonly damages: readonly Damage[]
  /** Highest proven sequence, that of the header included. */
  readonly sequence: number
  /** Offset behind the last proven line, its line feed included when it is there. */
  readonly provenBytes: number
}

/** The first line of every ledger; its sequence is that of the last save before this file. */
export const encodeHeader = (sequence: number): Buffer =>
  encodeLine(sequence, JSON.stringify({ format: 'eniway-ledger', version: formatVersion }))

/** All changes of one save as one line. */
export const encodeRecord = (sequence: number, rows: readonly Row[]): Buffer =>
  encodeLine(sequence, `[${rows.join(',')}]`)

/** One change as JSON: `["key",value]`, or `["key"]` when it is gone. */
export type Row = string

/** Throws when the value has no JSON form: it could not be read back. */
export const encodeChange = (change: LedgerChange): Row => {
  if (change.kind === 'drop') return JSON.stringify([change.key])
  const value = JSON.stringify(change.value) as string | undefined
  if (value === undefined) throw new TypeError(`the value of "${change.key}" has no JSON form`)
  return `[${JSON.stringify(change.key)},${value}]`
}

/** Reads whatever the bytes prove; never throws and never invents. */
export const scan = (bytes: Buffer): Scan => {
  let version: number | undefined
  const records: LedgerRecord[] = []
  const proven: Span[] = []
  let offset = 0
  while (offset < bytes.length) {
    const read = readLine(bytes, offset)
    const isNext = read?.kind === 'header' ? offset === 0 : isAfter(read, proven.at(-1))
    if (read === undefined || !isNext) {
      offset = nextLine(bytes, offset)
      continue
    }
    // A damaged line feed costs no line: the length says where the next one begins.
    const to = offset + read.bytes + (bytes[offset + read.bytes] === lineFeed ? 1 : 0)
    proven.push({ from: offset, to, sequence: read.sequence })
    offset += read.bytes + 1
    if (read.kind === 'header') version = read.version
    else records.push(read)
  }
  const last = proven.at(-1)
  const damages = gapsBetween(proven, bytes.length)
  return { version, records, damages, sequence: last?.sequence ?? 0, provenBytes: last?.to ?? 0 }
}

type Span = { readonly from: number; readonly to: number; readonly sequence: number }
type ReadRow = readonly [key: string, value: unknown] | readonly [key: string]
type Read =
  | {
      readonly kind: 'header'
      readonly sequence: number
      readonly version: number
      readonly bytes: number
    }
  | ({ readonly kind: 'record' } & LedgerRecord)

const lineFeed = 0x0a

const encodeLine = (sequence: number, json: string): Buffer => {
  const length = Buffer.byteLength(json)
  return Buffer.from(`${sequence} ${checksumOf(sequence, json)} ${length} ${json}\n`)
}

const checksumOf = (sequence: number, json: string | Buffer): string =>
  crc32(json, crc32(`${sequence} `))
    .toString(16)
    .padStart(8, '0')

const nextLine = (bytes: Buffer, offset: number): number => {
  const feed = bytes.indexOf(lineFeed, offset)
  return feed < 0 ? bytes.length : feed + 1
}

// A line that goes back in sequence was copied or moved there by something else than us.
const isAfter = (read: Read | undefined, last: Span | undefined): boolean =>
  read !== undefined && read.sequence > (last?.sequence ?? 0)

// The longest prefix is a 16-digit sequence, 8 of checksum, 16 of length and three blanks.
const prefixBytesMax = 43
const prefixPattern = /^([1-9]\d{0,15}|0) ([0-9a-f]{8}) ([1-9]\d{0,15}) /

const readLine = (bytes: Buffer, from: number): Read | undefined => {
  const match = prefixPattern.exec(bytes.toString('latin1', from, from + prefixBytesMax))
  if (match === null) return undefined
  const [whole, digits = '', checksum, length] = match
  const start = from + whole.length
  const end = start + Number(length)
  if (!(end <= bytes.length)) return undefined
  const json = bytes.subarray(start, end)
  const sequence = Number(digits)
  if (checksumOf(sequence, json) !== checksum) return undefined
  return interpret(sequence, json, end - from)
}

// The checksum says that we wrote the line, so its shape needs no suspicion beyond its kind.
const interpret = (sequence: number, json: Buffer, bytes: number): Read => {
  const value: unknown = JSON.parse(json.toString('utf8'))
  if (!Array.isArray(value)) {
    return { kind: 'header', sequence, version: (value as { version: number }).version, bytes }
  }
  const changes = (value as ReadRow[]).map(([key, ...rest]): LedgerChange =>
    rest.length === 0 ? { kind: 'drop', key } : { kind: 'put', key, value: rest[0] },
  )
  return { kind: 'record', sequence, changes, bytes }
}

// Damage is bytes that prove nothing, and also a jump in the sequence without any such byte.
const gapsBetween = (proven: readonly Span[], length: number): readonly Damage[] => {
  const damages: Damage[] = []
  let end = 0
  let after: number | undefined
  for (const span of [...proven, { from: length, to: length, sequence: undefined }]) {
    const bytes = span.from - end
    const isJump = after !== undefined && (span.sequence ?? 0) > after + 1
    if (bytes > 0 || isJump) {
      damages.push({ offset: end, bytes, after: after ?? 0, before: span.sequence })
    }
    end = span.to
    after = span.sequence
  }
  return damages
}
