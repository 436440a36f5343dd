// One life of the cloud process, from its start to its end, and the calls that are made in it.
// Every call is settled: by an answer, or by the end of the process.

import { type Clock, type Failure, failed, type Outcome } from '#core/ports.ts'
import { after } from '#core/names.ts'
import {
  type Answer,
  decodeAnswer,
  encode,
  isRead,
  messageBytesMax,
  type Method,
  protocolVersion,
  type WireCall,
} from './protocol.ts'

/** A process that has been started, and the way to it. */
export type Channel = {
  /** False when the bytes surely have not left. */
  send(bytes: Uint8Array): boolean
  /** Tells it to end by itself; one that does not is killed. */
  end(): void
  kill(): void
}

export type ChannelEvents = {
  onMessage(message: unknown): void
  /** Once, after the last message; one sentence without a full stop says how it ended. */
  onEnd(reason: string): void
}

/** Starts a process; that it could not be started is told as its end. No event comes at once. */
export type StartProcess = (events: ChannelEvents) => Channel

export type LifeParts = {
  readonly clock: Clock
  readonly start: StartProcess
  readonly provider: string
  readonly options: unknown
  readonly onCalls: (calls: readonly WireCall[]) => void
  /** A call was answered. */
  readonly onAnswer: () => void
  /** No call is under way any more. */
  readonly onQuiet: () => void
  /** It ended although nobody wanted it to. */
  readonly onLost: (reason: string) => void
}

export type Call = {
  readonly method: Method
  readonly args: readonly unknown[]
  readonly signal: AbortSignal
}

type PendingCall = {
  readonly method: Method
  readonly bytes: Uint8Array
  readonly resolve: (outcome: Outcome<unknown>) => void
  readonly reject: (error: Error) => void
  /** Once sent it may have taken effect. */
  isSent: boolean
  isAborted: boolean
  /** Timers and listeners that go with the call. */
  readonly cancels: (() => void)[]
}

/** Starting Node and reading an SDK takes a second on a slow machine. */
export const startMs = 30_000
/** No call of a provider lasts longer; a detach that waits for the guest is the longest. */
export const callMs = 300_000
/** A provider settles at once when told to; one that does not has lost its head. */
export const abortMs = 2_000
/** How often a process with calls under way is asked for a sign of life. */
export const pingMs = 5_000
/** One that leaves so many unanswered hangs: a full garbage collection takes less than one. */
export const pingsMax = 3

export class Life {
  readonly #parts: LifeParts
  readonly #calls = new Map<number, PendingCall>()
  readonly #channel: Channel
  readonly #cancelStart: () => void
  #phase: 'starting' | 'open' | 'over' = 'starting'
  #lastId = 0
  /** Sent since it said something. */
  #pings = 0
  #cancelPing: () => void = () => undefined

  constructor(parts: LifeParts) {
    this.#parts = parts
    this.#cancelStart = this.#after(startMs, () => {
      this.#lose(`the cloud process was not ready within ${startMs / 1000} s and was killed`)
    })
    this.#channel = parts.start({
      onMessage: message => this.#receive(decodeAnswer(message)),
      onEnd: reason => this.#lose(reason),
    })
    const { provider, options } = parts
    const bytes = encode({ kind: 'open', version: protocolVersion, provider, options })
    if (bytes !== undefined) this.#channel.send(bytes)
  }

  /** Calls under way. */
  get size(): number {
    return this.#calls.size
  }

  /** Makes one call; rejects only when the provider threw. */
  call({ method, args, signal }: Call): Promise<Outcome<unknown>> {
    const id = ++this.#lastId
    const bytes = encode({ kind: 'call', id, method, args })
    if (bytes === undefined) {
      if (this.#calls.size === 0) this.#parts.onQuiet()
      return Promise.resolve(failed(tooLong(method)))
    }
    return new Promise((resolve, reject) => {
      const call = { method, bytes, resolve, reject, isSent: false, isAborted: false, cancels: [] }
      this.#calls.set(id, call)
      this.#limit(id, call, signal)
      if (this.#phase === 'open') this.#send(call)
      if (this.#phase === 'open' && this.#calls.size === 1) this.#watch()
    })
  }

  /** Has the process end; calls under way are settled, and nothing is told any more. */
  end(): void {
    this.#close(endedByUs)
    this.#channel.end()
  }

  /** The same at once, for a daemon that ends and cannot see to it later. */
  kill(): void {
    this.#close(endedByUs)
    this.#channel.kill()
  }

  #limit(id: number, call: PendingCall, signal: AbortSignal): void {
    const abort = (): void => this.#abort(id, call)
    call.cancels.push(this.#after(callMs, abort))
    signal.addEventListener('abort', abort, { once: true })
    call.cancels.push(() => signal.removeEventListener('abort', abort))
  }

  #abort(id: number, call: PendingCall): void {
    if (call.isAborted) return
    call.isAborted = true
    if (!call.isSent) {
      return this.#settle(id, failed(failureOf(call, 'Aborted', 'aborted before it was sent')))
    }
    const bytes = encode({ kind: 'abort', id })
    if (bytes !== undefined) this.#channel.send(bytes)
    const tooLate = (): void =>
      this.#lose(
        `the cloud process was told to end ${call.method}, did not answer within ` +
          `${abortMs / 1000} s and was killed`,
      )
    call.cancels.push(this.#after(abortMs, tooLate))
  }

  // A process that is stopped or in an endless loop is noticed long before its calls run out of
  // time. Pings are counted, not seconds: a daemon that was stopped has heard nothing either.
  #watch(): void {
    this.#cancelPing()
    this.#pings = 0
    const look = (): void => {
      if (this.#pings >= pingsMax) {
        const seconds = (pingMs * pingsMax) / 1000
        return this.#lose(`the cloud process gave no sign of life for ${seconds} s and was killed`)
      }
      const bytes = encode({ kind: 'ping' })
      if (bytes !== undefined) this.#channel.send(bytes)
      this.#pings++
      this.#cancelPing = this.#after(pingMs, look)
    }
    this.#cancelPing = this.#after(pingMs, look)
  }

  #send(call: PendingCall): void {
    call.isSent = this.#channel.send(call.bytes)
  }

  #receive(answer: Answer | undefined): void {
    if (this.#phase === 'over') return
    this.#pings = 0
    switch (answer?.kind) {
      case 'pong':
        return
      case undefined:
        return this.#lose('the cloud process sent what is no answer and was killed')
      case 'opened':
        this.#phase = 'open'
        this.#cancelStart()
        this.#watch()
        return this.#calls.forEach(call => this.#send(call))
      case 'unusable':
        return this.#lose(answer.reason)
      case 'threw':
      case 'answer':
        return this.#answered(answer)
    }
  }

  #answered(answer: Answer & { readonly kind: 'threw' | 'answer' }): void {
    this.#parts.onCalls(answer.calls)
    this.#parts.onAnswer()
    if (answer.kind === 'answer') return this.#settle(answer.id, answer.outcome)
    const { id, name, message } = answer
    this.#settle(id, Object.assign(new Error(message), { name }))
  }

  #settle(id: number, result: Outcome<unknown> | Error): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    for (const cancel of call.cancels) cancel()
    if (result instanceof Error) call.reject(result)
    else call.resolve(result)
    if (this.#calls.size > 0) return
    this.#cancelPing()
    if (this.#phase !== 'over') this.#parts.onQuiet()
  }

  #lose(reason: string): void {
    if (this.#phase === 'over') return
    this.#close(reason)
    this.#channel.kill()
    this.#parts.onLost(reason)
  }

  #close(reason: string): void {
    this.#phase = 'over'
    this.#cancelStart()
    this.#cancelPing()
    for (const [id, call] of this.#calls) {
      this.#settle(id, failed(failureOf(call, 'CloudProcessEnded', reason)))
    }
  }

  #after(ms: number, run: () => void): () => void {
    const { clock } = this.#parts
    return clock.at(after(clock.now(), ms), run)
  }
}

const endedByUs = 'the cloud process was ended by the daemon'

const failureOf = (
  { method, isSent }: Pick<PendingCall, 'method' | 'isSent'>,
  code: string,
  message: string,
): Failure => ({
  kind: 'transient',
  ambiguous: isSent && !isRead(method),
  call: method,
  code,
  message: `${method}: ${message}`,
  retryAfterMs: undefined,
})

const tooLong = (method: Method): Failure =>
  failureOf({ method, isSent: false }, 'MessageTooLong', `more than ${messageBytesMax} bytes`)
