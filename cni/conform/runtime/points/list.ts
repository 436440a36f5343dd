// Points about where the plugins of a network come from.

import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const section = 'Network configuration'

/** What is executed for an ADD, or why the network is refused. */
const used = async (place: Place): Promise<readonly string[] | string> => {
  const loaded = await place.load()
  if (loaded.kind === 'failed') return `refused: ${loaded.message}`
  const from = place.calls().length
  const added = await place.runtime({}).add(loaded.value, place.attachment)
  if (added.kind === 'failed') return `ADD fails: ${added.message}`
  const order = place.order(from)
  await place.runtime({}).del(loaded.value, place.attachment)
  return order
}

const list = (place: Place, keys: Readonly<Record<string, unknown>>): void =>
  place.write('net.d/50-net.conflist', { cniVersion: '1.0.0', name: 'net', ...keys })

const inlined = { plugins: [{ type: 'a' }] }

const appended: Trial = async (place, notes) => {
  place.write('net.d/net/10.conf', { type: 'c' })
  list(place, inlined)
  notes.same('by default', await used(place), ['ADD a', 'ADD c'])
  list(place, { ...inlined, loadOnlyInlinedPlugins: false })
  notes.same('loadOnlyInlinedPlugins false', await used(place), ['ADD a', 'ADD c'])
  list(place, {})
  notes.same('without plugins', await used(place), ['ADD c'])
}

const folder: Trial = async (place, notes) => {
  list(place, inlined)
  notes.same('without a folder', await used(place), ['ADD a'])
  place.write('net.d/net/20.conf', { type: 'c' })
  place.write('net.d/net/10.conf', { type: 'b' })
  place.write('net.d/net/10.conflist', { type: 'c' })
  place.write('net.d/net/10.json', { type: 'c' })
  place.write('net.d/net/deep/10.conf', { type: 'c' })
  place.write('net.d/other/10.conf', { type: 'c' })
  notes.same('.conf files of the folder, in name order', await used(place), [
    'ADD a',
    'ADD b',
    'ADD c',
  ])
}

const ignored: Trial = async (place, notes) => {
  place.write('net.d/net/10.conf', { type: 'c' })
  list(place, { ...inlined, loadOnlyInlinedPlugins: true })
  notes.same('executed', await used(place), ['ADD a'])
}

const empty: Trial = async (place, notes) => {
  for (const plugins of [[], {}, 'a', 5]) {
    list(place, { plugins })
    notes.fails(`plugins ${JSON.stringify(plugins)}`, await place.load())
  }
  list(place, {})
  notes.fails('no plugin at all', await place.load())
  place.write('net.d/net/10.conf', { type: 'c' })
  list(place, { plugins: [] })
  notes.fails('plugins [] beside a folder', await place.load())
}

const everyOne: Trial = async (place, notes) => {
  place.write('net.d/net/10.conf', { type: 'c' })
  list(place, { plugins: [{ type: 'a' }, { type: 'b' }] })
  notes.same('executed', await used(place), ['ADD a', 'ADD b', 'ADD c'])
  for (const text of ['{}', '{"type":"x/y"}', '[]', 'half a fi']) {
    place.write('net.d/net/10.conf', text)
    notes.fails(`${text} in the folder`, await place.load())
  }
}

const singles: Trial = async (place, notes) => {
  place.write('net.d/10.conf', { cniVersion: '0.4.0', name: 'net', type: 'a' })
  notes.same('.conf', await used(place), ['ADD a'])
  place.write('net.d/11.json', { cniVersion: '0.4.0', name: 'json', type: 'b' })
  notes.succeeds('.json', await place.load('json'))
  place.write('net.d/90.conflist', {
    cniVersion: '0.4.0',
    name: 'net',
    plugins: [{ type: 'c' }],
  })
  notes.same('after all lists', await used(place), ['ADD c'])
  place.write('net.d/90.conflist', { cniVersion: '1.0.0', name: 'net', type: 'c' })
  notes.fails('a single plugin as .conflist', await place.load())
}

/** What does not concern one operation alone. */
const lasting = ({ config }: ReturnType<Place['last']>): unknown => {
  const { prevResult: _previous, ...rest } = config
  return rest
}

const unchanged: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', mtu: 1400, deep: { list: [1] } }]
  const network = await place.network({ plugins })
  await place.runtime().add(network, place.attachment)
  const first = lasting(place.last('a', 'ADD'))
  await place.runtime().check(network, place.attachment)
  notes.same('CHECK', lasting(place.last('a', 'CHECK')), first)
  await place.runtime().add(network, { ...place.attachment, containerId: 'c2' })
  notes.same('another attachment', lasting(place.last('a', 'ADD')), first)
  await place.runtime().del(network, place.attachment)
  notes.same('DEL', lasting(place.last('a', 'DEL')), first)
}

export const listPoints: readonly RuntimePoint[] = [
  {
    id: 12,
    level: 'MUST',
    section,
    text: 'Without loadOnlyInlinedPlugins plugins of other sources follow the inlined ones.',
    trials: [appended],
  },
  {
    id: 13,
    level: 'REFERENCE',
    section,
    text: 'That source is the folder of the name of the network: its .conf files in name order.',
    trials: [folder],
  },
  {
    id: 14,
    level: 'MUST',
    section,
    text: 'With loadOnlyInlinedPlugins other sources are ignored.',
    trials: [ignored],
  },
  {
    id: 16,
    level: 'REFERENCE',
    section,
    text: 'A network without any plugin, or whose plugins are no list, is invalid.',
    trials: [empty],
  },
  {
    id: 17,
    level: 'MUST',
    section,
    text: 'Every plugin object of either source is validated, and every valid one is executed.',
    trials: [everyOne],
  },
  {
    id: 23,
    level: 'MUST',
    section,
    text: 'A file of a single plugin is no list, and is looked at after all lists.',
    trials: [singles],
  },
  {
    id: 24,
    level: 'SHOULD',
    section,
    text: 'The configuration is the same for ADD, CHECK and DEL, and for every attachment.',
    trials: [unchanged],
  },
]
