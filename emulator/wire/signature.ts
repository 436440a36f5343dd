// The text that a request's signer hashes. The schemes that are checked here agree on its form and
// differ in how they write the query, in the date's place and in how the key is made.
import { createHash } from 'node:crypto'
import type { WireCall } from './answer.ts'

/** Method, path, query, the signed headers with their values and names, and the body's digest. */
export const canonicalRequest = (
  { method, body }: WireCall,
  parts: {
    readonly path: string
    readonly query: string
    readonly signedHeaders: readonly string[]
    readonly valueOf: (header: string) => string
  },
): string =>
  [
    method,
    parts.path,
    parts.query,
    ...parts.signedHeaders.map(name => `${name}:${parts.valueOf(name)}`),
    '',
    parts.signedHeaders.join(';'),
    sha256(body),
  ].join('\n')

/** The digest in lower-case hexadecimal digits. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
