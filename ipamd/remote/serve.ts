// The other end of the remote cloud: makes the provider's cloud when told with what, and answers
// calls one by one. It knows no process; program.ts is one.

import { type Cloud, type Failure, failed, type Outcome } from '#core/ports.ts'
import {
  type Answer,
  decodeQuestion,
  encode,
  isRead,
  messageBytesMax,
  type Method,
  protocolVersion,
  type Question,
  type WireCall,
} from './protocol.ts'

/** Makes the cloud of a provider; rejects with an error whose message is for the user. */
export type MakeCloud = (making: {
  readonly provider: string
  readonly options: unknown
  readonly onCall: (name: string, result: string) => void
}) => Promise<Cloud>

export type ServeParts = {
  readonly makeCloud: MakeCloud
  readonly send: (bytes: Uint8Array) => void
  /** A provider threw: told with the stack, which the answer does not carry. */
  readonly report: (error: unknown) => void
  /** The last message was sent; the process should end. */
  readonly onUnusable: () => void
}

type Server = ServeParts & {
  cloud: Cloud | undefined
  readonly aborts: Map<number, AbortController>
  wireCalls: WireCall[]
}

/** Returns what takes every message that comes in. */
export const serve = (parts: ServeParts): ((message: unknown) => void) => {
  const server: Server = { ...parts, cloud: undefined, aborts: new Map(), wireCalls: [] }
  return message => {
    const question = decodeQuestion(message)
    switch (question?.kind) {
      case undefined:
        return unusable(server, 'the cloud process was sent what is no question')
      case 'open':
        return void open(server, question)
      case 'call':
        return void call(server, question)
      case 'abort':
        return server.aborts.get(question.id)?.abort()
      case 'ping':
        return void say(server, { kind: 'pong' })
    }
  }
}

const open = async (
  server: Server,
  { version, provider, options }: Question & { readonly kind: 'open' },
): Promise<void> => {
  if (version !== protocolVersion) {
    return unusable(
      server,
      `the cloud process speaks version ${protocolVersion} and the daemon version ${version}; ` +
        'restart the daemon, its files were replaced',
    )
  }
  const onCall = (name: string, result: string): void =>
    void server.wireCalls.push({ name, result })
  try {
    server.cloud = await server.makeCloud({ provider, options, onCall })
    say(server, { kind: 'opened' })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    unusable(server, `the cloud process cannot load the provider ${provider}: ${why}`)
  }
}

const call = async (
  server: Server,
  { id, method, args }: Question & { readonly kind: 'call' },
): Promise<void> => {
  const abort = new AbortController()
  server.aborts.set(id, abort)
  const answer = await answerOf(server, { method, args, signal: abort.signal })
  server.aborts.delete(id)
  const calls = server.wireCalls.splice(0)
  if (!say(server, { ...answer, id, calls })) {
    say(server, { kind: 'answer', id, calls, outcome: failed(tooLong(method)) })
  }
}

type Work = {
  readonly method: Method
  readonly args: readonly unknown[]
  readonly signal: AbortSignal
}

const answerOf = async ({ cloud, report }: Server, { method, args, signal }: Work) => {
  try {
    if (cloud === undefined) throw new Error('called before it was opened')
    const run = cloud[method] as (...all: readonly unknown[]) => Promise<Outcome<unknown>>
    return { kind: 'answer', outcome: await run.call(cloud, ...args, signal) } as const
  } catch (error) {
    report(error)
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    return { kind: 'threw', name, message } as const
  }
}

const tooLong = (method: Method): Failure => ({
  kind: 'transient',
  ambiguous: !isRead(method),
  call: method,
  code: 'MessageTooLong',
  message: `${method}: the answer has more than ${messageBytesMax} bytes`,
  retryAfterMs: undefined,
})

const unusable = (server: Server, reason: string): void => {
  say(server, { kind: 'unusable', reason })
  server.onUnusable()
}

// False when it was too long.
const say = ({ send }: Server, answer: Answer): boolean => {
  const bytes = encode(answer)
  if (bytes !== undefined) send(bytes)
  return bytes !== undefined
}
