// Finds a network by name in a configuration directory, as the reference library does: all lists in
// name order, then single files; the first of that name. A file before it that cannot be read fails
// the search, because it might be the one that is meant.

import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import { parseObject, show } from '../spec/json.ts'
import { reasonOf } from './failures.ts'
import {
  parseNetwork,
  parsePluginFile,
  parseSingle,
  type Network,
  type PluginConfig,
} from './network.ts'

/** Failure 7 when there is none of that name, with what there is. */
export const loadNetwork = async (directory: string, name: string): Promise<Parsed<Network>> => {
  const lists = await filesOf(directory, ['.conflist'])
  if (lists.kind === 'failed') return lists
  const singles = await filesOf(directory, ['.conf', '.json'])
  if (singles.kind === 'failed') return singles
  const seen: string[] = []
  for (const path of lists.value) {
    const network = await loadNetworkFile(path)
    if (network.kind === 'failed' || network.value.name === name) return network
    seen.push(network.value.name)
  }
  for (const path of singles.value) {
    const text = await readText(path)
    const object = text.kind === 'failed' ? text : parseObject(text.value, path)
    if (object.kind === 'failed') return object
    // Such a file need not have a name: then it is nobody's network.
    if (object.value['name'] === name) return loadNetworkFile(path)
    seen.push(show(object.value['name']))
  }
  const there = seen.length === 0 ? 'it holds no network' : `it holds ${seen.join(', ')}`
  return failed(codes.invalidConfig, `there is no network "${name}" in ${directory}: ${there}`)
}

/** Loads one file: a list with the plugins of its folder, or a single plugin as a list of one. */
export const loadNetworkFile = async (path: string): Promise<Parsed<Network>> => {
  const text = await readText(path)
  if (text.kind === 'failed') return text
  if (!path.endsWith('.conflist')) return parseSingle(text.value, path)
  const list = parseNetwork(text.value, path)
  if (list.kind === 'failed') return list
  const others = await pluginsBeside(path, list.value)
  if (others.kind === 'failed') return others
  const plugins = [...list.value.plugins, ...others.value]
  if (plugins.length > 0) return parsed({ ...list.value, plugins })
  return failed(
    codes.invalidConfig,
    `${path}: the network has no plugin; write "plugins", ` +
      `or .conf files into ${folderOf(path, list.value)}`,
  )
}

const folderOf = (path: string, { name }: Network): string => join(dirname(path), name)

// Points 12 to 14.
const pluginsBeside = async (
  path: string,
  network: Network,
): Promise<Parsed<readonly PluginConfig[]>> => {
  if (network.loadOnlyInlinedPlugins) return parsed([])
  const files = await filesOf(folderOf(path, network), ['.conf'])
  if (files.kind === 'failed') return files
  const plugins: PluginConfig[] = []
  for (const file of files.value) {
    const text = await readText(file)
    const plugin = text.kind === 'failed' ? text : parsePluginFile(text.value, file)
    if (plugin.kind === 'failed') return plugin
    plugins.push(plugin.value)
  }
  return parsed(plugins)
}

// In name order; a directory that is not there has none, and folders in it do not count.
const filesOf = async (
  directory: string,
  endings: readonly string[],
): Promise<Parsed<readonly string[]>> => {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    const names = entries
      .filter(entry => !entry.isDirectory() && endings.some(end => entry.name.endsWith(end)))
      .map(({ name }) => name)
    return parsed(names.toSorted().map(name => join(directory, name)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return parsed([])
    return failed(codes.io, `cannot list ${directory}: ${reasonOf(error)}`)
  }
}

const readText = async (path: string): Promise<Parsed<string>> => {
  try {
    return parsed(await readFile(path, 'utf8'))
  } catch (error) {
    return failed(codes.io, `cannot read ${path}: ${reasonOf(error)}`)
  }
}
