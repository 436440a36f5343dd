// A Cloud whose provider runs in a process of its own, which lives only while there are calls: the
// SDK is most of the memory of a daemon, and hours pass in which it is not needed.

import { after, type Millis, millis } from '#core/names.ts'
import { type Clock, type Cloud, type Failure, failed, type Outcome } from '#core/ports.ts'
import type { Log } from '#runtime/log.ts'
import { type Call, Life, type StartProcess } from './life.ts'
import type { Arguments, Method } from './protocol.ts'

export type RemoteOptions = {
  readonly clock: Clock
  readonly log: Log
  readonly start: StartProcess
  /** Name of the provider, and what its cloud is made with: plain data. */
  readonly provider: string
  readonly options: unknown
  /** How long the process may be without a call before it is ended. */
  readonly idleMs: number
  /** Counts calls on the wire, by name and result. */
  readonly onCall: (name: string, result: string) => void
}

export interface RemoteCloud extends Cloud {
  /** Ends the process; calls under way fail. */
  close(): void
}

/** More are never under way: the core has one for each NIC and a few for the node. */
export const callsMax = 256

// The core waits before it repeats a call, but has many things to call about. A process that ends
// again and again without an answer is not started for each.
const restartBaseMs = 1_000
const restartMaxMs = 30_000

/** The cloud; nothing is started before the first call. */
export const remoteCloud = (options: RemoteOptions): RemoteCloud => {
  const remote = new Remote(options)
  const method =
    <Name extends Method>(name: Name) =>
    (...all: [...Arguments<Name>, AbortSignal]) => {
      const signal = all.at(-1) as AbortSignal
      const outcome = remote.call({ method: name, args: all.slice(0, -1), signal })
      return outcome as ReturnType<Cloud[Name]>
    }
  return {
    describeNode: method('describeNode'),
    observe: method('observe'),
    createNic: method('createNic'),
    attachNic: method('attachNic'),
    detachNic: method('detachNic'),
    deleteNic: method('deleteNic'),
    lendBlocks: method('lendBlocks'),
    returnBlocks: method('returnBlocks'),
    close: () => remote.close(),
  }
}

class Remote {
  readonly #options: RemoteOptions
  #life: Life | undefined
  #cancelIdle: () => void = () => undefined
  /** Processes that were lost since the last answer. */
  #losses = 0
  #startAt: Millis = millis(0)
  #lastReason = ''
  #isClosed = false

  constructor(options: RemoteOptions) {
    this.#options = options
  }

  async call(call: Call): Promise<Outcome<unknown>> {
    const refusal = this.#refusal(call)
    if (refusal !== undefined) return failed(refusedBy(refusal, call.method))
    this.#cancelIdle()
    this.#life ??= this.#begin()
    return this.#life.call(call)
  }

  close(): void {
    this.#isClosed = true
    this.#cancelIdle()
    this.#life?.kill()
    this.#life = undefined
  }

  #refusal({ signal }: Call): Refusal | undefined {
    const waitMs = this.#startAt - this.#options.clock.now()
    const retryAfterMs = undefined
    if (signal.aborted || this.#isClosed) {
      return { code: 'Aborted', message: 'aborted before it was sent', retryAfterMs }
    }
    if (this.#life === undefined && waitMs > 0) {
      const message = `${this.#lastReason}; it is started again in ${Math.ceil(waitMs / 1000)} s`
      return { code: 'CloudProcessEnded', message, retryAfterMs: waitMs }
    }
    if (this.#life !== undefined && !(this.#life.size < callsMax)) {
      const message = `${callsMax} calls are under way, which is the limit`
      return { code: 'TooManyCalls', message, retryAfterMs }
    }
    return undefined
  }

  #begin(): Life {
    const { clock, start, provider, options, onCall } = this.#options
    return new Life({
      clock,
      start,
      provider,
      options,
      onCalls: calls => calls.forEach(({ name, result }) => onCall(name, result)),
      onAnswer: () => void (this.#losses = 0),
      onQuiet: () => this.#waitForMore(),
      onLost: reason => this.#lost(reason),
    })
  }

  #waitForMore(): void {
    const { clock, idleMs } = this.#options
    this.#cancelIdle()
    this.#cancelIdle = clock.at(after(clock.now(), idleMs), () => this.#end())
  }

  #end(): void {
    this.#cancelIdle()
    this.#life?.end()
    this.#life = undefined
  }

  // The first loss costs nothing: whoever killed the process need not have meant us.
  #lost(reason: string): void {
    const { clock, log } = this.#options
    log.error('cloud process lost', { reason })
    this.#cancelIdle()
    this.#life = undefined
    this.#lastReason = reason
    this.#losses++
    if (this.#losses < 2) return
    const pauseMs = Math.min(restartBaseMs * 2 ** (this.#losses - 2), restartMaxMs)
    this.#startAt = after(clock.now(), pauseMs)
  }
}

type Refusal = Pick<Failure, 'code' | 'message' | 'retryAfterMs'>

// Nothing was sent, so nothing is in doubt.
const refusedBy = (refusal: Refusal, call: Method): Failure => ({
  ...refusal,
  kind: 'transient',
  ambiguous: false,
  call,
  message: `${call}: ${refusal.message}`,
})
