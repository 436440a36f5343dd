// Points about what may run at the same time, in one process and in several.

import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'
import type { Runtime } from '../../../runtime/runtime.ts'

const slow = { run: 'sleep 0.15', stdout: '{"ips":[]}' }

/** Whose execution began, without repetitions: operations that mix show up twice. */
const begun = (place: Place, container: string): readonly string[] =>
  place.recorder
    .events()
    .filter(event => event.startsWith('begin ') && event.includes(` ${container}/`))
    .map(event => event.split(' ').at(-1) ?? '')
    .filter((sandbox, at, all) => sandbox !== all[at - 1])

/** Executions of one container that began while another one of it ran. */
const overlaps = (place: Place, container: string): readonly string[] => {
  const open = new Set<string>()
  return place.recorder.events().flatMap(event => {
    const [what = '', ...rest] = event.split(' ')
    const call = rest.join(' ')
    if (!call.includes(` ${container}/`)) return []
    if (what === 'end') {
      open.delete(call)
      return []
    }
    const beside = [...open]
    open.add(call)
    return beside.map(other => `${call} beside ${other}`)
  })
}

const oneByOne =
  (which: string, runtimes: (place: Place) => readonly [Runtime, Runtime]): Trial =>
  async (place, notes) => {
    place.recorder.behave('a', 'ADD', slow)
    const network = await place.network()
    const [first, second] = runtimes(place)
    const interfaces = ['eth0', 'net1', 'net2'].map(ifName => ({ ...place.attachment, ifName }))
    const work = interfaces.map((attachment, i) =>
      (i % 2 === 0 ? first : second).add(network, attachment),
    )
    for (const outcome of await Promise.all(work)) notes.succeeds(`${which}: ADD`, outcome)
    notes.same(`${which}: side by side for one container`, overlaps(place, 'c1'), [])
    notes.same(`${which}: operations`, begun(place, 'c1').length, interfaces.length)
  }

const sideBySide: Trial = async (place, notes) => {
  place.recorder.behave('a', 'ADD', slow)
  const network = await place.network()
  const containers = Array.from({ length: 4 }, (_, i) => `c${i}`)
  const work = containers.map(containerId =>
    place.runtime().add(network, { ...place.attachment, containerId }),
  )
  const outcomes = await Promise.all(work)
  const failures = outcomes.filter(({ kind }) => kind === 'failed')
  notes.same('failures of ADDs for four containers at once', failures, [])
  notes.same('remembered', place.kept().length, containers.length)
}

const collectingAlone =
  (which: string, runtimes: (place: Place) => readonly [Runtime, Runtime]): Trial =>
  async (place, notes) => {
    for (const [type, verb] of [
      ['a', 'ADD'],
      ['b', 'GC'],
    ] as const) {
      place.recorder.behave(type, verb, slow)
    }
    const network = await place.network()
    const [first, second] = runtimes(place)
    const before = first.add(network, place.attachment)
    await place.until('the ADD runs', () => place.calls().length > 0)
    const collection = second.gc(network, [])
    await place.sleep(50)
    const after = first.add(network, { ...place.attachment, containerId: 'c2' })
    for (const outcome of await Promise.all([before, collection, after])) {
      notes.succeeds(`${which}: ADD, GC, ADD`, outcome)
    }
    const verbs = place.calls().map(({ verb, sandbox }) => `${verb} ${sandbox}`)
    const steps = verbs.filter((step, at) => step !== verbs[at - 1])
    notes.same(`${which}: order`, steps, ['ADD c1/eth0', 'GC /', 'ADD c2/eth0'])
    notes.same(`${which}: remembered`, place.kept().length, 2)
  }

const shared = (place: Place) => [place.runtime(), place.runtime()] as const
const apart = (place: Place) => [place.runtime({}), place.runtime({})] as const

export const orderPoints: readonly RuntimePoint[] = [
  {
    id: 70,
    level: 'MUST',
    section: 'Lifecycle',
    text: 'Nothing runs in parallel for one container; different containers may.',
    trials: [oneByOne('one runtime', shared), oneByOne('two that share', apart), sideBySide],
  },
  {
    id: 71,
    level: 'MUST',
    section: 'Lifecycle',
    text: 'The namespace is there before any plugin runs, and is removed by the runtime.',
    trials:
      'namespaces are its caller’s: a runtime on this library makes one, gives its path, and ' +
      'removes it after the DEL',
  },
  {
    id: 120,
    level: 'MUST',
    section: 'GC',
    text: 'No ADD and no DEL runs while a GC does, and a GC waits for those that run.',
    trials: [collectingAlone('one runtime', shared), collectingAlone('two that share', apart)],
  },
]
