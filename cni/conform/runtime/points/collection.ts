// Points about GC.

import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const section = 'GC'

const refusal = (code: number, msg: string) => ({
  stdout: JSON.stringify({ cniVersion: '1.1.0', code, msg }),
  exit: 1,
})

const listOf = (place: Place): unknown => place.last('a', 'GC').config['cni.dev/valid-attachments']

/** Three containers in the network, one of them with two interfaces, and one elsewhere. */
const populated = async (place: Place) => {
  const other = await place.network({ name: 'other' })
  await place.runtime().add(other, { ...place.attachment, containerId: 'c9' })
  const network = await place.network()
  const attached = ['c1/eth0', 'c1/net1', 'c2/eth0', 'c3/eth0']
  for (const text of attached) {
    const [containerId = '', ifName = ''] = text.split('/')
    await place.runtime().add(network, { ...place.attachment, containerId, ifName })
  }
  return { network, from: place.calls().length }
}

const deleted = (place: Place, from: number): readonly string[] =>
  place
    .calls()
    .slice(from)
    .filter(({ verb, type }) => verb === 'DEL' && type === 'a')
    .map(({ sandbox }) => sandbox)
    .toSorted()

const valid = [
  { containerId: 'c1', ifName: 'eth0' },
  { containerId: 'c3', ifName: 'eth0' },
]

const told: Trial = async (place, notes) => {
  const { network } = await populated(place)
  notes.succeeds('GC', await place.runtime().gc(network, valid))
  const wanted = valid.map(({ containerId, ifName }) => ({
    containerID: containerId,
    ifname: ifName,
  }))
  notes.same('list of attachments', listOf(place), wanted)
  const old = place.last('a', 'GC').config['cni.dev/attachments']
  notes.same('the same under its first name', old, wanted)
  await place.runtime().gc(network, [])
  notes.same('when none is valid', listOf(place), [])
}

const variables: Trial = async (place, notes) => {
  const plugins = [{ type: 'a', mtu: 1400 }]
  const network = await place.network({ plugins })
  notes.succeeds('GC', await place.runtime().gc(network, []))
  const { environment, config } = place.last('a', 'GC')
  notes.same('CNI_COMMAND', environment['CNI_COMMAND'], 'GC')
  notes.same('CNI_PATH', environment['CNI_PATH'], place.path('bin'))
  for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME']) {
    notes.same(name, environment[name] ?? '', '')
  }
  notes.same('mtu', config['mtu'], 1400)
}

const noSubstitute: Trial = async (place, notes) => {
  const { network, from } = await populated(place)
  await place.runtime().gc(network, valid)
  notes.same('deleted', deleted(place, from), ['c1/net1', 'c2/eth0'])
  const order = place.order(from)
  const isFirst = order.lastIndexOf('DEL a') < order.indexOf('GC a')
  notes.holds('every DEL comes before the GC', isFirst, order.join(', '))
  const names = place.kept().map(({ name }) => name)
  notes.same('remembered', names, ['net-c1-eth0', 'net-c3-eth0', 'other-c9-eth0'])
}

const retried: Trial = async (place, notes) => {
  const { network, from } = await populated(place)
  place.recorder.behave('b', 'DEL', refusal(102, 'busy'))
  notes.fails('GC whose DELs fail', await place.runtime().gc(network, valid), { words: ['busy'] })
  notes.same('remembered', place.kept().length, 5)
  notes.same('asked to GC all the same', place.order(from).slice(-3), ['GC a', 'GC b', 'GC c'])
}

const collects: Trial = async (place, notes) => {
  const { network, from } = await populated(place)
  place.recorder.behave('a', 'GC', refusal(102, 'first words'))
  place.recorder.behave('c', 'GC', refusal(103, 'last words'))
  const outcome = await place.runtime().gc(network, valid)
  notes.fails('GC', outcome, { words: ['first words', 'last words'] })
  notes.same('all are asked', place.order(from).slice(-3), ['GC a', 'GC b', 'GC c'])
}

const everything: Trial = async (place, notes) => {
  const { network, from } = await populated(place)
  notes.succeeds('GC without a list', await place.runtime().gc(network))
  notes.same('deleted', deleted(place, from), ['c1/eth0', 'c1/net1', 'c2/eth0', 'c3/eth0'])
  notes.same('list told to plugins', listOf(place) ?? 'none', 'none')
  const names = place.kept().map(({ name }) => name)
  notes.same('remembered', names, ['other-c9-eth0'])
}

/** Point 111: a plugin of such a list does not know GC, but DEL it does. */
const belowGc: Trial = async (place, notes) => {
  const network = await place.network({ cniVersion: '1.0.0' })
  await place.runtime().add(network, place.attachment)
  notes.succeeds('GC in 1.0.0', await place.runtime().gc(network, []))
  notes.same('executed', place.order(3), ['DEL c', 'DEL b', 'DEL a'])
}

export const collectionPoints: readonly RuntimePoint[] = [
  {
    id: 112,
    level: 'MUST',
    section,
    text: "GC is told the network's attachments that are still valid.",
    trials: [told],
  },
  {
    id: 113,
    level: 'MUST',
    section,
    text: 'GC has CNI_COMMAND and CNI_PATH.',
    trials: [variables],
  },
  {
    id: 119,
    level: 'MUST',
    section,
    text: 'GC is never a substitute for DEL: what is not valid any more gets one first.',
    trials: [noSubstitute, retried],
  },
  {
    id: 121,
    level: 'REFERENCE',
    section,
    text: 'Every plugin is asked, every error told; without a list everything is deleted.',
    trials: [collects, everything, belowGc],
  },
  {
    id: 123,
    level: 'ENGINEERING',
    section,
    text: 'Not every container runtime calls GC.',
    trials:
      'a remark on other runtimes, which this one cannot answer for; a daemon of a plugin has to ' +
      'look after itself',
  },
]
