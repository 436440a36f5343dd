// How calls to ECS and VPC are made: the common manners over this cloud's table of failures.

import type { Failure } from '#core/ports.ts'
import { createCalls } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import type { Patience } from '../common/retry.ts'
import { failureOf, ownFailure } from './failures.ts'

export const { call, read, patiently, unsent } = createCalls({ failureOf, ownFailure })

// ECS does one thing to a NIC at a time and refuses the next with certainty.
const isBusy = (failure: Failure): boolean => failure.code === 'Operation.Conflict'

const busyPatience: Patience = { isWorthwhile: isBusy, retries: 4, firstMs: 200, longestMs: 1600 }

/** One change, sent again only while ECS is still busy with another one of the same thing. */
export const mutate = <Value>(
  site: Site,
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> =>
  patiently({ site, patience: busyPatience }, signal, () => call(site, signal, work))

/** The site of a call that changes something. */
export const mutation = (name: string, on: string): Site => ({ call: name, on, isRead: false })
