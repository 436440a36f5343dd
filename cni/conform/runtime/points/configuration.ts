// Points about the keys of a network configuration.

import type { RuntimePoint, Trial } from '../point.ts'

const section = 'Network configuration'

const refuses =
  (...lists: readonly Readonly<Record<string, unknown>>[]): Trial =>
  async (place, notes) => {
    for (const keys of lists) notes.fails(JSON.stringify(keys), await place.loads(keys))
  }

const unknownKeys: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', ewUnknown: [1] }, { type: 'b' }]
  const network = await place.loads({ ewUnknown: { deep: true }, plugins })
  notes.succeeds('a list with unknown keys', network)
  const stdout = '{"ips":[],"interfaces":[{"name":"x","ewUnknown":1}],"ewUnknown":{}}'
  place.recorder.behave('a', 'ADD', { stdout })
  const added = await place.runtime().add(await place.network({ plugins }), place.attachment)
  notes.succeeds('ADD with a result of unknown keys', added)
  place.recorder.behave('b', 'DEL', { stdout: '{"code":7,"msg":"no","ewUnknown":1}', exit: 1 })
  const deleted = await place.runtime().del(await place.network({ plugins }), place.attachment)
  notes.fails('an error with unknown keys', deleted, { code: 7, words: ['no'] })
}

const goodNames = ['A1_b-c.d', '0', 'net.conf']
const badNames = ['', ' ', 'a b', '../x', 'a/b', '.a', '-a', '_a', 'é', 'a\n', 5]

const names: Trial = async (place, notes) => {
  for (const name of goodNames) notes.succeeds(`name ${name}`, await place.loads({ name }))
  for (const name of badNames) {
    notes.fails(`name ${JSON.stringify(name)}`, await place.loads({ name }))
  }
  notes.fails('no name', await place.loads({ name: undefined }))
}

const twoOfAName: Trial = async (place, notes) => {
  const list = { cniVersion: '1.0.0', name: 'net' }
  place.write('net.d/20.conflist', { ...list, plugins: [{ type: 'b' }] })
  place.write('net.d/10.conflist', { ...list, plugins: [{ type: 'a' }] })
  const loaded = await place.load()
  notes.succeeds('two lists of one name', loaded)
  if (loaded.kind === 'failed') return
  await place.runtime().del(loaded.value, place.attachment)
  notes.same('the first in name order is used', place.order(), ['DEL a'])
}

const disabledCheck =
  (value: unknown): Trial =>
  async (place, notes) => {
    const network = await place.network({ disableCheck: value })
    await place.runtime().add(network, place.attachment)
    notes.succeeds('CHECK', await place.runtime().check(network, place.attachment))
    notes.same('executed after ADD', place.order(3), [])
  }

const disabledGc: Trial = async (place, notes) => {
  const network = await place.network({ disableGC: true })
  await place.runtime().add(network, place.attachment)
  notes.succeeds('GC', await place.runtime().gc(network, []))
  notes.same('executed after ADD', place.order(3), [])
}

const texts: Trial = async (place, notes) => {
  for (const text of ['TRUE', 'True', 'true']) {
    const network = await place.network({ disableCheck: text, disableGC: text })
    await place.runtime().check(network, place.attachment)
    notes.same(`${text}: executed`, place.order(), [])
  }
  for (const text of ['FALSE', 'false']) {
    const network = await place.loads({ disableCheck: text, loadOnlyInlinedPlugins: text })
    notes.succeeds(`${text}: loading`, network)
  }
  for (const key of ['disableCheck', 'disableGC', 'loadOnlyInlinedPlugins']) {
    for (const value of ['yes', '', 1, {}]) {
      const what = `${key} ${JSON.stringify(value)}`
      notes.fails(what, await place.loads({ [key]: value }))
    }
  }
}

const types: Trial = async (place, notes) => {
  const objects = [{}, { type: '' }, { type: 5 }, { type: 'x/y' }, { type: '../a' }, 'a', null]
  for (const plugin of objects) {
    const loaded = await place.loads({ plugins: [{ type: 'a' }, plugin] })
    notes.fails(`plugin ${JSON.stringify(plugin)}`, loaded)
  }
}

/** Texts, because a number that JSON allows need not fit a program's. */
const oddKeys = {
  nested: '{"list":[1,{"none":null}],"empty":{}}',
  texts: String.raw`["\u0000","ü ","\\"]`,
  numbers: '[9007199254740993,0.1,1e3,-0.0]',
  __proto__x: '"kept"',
} as const

const untouched: Trial = async (place, notes) => {
  const keys = Object.entries(oddKeys).map(([key, value]) => `"${key}":${value}`)
  const list = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"a",${keys.join(',')}}]}`
  place.write('net.d/10.conflist', list)
  const loaded = await place.load()
  notes.succeeds('loading', loaded)
  if (loaded.kind === 'failed') return
  await place.runtime().add(loaded.value, place.attachment)
  const { config, stdin } = place.last('a', 'ADD')
  for (const [key, value] of Object.entries(oddKeys)) {
    notes.same(key, config[key], JSON.parse(value))
  }
  const digits = '9007199254740993'
  notes.holds('digits of a large number', stdin.includes(digits), `${digits} is told otherwise`)
}

const onlyAtRunTime: Trial = async (place, notes) => {
  const stored = {
    runtimeConfig: { mac: 'x' },
    prevResult: { ips: [] },
    'cni.dev/valid-attachments': [],
    'cni.dev/other': 1,
  }
  const network = await place.network({ plugins: [{ type: 'a', ...stored }] })
  await place.runtime().add(network, place.attachment)
  for (const key of Object.keys(stored)) {
    const { config } = place.last('a', 'ADD')
    notes.holds(`a stored ${key} reaches no plugin`, !(key in config), 'it does')
  }
}

export const configurationPoints: readonly RuntimePoint[] = [
  {
    id: 6,
    level: 'MUST',
    section,
    text: 'Unknown keys never break the reading of a configuration, a result or an error.',
    trials: [unknownKeys],
  },
  {
    id: 7,
    level: 'MUST',
    section,
    text: 'A network has a name, safe in file names.',
    trials: [names],
  },
  {
    id: 8,
    level: 'SHOULD',
    section,
    text: 'Names are unique per host; of two networks of one name it is always the same one.',
    trials: [twoOfAName],
  },
  {
    id: 9,
    level: 'MUST',
    section,
    text: 'With disableCheck no plugin is asked to CHECK, and the caller gets success.',
    trials: [disabledCheck(true)],
  },
  {
    id: 10,
    level: 'MUST',
    section,
    text: 'With disableGC no plugin is asked to GC, and the caller gets success.',
    trials: [disabledGc],
  },
  {
    id: 11,
    level: 'REFERENCE',
    section,
    text: 'The three flags may be the texts "true" and "false" in any case, and nothing else.',
    trials: [texts],
  },
  {
    id: 18,
    level: 'MUST',
    section,
    text: 'Every plugin object has a type, which is no path.',
    trials: [types],
  },
  {
    id: 19,
    level: 'MUST',
    section,
    text: 'Keys that the runtime does not know reach the plugin unchanged.',
    trials: [untouched],
  },
  {
    id: 20,
    level: 'SHOULD',
    section,
    text: 'What only a runtime may say is not taken from a stored configuration.',
    trials: [onlyAtRunTime],
  },
  {
    id: 15,
    level: 'MUST',
    section,
    text: 'loadOnlyInlinedPlugins without plugins is invalid.',
    trials: [refuses({ loadOnlyInlinedPlugins: true, plugins: undefined })],
  },
]
