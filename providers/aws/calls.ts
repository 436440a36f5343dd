// How this provider calls EC2: the manners all providers share, with EC2's table of failures.

import { createCalls } from '../common/calls.ts'
import { failureOf, ownFailure } from './failures.ts'

export const { call, patiently, read, unsent } = createCalls({ failureOf, ownFailure })
