// A container runtime's side of the CNI specification (section 3): runs the chains of plugins,
// remembers results, cleans up after failed ADDs, and keeps operations apart that may not overlap.

import type { ValidAttachment } from '../spec/config.ts'
import { chooseVersion } from '../spec/choice.ts'
import type { Variables } from '../spec/environment.ts'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import { inVersion } from './answer.ts'
import { cacheIn, defaultCacheDirectory, type Cache } from './cache-files.ts'
import type { CacheEntry } from './cache.ts'
import {
  addAll,
  capabilitiesOf,
  requestsFor,
  tellAll,
  tellEach,
  versionsOf,
  type Setting,
} from './chain.ts'
import { pause, type RunOptions } from './exec.ts'
import { named } from './failures.ts'
import type { Network } from './network.ts'
import { attachmentProblem, knows, type Attachment } from './request.ts'
import { createTurns } from './turns.ts'

export type RuntimeOptions = Omit<RunOptions, 'signal'> & {
  /** Where plugins are looked for, in order. */
  readonly pluginPath: readonly string[]
  readonly cacheDirectory?: string
  /** What plugins inherit, as a rule the runtime's own variables. */
  readonly environment: Variables
  /** How often an ADD that failed with code 11 is tried again; each time after a DEL. */
  readonly againMax?: number
  readonly againMs?: number
}

/** What can be asked of a runtime. Nothing rejects; a signal kills the plugin that is running. */
export type Runtime = {
  /** The final result, in the configuration's version. */
  readonly add: Operation<JsonObject>
  readonly del: Operation<undefined>
  readonly check: Operation<undefined>
  /**
   * Deletes every remembered attachment of the network that is not in `valid`, then asks the
   * plugins to collect. Without `valid` all are deleted and plugins are given no list.
   */
  readonly gc: (
    network: Network,
    valid?: readonly ValidAttachment[],
    signal?: AbortSignal,
  ) => Promise<Parsed<undefined>>
  readonly status: (network: Network, signal?: AbortSignal) => Promise<Parsed<undefined>>
  readonly versions: (network: Network, signal?: AbortSignal) => Promise<Parsed<Support>>
  /** What is remembered, of all networks. */
  readonly attachments: () => Promise<Parsed<readonly CacheEntry[]>>
}

export type Operation<T> = (
  network: Network,
  attachment: Attachment,
  signal?: AbortSignal,
) => Promise<Parsed<T>>

/** What the plugins of a network can do. */
export type Support = {
  readonly plugins: readonly { readonly type: string; readonly versions: readonly string[] }[]
  /** What requests are made in. */
  readonly cniVersion: string
  /** The highest version that the configuration allows and all plugins support. */
  readonly agreed: string | undefined
  /** What a runtime may usefully give as capability arguments. */
  readonly capabilities: readonly string[]
}

/** Starts nothing and opens nothing. */
export const createRuntime = (options: RuntimeOptions): Runtime => {
  const cache = cacheIn(options.cacheDirectory ?? defaultCacheDirectory)
  const turns = createTurns()
  const at = (signal?: AbortSignal): Place => ({ cache, setting: { ...options, signal } })
  const { againMax = 0, againMs = 1000 } = options
  return {
    add: (network, attachment, signal) =>
      turns.oneOf(attachment.containerId, () =>
        addAgain({ network, attachment }, { ...at(signal), againMax, againMs }),
      ),
    del: (network, attachment, signal) =>
      turns.oneOf(attachment.containerId, () => del({ network, attachment }, at(signal))),
    check: (network, attachment, signal) =>
      turns.oneOf(attachment.containerId, () => check({ network, attachment }, at(signal))),
    gc: (network, valid, signal) => turns.alone(() => gc({ network, valid }, at(signal))),
    status: (network, signal) => status(network, at(signal).setting),
    versions: (network, signal) => support(network, at(signal).setting),
    attachments: cache.list,
  }
}

type Place = { readonly cache: Cache; readonly setting: Setting }
type Task = { readonly network: Network; readonly attachment: Attachment }
type Again = { readonly againMax: number; readonly againMs: number }

const keyOf = ({ network, attachment }: Task) => ({ network: network.name, ...attachment })

// Code 11 says that it may go well later (point 52). Nothing of the failed one is left by then.
const addAgain = async (task: Task, place: Place & Again): Promise<Parsed<JsonObject>> => {
  for (let tries = 0; ; tries++) {
    const outcome = await add(task, place)
    const isLater = outcome.kind === 'failed' && outcome.code === codes.tryAgainLater
    const isOver = !(tries < place.againMax) || place.setting.signal?.aborted === true
    if (!isLater || isOver) return outcome
    await pause(place.againMs, place.setting)
  }
}

const add = async (task: Task, { cache, setting }: Place): Promise<Parsed<JsonObject>> => {
  const problem = attachmentProblem('ADD', task.attachment)
  if (problem !== undefined) return problem
  const before = await cache.read(keyOf(task))
  // What cannot be read is overwritten; what belongs to another attachment is not.
  if (before.kind === 'failed' && before.code !== codes.decoding) return before
  const { outcome, ran } = await addAll(task, setting)
  const kept = outcome.kind === 'failed' ? outcome : await keep(task, outcome.value, cache)
  if (kept.kind === 'parsed') return kept
  // An attachment that was there before is not taken down by a second ADD that fails (point 62).
  const isFirst = before.kind === 'parsed' && before.value === undefined
  if (ran === 0 || !isFirst) return kept
  const previous = outcome.kind === 'failed' ? undefined : outcome.value
  return undo(kept, { ...task, previous }, setting)
}

const keep = async (task: Task, result: JsonObject, cache: Cache): Promise<Parsed<JsonObject>> => {
  const { network, attachment } = task
  const entry = { network: network.name, attachment, config: network.text, result }
  const written = await cache.write(entry)
  return written.kind === 'failed' ? written : parsed(result)
}

// A DEL follows even a failed ADD (point 66), and one that nobody waits for any more.
const undo = async (
  failure: Failure,
  task: Task & { readonly previous: JsonObject | undefined },
  setting: Setting,
): Promise<Failure> => {
  const previous = knows(task.network, 'CHECK') ? task.previous : undefined
  const requests = requestsFor({ ...task, previous }).toReversed()
  const failures = await tellEach('DEL', requests, { ...setting, signal: undefined })
  if (failures.length === 0) return failure
  const details = [failure.details, ...failures.map(({ message }) => message)]
  return failed(failure.code, failure.message, details.filter(text => text !== '').join('; '))
}

const del = async (task: Task, { cache, setting }: Place): Promise<Parsed<undefined>> => {
  const problem = attachmentProblem('DEL', task.attachment)
  if (problem !== undefined) return problem
  const known = await cache.read(keyOf(task))
  // Who has no such file, or a damaged one, deletes without it (point 80).
  const result = known.kind === 'failed' ? undefined : known.value?.result
  const previous = result === undefined ? undefined : previousFor(task.network, result)
  const requests = requestsFor({ ...task, previous }).toReversed()
  const outcome = await tellAll('DEL', requests, setting)
  if (outcome.kind === 'failed') return outcome
  const isAnothers = known.kind === 'failed' && known.code !== codes.decoding
  return isAnothers ? outcome : cache.remove(keyOf(task))
}

// prevResult on DEL came with 0.4.0, as CHECK did; one that cannot be converted is left out.
const previousFor = (network: Network, result: JsonObject): JsonObject | undefined => {
  if (!knows(network, 'CHECK')) return undefined
  const converted = inVersion(result, network.cniVersion)
  return converted.kind === 'failed' ? undefined : converted.value
}

const check = async (task: Task, { cache, setting }: Place): Promise<Parsed<undefined>> => {
  const { network, attachment } = task
  if (!knows(network, 'CHECK')) {
    const message = `network "${network.name}" is of CNI ${network.cniVersion}, which has no CHECK; it came with 0.4.0`
    return failed(codes.incompatibleVersion, message)
  }
  if (network.disableCheck) return parsed(undefined)
  const problem = attachmentProblem('CHECK', attachment)
  if (problem !== undefined) return problem
  const known = await cache.read(keyOf(task))
  if (known.kind === 'failed') return known
  const { result } = known.value ?? {}
  if (result === undefined) return neverAdded(task)
  const previous = inVersion(result, network.cniVersion)
  if (previous.kind === 'failed') return named('the cached result cannot be used', previous)
  return tellAll('CHECK', requestsFor({ ...task, previous: previous.value }), setting)
}

const neverAdded = ({ network, attachment }: Task): Failure =>
  failed(
    codes.unknownContainer,
    `nothing is known of ${attachment.ifName} of container ${attachment.containerId} in network ` +
      `"${network.name}"; CHECK is for what was added and not deleted`,
  )

type Collection = {
  readonly network: Network
  readonly valid: readonly ValidAttachment[] | undefined
}

// Points 10, 112 and 119 to 121: everything is tried, and every failure is told at the end.
const gc = async ({ network, valid }: Collection, place: Place): Promise<Parsed<undefined>> => {
  if (network.disableGc) return parsed(undefined)
  const entries = await place.cache.list()
  if (entries.kind === 'failed') return entries
  const failures: Failure[] = []
  for (const { attachment } of entries.value.filter(entry => isStale(entry, network, valid))) {
    const outcome = await del({ network, attachment }, place)
    if (outcome.kind === 'failed') failures.push(outcome)
  }
  if (knows(network, 'GC')) {
    failures.push(...(await tellEach('GC', requestsFor({ network, valid }), place.setting)))
  }
  const [first, ...others] = failures
  if (first === undefined) return parsed(undefined)
  const message = [first, ...others].map(failure => failure.message).join('; ')
  return failed(first.code, message, first.details)
}

const isStale = (
  { network: name, attachment }: CacheEntry,
  network: Network,
  valid: readonly ValidAttachment[] = [],
): boolean =>
  name === network.name &&
  !valid.some(
    ({ containerId, ifName }) =>
      containerId === attachment.containerId && ifName === attachment.ifName,
  )

// Below 1.1.0 nobody can be asked, which is no reason to call it not ready (point 98).
const status = async (network: Network, setting: Setting): Promise<Parsed<undefined>> =>
  knows(network, 'STATUS')
    ? tellAll('STATUS', requestsFor({ network }), setting)
    : parsed(undefined)

const support = async (network: Network, setting: Setting): Promise<Parsed<Support>> => {
  const plugins: Support['plugins'][number][] = []
  for (const { type } of network.plugins) {
    const versions = await versionsOf(type, setting)
    if (versions.kind === 'failed') return versions
    plugins.push({ type, versions: versions.value })
  }
  const { cniVersion } = network
  return parsed({
    plugins,
    cniVersion,
    agreed: agreedOf(network, plugins),
    capabilities: capabilitiesOf(network),
  })
}

// Point 4. Versions are compared by exact text, as plugins do (point 45).
const agreedOf = (network: Network, plugins: Support['plugins']): string | undefined => {
  const common = network.cniVersions.filter(version =>
    plugins.every(plugin => plugin.versions.includes(version)),
  )
  if (common.length === 0) return undefined
  const chosen = chooseVersion({ cniVersions: common })
  return chosen.kind === 'parsed' && common.includes(chosen.value) ? chosen.value : undefined
}
