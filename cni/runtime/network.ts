// A network configuration as a runtime sees it, read from the text of a .conflist or of a single
// .conf (section 1 of the specification; points 1 to 24). Files are found in load.ts.

import { chooseVersion } from '../spec/choice.ts'
import { invalid } from '../spec/config.ts'
import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import { isObject, show, type JsonObject } from '../spec/json.ts'
import { isName, nameRule } from '../spec/names.ts'
import { parseExactly } from './exact.ts'
import { within } from './failures.ts'

/** One plugin of a network, with every key it was written with. */
export type PluginConfig = {
  readonly type: string
  /** Those declared true. */
  readonly capabilities: readonly string[]
  readonly raw: JsonObject
}

export type Network = {
  readonly name: string
  /** The one requests are made in; may be one we do not know, see chooseVersion. */
  readonly cniVersion: string
  /** What the configuration allows: `cniVersion` and `cniVersions` as they were written. */
  readonly cniVersions: readonly string[]
  readonly disableCheck: boolean
  readonly disableGc: boolean
  readonly loadOnlyInlinedPlugins: boolean
  /** In the order of ADD. */
  readonly plugins: readonly PluginConfig[]
  /** As it was read; kept in the cache. */
  readonly text: string
}

/** Reads the text of a list. Plugins of other sources are appended by whoever finds them. */
export const parseNetwork = (text: string, where: string): Parsed<Network> => {
  const object = parseExactly(text, where)
  return object.kind === 'failed' ? object : within(where, readNetwork(object.value, text))
}

/** Makes a list of a single-plugin file, which the specification dropped in 1.0.0 (point 23). */
export const parseSingle = (text: string, where: string): Parsed<Network> => {
  const object = parseExactly(text, where)
  if (object.kind === 'failed') return object
  const { name, cniVersion } = object.value
  const list = { cniVersion, name, loadOnlyInlinedPlugins: true, plugins: [object.value] }
  return within(where, readNetwork(list, JSON.stringify(list)))
}

/** Reads the text of one plugin's file in the folder of a network (point 13). */
export const parsePluginFile = (text: string, where: string): Parsed<PluginConfig> => {
  const object = parseExactly(text, where)
  return object.kind === 'failed' ? object : within(where, readPlugin(object.value))
}

const readNetwork = (raw: JsonObject, text: string): Parsed<Network> => {
  const { name, cniVersion = '', cniVersions = [] } = raw
  if (typeof name !== 'string' || !isName(name)) {
    return invalid('name', name, `a network name: ${nameRule}`)
  }
  const version = chooseVersion(raw)
  if (version.kind === 'failed') return version
  const flags = readFlags(raw)
  if (flags.kind === 'failed') return flags
  const plugins = readPlugins(raw, flags.value.loadOnlyInlinedPlugins)
  if (plugins.kind === 'failed') return plugins
  const written = [cniVersion, ...(cniVersions as readonly unknown[])].filter(isText)
  return parsed({
    name,
    cniVersion: version.value,
    cniVersions: written.length === 0 ? [version.value] : [...new Set(written)],
    ...flags.value,
    plugins: plugins.value,
    text,
  })
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

type Flags = Pick<Network, 'disableCheck' | 'disableGc' | 'loadOnlyInlinedPlugins'>

// Point 11: texts count too, in any case; anything else fails.
const readFlags = (raw: JsonObject): Parsed<Flags> => {
  const keys = ['disableCheck', 'disableGC', 'loadOnlyInlinedPlugins']
  const values = keys.map(key => readFlag(raw[key]))
  const bad = values.indexOf(undefined)
  if (bad >= 0) return invalid(keys[bad] ?? '', raw[keys[bad] ?? ''], 'true or false')
  const [disableCheck = false, disableGc = false, loadOnlyInlinedPlugins = false] = values
  return parsed({ disableCheck, disableGc, loadOnlyInlinedPlugins })
}

const readFlag = (value: unknown): boolean | undefined => {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  return text === 'true' ? true : text === 'false' ? false : undefined
}

const readPlugins = (raw: JsonObject, isAlone: boolean): Parsed<readonly PluginConfig[]> => {
  const { plugins } = raw
  if (plugins === undefined && !isAlone) return parsed([])
  if (!Array.isArray(plugins) || plugins.length === 0) {
    return invalid('plugins', plugins, 'a list of at least one plugin object')
  }
  const found: PluginConfig[] = []
  for (const [place, entry] of plugins.entries()) {
    const plugin = within(`plugins[${place}]`, readPlugin(entry))
    if (plugin.kind === 'failed') return plugin
    found.push(plugin.value)
  }
  return parsed(found)
}

const readPlugin = (raw: unknown): Parsed<PluginConfig> => {
  if (!isObject(raw)) {
    return failed(codes.invalidConfig, `a plugin must be an object, not ${show(raw)}`)
  }
  const { type, capabilities = {} } = raw
  // Point 18: it becomes a file name in CNI_PATH.
  if (typeof type !== 'string' || type === '' || /[/\\]/.test(type) || /^\.\.?$/.test(type)) {
    return invalid('type', type, 'the file name of a plugin in CNI_PATH')
  }
  const declared = readCapabilities(capabilities)
  if (declared === undefined) {
    return invalid('capabilities', capabilities, 'an object of true and false')
  }
  return parsed({ type, capabilities: declared, raw })
}

const readCapabilities = (value: unknown): readonly string[] | undefined => {
  if (value === null) return []
  if (!isObject(value)) return undefined
  const entries = Object.entries(value)
  return entries.every(([, flag]) => typeof flag === 'boolean')
    ? entries.flatMap(([name, flag]) => (flag === true ? [name] : []))
    : undefined
}
