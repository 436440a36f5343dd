// The metadata service: what the instance knows about itself. A hint that lags ECS by seconds, used
// for identity, gateways and role credentials. Only its hardened mode is used: every request
// carries a token.

import { CallFailed } from '../common/calls.ts'
import { type Answer, exchange } from '../common/exchange.ts'
import type { Site } from '../common/failures.ts'
import type { Patience } from '../common/retry.ts'
import { call, patiently } from './calls.ts'
import { ownFailure } from './failures.ts'

export interface Metadata {
  /** The text at a path below /latest/meta-data/; waits a bounded time while it is late. */
  need(path: string, signal: AbortSignal): Promise<string>
  /** The text at a path, asked for once; undefined whatever the reason that there is none. */
  glance(path: string, signal: AbortSignal): Promise<string | undefined>
  /** Entries at a path; empty when the path does not exist, as a missing list has no path. */
  list(path: string, signal: AbortSignal): Promise<readonly string[]>
}

/** The longest the service grants. */
const tokenSeconds = 21_600

// Metadata can trail a boot or an attach by seconds.
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

/** Nothing is sent before the first question. */
export const createMetadata = (base: string): Metadata => {
  let token: Promise<string> | undefined

  // Shared by concurrent requests; a token that could not be had is not remembered.
  const currentToken = (signal: AbortSignal): Promise<string> => {
    token ??= fetchToken(base, signal).catch((error: unknown) => {
      token = undefined
      throw error
    })
    return token
  }

  const get = async (path: string, signal: AbortSignal): Promise<Answer> => {
    const headers = { 'x-aliyun-ecs-metadata-token': await currentToken(signal) }
    const question = { base, method: 'GET', path: `/latest/meta-data/${path}`, headers } as const
    return call(siteOf(path), signal, () => exchange(question, signal))
  }

  const getRenewing = async (path: string, signal: AbortSignal): Promise<Answer> => {
    const answer = await get(path, signal)
    if (answer.status !== 401) return answer
    token = undefined
    return get(path, signal)
  }

  return {
    glance: async (path, signal) => {
      try {
        return textOf(siteOf(path), await getRenewing(path, signal)).trim()
      } catch (error) {
        if (error instanceof CallFailed) return undefined
        throw error
      }
    },
    need: (path, signal) =>
      patiently({ site: siteOf(path), patience: latePatience }, signal, async () =>
        textOf(siteOf(path), await getRenewing(path, signal)).trim(),
      ),
    list: (path, signal) =>
      patiently({ site: siteOf(path), patience: listPatience }, signal, async () => {
        const answer = await getRenewing(path, signal)
        return answer.status === 404 ? [] : entriesOf(textOf(siteOf(path), answer))
      }),
  }
}

// Lists come as JSON, as `[a,b]` without quotes, or one a line.
const entriesOf = (text: string): readonly string[] =>
  text.split(/[\s,[\]"]+/).filter(entry => entry !== '')

const siteOf = (path: string): Site => ({
  call: `metadata ${path}`,
  on: 'the instance metadata service',
  isRead: true,
})

const fetchToken = async (base: string, signal: AbortSignal): Promise<string> => {
  const site = siteOf('api/token')
  const headers = { 'x-aliyun-ecs-metadata-token-ttl-seconds': String(tokenSeconds) }
  const question = { base, method: 'PUT', path: '/latest/api/token', headers } as const
  return textOf(site, await call(site, signal, () => exchange(question, signal))).trim()
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
