// Points about CHECK, STATUS and VERSION.

import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const forward = (verb: string) => ['a', 'b', 'c'].map(type => `${verb} ${type}`)

const refusal = (code: number, msg: string) => ({
  stdout: JSON.stringify({ cniVersion: '1.1.0', code, msg, details: 'more' }),
  exit: 1,
})

const result = (domain: string) => ({
  stdout: JSON.stringify({ cniVersion: '1.1.0', ips: [], dns: { domain } }),
})

const domains = (place: Place, verb: string): readonly unknown[] =>
  ['a', 'b', 'c'].map(type => {
    const { prevResult } = place.last(type, verb).config
    return (prevResult as { dns?: { domain?: unknown } } | undefined)?.dns?.domain ?? 'none'
  })

const tooOld: Trial = async (place, notes) => {
  const network = await place.network({ cniVersion: '0.3.1' })
  const stdout = '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.5/24"}]}'
  for (const type of ['a', 'b', 'c']) place.recorder.behave(type, 'ADD', { stdout })
  await place.runtime().add(network, place.attachment)
  notes.fails('CHECK in 0.3.1', await place.runtime().check(network, place.attachment))
  notes.same('executed after ADD', place.order(3), [])
}

const between: Trial = async (place, notes) => {
  const network = await place.network()
  const check = () => place.runtime().check(network, place.attachment)
  notes.fails('CHECK before ADD', await check())
  notes.same('executed', place.order(), [])
  await place.runtime().add(network, place.attachment)
  notes.succeeds('CHECK after ADD', await check())
  await place.runtime().del(network, place.attachment)
  const from = place.calls().length
  notes.fails('CHECK after DEL', await check())
  notes.same('executed', place.order(from), [])
}

const disabled: Trial = async (place, notes) => {
  for (const disableCheck of [true, 'true']) {
    const network = await place.network({ disableCheck })
    const from = place.calls().length
    notes.succeeds('CHECK', await place.runtime().check(network, place.attachment))
    notes.same('executed', place.order(from), [])
  }
}

const latest: Trial = async (place, notes) => {
  const network = await place.network()
  place.recorder.behave('c', 'ADD', result('first'))
  await place.runtime().add(network, place.attachment)
  await place.runtime().del(network, place.attachment)
  place.recorder.behave('c', 'ADD', result('second'))
  await place.runtime().add(network, place.attachment)
  notes.succeeds('CHECK', await place.runtime().check(network, place.attachment))
  notes.same('results given', domains(place, 'CHECK'), ['second', 'second', 'second'])
}

/** What the specification calls parameters, less those that may differ. */
const parameters = (place: Place, verb: string): unknown =>
  ['a', 'b', 'c'].map(type => {
    const { environment, config } = place.last(type, verb)
    const { CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS } = environment
    const { runtimeConfig } = config
    return { CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS, runtimeConfig }
  })

const alike: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', capabilities: { mac: true } }, { type: 'b' }, { type: 'c' }]
  const network = await place.network({ plugins })
  const args = [['K', 'v']] as const
  const attachment = { ...place.attachment, args, capabilityArgs: { mac: '02:00:00:00:00:01' } }
  await place.runtime().add(network, attachment)
  await place.runtime().check(network, attachment)
  notes.same('order', place.order(3), forward('CHECK'))
  notes.same('parameters', parameters(place, 'CHECK'), parameters(place, 'ADD'))
  await place.runtime().check(network, place.attachment)
  notes.same('told once only, at ADD', parameters(place, 'CHECK'), parameters(place, 'ADD'))
}

const returned: Trial = async (place, notes) => {
  const network = await place.network()
  await place.runtime().add(network, place.attachment)
  place.recorder.behave('b', 'CHECK', refusal(103, 'broken'))
  const check = () => place.runtime().check(network, place.attachment)
  notes.fails('CHECK', await check(), { code: 103, words: ['broken'] })
  place.recorder.behave('b', 'CHECK', undefined)
  notes.succeeds('CHECK when it is whole again', await check())
  notes.succeeds('DEL', await place.runtime().del(network, place.attachment))
}

const bareStatus: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', capabilities: { mac: true }, mtu: 1400 }, { type: 'b' }]
  const network = await place.network({ plugins })
  const attachment = { ...place.attachment, capabilityArgs: { mac: 'x' } }
  await place.runtime().add(network, attachment)
  notes.succeeds('STATUS', await place.runtime().status(network))
  const { config, environment } = place.last('a', 'STATUS')
  notes.same('configuration', config, { cniVersion: '1.1.0', name: 'net', type: 'a', mtu: 1400 })
  for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS']) {
    notes.same(name, environment[name] ?? '', '')
  }
}

const statusError: Trial = async (place, notes) => {
  const network = await place.network()
  place.recorder.behave('b', 'STATUS', refusal(50, 'no address'))
  const outcome = await place.runtime().status(network)
  notes.fails('STATUS', outcome, { code: 50, words: ['no address', 'more'] })
  const message = outcome.kind === 'failed' ? outcome.message : ''
  notes.same('message as the plugin said it', message, 'no address')
  const old = await place.network({ cniVersion: '1.0.0' })
  const from = place.calls().length
  notes.succeeds('STATUS in 1.0.0', await place.runtime().status(old))
  notes.same('executed for it', place.order(from), [])
}

const unblocked: Trial = async (place, notes) => {
  const network = await place.network()
  place.recorder.behave('a', 'STATUS', refusal(51, 'impaired'))
  const runtime = place.runtime()
  notes.fails('STATUS', await runtime.status(network), { code: 51 })
  notes.succeeds('ADD', await runtime.add(network, place.attachment))
  notes.succeeds('CHECK', await runtime.check(network, place.attachment))
  notes.succeeds('DEL', await runtime.del(network, place.attachment))
  notes.succeeds('GC', await runtime.gc(network, []))
}

const supported = async (place: Place): Promise<unknown> => {
  const network = await place.network({ plugins: [{ type: 'a' }] })
  const support = await place.runtime().versions(network)
  return support.kind === 'failed' ? support.message : support.value.plugins[0]?.versions
}

const ancient: Trial = async (place, notes) => {
  const { recorder } = place
  recorder.behave('a', 'VERSION', refusal(4, 'unknown CNI_COMMAND: VERSION'))
  notes.same('a plugin that does not know VERSION', await supported(place), ['0.1.0'])
  recorder.behave('a', 'VERSION', { exit: 1, stderr: 'unknown CNI_COMMAND: VERSION' })
  notes.same('the same without an error object', await supported(place), ['0.1.0'])
  recorder.behave('a', 'VERSION', { stdout: '{"cniVersion":"0.2.0"}' })
  notes.same('an answer of 0.2.0 without a list', await supported(place), ['0.1.0', '0.2.0'])
  recorder.behave('a', 'VERSION', { stdout: '{"supportedVersions":["1.0.0"]}' })
  const broken = await supported(place)
  notes.holds('an answer without cniVersion is invalid', typeof broken === 'string', 'taken')
  recorder.behave('a', 'VERSION', undefined)
  await supported(place)
  const { CNI_NETNS = '', CNI_IFNAME = '' } = place.last('a', 'VERSION').environment
  const isFilled = CNI_NETNS !== '' && CNI_IFNAME !== ''
  notes.holds('ancient plugins find variables that they insist on', isFilled, 'they are empty')
}

const [check, status] = ['CHECK', 'STATUS']

export const checkPoints: readonly RuntimePoint[] = [
  {
    id: 84,
    level: 'REFERENCE',
    section: check,
    text: 'CHECK of a configuration below 0.4.0 is refused before anything is executed.',
    trials: [tooOld],
  },
  {
    id: 92,
    level: 'MUST',
    section: check,
    text: 'No plugin is asked to CHECK before an ADD or after a DEL.',
    trials: [between],
  },
  {
    id: 93,
    level: 'MUST',
    section: check,
    text: 'disableCheck is honoured.',
    trials: [disabled],
  },
  {
    id: 94,
    level: 'MUST',
    section: check,
    text: 'prevResult is the final result of the ADD just before, for every plugin.',
    trials: [latest],
  },
  {
    id: 95,
    level: 'MUST',
    section: check,
    text: 'CHECK has the parameters of the ADD, and goes forward.',
    trials: [alike],
  },
  {
    id: 96,
    level: 'MAY',
    section: check,
    text: 'CHECK may come at any time and end at the first error, which is returned.',
    trials: [returned],
  },
  {
    id: 104,
    level: 'MUST',
    section: status,
    text: 'STATUS is asked with the configuration alone; the first error is told as it is.',
    trials: [bareStatus, statusError],
  },
  {
    id: 106,
    level: 'MUST',
    section: status,
    text: 'A STATUS that says no keeps nothing else from being done.',
    trials: [unblocked],
  },
  {
    id: 108,
    level: 'REFERENCE',
    section: 'VERSION',
    text: 'A plugin that does not know VERSION supports 0.1.0 alone.',
    trials: [ancient],
  },
]
