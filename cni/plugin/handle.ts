// One CNI invocation from its variables and stdin to exit code and stdout. Order of checks as every
// caller sees it: variables, stdin, JSON, name, command, version, then our own keys and the work.

import {
  answerVersion,
  parseConfig,
  parseHead,
  requireVersion,
  type ConfigHead,
} from '../spec/config.ts'
import { commands, isCommand, parseEnvironment, type Environment } from '../spec/environment.ts'
import { codes, errorObject, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { parseObject } from '../spec/json.ts'
import { isAtLeast, newestVersion, parseVersion, versions, type Version } from '../spec/versions.ts'
import type { Attachments } from './ports.ts'
import { parseSettings } from './settings.ts'
import { verbs, type Invocation, type WorkingVerb } from './verbs.ts'
import type { Call, Reply } from './wire.ts'

/** What is known about a call besides its text. */
export type Context = {
  /** Aborts when the caller has gone. */
  readonly signal?: AbortSignal
  /** When a call from pending-del/ was made, wall-clock milliseconds. */
  readonly queuedAtMs?: number
  /** Told about exceptions, which the caller only sees as code 100. */
  readonly report?: (fault: unknown) => void
}

/** Answers one call. Never rejects: exceptions of the daemon become code 100. */
export const handle = async (
  call: Call,
  attachments: Attachments,
  context: Context = {},
): Promise<Reply> => {
  try {
    const outcome = await answer(call, attachments, context)
    return outcome.kind === 'failed'
      ? failureReply(outcome, call.stdin)
      : { exitCode: 0, stdout: outcome.value }
  } catch (error) {
    context.report?.(error)
    const reason = error instanceof Error ? error.message : String(error)
    const command = call.environment['CNI_COMMAND'] ?? ''
    const message = `eniway failed unexpectedly during ${command}; see the log of its daemon`
    return failureReply(failed(codes.internal, message, reason), call.stdin)
  }
}

/** The error object on stdout and exit code 1. */
export const failureReply = (failure: Failure, stdin: string): Reply => ({
  exitCode: 1,
  stdout: `${JSON.stringify(errorObject(failure, answerVersion(stdin)))}\n`,
})

const answer = async (
  call: Call,
  attachments: Attachments,
  context: Context,
): Promise<Parsed<string>> => {
  const environment = parseEnvironment(call.environment)
  if (environment.kind === 'failed') return environment
  if (environment.value.command === 'VERSION') return parsed(versionReply(call.stdin))
  const invocation = readInvocation(call, environment.value)
  if (invocation.kind === 'failed') return invocation
  const { command } = invocation.value
  return verbs[command](
    { ...invocation.value, queuedAtMs: context.queuedAtMs },
    attachments,
    context.signal ?? neverAborted,
  )
}

const neverAborted = new AbortController().signal

const readInvocation = (call: Call, environment: Environment): Parsed<Invocation> => {
  const head = parseHead(call.stdin)
  if (head.kind === 'failed') return head
  const { command } = environment
  if (!isCommand(command) || command === 'VERSION') return unknownCommand(command)
  const version = versionFor(command, head.value)
  if (version.kind === 'failed') return version
  const config = parseConfig(head.value, version.value)
  if (config.kind === 'failed') return config
  const settings = parseSettings(head.value.raw)
  if (settings.kind === 'failed') return settings
  return parsed({
    command,
    environment,
    config: config.value,
    settings: settings.value,
    trace: {
      parent: call.environment['TRACEPARENT'] ?? '',
      state: call.environment['TRACESTATE'] ?? '',
      baggage: call.environment['BAGGAGE'] ?? '',
    },
    queuedAtMs: undefined,
  })
}

const unknownCommand = (command: string): Failure =>
  failed(
    codes.invalidEnvironment,
    `CNI_COMMAND "${command}" is not known; it must be one of ${commands.join(', ')}`,
  )

const introducedIn: Readonly<Record<WorkingVerb, Version>> = {
  ADD: '0.1.0',
  DEL: '0.1.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
}

const versionFor = (command: WorkingVerb, head: ConfigHead): Parsed<Version> => {
  const version = requireVersion(head.cniVersion, versions)
  if (version.kind === 'failed' || isAtLeast(version.value, introducedIn[command])) return version
  return failed(
    codes.incompatibleVersion,
    `cniVersion "${version.value}" of the configuration does not know ${command}, ` +
      `which exists from ${introducedIn[command]} on`,
    `config is "${version.value}", plugin supports ${JSON.stringify(versions)}`,
  )
}

// The version of the question is echoed when it can be read, whatever it is: the answer says what
// we support, so there is no reason to refuse.
const versionReply = (stdin: string): string => {
  const object = parseObject(stdin, 'stdin')
  const asked = object.kind === 'failed' ? undefined : object.value['cniVersion']
  const isReadable = typeof asked === 'string' && asked !== '' && parseVersion(asked) !== undefined
  const cniVersion = isReadable ? asked : newestVersion
  return `${JSON.stringify({ cniVersion, supportedVersions: versions })}\n`
}
