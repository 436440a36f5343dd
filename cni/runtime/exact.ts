// Reads a configuration so that writing it again changes nothing: what a plugin is told is what the
// administrator wrote (points 19 and 128), also where a JavaScript number cannot hold it.

import type { Parsed } from '../spec/failure.ts'
import { parseObject, type JsonObject } from '../spec/json.ts'

type Context = { readonly source?: string }
type Exact = {
  readonly parse: (text: string, revive: (k: string, v: unknown, c: Context) => unknown) => unknown
  readonly rawJSON: (text: string) => unknown
}

// Both are of ECMAScript 2026 and in Node 24, but not yet in the compiler's library.
const json = JSON as unknown as Exact

/** As parseObject, with numbers that would lose digits kept as they are written. */
export const parseExactly = (text: string, where: string): Parsed<JsonObject> => {
  const object = parseObject(text, where)
  if (object.kind === 'failed') return object
  const value = json.parse(text, (_key, value, { source = '' }) =>
    isHeld(value, source) ? value : json.rawJSON(source),
  )
  return { kind: 'parsed', value: value as JsonObject }
}

const isHeld = (value: unknown, source: string): boolean =>
  typeof value !== 'number' || Number.isSafeInteger(value) || String(value) === source
