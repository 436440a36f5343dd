// How calls to ECS and VPC are made: the common manners over this cloud's table of failures.

import { createCalls } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import { failureOf, ownFailure } from './failures.ts'

export const { call, read, patiently, unsent } = createCalls({ failureOf, ownFailure })

/** The site of a call that changes something. */
export const mutation = (name: string, on: string): Site => ({ call: name, on, isRead: false })
