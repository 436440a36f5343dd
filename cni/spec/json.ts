// Reading JSON from outside without exceptions: every text may be garbage.

import { codes, failed, parsed, type Parsed } from './failure.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Parses one JSON object; anything else is failure 6 saying what was found in `where`. */
export const parseObject = (text: string, where: string): Parsed<JsonObject> => {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value)
      ? parsed(value)
      : failed(codes.decoding, `${where} must hold one JSON object, not ${show(value)}`)
  } catch (error) {
    const reason = text.trim() === '' ? 'it is empty' : (error as Error).message
    return failed(codes.decoding, `${where} cannot be read as JSON: ${reason}`)
  }
}

/** A value for an error message: as JSON, cut to a readable length. */
export const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
