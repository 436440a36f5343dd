// IMDSv2: what the instance knows about itself. A hint that lags EC2 by seconds, used for identity
// and the VPC's prefixes only. Version 1 is never used: every request carries a token.

import { CallFailed } from '../common/calls.ts'
import { type Answer, type Question, exchange } from '../common/exchange.ts'
import type { Site } from '../common/failures.ts'
import type { Patience } from '../common/retry.ts'
import { call, patiently } from './calls.ts'
import { ownFailure } from './failures.ts'

export interface Metadata {
  /** The text at a path below /latest/meta-data/; waits a bounded time while it is late. */
  need(path: string, signal: AbortSignal): Promise<string>
  /** Lines at a path; empty when the path does not exist, as a missing list has no path. */
  list(path: string, signal: AbortSignal): Promise<readonly string[]>
}

/** A day is no better than six hours: a token dies with the instance's metadata state anyway. */
const tokenSeconds = 21_600

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
  call(siteOf(question.path), signal, () =>
    exchange({ ...question, path: `/latest/${question.path}` }, signal),
  )
