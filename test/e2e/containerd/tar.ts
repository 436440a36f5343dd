// Writes ustar archives (POSIX.1-2017, pax, "ustar Interchange Format") with fixed owner and time,
// so that equal contents give equal digests. Only what container images of tests need.

import { Buffer } from 'node:buffer'

/** A file with its permission bits, or a symbolic link. */
export type TarEntry =
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly content: Uint8Array
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }

const blockBytes = 512
const pathBytesMax = 100

/** The whole archive; paths are relative and have at most 100 bytes. */
export const tarOf = (entries: readonly TarEntry[]): Buffer => {
  const parts = entries.flatMap(entry =>
    entry.kind === 'file' ? [headerOf(entry), padded(entry.content)] : [headerOf(entry)],
  )
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)])
}

const headerOf = (entry: TarEntry): Buffer => {
  const isFile = entry.kind === 'file'
  const header = Buffer.alloc(blockBytes)
  header.write(checkedPath(entry.path), 0)
  writeOctal(header, isFile ? entry.mode : 0o777, { at: 100, digits: 7 })
  writeOctal(header, 0, { at: 108, digits: 7 })
  writeOctal(header, 0, { at: 116, digits: 7 })
  writeOctal(header, isFile ? entry.content.length : 0, { at: 124, digits: 11 })
  writeOctal(header, 0, { at: 136, digits: 11 })
  header.write(isFile ? '0' : '2', 156)
  if (!isFile) header.write(checkedPath(entry.target), 157)
  header.write('ustar\x0000', 257)
  writeChecksum(header)
  return header
}

// The sum is taken with the field itself filled with spaces, and is written as six digits, a zero
// byte and a space.
const writeChecksum = (header: Buffer): void => {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}

const writeOctal = (
  header: Buffer,
  value: number,
  field: { readonly at: number; readonly digits: number },
): void => {
  header.write(value.toString(8).padStart(field.digits, '0'), field.at)
}

const checkedPath = (path: string): string => {
  if (Buffer.byteLength(path) <= pathBytesMax) return path
  throw new RangeError(`a path of a test image has at most ${pathBytesMax} bytes: "${path}"`)
}

const padded = (content: Uint8Array): Buffer =>
  Buffer.concat([content, Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes)])
