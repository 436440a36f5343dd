// Fresh network namespaces for hosts and pods, and what is in them, as `ip` tells it.

import { isObject, type JsonObject } from '../spec/json.ts'
import { tool } from './process.ts'
import type { Link, Route, Snapshot } from './record.ts'

/** Makes a named namespace and returns its path. */
export const makeNamespace = async (name: string): Promise<string> => {
  await tool('ip', 'netns', 'add', name)
  return `/run/netns/${name}`
}

/** Removes it with all that is in it; one that is gone is fine. */
export const removeNamespace = async (path: string): Promise<void> => {
  await tool('ip', 'netns', 'delete', path.slice(path.lastIndexOf('/') + 1)).catch(() => undefined)
}

/** Runs a tool inside the namespace at that path. */
export const inside = (path: string, ...argv: readonly string[]): Promise<string> =>
  tool('nsenter', `--net=${path}`, '--', ...argv)

/** Links, addresses and routes of the namespace at that path. */
export const look = async (path: string): Promise<Snapshot> => {
  const script =
    'ip -j address show && echo @ && ip -j -4 route show table all && echo @ && ' +
    'ip -j -6 route show table all'
  const text = await inside(path, 'sh', '-c', script)
  // Without routes some versions of `ip -j` write nothing at all.
  const lists = text.split('@\n').map(part => JSON.parse(part.trim() || '[]') as unknown)
  const [links = [], four = [], six = []] = lists.map(objectsOf)
  return {
    links: links.map(linkOf),
    routes: [...four.flatMap(entry => routeOf(entry, 4)), ...six.flatMap(e => routeOf(e, 6))],
  }
}

const objectsOf = (value: unknown): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isObject) : []

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const linkOf = (entry: JsonObject): Link => ({
  name: textOf(entry['ifname']),
  mac: textOf(entry['address']),
  mtu: Number(entry['mtu']),
  isUp: Array.isArray(entry['flags']) && entry['flags'].includes('UP'),
  addresses: objectsOf(entry['addr_info'])
    .filter(address => !textOf(address['local']).startsWith('fe80:'))
    .map(address => `${textOf(address['local'])}/${String(address['prefixlen'])}`),
})

const ownTypes = new Set(['local', 'broadcast', 'multicast', 'anycast', 'unreachable'])

const routeOf = (entry: JsonObject, family: 4 | 6): readonly Route[] => {
  const destination = textOf(entry['dst'])
  if (ownTypes.has(textOf(entry['type'])) || /^f[ef][8f]\w*::/.test(destination)) return []
  const gateway = textOf(entry['gateway'])
  const device = textOf(entry['dev'])
  return [{ family, destination, gateway, device, table: textOf(entry['table']) || 'main' }]
}
