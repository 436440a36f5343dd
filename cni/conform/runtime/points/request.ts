// Points about what is told to one plugin.

import type { JsonObject } from '../../../spec/json.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const section = 'Deriving execution configuration'

const capable = [
  { type: 'a', capabilities: { mac: true, ips: false, bandwidth: true } },
  { type: 'b', capabilities: { ips: true } },
  { type: 'c' },
]
const capabilityArgs = { mac: '02:00:00:00:00:01', ips: ['10.0.0.9/24'], other: 1 }

const head: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', name: 'stored', cniVersion: '0.3.1' }, { type: 'b' }]
  const network = await place.network({ cniVersions: ['1.0.0'], plugins })
  const runtime = place.runtime()
  await runtime.add(network, place.attachment)
  await runtime.check(network, place.attachment)
  await runtime.del(network, place.attachment)
  await runtime.status(network)
  await runtime.gc(network, [])
  for (const { verb, type, config } of place.calls()) {
    const { name, cniVersion } = config
    notes.same(`${verb} ${type}`, { name, cniVersion }, { name: 'net', cniVersion: '1.1.0' })
  }
}

const given: Trial = async (place, notes) => {
  const network = await place.network({ plugins: capable })
  const attachment = { ...place.attachment, capabilityArgs }
  const runtime = place.runtime()
  await runtime.add(network, attachment)
  await runtime.check(network, attachment)
  await runtime.del(network, attachment)
  for (const verb of ['ADD', 'CHECK', 'DEL']) {
    const told = (type: string) => place.last(type, verb).config['runtimeConfig'] ?? 'none'
    notes.same(`${verb}: declared and supplied`, told('a'), { mac: capabilityArgs.mac })
    notes.same(`${verb}: another`, told('b'), { ips: capabilityArgs.ips })
    notes.same(`${verb}: nothing declared`, told('c'), 'none')
  }
  await runtime.add(network, place.attachment)
  const bare = place.last('a', 'ADD').config['runtimeConfig'] ?? 'none'
  notes.same('nothing supplied', bare, 'none')
}

const previous: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', prevResult: { ips: [], dns: { domain: 'stored' } } }, { type: 'b' }]
  const network = await place.network({ plugins })
  const runtime = place.runtime()
  await runtime.add(network, place.attachment)
  const has = (type: string, verb: string) => 'prevResult' in place.last(type, verb).config
  notes.same('first ADD', has('a', 'ADD'), false)
  notes.same('second ADD', has('b', 'ADD'), true)
  await runtime.check(network, place.attachment)
  await runtime.status(network)
  await runtime.gc(network, [{ containerId: 'c1', ifName: 'eth0' }])
  await runtime.del(network, place.attachment)
  for (const verb of ['CHECK', 'DEL'])
    notes.same(verb, [has('a', verb), has('b', verb)], [true, true])
  for (const verb of ['STATUS', 'GC'])
    notes.same(verb, [has('a', verb), has('b', verb)], [false, false])
}

const noCapabilities: Trial = async (place, notes) => {
  const network = await place.network({ plugins: capable })
  const runtime = place.runtime()
  await runtime.add(network, { ...place.attachment, capabilityArgs })
  await runtime.status(network)
  await runtime.del(network, place.attachment)
  for (const { verb, type, config } of place.calls()) {
    notes.holds(
      `${verb} ${type} without capabilities`,
      !('capabilities' in config),
      'they are told',
    )
  }
}

const stored = {
  type: 'a',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.0.0.0/24' }]], dataDir: '/x' },
  dns: { nameservers: ['10.0.0.2'] },
  ipMasq: true,
  args: { cni: { labels: [{ key: 'a', value: 'b' }] } },
  empty: '',
  nothing: null,
} as const

const unaltered: Trial = async (place, notes) => {
  const plugins = [{ ...stored, 'cni.dev/x': 1, capabilities: { mac: true } }]
  const network = await place.network({ plugins })
  const runtime = place.runtime()
  await runtime.add(network, place.attachment)
  const wanted: JsonObject = { ...stored, cniVersion: '1.1.0', name: 'net' }
  notes.same('ADD', place.last('a', 'ADD').config, wanted)
  await runtime.status(network)
  notes.same('STATUS', place.last('a', 'STATUS').config, wanted)
}

export const requestPoints: readonly RuntimePoint[] = [
  {
    id: 124,
    level: 'MUST',
    section,
    text: 'Every request has the chosen cniVersion and the name of the list.',
    trials: [head],
  },
  {
    id: 125,
    level: 'MUST',
    section,
    text: 'runtimeConfig is what the plugin declares and the runtime is given; empty is absent.',
    trials: [given],
  },
  {
    id: 126,
    level: 'MUST',
    section,
    text: 'prevResult is there where it belongs, and never on the first ADD.',
    trials: [previous],
  },
  {
    id: 127,
    level: 'MUST',
    section,
    text: 'capabilities is removed.',
    trials: [noCapabilities],
  },
  {
    id: 128,
    level: 'MUST',
    section,
    text: 'Everything else is unaltered, keys starting with cni.dev/ excepted.',
    trials: [unaltered],
  },
]
