// Points about how plugins are found, started, ended and understood.

import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import type { Runtime } from '../../../runtime/runtime.ts'
import type { Network } from '../../../runtime/network.ts'
import type { Parsed } from '../../../spec/failure.ts'
import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const pathList: Trial = async (place, notes) => {
  const directories = ['first', 'second'].map(name => place.path(name))
  for (const type of ['a', 'b']) place.recorder.install(type, place.path('second'))
  place.recorder.install('b', place.path('first'))
  const runtime = place.runtime({ pluginPath: directories })
  const network = await place.network({ plugins: [{ type: 'a' }, { type: 'b' }] })
  notes.succeeds(
    'ADD with plugins of two directories',
    await runtime.add(network, place.attachment),
  )
  notes.same('CNI_PATH', place.last('a', 'ADD').environment['CNI_PATH'], directories.join(':'))
}

const environment: Trial = async (place, notes) => {
  const inherited = {
    EW_CONFORM: 'kept',
    CNI_COMMAND: 'DEL',
    CNI_NETNS: '/inherited',
    CNI_ARGS: 'X=1',
    CNI_CONTAINERID: 'inherited',
  }
  const path = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const runtime = place.runtime({ environment: { ...path, ...inherited } })
  const network = await place.network()
  await runtime.add(network, place.attachment)
  const add = place.last('a', 'ADD').environment
  notes.same('a variable of the runtime', add['EW_CONFORM'], 'kept')
  notes.same('CNI_COMMAND', add['CNI_COMMAND'], 'ADD')
  notes.same('CNI_NETNS', add['CNI_NETNS'], place.attachment.netns)
  notes.same('CNI_ARGS', add['CNI_ARGS'] ?? '', '')
  await runtime.status(network)
  const status = place.last('a', 'STATUS').environment
  notes.same('CNI_CONTAINERID of STATUS', status['CNI_CONTAINERID'] ?? '', '')
}

const trace: Trial = async (place, notes) => {
  const context = { TRACEPARENT: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, TRACESTATE: 'x=1' }
  const runtime = place.runtime({ environment: { PATH: '/usr/bin:/bin', ...context } })
  await runtime.add(await place.network(), place.attachment)
  for (const [name, value] of Object.entries(context)) {
    notes.same(name, place.last('c', 'ADD').environment[name], value)
  }
}

const domain: Trial = async (place, notes) => {
  const run = `readlink /proc/$$/ns/net >'${place.path('domain')}'`
  place.recorder.behave('b', 'ADD', { run, stdout: '{"ips":[]}' })
  await place.runtime().add(await place.network(), place.attachment)
  const own = readlinkSync('/proc/self/ns/net')
  notes.same('namespace', readFileSync(place.path('domain'), 'utf8').trim(), own)
}

const oddEnds: Trial = async (place, notes) => {
  const network = await place.network()
  const { recorder } = place
  recorder.behave('a', 'DEL', { exit: 3, stderr: 'words on stderr' })
  const del = () => place.runtime().del(network, place.attachment)
  notes.fails('an empty stdout', await del(), { words: ['words on stderr'] })
  recorder.behave('a', 'DEL', { exit: 3, stdout: 'no JSON at all' })
  notes.fails('a stdout that is no JSON', await del(), { words: ['no JSON at all'] })
  recorder.behave('a', 'DEL', { exit: 1, stdout: '{"code":7,"msg":"its own words"}' })
  notes.fails('an error object', await del(), { code: 7, words: ['its own words'] })
  recorder.behave('a', 'DEL', { run: 'kill -9 $$' })
  notes.fails('killed by somebody', await del())
  recorder.behave('a', 'ADD', { stdout: 'no JSON at all' })
  notes.fails('ADD without a result', await place.runtime().add(network, place.attachment))
}

const lookup: Trial = async (place, notes) => {
  mkdirSync(place.path('first', 'a'), { recursive: true })
  const pluginPath = ['first', 'bin'].map(name => place.path(name))
  const network = await place.network({ plugins: [{ type: 'a' }] })
  const del = () => place.runtime({ pluginPath }).del(network, place.attachment)
  notes.succeeds('a directory of that name is passed over: DEL', await del())
  const other = await place.network({ plugins: [{ type: 'b' }] })
  place.recorder.install('b', place.path('first'))
  chmodSync(place.path('first', 'b'), 0o644)
  const from = place.calls().length
  const outcome = await place.runtime({ pluginPath }).del(other, place.attachment)
  notes.fails('the first file is taken although it is not executable', outcome)
  notes.same('executed', place.order(from), [])
}

const busyTries = 6
const second = 1000
/** Clocks count whole milliseconds, and that of a place runs faster. */
const nearly = (ms: number): number => Math.round(ms / 100) * 100

/** The kernel refuses to start a file that is open for writing. */
const whileBusy = async <T>(place: Place, work: () => Promise<T>): Promise<T> => {
  const file = openSync(place.path('bin', 'a'), 'r+')
  try {
    return await work()
  } finally {
    closeSync(file)
  }
}

const busy: Trial = async (place, notes) => {
  const network = await place.network({ plugins: [{ type: 'a' }] })
  const del = () => place.runtime().del(network, place.attachment)
  const outcome = await whileBusy(place, del)
  notes.fails('a file that stays busy', outcome)
  const waits = Array.from({ length: busyTries - 1 }, () => second)
  notes.same('waits in ms', place.waits.map(nearly), waits)
  const waited = place.waits.length
  const later = await whileBusy(place, async () => {
    const work = del()
    await place.until('it waits', () => place.waits.length > waited)
    return { work }
  })
  notes.succeeds('a file that is free again: DEL', await later.work)
}

type Ask = (runtime: Runtime, network: Network, signal?: AbortSignal) => Promise<Parsed<unknown>>

const asks = (place: Place): Readonly<Record<string, Ask>> => ({
  ADD: (runtime, network, signal) =>
    runtime.add(network, { ...place.attachment, containerId: 'c2' }, signal),
  DEL: (runtime, network, signal) => runtime.del(network, place.attachment, signal),
  CHECK: (runtime, network, signal) => runtime.check(network, place.attachment, signal),
  STATUS: (runtime, network, signal) => runtime.status(network, signal),
  GC: (runtime, network, signal) =>
    runtime.gc(network, [{ containerId: 'c1', ifName: 'eth0' }], signal),
  VERSION: (runtime, network, signal) => runtime.versions(network, signal),
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const timeoutMs = 10_000
const dyingMs = 300

/** Starts a plugin that never ends, and sees what ends it. */
const ended =
  (how: 'time-out' | 'cancelled'): Trial =>
  async (place, notes) => {
    const network = await place.network({ plugins: [{ type: 'a' }] })
    await place.runtime().add(network, place.attachment)
    for (const [verb, ask] of Object.entries(asks(place))) {
      place.recorder.behave('a', verb, { run: 'exec sleep 100' })
      const stop = new AbortController()
      const runtime = place.runtime(how === 'time-out' ? { timeoutMs } : {})
      const from = place.calls().length
      const work = ask(runtime, network, stop.signal)
      await place.until(`${verb} runs`, () => place.calls().length > from)
      const pid = place.calls().at(from)?.pid ?? 0
      if (how === 'cancelled') stop.abort()
      notes.fails(`${verb} ${how}`, await work)
      // Somebody has to ask the kernel how it ended before it is gone.
      await place.until('it is gone', () => !isAlive(pid), dyingMs).catch(() => undefined)
      notes.holds(`${verb}: its process is gone`, !isAlive(pid), `${pid} still runs`)
      if (isAlive(pid)) process.kill(pid)
      place.recorder.behave('a', verb, undefined)
    }
  }

export const processPoints: readonly RuntimePoint[] = [
  {
    id: 31,
    level: 'MUST',
    section: 'Parameters',
    text: 'CNI_PATH lists the directories of plugins, separated by ":".',
    trials: [pathList],
  },
  {
    id: 36,
    level: 'REFERENCE',
    section: 'Parameters',
    text: "A plugin has the runtime's variables, in which those of CNI are set anew.",
    trials: [environment],
  },
  {
    id: 37,
    level: 'REFERENCE',
    section: 'Parameters',
    text: 'The context of a trace reaches the plugin.',
    trials: [trace],
  },
  {
    id: 38,
    level: 'MUST',
    section: 'Parameters',
    text: "Plugins run in the runtime's own network namespace.",
    trials: [domain],
  },
  {
    id: 55,
    level: 'REFERENCE',
    section: 'Errors',
    text: 'A plugin that fails without an error object is told with what it said.',
    trials: [oddEnds],
  },
  {
    id: 56,
    level: 'REFERENCE',
    section: 'Execution',
    text: 'The first regular file of that name is started; a busy one again, five times.',
    trials: [lookup, busy],
  },
  {
    id: 57,
    level: 'REFERENCE',
    section: 'Execution',
    text: 'A plugin is killed when nobody waits for it any more, or when it takes too long.',
    trials: [ended('cancelled'), ended('time-out')],
  },
]
