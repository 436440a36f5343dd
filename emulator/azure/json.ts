// JSON as the ARM face reads and writes it: values without a type until a reader has looked.

export type Json = string | number | boolean | null | readonly Json[] | JsonObject

/** Members that are undefined are left out when it is written. */
export interface JsonObject {
  readonly [name: string]: Json | undefined
}

/** True for objects, not for lists and null. */
export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value when it is an object, else an empty one. */
export const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {})

/** The value when it is a text, else undefined. */
export const textOf = (value: Json | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

/** The objects of a list; nothing for anything else. */
export const objectsOf = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isObject) : []

/** Parses a body; undefined when it is not JSON. */
export const parseJson = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** An object without some of its members. */
export const omit = (value: JsonObject, names: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
