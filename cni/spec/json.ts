// Reading JSON from outside without exceptions: every text may be garbage.

import { codes, failed, parsed, type Parsed } from './failure.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// JSON.parse takes any depth, but writing such a value again overflows the stack.
const levelsMax = 500

/** Parses one JSON object; anything else is failure 6 saying what was found in `where`. */
export const parseObject = (text: string, where: string): Parsed<JsonObject> => {
  try {
    const value: unknown = JSON.parse(text)
    if (mayBeDeep(text) && isTooDeep(value)) {
      return failed(codes.decoding, `${where} is nested more than ${levelsMax} levels deep`)
    }
    return isObject(value)
      ? parsed(value)
      : failed(codes.decoding, `${where} must hold one JSON object, not ${show(value)}`)
  } catch (error) {
    const reason = text.trim() === '' ? 'it is empty' : (error as Error).message
    return failed(codes.decoding, `${where} cannot be read as JSON: ${reason}`)
  }
}

// A level needs a bracket of its own; few texts have that many, and only those are walked.
const mayBeDeep = (text: string): boolean => {
  let brackets = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === openingBrace || code === openingBracket) brackets++
  }
  return brackets > levelsMax
}

const openingBrace = 0x7b
const openingBracket = 0x5b

const isTooDeep = (value: unknown): boolean => {
  let containers = [value].filter(isContainer)
  for (let levels = 0; levels < levelsMax && containers.length > 0; levels++) {
    containers = containers.flatMap(entry => Object.values(entry).filter(isContainer))
  }
  return containers.length > 0
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null

/** A value for an error message: as JSON, cut to a readable length. */
export const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
