// This provider's ways of calling: the common manners with Azure's table of failures.

import { createCalls } from '../common/calls.ts'
import { failureOf, ownFailure } from './failures.ts'

export const { call, read, patiently, unsent } = createCalls({ failureOf, ownFailure })
