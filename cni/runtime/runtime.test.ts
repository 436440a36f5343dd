// Whole chains against plugins that are shell scripts.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Parsed } from '../spec/failure.ts'
import { fakePlugins, stillClock, type FakePlugins } from './fake.ts'
import { parseNetwork, type Network } from './network.ts'
import type { Attachment } from './request.ts'
import { createRuntime, type Runtime, type RuntimeOptions } from './runtime.ts'

let place: FakePlugins

beforeEach(() => {
  place = fakePlugins('one', 'two', 'three')
})

afterEach(() => place.remove())

const time = stillClock()

const runtimeWith = (options: Partial<RuntimeOptions> = {}): Runtime =>
  createRuntime({
    pluginPath: [place.bin],
    cacheDirectory: place.cacheDirectory,
    environment: { PATH: process.env['PATH'], CNI_NETNS: 'inherited', CNI_ARGS: 'X=1' },
    clock: time.clock,
    ...options,
  })

const networkOf = (changes: object = {}): Network => {
  const plugins = ['one', 'two', 'three'].map(type => ({ type }))
  const list = { cniVersion: '1.1.0', name: 'net', plugins, ...changes }
  const network = parseNetwork(JSON.stringify(list), 'FILE')
  if (network.kind === 'failed') throw new Error(network.message)
  return network.value
}

const attachment: Attachment = {
  containerId: 'c1',
  ifName: 'eth0',
  netns: '/run/netns/ew-none',
  args: [],
  capabilityArgs: {},
}

/** What came back as text, then every call since the last look. */
let seen = 0
const check = async (work: Promise<Parsed<unknown>>, want: string, calls?: readonly string[]) => {
  const outcome = await work
  const shown =
    outcome.kind === 'failed'
      ? `${outcome.code} ${outcome.message}${outcome.details === '' ? '' : ` (${outcome.details})`}`
      : (JSON.stringify(outcome.value) ?? 'done')
  expect(shown.replaceAll(place.directory, 'DIR')).toBe(want)
  const all = place.calls()
  const recent = all.slice(seen)
  seen = all.length
  if (calls !== undefined) expect(recent).toEqual(calls)
}

beforeEach(() => {
  seen = 0
})

const cached = (): readonly string[] => {
  const results = join(place.cacheDirectory, 'results')
  return existsSync(results) ? readdirSync(results) : []
}

const result = '{"ips":[{"address":"10.0.0.5/24"}],"cniVersion":"1.1.0"}'
const forward = (verb: string) => ['one', 'two', 'three'].map(type => `${verb} ${type}`)
const backward = (verb: string) => forward(verb).toReversed()

test('points 63, 65, 79 and 94: ADD, CHECK and DEL of a chain', async () => {
  const runtime = runtimeWith()
  place.behave('two', 'ADD', { stdout: '{"ips":[],"dns":{"domain":"two"}}' })
  place.behave('three', 'ADD', { stdout: '{"cniVersion":"1.1.0","ips":[],"dns":{"domain":"x"}}' })
  const last = '{"cniVersion":"1.1.0","ips":[],"dns":{"domain":"x"}}'
  await check(runtime.add(networkOf(), attachment), last, forward('ADD'))
  expect(place.stdin('one', 'ADD')).toEqual({ cniVersion: '1.1.0', name: 'net', type: 'one' })
  expect(place.stdin('two', 'ADD')['prevResult']).toEqual(JSON.parse(result))
  expect(place.stdin('three', 'ADD')['prevResult']).toMatchObject({ dns: { domain: 'two' } })
  expect(cached()).toEqual(['net-c1-eth0'])
  await check(runtime.check(networkOf(), attachment), 'done', forward('CHECK'))
  await check(runtime.del(networkOf(), attachment), 'done', backward('DEL'))
  for (const type of ['one', 'two', 'three']) {
    expect(place.stdin(type, 'CHECK')['prevResult']).toEqual(JSON.parse(last))
    expect(place.stdin(type, 'DEL')['prevResult']).toEqual(JSON.parse(last))
  }
  expect(cached()).toEqual([])
})

test('point 36: a plugin inherits the environment, but no CNI variable', async () => {
  await check(runtimeWith().add(networkOf(), attachment), result)
  expect(place.environment('one', 'ADD')).toMatchObject({
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/ew-none',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: '',
    CNI_PATH: place.bin,
    PATH: process.env['PATH'],
  })
})

test('points 64 and 66: the first error ends an ADD, and everything is deleted', async () => {
  place.behave('two', 'ADD', { stdout: '{"code":7,"msg":"bad","details":"d"}', exitCode: 1 })
  place.behave('three', 'DEL', { stdout: '{"code":5,"msg":"gone"}', exitCode: 1 })
  await check(
    runtimeWith().add(networkOf(), attachment),
    '7 plugin "two" failed ADD: bad (d; plugin "three" failed DEL: gone)',
    ['ADD one', 'ADD two', ...backward('DEL')],
  )
  expect(place.stdin('one', 'DEL')).not.toHaveProperty('prevResult')
  expect(cached()).toEqual([])
})

test('point 62: no second ADD without a DEL, in no network, and the first stays', async () => {
  const runtime = runtimeWith()
  await check(runtime.add(networkOf(), attachment), result, forward('ADD'))
  const refusal =
    '115 eth0 of container c1 was added to network "net" already; delete it there before it is added again'
  await check(runtime.add(networkOf(), attachment), refusal, [])
  await check(runtime.add(networkOf({ name: 'other' }), attachment), refusal, [])
  expect(cached()).toEqual(['net-c1-eth0'])
  await check(runtime.del(networkOf(), attachment), 'done', backward('DEL'))
  await check(runtime.add(networkOf({ name: 'other' }), attachment), result, forward('ADD'))
})

test('point 68: a network whose name is none is refused, however it was made', async () => {
  const network = { ...networkOf(), name: '../net' }
  const refusal = /must be a network name/
  for (const verb of ['add', 'del', 'check'] as const) {
    const outcome = await runtimeWith()[verb](network, attachment)
    expect(outcome).toMatchObject({ code: 7, message: expect.stringMatching(refusal) })
  }
  expect(place.calls()).toEqual([])
})

test('point 95: CHECK and DEL get the arguments of the ADD when none are given', async () => {
  const runtime = runtimeWith()
  const plugins = [{ type: 'one', capabilities: { ips: true } }]
  const network = networkOf({ plugins })
  const added = {
    ...attachment,
    args: [['A', 'b']] as const,
    capabilityArgs: { ips: ['10.0.0.9'] },
  }
  await check(runtime.add(network, added), result)
  await check(runtime.check(network, attachment), 'done')
  await check(runtime.del(network, attachment), 'done')
  for (const verb of ['CHECK', 'DEL']) {
    expect(place.environment('one', verb)).toMatchObject({ CNI_ARGS: 'A=b' })
    expect(place.stdin('one', verb)['runtimeConfig']).toEqual({ ips: ['10.0.0.9'] })
  }
})

test('points 19 and 128: a number is told as it is written', async () => {
  const text =
    '{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"one","id":9007199254740993,"a":1.50}]}'
  const network = parseNetwork(text, 'FILE')
  if (network.kind === 'failed') throw new Error(network.message)
  await check(runtimeWith().add(network.value, attachment), result)
  const stdin = readFileSync(join(place.directory, 'one.ADD.stdin'), 'utf8')
  expect(stdin).toContain('"id":9007199254740993,"a":1.50')
})

test('points 64 and 68: what can be known before is refused before anything runs', async () => {
  const none = networkOf({ plugins: [{ type: 'absent' }] })
  await check(
    runtimeWith().add(none, attachment),
    '110 there is no plugin "absent" in CNI_PATH DIR/bin; install it or correct CNI_PATH',
    [],
  )
  await check(
    runtimeWith({ pluginPath: [] }).add(none, attachment),
    '110 there is no plugin "absent" in CNI_PATH, which is empty; install it or correct CNI_PATH',
  )
  const bad = { ...attachment, ifName: '' }
  await check(runtimeWith().add(networkOf(), bad), '4 interface name "": it is empty', [])
})

test('points 66 and 155: a result that cannot be kept fails the ADD, and it is undone', async () => {
  const { cacheDirectory } = place
  const spoil = `rm -r ${cacheDirectory}; touch ${cacheDirectory}`
  place.behave('three', 'ADD', { run: spoil, stdout: '{}' })
  const outcome = await runtimeWith().add(networkOf(), attachment)
  expect(outcome).toMatchObject({ kind: 'failed', code: 5 })
  expect(place.calls()).toEqual([...forward('ADD'), ...backward('DEL')])
  expect(place.stdin('one', 'DEL')['prevResult']).toEqual({ cniVersion: '1.1.0' })
  // Where nothing can be read, nothing can be kept, and so nothing is run.
  expect(await runtimeWith().add(networkOf(), attachment)).toMatchObject({ code: 5 })
  expect(place.calls()).toHaveLength(6)
})

test('point 52: an ADD that shall be tried later is, after a DEL', async () => {
  place.behave('one', 'ADD', { stdout: '{"code":11,"msg":"empty"}', exitCode: 1 })
  const work = runtimeWith({ againMax: 2, againMs: 500 }).add(networkOf(), attachment)
  while (time.waiting() === 0) await new Promise(resolve => setTimeout(resolve, 5))
  place.behave('one', 'ADD', { stdout: '{}' })
  time.advance(500)
  await check(work, result, ['ADD one', ...backward('DEL'), ...forward('ADD')])
})

test('points 79 to 81: DEL ends at the first error and keeps what it knows', async () => {
  const runtime = runtimeWith()
  await check(runtime.add(networkOf(), attachment), result)
  place.behave('two', 'DEL', { stderr: 'busy', exitCode: 1 })
  await check(
    runtime.del(networkOf(), attachment),
    '111 plugin "two" failed DEL: ended with exit code 1 and said: busy',
    ['DEL three', 'DEL two'],
  )
  expect(cached()).toEqual(['net-c1-eth0'])
})

test('points 74, 80 and 82: DEL without, and with a damaged cache', async () => {
  const runtime = runtimeWith()
  await check(runtime.del(networkOf(), attachment), 'done', backward('DEL'))
  expect(place.stdin('one', 'DEL')).not.toHaveProperty('prevResult')
  mkdirSync(join(place.cacheDirectory, 'results'), { recursive: true })
  writeFileSync(join(place.cacheDirectory, 'results', 'net-c1-eth0'), 'half a fi')
  await check(runtime.del(networkOf(), { ...attachment, netns: '' }), 'done', backward('DEL'))
  expect(cached()).toEqual([])
})

test('points 80 and 154: before 0.4.0 DEL has no prevResult; a newer version gets it converted', async () => {
  const old = networkOf({ cniVersion: '0.3.1' })
  const runtime = runtimeWith()
  await check(
    runtime.add(old, attachment),
    '{"ips":[{"address":"10.0.0.5/24"}],"cniVersion":"0.3.1"}',
  )
  await check(runtime.check(networkOf(), attachment), 'done')
  expect(place.stdin('one', 'CHECK')['prevResult']).toEqual({
    cniVersion: '1.1.0',
    ips: [{ address: '10.0.0.5/24' }],
  })
  await check(runtime.del(old, attachment), 'done')
  expect(place.stdin('one', 'DEL')).not.toHaveProperty('prevResult')
  expect(cached()).toEqual([])
})

test('points 9, 84, 85 and 92: when CHECK runs nothing', async () => {
  const runtime = runtimeWith()
  await check(
    runtime.check(networkOf({ cniVersion: '0.3.1' }), attachment),
    '1 network "net" is of CNI 0.3.1, which has no CHECK; it came with 0.4.0',
    [],
  )
  await check(runtime.check(networkOf({ disableCheck: true }), attachment), 'done', [])
  await check(
    runtime.check(networkOf(), attachment),
    '3 nothing is known of eth0 of container c1 in network "net"; CHECK is for what was added and not deleted',
    [],
  )
})

test('points 98 and 104: STATUS keeps the plugin’s code and words; below 1.1.0 it asks nobody', async () => {
  const runtime = runtimeWith()
  place.behave('two', 'STATUS', { stdout: '{"code":50,"msg":"no address"}', exitCode: 1 })
  await check(runtime.status(networkOf()), '50 no address', ['STATUS one', 'STATUS two'])
  expect(place.stdin('one', 'STATUS')).toEqual({ cniVersion: '1.1.0', name: 'net', type: 'one' })
  expect(place.environment('one', 'STATUS')).toMatchObject({ CNI_NETNS: '', CNI_IFNAME: '' })
  await check(runtime.status(networkOf({ cniVersion: '1.0.0' })), 'done', [])
})

test('points 112 and 121: GC deletes what is not valid, then every plugin is told', async () => {
  const runtime = runtimeWith()
  const second = { ...attachment, containerId: 'c2', args: [['A', 'b']] as const }
  await check(runtime.add(networkOf(), attachment), result)
  await check(runtime.add(networkOf(), second), result)
  const third = { ...attachment, containerId: 'c3' }
  await check(runtime.add(networkOf({ name: 'other' }), third), result)
  place.behave('one', 'GC', { stdout: '{"code":5,"msg":"one"}', exitCode: 1 })
  place.behave('two', 'GC', { stdout: '{"code":7,"msg":"two"}', exitCode: 1 })
  const valid = [{ containerId: 'c1', ifName: 'eth0' }]
  await check(
    runtime.gc(networkOf(), valid),
    '5 plugin "one" failed GC: one; plugin "two" failed GC: two',
    [...backward('DEL'), ...forward('GC')],
  )
  expect(place.environment('one', 'DEL')).toMatchObject({ CNI_CONTAINERID: 'c2', CNI_ARGS: 'A=b' })
  expect(place.stdin('three', 'GC')['cni.dev/valid-attachments']).toEqual([
    { containerID: 'c1', ifname: 'eth0' },
  ])
  expect(cached()).toEqual(['net-c1-eth0', 'other-c3-eth0'])
})

test('points 10, 111 and 122: GC without a list, disabled, and below 1.1.0', async () => {
  const runtime = runtimeWith()
  await check(runtime.add(networkOf(), attachment), result)
  await check(runtime.gc(networkOf({ disableGC: true })), 'done', [])
  await check(runtime.gc(networkOf({ cniVersion: '1.0.0' })), 'done', backward('DEL'))
  await check(runtime.gc(networkOf()), 'done', forward('GC'))
  expect(place.stdin('one', 'GC')).not.toHaveProperty('cni.dev/valid-attachments')
})

test('points 4 and 107: what the plugins of a network support', async () => {
  place.behave('two', 'VERSION', {
    stdout: '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","1.0.0"]}',
  })
  const plugins = [{ type: 'one', capabilities: { ips: true } }, { type: 'two' }]
  const network = networkOf({ cniVersions: ['1.0.0'], plugins })
  await check(
    runtimeWith().versions(network),
    '{"plugins":[{"type":"one","versions":["0.4.0","1.0.0","1.1.0"]},{"type":"two","versions":["0.3.1","1.0.0"]}],"cniVersion":"1.1.0","agreed":"1.0.0","capabilities":["ips"]}',
  )
})

test('point 153: the file says what was added, with its configuration', async () => {
  await check(runtimeWith().add(networkOf(), attachment), result)
  const path = join(place.cacheDirectory, 'results', 'net-c1-eth0')
  const { config, ...rest } = JSON.parse(readFileSync(path, 'utf8'))
  expect(rest).toEqual({
    kind: 'cniCacheV1',
    containerId: 'c1',
    ifName: 'eth0',
    networkName: 'net',
    netns: '/run/netns/ew-none',
    result: JSON.parse(result),
  })
  expect(Buffer.from(config, 'base64').toString()).toBe(networkOf().text)
})

test('point 70: two ADDs of one container follow each other', async () => {
  const runtime = runtimeWith()
  const both = ['eth0', 'net1'].map(ifName => runtime.add(networkOf(), { ...attachment, ifName }))
  await Promise.all(both)
  expect(place.calls()).toEqual([...forward('ADD'), ...forward('ADD')])
})

test('points 70 and 120: runtimes that share a cache take turns too', async () => {
  place.behave('one', 'ADD', { run: 'sleep 0.2', stdout: '{}' })
  const attachments = ['eth0', 'net1'].map(ifName => ({ ...attachment, ifName }))
  const adds = attachments.map(each => runtimeWith().add(networkOf(), each))
  while (place.calls().length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const collected = runtimeWith().gc(networkOf(), [])
  for (const outcome of await Promise.all([...adds, collected])) {
    expect(outcome).toMatchObject({ kind: 'parsed' })
  }
  expect(place.calls()).toEqual([...forward('ADD'), ...forward('ADD'), ...forward('GC')])
  // Both are newer than the question, so they stay.
  expect(place.stdin('one', 'GC')['cni.dev/valid-attachments']).toEqual([
    { containerID: 'c1', ifname: 'eth0' },
    { containerID: 'c1', ifname: 'net1' },
  ])
  expect(cached()).toHaveLength(2)
  expect(readdirSync(join(place.cacheDirectory, 'turns'))).toEqual([])
})

test('another attachment’s file is neither used nor overwritten nor removed', async () => {
  const runtime = runtimeWith()
  const theirs = { ...attachment, containerId: 'c1-x' }
  await check(runtime.add(networkOf(), theirs), result)
  const ours = { ...attachment, containerId: 'c1' }
  const meeting = { ...ours, ifName: 'x-eth0' }
  await check(
    runtime.add(networkOf(), meeting),
    '114 DIR/cache/results/net-c1-x-eth0 belongs to eth0 of container c1-x in network net; delete that attachment first, or choose another container id',
  )
  await check(runtime.del(networkOf(), meeting), 'done')
  expect(place.stdin('one', 'DEL')).not.toHaveProperty('prevResult')
  expect(cached()).toEqual(['net-c1-x-eth0'])
})
