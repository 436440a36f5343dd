// One CNI invocation from its variables and stdin to exit code and stdout: the checks of
// spec/call.ts, then our own keys, then the work.

import { failureReply, readCall, versionReply, type CheckedCall, type Reply } from '../spec/call.ts'
import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import { versions } from '../spec/versions.ts'
import type { Attachments } from './ports.ts'
import { parseSettings } from './settings.ts'
import { verbs, type Invocation } from './verbs.ts'
import type { Call } from './wire.ts'

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

const answer = async (
  call: Call,
  attachments: Attachments,
  context: Context,
): Promise<Parsed<string>> => {
  const read = readCall(call, versions)
  if (read.kind === 'failed') return read
  if (read.value.kind === 'version') return parsed(versionReply(call.stdin, versions))
  const invocation = readInvocation(call, read.value)
  if (invocation.kind === 'failed') return invocation
  return verbs[invocation.value.command](
    { ...invocation.value, queuedAtMs: context.queuedAtMs },
    attachments,
    context.signal ?? neverAborted,
  )
}

const neverAborted = new AbortController().signal

const readInvocation = (call: Call, checked: CheckedCall): Parsed<Invocation> => {
  const { command, environment, config } = checked
  const settings = parseSettings(config.raw)
  if (settings.kind === 'failed') return settings
  return parsed({
    command,
    environment,
    config,
    settings: settings.value,
    trace: {
      parent: call.environment['TRACEPARENT'] ?? '',
      state: call.environment['TRACESTATE'] ?? '',
      baggage: call.environment['BAGGAGE'] ?? '',
    },
    queuedAtMs: undefined,
  })
}
