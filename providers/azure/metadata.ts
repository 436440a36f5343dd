// Azure's instance metadata: what a machine knows about itself. Asked once, for identity alone.

import { exchange } from '../common/exchange.ts'
import { type OwnFailure, MalformedError, type Site } from '../common/failures.ts'
import { CallFailed } from '../common/calls.ts'
import type { Patience } from '../common/retry.ts'
import { call, patiently } from './calls.ts'
import { ownFailure } from './failures.ts'

/** The part of `/metadata/instance/compute` that is read. */
export type ComputeMetadata = {
  readonly azEnvironment?: string
  readonly location?: string
  readonly name?: string
  readonly resourceGroupName?: string
  readonly resourceId?: string
  readonly subscriptionId?: string
  readonly tagsList?: readonly { readonly name?: string; readonly value?: string }[]
  readonly vmScaleSetName?: string
  readonly vmSize?: string
  readonly zone?: string
}

const path = '/metadata/instance/compute?api-version=2021-02-01&format=json'
const site: Site = {
  call: 'metadata instance/compute',
  on: 'the instance metadata service',
  isRead: true,
}

// The service may be late after a boot, and answers 410 and 429 when it is not ready or asked too
// often (instance metadata, "Rate limiting").
const latePatience: Patience = {
  isWorthwhile: failure => failure.kind === 'transient' || failure.kind === 'notFound',
  retries: 10,
  firstMs: 100,
  longestMs: 3000,
  totalMs: 20_000,
}

/** Waits a bounded time while the service is late. */
export const computeMetadata = (endpoint: string, signal: AbortSignal): Promise<ComputeMetadata> =>
  patiently({ site, patience: latePatience }, signal, () =>
    call(site, signal, async () => {
      const headers = { metadata: 'true' }
      const answer = await exchange({ base: endpoint, method: 'GET', path, headers }, signal)
      if (answer.status !== 200) throw new CallFailed(ownFailure(site, meaningOf(answer.status)))
      return parsed(answer.text)
    }),
  )

const parsed = (text: string): ComputeMetadata => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below, in the words of a user.
  }
  throw new MalformedError('the metadata service answered without a JSON object')
}

const meaningOf = (status: number): OwnFailure => {
  const text = `status ${status}`
  if (status === 404) return { kind: 'notFound', code: 'MetadataMissing', text }
  if (status === 410 || status === 429 || status >= 500) {
    return { kind: 'transient', code: `HTTP ${status}`, text }
  }
  return { kind: 'denied', code: 'MetadataForbidden', text }
}
