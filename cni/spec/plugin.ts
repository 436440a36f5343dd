// The skeleton of a plugin: from an invocation to exit code and stdout, with what a plugin means by
// each verb as functions. What most plugins get wrong is decided here once.

import {
  failureReply,
  readCall,
  versionReply,
  type Call,
  type CheckedCall,
  type Reply,
  type WorkingVerb,
} from './call.ts'
import { parseValidAttachments, type ValidAttachment } from './config.ts'
import { previousResult } from './decode.ts'
import { encodeResult } from './encode.ts'
import { codes, failed, parsed, type Parsed } from './failure.ts'
import type { Result } from './result.ts'
import type { Version } from './versions.ts'

/** A checked call, with the result of the plugins before; undefined when there are none. */
export type PluginCall = CheckedCall & { readonly previous: Result | undefined }

export type Answer<T> = Parsed<T> | Promise<Parsed<T>>

/**
 * What a plugin means by each verb. All are required: a plugin that leaves GC or STATUS out answers
 * success and leaks (X13). Exceptions become code 100, of STATUS code 50.
 */
export type Plugin = {
  /** Oldest first. Each is a promise to answer in that version's format (point 109). */
  readonly versions: readonly Version[]
  /** The whole result: `previous` plus what this plugin changed (points 60 and 144). */
  readonly add: (call: PluginCall) => Answer<Result>
  /** Succeeds when there is nothing left to delete; `previous` may be missing (points 73 to 75). */
  readonly del: (call: PluginCall) => Answer<undefined>
  /** Changes nothing (point 97). */
  readonly check: (call: PluginCall & { readonly previous: Result }) => Answer<undefined>
  /** Removes what this network owns and the list does not hold. Not called without a list. */
  readonly gc: (call: PluginCall, valid: readonly ValidAttachment[]) => Answer<undefined>
  /** Fails with `notAvailable` or `limitedConnectivity` when no ADD can succeed. */
  readonly status: (call: PluginCall) => Answer<undefined>
}

/** What a verb without an answer returns when it went well. */
export const done: Parsed<undefined> = parsed(undefined)

/** Answers one invocation; never rejects. */
export const answerCall = async (call: Call, plugin: Plugin): Promise<Reply> => {
  try {
    const outcome = await answer(call, plugin)
    if (outcome.kind === 'failed') return failureReply(outcome, call.stdin)
    return { exitCode: 0, stdout: outcome.value }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const command = call.environment['CNI_COMMAND']
    // A STATUS that cannot be found out is no readiness (point 101).
    const code = command === 'STATUS' ? codes.notAvailable : codes.internal
    return failureReply(failed(code, `${command} failed unexpectedly: ${reason}`), call.stdin)
  }
}

const answer = async (call: Call, plugin: Plugin): Promise<Parsed<string>> => {
  const read = readCall(call, plugin.versions)
  if (read.kind === 'failed') return read
  if (read.value.kind === 'version') return parsed(versionReply(call.stdin, plugin.versions))
  const previous = previousResult(read.value.config)
  const { command } = read.value
  // A DEL cleans what it can: it does not fail on a result it cannot read.
  if (previous.kind === 'failed' && command !== 'DEL') return previous
  const before = previous.kind === 'failed' ? undefined : previous.value
  return verbs[command]({ ...read.value, previous: before }, plugin)
}

type Verb = (call: PluginCall, plugin: Plugin) => Promise<Parsed<string>>

const add: Verb = async (call, plugin) => {
  const result = await plugin.add(call)
  if (result.kind === 'failed') return result
  const encoded = encodeResult(result.value, call.config.cniVersion)
  if (encoded.kind === 'parsed') return parsed(`${JSON.stringify(encoded.value)}\n`)
  // A failed ADD leaves nothing behind, whatever it failed on (point 67).
  await plugin.del({ ...call, command: 'DEL' })
  return encoded
}

const check: Verb = async (call, plugin) => {
  const { previous } = call
  if (previous !== undefined) return silent(await plugin.check({ ...call, previous }))
  return failed(
    codes.invalidConfig,
    'prevResult is missing in the network configuration; CHECK compares with the result of ADD',
  )
}

// Without a list nobody has said what is valid, so nothing may be collected (point 122).
const gc: Verb = async (call, plugin) => {
  const valid = parseValidAttachments(call.config.raw)
  if (valid.kind === 'failed') return valid
  return silent(valid.value === undefined ? done : await plugin.gc(call, valid.value))
}

const verbs: Readonly<Record<WorkingVerb, Verb>> = {
  ADD: add,
  DEL: async (call, plugin) => silent(await plugin.del(call)),
  CHECK: check,
  GC: gc,
  STATUS: async (call, plugin) => silent(await plugin.status(call)),
}

// Successful verbs other than ADD and VERSION print nothing (points 42 and 118).
const silent = (outcome: Parsed<undefined>): Parsed<string> =>
  outcome.kind === 'failed' ? outcome : parsed('')
