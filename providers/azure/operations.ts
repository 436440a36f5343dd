// One write and its end. Azure accepts a write at once and works on it for seconds; how it ended is
// asked on our own clock, because the Retry-After of its answers (ten seconds) is longer than most
// operations take (measured). What a failed operation says keeps its code.

import { CallFailed, afterEffect } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import type { Patience } from '../common/retry.ts'
import { call, patiently } from './calls.ts'
import type { Arm, ArmAnswer, ArmRequest, Json } from './client.ts'
import { ArmError, type ArmErrorBody, failureOf, ownFailure } from './failures.ts'

/** A write that was accepted and then failed: what it changed must be looked at. */
export class OperationFailed extends CallFailed {}

/** The code of a failure that only says: not yet. */
export const runningCode = 'StillRunning'

/** A question that breaks on the way is asked again: the operation does not mind. */
export const runningPatience: Patience = {
  isWorthwhile: failure => failure.code === runningCode || failure.kind === 'transient',
  retries: 200,
  firstMs: 50,
  longestMs: 1000,
  totalMs: 120_000,
}

/** A question is small; one that is lost must not hide an end that came long ago. */
const pollMs = 5000

/** Writes and waits for the end. Rejects with OperationFailed when the end is a failure. */
export const put = async (
  arm: Arm,
  { request, site }: { readonly request: ArmRequest; readonly site: Site },
  signal: AbortSignal,
): Promise<void> => {
  const accepted = await call(site, signal, () => arm.send(request, signal))
  const pending = pendingOf(accepted, request)
  if (pending.kind === 'ended') return conclude(site, pending.end)
  try {
    conclude(site, await ending(arm, { pending, site, request }, signal))
  } catch (error) {
    throw error instanceof OperationFailed ? error : afterEffect(error)
  }
}

type End = { readonly kind: 'succeeded' } | { readonly kind: 'failed'; readonly error: Error }
type Pending =
  | { readonly kind: 'ended'; readonly end: End }
  /** Where to ask, and what there tells the end. */
  | { readonly kind: 'operation' | 'location' | 'resource'; readonly path: string }

// In the order of Azure's "Track asynchronous operations".
const pendingOf = (answer: ArmAnswer, request: ArmRequest): Pending => {
  const { status, headers } = answer
  const operation = headers['azure-asyncoperation'] ?? headers['operation-location']
  if (operation !== undefined) return { kind: 'operation', path: operation }
  const { location } = headers
  if (status === 202 && location !== undefined) return { kind: 'location', path: location }
  const end = endOf(answer, 'resource')
  return end === undefined ? { kind: 'resource', path: request.path } : { kind: 'ended', end }
}

type Looking = {
  readonly pending: Exclude<Pending, { readonly kind: 'ended' }>
  readonly site: Site
  readonly request: ArmRequest
}

// An operation that is forgotten, or that this node may not read, has an end all the same: the
// resource shows it.
const ending = async (arm: Arm, given: Looking, signal: AbortSignal): Promise<End> => {
  const { pending, request, site } = given
  const wait = (at: Looking): Promise<End> =>
    patiently({ site, patience: runningPatience }, signal, () => look(arm, at, signal))
  try {
    return await wait(given)
  } catch (error) {
    const kind = error instanceof CallFailed ? error.failure.kind : undefined
    if (pending.kind === 'resource' || (kind !== 'notFound' && kind !== 'denied')) throw error
    return wait({ ...given, pending: { kind: 'resource', path: request.path } })
  }
}

const look = async (
  arm: Arm,
  { pending, site, request: { service } }: Looking,
  signal: AbortSignal,
): Promise<End> => {
  const reading = { call: 'Operations_Get', on: site.on, isRead: true }
  const request = {
    service,
    call: reading.call,
    method: 'GET',
    path: pending.path,
    withinMs: pollMs,
  } as const
  const answer = await call(reading, signal, () => arm.send(request, signal))
  const end = endOf(answer, pending.kind)
  if (end !== undefined) return end
  const text = 'Azure is still working on it'
  throw new CallFailed(ownFailure(site, { kind: 'transient', code: runningCode, text }))
}

// Undefined: not yet.
const endOf = (
  { status, body }: ArmAnswer,
  kind: 'operation' | 'location' | 'resource',
): End | undefined => {
  if (kind === 'location') return status === 202 ? undefined : { kind: 'succeeded' }
  const properties = body?.['properties'] as Json | undefined
  const said = kind === 'operation' ? body?.['status'] : properties?.['provisioningState']
  const silence = status === 202 ? 'accepted' : 'succeeded'
  const state = typeof said === 'string' ? said.toLowerCase() : silence
  if (state === 'succeeded') return { kind: 'succeeded' }
  if (!['failed', 'canceled', 'cancelled'].includes(state)) return undefined
  const error = body?.['error'] as ArmErrorBody | undefined
  const unnamed = { code: state === 'failed' ? 'OperationFailed' : 'Canceled', message: state }
  return { kind: 'failed', error: new ArmError(error ?? unnamed, {}) }
}

const conclude = (site: Site, end: End): void => {
  if (end.kind === 'failed') throw new OperationFailed(failureOf(site, end.error), end.error)
}
