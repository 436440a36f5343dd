// Where executions happen: a host namespace, pods, the chain before the plugin under test, and the
// record of all that was done. Scenarios say what to run; nothing here judges.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { isObject, type JsonObject } from '../spec/json.ts'
import { isAtLeast, newestVersion, type Version } from '../spec/versions.ts'
import { makeDelegate, type Answers, type Delegate } from './delegate.ts'
import { inside, look, makeNamespace, removeNamespace } from './namespaces.ts'
import { execute, toolPath, type Stdin } from './process.ts'
import {
  linesOf,
  objectOf,
  textOf,
  type Damage,
  type Execution,
  type Recording,
  type Role,
  type Seen,
  type Snapshot,
} from './record.ts'
import type { Subject } from './subject.ts'

/** Waiting in real time, which the caller of the suite brings along. */
export type Waiting = { sleep(milliseconds: number): Promise<void> }

export type LabOptions = {
  readonly subject: Subject
  readonly ifName: string
  /** Starts the names of namespaces; two runs at a time must not share it. */
  readonly prefix: string
  /** The host's namespace; left out: a fresh one. */
  readonly hostNetns?: string
  /** Keys of the configuration with which the plugin's daemon cannot be reached. */
  readonly daemonDown?: JsonObject
  readonly waiting: Waiting
}

export type Pod = {
  readonly netns: string
  readonly containerId: string
  /** The result of the plugins before ours; undefined when ours is the first. */
  readonly previous: JsonObject | undefined
}

/** Changes to a request; a value of undefined takes the key away. */
export type Changes<T> = Readonly<Record<string, T | undefined>>

export type Run = {
  readonly verb?: string
  readonly pod?: Pod
  readonly environment?: Changes<string>
  readonly config?: Changes<unknown>
  readonly version?: string
  readonly stdin?: Stdin
  /** The result this plugin gave, which a runtime hands to CHECK and DEL. */
  readonly result?: JsonObject | undefined
  /** Looks into both namespaces before and after. */
  readonly look?: boolean
  readonly answers?: Answers
  readonly damage?: Damage
}

const settleMs = 100
const settleTries = 100

export class Lab {
  readonly executions = new Map<string, Execution>()
  readonly skipped = new Map<string, string>()
  readonly snapshots = new Map<string, Snapshot>()
  readonly subject: Subject
  readonly options: LabOptions
  role: Role = 'unknown'
  versions: readonly Version[] = []
  version: Version = newestVersion
  #pods = 0
  #live = new Map<string, Pod>()
  #host = ''
  #directory = ''
  #delegate: Delegate | undefined

  constructor(options: LabOptions) {
    this.options = options
    this.subject = options.subject
  }

  /** Path of the host's namespace. */
  get host(): string {
    return this.#host
  }

  /** The type of the IPAM delegate the configuration names; undefined when it names none. */
  get delegateType(): string | undefined {
    const ipam = this.subject.plugin['ipam']
    const type = isObject(ipam) ? ipam['type'] : undefined
    return typeof type === 'string' && type !== this.subject.type ? type : undefined
  }

  async open(): Promise<void> {
    const { hostNetns, prefix } = this.options
    this.#directory = await mkdtemp(join(tmpdir(), `${prefix}-`))
    this.#host = hostNetns ?? (await makeNamespace(`${prefix}-host`))
    if (hostNetns === undefined) await inside(this.#host, 'ip', 'link', 'set', 'lo', 'up')
    const type = this.delegateType
    if (type === undefined) return
    this.#delegate = await makeDelegate(
      join(this.#directory, 'delegate'),
      join(this.subject.binDirectory, type),
    )
  }

  /** Removes pods, host namespace and files, after a last DEL for what is still there. */
  async close(): Promise<void> {
    for (const pod of this.#live.values()) await this.removePod(pod)
    if (this.options.hostNetns === undefined) await removeNamespace(this.#host)
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** A fresh pod, in which the plugins before ours have run. */
  async pod(version: Version = this.version): Promise<Pod> {
    const name = `${this.options.prefix}-p${++this.#pods}`
    const netns = await makeNamespace(name)
    // Runtimes raise the loopback first, unless that is what is under test.
    if (this.options.ifName !== 'lo') await inside(netns, 'ip', 'link', 'set', 'lo', 'up')
    let previous: JsonObject | undefined
    for (const plugin of this.subject.before) {
      const run = { verb: 'ADD', pod: { netns, containerId: name, previous }, version }
      previous = objectOf(await this.#execute('a plugin before ours', run, plugin))
    }
    const pod = { netns, containerId: name, previous }
    this.#live.set(netns, pod)
    return pod
  }

  /** DEL without a record, for ours and those before, and then the namespace goes. */
  async removePod(pod: Pod): Promise<void> {
    if (!this.#live.delete(pod.netns)) return
    await this.#execute('clean up', { verb: 'DEL', pod })
    for (const plugin of this.subject.before.toReversed()) {
      await this.#execute('clean up', { verb: 'DEL', pod }, plugin)
    }
    await removeNamespace(pod.netns)
  }

  /** Runs the plugin under test and records it under the label, which must be new. */
  async run(label: string, run: Run = {}): Promise<Execution> {
    assert(!this.executions.has(label), `two executions are labelled ${label}`)
    const execution = await this.#execute(label, run)
    this.executions.set(label, execution)
    return execution
  }

  /** Notes why something was not run. */
  skip(reason: string, ...labels: readonly string[]): void {
    for (const label of labels) this.skipped.set(label, reason)
  }

  /** Takes down what is in a namespace now. */
  async look(label: string, netns: string): Promise<Snapshot> {
    const snapshot = await look(netns)
    this.snapshots.set(label, snapshot)
    return snapshot
  }

  /** Looks again and again until it is as wanted or the patience ends; returns the last look. */
  async settled(netns: string, isSettled: (now: Snapshot) => boolean): Promise<Snapshot> {
    let now = await look(netns)
    for (let i = 0; i < settleTries && !isSettled(now); i++) {
      await this.options.waiting.sleep(settleMs)
      now = await look(netns)
    }
    return now
  }

  /** Waits until two looks at the host are the same. */
  async quiet(): Promise<void> {
    let last = ''
    await this.settled(this.#host, now => {
      const text = linesOf(now).join('\n')
      const isSame = text === last
      last = text
      return isSame
    })
  }

  supports(version: Version): boolean {
    return this.versions.some(known => isAtLeast(known, version))
  }

  recording(): Recording {
    const { role, versions, version, executions, skipped, snapshots } = this
    return { role, versions, version, plugin: this.subject.plugin, executions, skipped, snapshots }
  }

  async #execute(label: string, run: Run, plugin?: JsonObject): Promise<Execution> {
    const { verb = 'ADD', pod, answers, damage } = run
    const environment = this.#environment(verb, run)
    const stdin = run.stdin ?? { kind: 'text', text: JSON.stringify(this.#config(run, plugin)) }
    const watched = run.look === true
    // Some plugins finish a DEL after their answer, which must not count against this execution.
    if (watched) await this.quiet()
    const before = watched ? await this.#both(pod) : undefined
    if (answers !== undefined) await this.#delegate?.prepare(answers)
    const type = textOf(plugin?.['type']) || this.subject.type
    const argv = ['nsenter', `--net=${this.#host}`, '--', join(this.subject.binDirectory, type)]
    const outcome = await execute({ argv, environment, stdin })
    const after = watched ? await this.#both(pod) : undefined
    return {
      label,
      verb,
      environment,
      stdin: stdin.kind === 'text' ? stdin.text : '',
      ...outcome,
      host: seen(before?.host, after?.host),
      pod: seen(before?.pod, after?.pod),
      delegate: answers === undefined ? [] : ((await this.#delegate?.calls()) ?? []),
      damage,
    }
  }

  async #both(pod: Pod | undefined): Promise<{ host: Snapshot; pod: Snapshot | undefined }> {
    const gone = pod === undefined ? undefined : await look(pod.netns).catch(() => undefined)
    return { host: await look(this.#host), pod: gone }
  }

  #environment(verb: string, { pod, environment = {}, answers }: Run): Record<string, string> {
    const delegate = answers === undefined ? [] : (this.#delegate?.path ?? [])
    const isAttachment = verb !== 'VERSION' && verb !== 'GC' && verb !== 'STATUS'
    return defined({
      PATH: toolPath,
      CNI_COMMAND: verb,
      CNI_PATH: [...delegate, this.subject.binDirectory].join(':'),
      ...(isAttachment && pod !== undefined
        ? {
            CNI_CONTAINERID: pod.containerId,
            CNI_NETNS: pod.netns,
            CNI_IFNAME: this.options.ifName,
          }
        : {}),
      ...environment,
    })
  }

  #config(run: Run, plugin: JsonObject = this.subject.plugin): JsonObject {
    const { pod, result, version = this.version, config = {} } = run
    // From 0.4.0 on a runtime hands the final result to CHECK and DEL, before that to nobody.
    const previous = result ?? pod?.previous
    // The runtime takes out what only concerns itself.
    return defined({
      ...plugin,
      capabilities: undefined,
      cniVersion: version,
      name: this.subject.name,
      prevResult: previous,
      ...config,
    })
  }
}

const seen = (before: Snapshot | undefined, after: Snapshot | undefined): Seen | undefined =>
  before === undefined || after === undefined ? undefined : { before, after }

const defined = <T>(changes: Changes<T>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(changes).filter((entry): entry is [string, T] => entry[1] !== undefined),
  )
