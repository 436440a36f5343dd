// One bounded HTTP exchange with an instance metadata service. No proxy, no redirects, no retries.

import { request } from 'node:http'

/** What came back, whatever the status. */
export type Answer = { readonly status: number; readonly text: string }

export type Question = {
  /** `http://169.254.169.254` */
  readonly base: string
  readonly method: 'GET' | 'PUT'
  /** With a leading slash. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

const requestMs = 2000
const answerBytesMax = 262_144

/**
 * Rejects with ETIMEDOUT when the whole exchange takes too long: a service behind too small a hop
 * limit never answers, and one that trickles must not hold us either.
 */
export const exchange = (
  { base, method, path, headers }: Question,
  signal: AbortSignal,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const url = new URL(path, base)
    const limit = AbortSignal.any([signal, AbortSignal.timeout(requestMs)])
    const asking = request(url, { method, headers, signal: limit }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > answerBytesMax) response.destroy(new Error('the answer is too long'))
      })
      response.once('error', fail)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    const fail = (error: Error): void =>
      reject(limit.aborted && !signal.aborted ? timedOut(error) : error)
    asking.once('error', fail)
    asking.end()
  })

const timedOut = (cause: Error): Error =>
  Object.assign(new Error(`no answer within ${requestMs} ms`, { cause }), { code: 'ETIMEDOUT' })
