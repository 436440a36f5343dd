// IMDSv2: what the instance knows about itself. A hint that lags EC2 by seconds, used for identity
// and the VPC's prefixes only. Version 1 is never used: every request carries a token.

import { request } from 'node:http'
import { CallFailed, call } from './calls.ts'
import { type Site, ownFailure } from './failures.ts'
import { type Patience, patiently } from './retry.ts'

export interface Metadata {
  /** The text at a path below /latest/meta-data/; waits a bounded time while it is late. */
  need(path: string, signal: AbortSignal): Promise<string>
  /** Lines at a path; empty when the path does not exist, as a missing list has no path. */
  list(path: string, signal: AbortSignal): Promise<readonly string[]>
}

/** A day is no better than six hours: a token dies with the instance's metadata state anyway. */
const tokenSeconds = 21_600
const requestMs = 2000
const answerBytesMax = 65_536

// Metadata can trail a boot or an attach; 18 s were seen (Amazon ECS agent).
const latePatience: Patience = {
  isWorthwhile: failure => failure.kind === 'transient' || failure.kind === 'notFound',
  retries: 10,
  firstMs: 100,
  longestMs: 3000,
  totalMs: 20_000,
}

const listPatience: Patience = {
  ...latePatience,
  isWorthwhile: failure => failure.kind === 'transient',
}

/** The endpoint is undefined when metadata is switched off by the SDK's environment. */
export const createMetadata = (endpoint: string | undefined): Metadata => {
  let token: Promise<string> | undefined

  const get = async (path: string, signal: AbortSignal): Promise<Answer> => {
    const headers = { 'x-aws-ec2-metadata-token': await currentToken(signal) }
    return ask(
      { base: baseOf(endpoint), method: 'GET', path: `meta-data/${path}`, headers },
      signal,
    )
  }

  // Shared by concurrent requests; a token that could not be had is not remembered.
  const currentToken = (signal: AbortSignal): Promise<string> => {
    token ??= fetchToken(baseOf(endpoint), signal).catch((error: unknown) => {
      token = undefined
      throw error
    })
    return token
  }

  const getRenewing = async (path: string, signal: AbortSignal): Promise<Answer> => {
    const answer = await get(path, signal)
    if (answer.status !== 401) return answer
    token = undefined
    return get(path, signal)
  }

  return {
    need: (path, signal) =>
      patiently({ site: siteOf(path), patience: latePatience }, signal, async () => {
        const answer = await getRenewing(path, signal)
        return textOf(siteOf(path), answer).trim()
      }),
    list: (path, signal) =>
      patiently({ site: siteOf(path), patience: listPatience }, signal, async () => {
        const answer = await getRenewing(path, signal)
        return answer.status === 404 ? [] : linesOf(textOf(siteOf(path), answer))
      }),
  }
}

type Answer = { readonly status: number; readonly text: string }
type Question = {
  readonly base: string
  readonly method: 'GET' | 'PUT'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

const linesOf = (text: string): readonly string[] =>
  text.split('\n').flatMap(line => (line.trim() === '' ? [] : [line.trim()]))

const siteOf = (path: string): Site => ({
  call: `metadata ${path}`,
  on: 'the instance metadata service',
  isRead: true,
})

const baseOf = (endpoint: string | undefined): string => {
  if (endpoint !== undefined) return endpoint
  const text = 'switched off by AWS_EC2_METADATA_DISABLED'
  throw new CallFailed(ownFailure(siteOf(''), { kind: 'denied', code: 'MetadataForbidden', text }))
}

const fetchToken = async (base: string, signal: AbortSignal): Promise<string> => {
  const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) }
  const answer = await ask({ base, method: 'PUT', path: 'api/token', headers }, signal)
  return textOf(siteOf('api/token'), answer)
}

const textOf = (site: Site, { status, text }: Answer): string => {
  if (status === 200) return text
  throw new CallFailed(ownFailure(site, { ...meaningOf(status), text: `status ${status}` }))
}

const meaningOf = (status: number) => {
  if (status === 404) return { kind: 'notFound', code: 'MetadataMissing' } as const
  if (status === 403) return { kind: 'denied', code: 'MetadataForbidden' } as const
  return { kind: 'transient', code: `HTTP ${status}` } as const
}

const ask = (question: Question, signal: AbortSignal): Promise<Answer> =>
  call(siteOf(question.path), signal, () => exchange(question, signal))

// A time-out for the whole exchange: a service behind too small a hop limit never answers, and one
// that trickles must not hold us either.
const exchange = (
  { base, method, path, headers }: Question,
  signal: AbortSignal,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const url = new URL(`/latest/${path}`, base)
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
