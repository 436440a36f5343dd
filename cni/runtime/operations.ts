// What ADD, DEL, CHECK and GC mean for one network: chain, memory and cleaning up after failures.
// Whoever calls these has seen to it that nothing runs beside them that may not (runtime.ts).

import { invalid, type ValidAttachment } from '../spec/config.ts'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import { isName, nameRule } from '../spec/names.ts'
import { inVersion } from './answer.ts'
import type { Cache, Cached } from './cache-files.ts'
import type { CacheEntry } from './cache.ts'
import { addAll, requestsFor, tellAll, tellEach, type Setting } from './chain.ts'
import { pause } from './exec.ts'
import { named, runtimeCodes } from './failures.ts'
import type { Network } from './network.ts'
import { attachmentProblem, knows, type Attachment } from './request.ts'

/** Where an operation works. */
export type Place = { readonly cache: Cache; readonly setting: Setting }
/** What an operation is about. */
export type Task = { readonly network: Network; readonly attachment: Attachment }
/** How often an ADD that shall be tried later is. */
export type Again = { readonly againMax: number; readonly againMs: number }

const keyOf = ({ network, attachment }: Task) => ({ network: network.name, ...attachment })

/** ADD; code 11 says that it may go well later (point 52), and nothing of it is left by then. */
export const addAgain = async (task: Task, place: Place & Again): Promise<Parsed<JsonObject>> => {
  for (let tries = 0; ; tries++) {
    const outcome = await add(task, place)
    const isLater = outcome.kind === 'failed' && outcome.code === codes.tryAgainLater
    const isOver = !(tries < place.againMax) || place.setting.signal?.aborted === true
    if (!isLater || isOver) return outcome
    await pause(place.againMs, place.setting)
  }
}

const add = async (task: Task, { cache, setting }: Place): Promise<Parsed<JsonObject>> => {
  const problem = problemOf('ADD', task)
  if (problem !== undefined) return problem
  const before = await cache.read(keyOf(task))
  // What cannot be read is overwritten; what belongs to another attachment is not.
  if (before.kind === 'failed' && before.code !== codes.decoding) return before
  const others = await cache.listOf(task.attachment)
  if (others.kind === 'failed') return others
  if (before.kind === 'parsed' && before.value !== undefined) return alreadyAdded(task)
  const [other] = others.value
  if (other !== undefined) return alreadyAdded({ ...task, network: { name: other.network } })
  const { outcome, ran } = await addAll(task, setting)
  const kept = outcome.kind === 'failed' ? outcome : await keep(task, outcome.value, cache)
  if (kept.kind === 'parsed' || ran === 0) return kept
  const previous = outcome.kind === 'failed' ? undefined : outcome.value
  return undo(kept, { ...task, previous }, setting)
}

const problemOf = (verb: 'ADD' | 'DEL' | 'CHECK', { network, attachment }: Task) =>
  isName(network.name)
    ? attachmentProblem(verb, attachment)
    : invalid('name', network.name, `a network name: ${nameRule}`)

// Point 62: no second ADD without a DEL between them, for (container, interface) in any network.
const alreadyAdded = ({
  network,
  attachment,
}: {
  readonly network: Pick<Network, 'name'>
  readonly attachment: Attachment
}): Failure =>
  failed(
    runtimeCodes.alreadyAdded,
    `${attachment.ifName} of container ${attachment.containerId} was added to network ` +
      `"${network.name}" already; delete it there before it is added again`,
  )

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

/** DEL, with or without memory of the ADD; twice is once. */
export const del = async (task: Task, { cache, setting }: Place): Promise<Parsed<undefined>> => {
  const problem = problemOf('DEL', task)
  if (problem !== undefined) return problem
  const known = await cache.read(keyOf(task))
  // Who has no such file, or a damaged one, deletes without it (point 80).
  const cached = known.kind === 'failed' ? undefined : known.value
  const { result } = cached ?? {}
  const previous = result === undefined ? undefined : previousFor(task.network, result)
  const attachment = asAdded(task.attachment, cached)
  const requests = requestsFor({ ...task, attachment, previous }).toReversed()
  const outcome = await tellAll('DEL', requests, setting)
  if (outcome.kind === 'failed') return outcome
  const isAnothers = known.kind === 'failed' && known.code !== codes.decoding
  return isAnothers ? outcome : cache.remove(keyOf(task))
}

// Point 95: who gives no arguments means those of the ADD.
const asAdded = (given: Attachment, cached: Cached | undefined): Attachment => {
  const added = cached?.entry?.attachment
  if (added === undefined) return given
  const isBare = Object.keys(given.capabilityArgs).length === 0
  return {
    ...given,
    args: given.args.length === 0 ? added.args : given.args,
    capabilityArgs: isBare ? added.capabilityArgs : given.capabilityArgs,
  }
}

// prevResult on DEL came with 0.4.0, as CHECK did; one that cannot be converted is left out.
const previousFor = (network: Network, result: JsonObject): JsonObject | undefined => {
  if (!knows(network, 'CHECK')) return undefined
  const converted = inVersion(result, network.cniVersion)
  return converted.kind === 'failed' ? undefined : converted.value
}

/** CHECK of what is remembered. */
export const check = async (task: Task, { cache, setting }: Place): Promise<Parsed<undefined>> => {
  const { network } = task
  if (!knows(network, 'CHECK')) {
    const message = `network "${network.name}" is of CNI ${network.cniVersion}, which has no CHECK; it came with 0.4.0`
    return failed(codes.incompatibleVersion, message)
  }
  if (network.disableCheck) return parsed(undefined)
  const problem = problemOf('CHECK', task)
  if (problem !== undefined) return problem
  const known = await cache.read(keyOf(task))
  if (known.kind === 'failed') return known
  const { result } = known.value ?? {}
  if (result === undefined) return neverAdded(task)
  const previous = inVersion(result, network.cniVersion)
  if (previous.kind === 'failed') return named('the cached result cannot be used', previous)
  const attachment = asAdded(task.attachment, known.value)
  return tellAll('CHECK', requestsFor({ network, attachment, previous: previous.value }), setting)
}

const neverAdded = ({ network, attachment }: Task): Failure =>
  failed(
    codes.unknownContainer,
    `nothing is known of ${attachment.ifName} of container ${attachment.containerId} in network ` +
      `"${network.name}"; CHECK is for what was added and not deleted`,
  )

/** What a GC is about. */
export type Collection = {
  readonly network: Network
  readonly valid: readonly ValidAttachment[] | undefined
  /** What was remembered of the network when the caller asked. */
  readonly known: readonly CacheEntry[]
}

/** GC: everything is tried, and every failure is told at the end (points 10, 112, 119 to 121). */
export const gc = async (
  { network, valid, known }: Collection,
  place: Place,
): Promise<Parsed<undefined>> => {
  if (network.disableGc) return parsed(undefined)
  const entries = await place.cache.list()
  if (entries.kind === 'failed') return entries
  const ours = entries.value.filter(entry => entry.network === network.name)
  const isOld = ({ attachment }: CacheEntry): boolean => isAmong(attachment, known.map(attached))
  const stay = [...(valid ?? []), ...ours.filter(entry => !isOld(entry)).map(attached)]
  const failures: Failure[] = []
  for (const { attachment } of ours.filter(entry => !isAmong(entry.attachment, stay))) {
    const outcome = await del({ network, attachment }, place)
    if (outcome.kind === 'failed') failures.push(outcome)
  }
  if (knows(network, 'GC')) {
    const requests = requestsFor({ network, valid: valid === undefined ? undefined : stay })
    failures.push(...(await tellEach('GC', requests, place.setting)))
  }
  const [first, ...others] = failures
  if (first === undefined) return parsed(undefined)
  const message = [first, ...others].map(failure => failure.message).join('; ')
  return failed(first.code, message, first.details)
}

const attached = ({ attachment: { containerId, ifName } }: CacheEntry): ValidAttachment => ({
  containerId,
  ifName,
})

const isAmong = (
  { containerId, ifName }: ValidAttachment,
  list: readonly ValidAttachment[],
): boolean => list.some(other => containerId === other.containerId && ifName === other.ifName)
