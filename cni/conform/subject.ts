// The plugin under test: which object of a configuration list, which executable, and what goes
// before it in the chain.

import { failed, codes, parsed, type Parsed } from '../spec/failure.ts'
import { isObject, parseObject, type JsonObject } from '../spec/json.ts'
import { textOf } from './record.ts'
import { isName, nameRule } from '../spec/names.ts'

export type Subject = {
  readonly type: string
  readonly name: string
  readonly binDirectory: string
  /** Its object in the list, without `type` being touched. */
  readonly plugin: JsonObject
  /** The plugins before it, which make its prevResult. */
  readonly before: readonly JsonObject[]
}

export type SubjectOptions = {
  /** The text of the configuration list. */
  readonly conflist: string
  readonly binDirectory: string
  /** The type under test; left out: the first of the list. */
  readonly plugin?: string
}

/** Reads the list; a failure says which part of it is wrong. */
export const parseSubject = (options: SubjectOptions): Parsed<Subject> => {
  const list = parseObject(options.conflist, 'the configuration list')
  if (list.kind === 'failed') return list
  const { name, plugins } = list.value
  if (typeof name !== 'string' || !isName(name)) return bad(`name must be a name: ${nameRule}`)
  const objects = Array.isArray(plugins) ? plugins.filter(isObject) : []
  if (objects.some(({ type }) => typeof type !== 'string' || !/^[^/]+$/.test(type))) {
    return bad('every plugin needs a type without slashes')
  }
  const wanted = options.plugin ?? textOf(objects[0]?.['type'])
  const place = objects.findIndex(({ type }) => type === wanted)
  const plugin = objects[place]
  if (plugin === undefined) {
    return bad(options.plugin === undefined ? 'it has no plugins' : `no plugin is ${wanted}`)
  }
  const { binDirectory } = options
  const before = objects.slice(0, place)
  return parsed({ type: wanted, name, binDirectory, plugin, before })
}

const bad = (why: string) =>
  failed(codes.invalidConfig, `cannot use the configuration list: ${why}`)
