// What comes to a face over HTTP and what it gives back: a reply, or a way in which there is none.
import type { IncomingHttpHeaders } from 'node:http'

/** A call as it came. */
export interface WireCall {
  readonly method: string
  /** Path and query as sent. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Headers in the order in which they are written. */
export type Headers = Readonly<Record<string, string>>

/** Something to send. */
export interface Reply {
  readonly kind: 'answer'
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** An answer, or the ways in which there is none. */
export type Answer = Reply | { readonly kind: 'reset' } | { readonly kind: 'hang' }

/** Answers one call; throws only what is wrong in the emulator itself. */
export type Face = (call: WireCall) => Promise<Answer>

/** A face of three steps: what is known at once, the way to the answer, what an error answers. */
export const faceOf =
  <Call>(steps: {
    readonly begin: (call: WireCall) => Call
    readonly perform: (call: Call) => Promise<Answer>
    /** Throws what is no error of the cloud's. */
    readonly fail: (call: Call, error: unknown) => Answer
  }): Face =>
  async request => {
    const call = steps.begin(request)
    try {
      return await steps.perform(call)
    } catch (error) {
      return steps.fail(call, error)
    }
  }

/** The page of a proxy that stands between; `headers` are those that every reply has. */
export const htmlPage = (status: number, headers: Headers): Reply => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'text/html', ...headers },
  body: `<html><head><title>${status} Bad Gateway</title></head><body>${status}</body></html>`,
})

/** The first half of a reply, as a connection that breaks leaves it to careless readers. */
export const cutReply = (reply: Reply): Reply => ({
  ...reply,
  body: reply.body.slice(0, Math.floor(reply.body.length / 2)),
})
