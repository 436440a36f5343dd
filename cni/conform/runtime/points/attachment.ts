// Points about ADD and DEL of one attachment.

import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import type { JsonObject } from '../../../spec/json.ts'
import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const forward = (verb: string) => ['a', 'b', 'c'].map(type => `${verb} ${type}`)
const backward = (verb: string) => forward(verb).toReversed()

const refusal = (code: number, msg: string) => ({
  stdout: JSON.stringify({ cniVersion: '1.1.0', code, msg }),
  exit: 1,
})

/** A result that says who gave it. */
const result = (domain: string): JsonObject => ({
  cniVersion: '1.1.0',
  ips: [{ address: '10.0.0.5/24' }],
  dns: { domain },
})

const domainOf = (previous: unknown): unknown =>
  (previous as { dns?: { domain?: unknown } } | undefined)?.dns?.domain

const giveResults = (place: Place, ...types: readonly string[]): void => {
  for (const type of types) {
    place.recorder.behave(type, 'ADD', { stdout: JSON.stringify(result(type)) })
  }
}

/** The prevResult of the last execution, by whoever gave it. */
const previousOf = (place: Place, type: string, verb: string): unknown => {
  const { prevResult } = place.last(type, verb).config
  return prevResult === undefined ? 'none' : domainOf(prevResult)
}

const twice: Trial = async (place, notes) => {
  const network = await place.network()
  await place.runtime().add(network, place.attachment)
  const again = await place.runtime({}).add(network, place.attachment)
  notes.fails('a second ADD without a DEL', again)
  notes.same('executed for it', place.order(3), [])
  notes.succeeds('CHECK of the first', await place.runtime().check(network, place.attachment))
  const other = { ...place.attachment, ifName: 'net1' }
  notes.succeeds('ADD of another interface', await place.runtime().add(network, other))
  await place.runtime().del(network, place.attachment)
  notes.succeeds('ADD after a DEL', await place.runtime().add(network, place.attachment))
}

const passesOn: Trial = async (place, notes) => {
  giveResults(place, 'a', 'b', 'c')
  const added = await place.runtime().add(await place.network(), place.attachment)
  notes.same('order', place.order(), forward('ADD'))
  notes.same('prevResult of the first', previousOf(place, 'a', 'ADD'), 'none')
  notes.same('prevResult of the second', previousOf(place, 'b', 'ADD'), 'a')
  notes.same('prevResult of the third', previousOf(place, 'c', 'ADD'), 'b')
  const last = added.kind === 'failed' ? added.message : domainOf(added.value)
  notes.same('result of the ADD', last, 'c')
}

/** Points 139 and 145: without a version a result is of the configuration's; index 0 survives. */
const versionless: Trial = async (place, notes) => {
  const ips = [{ address: '10.0.0.5/24', interface: 0 }]
  const stdout = JSON.stringify({ interfaces: [{ name: 'x' }], ips })
  place.recorder.behave('a', 'ADD', { stdout })
  await place.runtime().add(await place.network({ cniVersion: '1.0.0' }), place.attachment)
  const { prevResult } = place.last('b', 'ADD').config as { prevResult?: JsonObject }
  notes.same('version of a result without one', prevResult?.['cniVersion'], '1.0.0')
  notes.same('its addresses', prevResult?.['ips'], ips)
}

const missing: Trial = async (place, notes) => {
  const plugins = [{ type: 'a' }, { type: 'absent' }, { type: 'c' }]
  const network = await place.network({ plugins })
  const added = await place.runtime().add(network, place.attachment)
  notes.fails('ADD with a plugin that is not there', added, { words: ['absent'] })
  const adds = place.order().filter(call => call.startsWith('ADD'))
  notes.same('ADDs', adds, ['ADD a'])
}

const stops: Trial = async (place, notes) => {
  place.recorder.behave('b', 'ADD', refusal(111, 'no more'))
  const added = await place.runtime().add(await place.network(), place.attachment)
  notes.fails('ADD whose second plugin fails', added, { code: 111, words: ['no more'] })
  const adds = place.order().filter(call => call.startsWith('ADD'))
  notes.same('ADDs', adds, ['ADD a', 'ADD b'])
}

/** The format is the reference library's: points 152 and 153. */
const persisted: Trial = async (place, notes) => {
  giveResults(place, 'c')
  const network = await place.network()
  const args = [['A', 'b']] as const
  await place.runtime().add(network, { ...place.attachment, args })
  const [file] = place.kept()
  notes.same('file', file?.name, 'net-c1-eth0')
  notes.same('mode of the file', file?.mode.toString(8), '600')
  const { config, ...rest } = JSON.parse(file?.text ?? '{}') as JsonObject
  notes.same('content', rest, {
    kind: 'cniCacheV1',
    containerId: 'c1',
    ifName: 'eth0',
    networkName: 'net',
    netns: place.attachment.netns,
    cniArgs: args,
    result: result('c'),
  })
  const text = Buffer.from(String(config), 'base64').toString()
  notes.same('configuration in it', JSON.parse(text), JSON.parse(network.text))
  // Another process has nothing but the file.
  await place.runtime({}).check(network, place.attachment)
  notes.same('prevResult of a later CHECK', previousOf(place, 'a', 'CHECK'), 'c')
  await place.runtime({}).del(network, place.attachment)
  notes.same('prevResult of a later DEL', previousOf(place, 'a', 'DEL'), 'c')
}

const undone: Trial = async (place, notes) => {
  const network = await place.network()
  place.recorder.behave('b', 'ADD', refusal(100, 'no'))
  notes.fails('ADD', await place.runtime().add(network, place.attachment))
  notes.same('order', place.order(), ['ADD a', 'ADD b', ...backward('DEL')])
  notes.same('remembered', place.kept().length, 0)
  place.recorder.behave('b', 'ADD', undefined)
  notes.succeeds('the ADD after it', await place.runtime().add(network, place.attachment))
}

/** Point 155: what cannot be remembered is taken down. */
const notKept: Trial = async (place, notes) => {
  const spoil = `rm -rf '${place.path('cache')}'; touch '${place.path('cache')}'`
  place.recorder.behave('c', 'ADD', { run: spoil, stdout: '{"ips":[]}' })
  const added = await place.runtime().add(await place.network(), place.attachment)
  notes.fails('ADD whose result cannot be kept', added)
  notes.same('order', place.order(), [...forward('ADD'), ...backward('DEL')])
}

const names = ['', '../x', 'a b', '-a', 'a/b']
const ifNames = ['', '.', '..', 'a/b', 'a:b', 'a b', 'sixteen-letters0']

const validated: Trial = async (place, notes) => {
  const network = await place.network()
  const add = (changes: object) => place.runtime().add(network, { ...place.attachment, ...changes })
  for (const containerId of names) {
    notes.fails(`container id ${JSON.stringify(containerId)}`, await add({ containerId }))
  }
  for (const ifName of ifNames) {
    notes.fails(`interface ${JSON.stringify(ifName)}`, await add({ ifName }))
  }
  for (const name of names) {
    const outcome = await place.runtime().add({ ...network, name }, place.attachment)
    notes.fails(`network ${JSON.stringify(name)}`, outcome)
  }
  notes.same('executed', place.order(), [])
  notes.succeeds('15 letters', await add({ ifName: 'fifteen-letters' }))
}

const reversed: Trial = async (place, notes) => {
  giveResults(place, 'a', 'b', 'c')
  const network = await place.network()
  await place.runtime().add(network, place.attachment)
  notes.succeeds('DEL', await place.runtime().del(network, place.attachment))
  notes.same('order', place.order(3), backward('DEL'))
  const previous = ['a', 'b', 'c'].map(type => previousOf(place, type, 'DEL'))
  notes.same('results given', previous, ['c', 'c', 'c'])
  place.recorder.behave('b', 'DEL', refusal(102, 'busy'))
  const failing = await place.runtime().del(network, place.attachment)
  notes.fails('DEL whose second plugin fails', failing, { code: 102, words: ['busy'] })
  notes.same('order', place.order(6), ['DEL c', 'DEL b'])
}

const remembers: Trial = async (place, notes) => {
  giveResults(place, 'c')
  const network = await place.network()
  await place.runtime().add(network, place.attachment)
  await place.runtime().del(network, { ...place.attachment, netns: '' })
  notes.same('prevResult without a namespace', previousOf(place, 'a', 'DEL'), 'c')
  const again = await place.runtime().del(network, place.attachment)
  notes.succeeds('DEL of what is not remembered', again)
  notes.same('its prevResult', previousOf(place, 'a', 'DEL'), 'none')
  const old = await place.network({ cniVersion: '0.3.1' })
  const stdout = '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.5/24"}]}'
  for (const type of ['a', 'b', 'c']) place.recorder.behave(type, 'ADD', { stdout })
  notes.succeeds('ADD in 0.3.1', await place.runtime().add(old, place.attachment))
  notes.succeeds('DEL in 0.3.1', await place.runtime().del(old, place.attachment))
  notes.same('its prevResult', previousOf(place, 'a', 'DEL'), 'none')
}

const spoilt = ['', 'half a fi', '[]', '{"kind":"cniCacheV1","containerId":5}']

const damaged: Trial = async (place, notes) => {
  const network = await place.network()
  const results = spoilt.map(text => ({ what: `a file that holds ${JSON.stringify(text)}`, text }))
  const foreign = { kind: 'cniCacheV1', containerId: 'c1', ifName: 'eth0', networkName: 'net' }
  const unconvertible = JSON.stringify({ ...foreign, result: { cniVersion: '7.0.0', ips: 5 } })
  for (const { what, text } of [...results, { what: 'an odd result', text: unconvertible }]) {
    place.write('cache/results/net-c1-eth0', text)
    const from = place.calls().length
    notes.succeeds(`DEL with ${what}`, await place.runtime().del(network, place.attachment))
    notes.same('its prevResult', previousOf(place, 'a', 'DEL'), 'none')
    notes.same('order', place.order(from), backward('DEL'))
    notes.same('remembered after it', place.kept().length, 0)
  }
}

const keptUntilDone: Trial = async (place, notes) => {
  giveResults(place, 'c')
  const network = await place.network()
  await place.runtime().add(network, place.attachment)
  place.recorder.behave('a', 'DEL', refusal(102, 'busy'))
  notes.fails('DEL', await place.runtime().del(network, place.attachment))
  notes.same('remembered', place.kept().length, 1)
  place.recorder.behave('a', 'DEL', undefined)
  notes.succeeds('DEL again', await place.runtime().del(network, place.attachment))
  notes.same('its prevResult', previousOf(place, 'c', 'DEL'), 'c')
  notes.same('remembered', place.kept().length, 0)
}

const repeated: Trial = async (place, notes) => {
  const network = await place.network()
  notes.succeeds('DEL before any ADD', await place.runtime().del(network, place.attachment))
  await place.runtime().add(network, place.attachment)
  for (const which of ['first', 'second', 'third']) {
    const from = place.calls().length
    const deleted = await place.runtime().del(network, place.attachment)
    notes.succeeds(`the ${which} DEL`, deleted)
    notes.same('executed', place.order(from), backward('DEL'))
  }
}

const bare: Trial = async (place, notes) => {
  // What libraries before the present format wrote: the result alone.
  writeFileSync(place.path('netns'), '')
  place.write('cache/results/net-c1-eth0', result('bare'))
  chmodSync(place.path('cache', 'results', 'net-c1-eth0'), 0o600)
  await place.runtime().del(await place.network(), place.attachment)
  notes.same('prevResult of a file of the first format', previousOf(place, 'a', 'DEL'), 'bare')
  rmSync(place.path('cache'), { recursive: true, force: true })
}

const [add, del] = ['ADD', 'DEL']

export const attachmentPoints: readonly RuntimePoint[] = [
  {
    id: 62,
    level: 'SHOULD',
    section: add,
    text: 'No second ADD of an interface of a container without a DEL between them.',
    trials: [twice],
  },
  {
    id: 63,
    level: 'MUST',
    section: add,
    text: 'The first plugin gets no prevResult, each later one that of the plugin before it.',
    trials: [passesOn, versionless],
  },
  {
    id: 64,
    level: 'MUST',
    section: add,
    text: 'A missing executable is an error; the first error ends the ADD and is returned.',
    trials: [missing, stops],
  },
  {
    id: 65,
    level: 'MUST',
    section: add,
    text: 'The final result is kept for CHECK and DEL.',
    trials: [persisted],
  },
  {
    id: 66,
    level: 'MUST',
    section: add,
    text: 'A DEL follows even a failed ADD.',
    trials: [undone, notKept],
  },
  {
    id: 68,
    level: 'REFERENCE',
    section: add,
    text: 'Container id, network name and interface name are validated before anything runs.',
    trials: [validated],
  },
  {
    id: 79,
    level: 'MUST',
    section: del,
    text: 'DEL goes backward, with the final result for all, and ends at the first error.',
    trials: [reversed],
  },
  {
    id: 80,
    level: 'MUST',
    section: del,
    text: 'DEL has prevResult from 0.4.0 on; a missing or damaged memory is no reason to fail.',
    trials: [remembers, damaged, bare],
  },
  {
    id: 81,
    level: 'REFERENCE',
    section: del,
    text: 'The result is forgotten only when every plugin has succeeded.',
    trials: [keptUntilDone],
  },
  {
    id: 82,
    level: 'MAY',
    section: del,
    text: 'DEL may be repeated at any time, and reaches the plugins each time.',
    trials: [repeated],
  },
]
