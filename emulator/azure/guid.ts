// GUIDs that depend on a name only, so that one seed always gives the same cloud.
import { createHash } from 'node:crypto'
import { grouped } from '#emulator/wire/request-id.ts'

/** A version 4 shaped GUID made from the digest of a text. */
export const guidOf = (text: string): string =>
  formatGuid(createHash('sha256').update(text).digest('hex'))

/** Writes the first 32 of some hexadecimal digits as a GUID. */
export const formatGuid = (hex: string): string =>
  grouped(`${hex.slice(0, 12)}4${hex.slice(13, 16)}8${hex.slice(17, 32)}`)
