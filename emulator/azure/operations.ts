// Asynchronous operations: begun by a write, asked for by polling, ended some seconds later with
// success or with an error that only polling shows.
import { delay, later } from '#emulator/model/world.ts'
import { type Action, type Context, type Reply, replyOf } from './action.ts'
import type { Arm, ArmOperation } from './arm.ts'
import { ArmError, lockedByAnother } from './errors.ts'
import { formatGuid } from './guid.ts'
import type { JsonObject } from './json.ts'

/** What Azure asks pollers to wait; traces of NIC updates always show it. */
export const retryAfterSeconds = 10

/** Operations that are remembered; the oldest is forgotten first. */
const operationsMax = 10_000

/** What to do when an operation ends. */
export interface OperationWork {
  readonly provider: ArmOperation['provider']
  /** ARM ids that nobody else may change meanwhile. */
  readonly locks: readonly string[]
  /** Undefined: it succeeds. */
  readonly failure: ArmOperation['error']
  readonly succeed: () => void
  readonly fail: () => void
}

/** Begins an operation; without latency it has ended when this returns. */
export const beginOperation = (arm: Arm, work: OperationWork): ArmOperation => {
  const operation: ArmOperation = {
    id: formatGuid(arm.world.chance.hex('operation', 32)),
    provider: work.provider,
    startedAt: arm.world.clock.now(),
    locks: work.locks.map(id => id.toLowerCase()),
    state: 'InProgress',
    endedAt: undefined,
    error: undefined,
  }
  arm.operations.set(operation.id, operation)
  arm.running.add(operation)
  const oldest = arm.operations.keys().next().value
  if (arm.operations.size > operationsMax && oldest !== undefined) arm.operations.delete(oldest)
  later(arm.world, delay(arm.world, 'attachingMs'), () => {
    if (work.failure === undefined) work.succeed()
    else work.fail()
    operation.state = work.failure === undefined ? 'Succeeded' : 'Failed'
    operation.error = work.failure
    operation.endedAt = arm.world.clock.now()
    arm.running.delete(operation)
  })
  return operation
}

/**
 * Refuses a write while another one runs. The network provider says so as a retryable error, the
 * compute provider as a conflict.
 */
export const refuseWhileBusy = (arm: Arm, id: string, provider: string): void => {
  const running = runningOn(arm, id)
  if (running === undefined) return
  if (provider === running.provider && provider === 'Microsoft.Network') {
    throw lockedByAnother(id, retryAfterSeconds)
  }
  throw new ArmError(
    'AnotherOperationInProgress',
    'Another operation on this or dependent resource is in progress. To retrieve status of the ' +
      `operation use uri: https://management.azure.com${pathOf(arm, running)}.`,
  )
}

/** The operation that holds a resource. */
export const runningOn = (arm: Arm, id: string): ArmOperation | undefined =>
  [...arm.running].find(({ locks }) => locks.includes(id.toLowerCase()))

/** Headers by which a client follows an operation. */
export const operationHeaders = (
  { arm, origin, query }: Pick<Context, 'arm' | 'origin' | 'query'>,
  operation: ArmOperation,
): Readonly<Record<string, string>> => {
  const version = query.get('api-version') ?? ''
  return {
    'azure-asyncoperation': `${origin}${pathOf(arm, operation)}?api-version=${version}`,
    'retry-after': String(retryAfterSeconds),
  }
}

const pathOf = (arm: Arm, operation: ArmOperation): string =>
  `/subscriptions/${arm.subscriptionId}/providers/${operation.provider}` +
  `/locations/${arm.location}/operations/${operation.id}`

/** GET of an operation's URL. */
export const readOperation: Action = {
  name: 'operations/read',
  kind: 'describe',
  work: ({ arm, names }): Reply => {
    const operation = arm.operations.get(names.at(-1) ?? '')
    if (operation === undefined) {
      throw new ArmError(
        'OperationNotFound',
        `The operation ${names.at(-1)} was not found in location ${names[0]}.`,
      )
    }
    const body = operation.provider === 'Microsoft.Network' ? shortBody : longBody
    const isRunning = operation.state === 'InProgress'
    const headers = isRunning ? { 'retry-after': String(retryAfterSeconds) } : {}
    return replyOf(200, body(operation), headers)
  },
}

const shortBody = ({ state, error }: ArmOperation): JsonObject => ({
  status: state,
  error: error && { code: error.code, message: error.message, details: [] },
})

const longBody = (operation: ArmOperation): JsonObject => ({
  startTime: isoTime(operation.startedAt),
  endTime: operation.endedAt === undefined ? undefined : isoTime(operation.endedAt),
  status: operation.state,
  name: operation.id,
  error: operation.error && { code: operation.error.code, message: operation.error.message },
})

/** ARM's time format. */
export const isoTime = (ms: number): string => new Date(ms).toISOString()
