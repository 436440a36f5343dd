// Where one trial of a runtime takes place: plugins that take notes, a configuration directory, a
// cache, and a clock that runs faster than the day's, so that seconds of waiting cost little.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'
import type { loadNetwork } from '../../runtime/load.ts'
import type { Network } from '../../runtime/network.ts'
import type { Attachment } from '../../runtime/request.ts'
import type { createRuntime, Runtime, RuntimeOptions } from '../../runtime/runtime.ts'
import type { Parsed } from '../../spec/failure.ts'
import { toolPath } from '../process.ts'
import { makeRecorder, type Call, type Recorder } from './recorder.ts'

/** The runtime under test. */
export type RuntimeSubject = {
  readonly name: string
  /** Of the specification, that it supports, oldest first. */
  readonly versions: readonly string[]
  readonly load: typeof loadNetwork
  readonly create: typeof createRuntime
}

/** How much faster than the day's clock that of a runtime runs. */
export const haste = 20

const patienceMs = 20_000
const lookMs = 5

export type PlaceOptions = {
  readonly subject: RuntimeSubject
  readonly clock: Clock
  readonly directory: string
}

/** What is kept in one file of the cache. */
export type Kept = { readonly name: string; readonly mode: number; readonly text: string }

export class Place {
  readonly subject: RuntimeSubject
  readonly directory: string
  readonly recorder: Recorder
  readonly attachment: Attachment
  /** How long the runtime wanted to wait, each time it did. */
  readonly waits: number[] = []
  readonly #clock: Clock
  #runtime: Runtime | undefined

  constructor({ subject, clock, directory }: PlaceOptions) {
    this.subject = subject
    this.directory = directory
    this.#clock = clock
    this.recorder = makeRecorder(directory)
    for (const type of ['a', 'b', 'c']) this.recorder.install(type)
    mkdirSync(this.path('net.d'))
    this.write('netns', '')
    const netns = this.path('netns')
    this.attachment = { containerId: 'c1', ifName: 'eth0', netns, args: [], capabilityArgs: {} }
  }

  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts)
  }

  /** Writes a file below the place; a value that is no text as JSON. */
  write(name: string, value: unknown): void {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    writeFileSync(this.path(name), typeof value === 'string' ? value : JSON.stringify(value))
  }

  /** Writes a list and loads it: three plugins in 1.1.0, but for the changes. */
  async loads(changes: Readonly<Record<string, unknown>> = {}): Promise<Parsed<Network>> {
    const plugins = ['a', 'b', 'c'].map(type => ({ type }))
    const list = { cniVersion: '1.1.0', name: 'net', plugins, ...changes }
    this.write('net.d/50-net.conflist', list)
    return this.load(typeof list.name === 'string' ? list.name : String(list.name))
  }

  /** Loads the network of that name from the configuration directory. */
  load(name = 'net'): Promise<Parsed<Network>> {
    return this.subject.load(this.path('net.d'), name)
  }

  /** The network with these changes; rejects when it cannot be loaded. */
  async network(changes: Readonly<Record<string, unknown>> = {}): Promise<Network> {
    const loaded = await this.loads(changes)
    if (loaded.kind === 'failed') throw new Error(`cannot load the network: ${loaded.message}`)
    return loaded.value
  }

  /** The runtime of this place; with options, one more that shares its cache. */
  runtime(options?: Partial<RuntimeOptions>): Runtime {
    if (options === undefined) return (this.#runtime ??= this.runtime({}))
    return this.subject.create({
      pluginPath: [this.path('bin')],
      cacheDirectory: this.path('cache'),
      environment: { PATH: toolPath },
      clock: this.clock,
      ...options,
    })
  }

  /** The hasty clock, which notes what it is asked for. */
  get clock(): Clock {
    const base = this.#clock
    const start = base.now()
    const now = () => millis(start + (base.now() - start) * haste)
    return {
      now,
      soon: run => base.soon(run),
      at: (time, run) => {
        const waitMs = time - now()
        this.waits.push(waitMs)
        return base.at(millis(base.now() + Math.ceil(waitMs / haste)), run)
      },
    }
  }

  calls(): readonly Call[] {
    return this.recorder.calls()
  }

  /** Verb and type of every execution, such as `ADD a`; of the last ones only, when told. */
  order(from = 0): readonly string[] {
    return this.calls()
      .slice(from)
      .map(({ verb, type }) => `${verb} ${type}`)
  }

  /** The last execution of that plugin with that verb. */
  last(type: string, verb: string): Call {
    const call = this.calls().findLast(each => each.type === type && each.verb === verb)
    if (call === undefined) throw new Error(`plugin ${type} was never asked to ${verb}`)
    return call
  }

  /** Files of the cache that remember attachments, in the order of their names. */
  kept(): readonly Kept[] {
    const directory = this.path('cache', 'results')
    return namesIn(directory)
      .toSorted()
      .map(name => {
        const path = join(directory, name)
        return { name, mode: statSync(path).mode & 0o777, text: readFileSync(path, 'utf8') }
      })
  }

  /** Resolves when it is so; rejects after a while. */
  async until(what: string, isSo: () => boolean, withinMs = patienceMs): Promise<void> {
    const deadline = this.#clock.now() + withinMs
    while (!isSo()) {
      if (this.#clock.now() > deadline) throw new Error(`waited in vain until ${what}`)
      await this.sleep(lookMs)
    }
  }

  /** Waits in real time. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise(resolve => {
      this.#clock.at(millis(this.#clock.now() + milliseconds), resolve)
    })
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

const namesIn = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
