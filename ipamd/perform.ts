// Turns the core's actions into calls of the ports and their results into events. It decides
// nothing; the simulation uses it unchanged.

import type { Action, Answer, CloudAction } from '#core/action.ts'
import type { CloudResult, Event } from '#core/event.ts'
import type { ReplyId } from '#core/names.ts'
import {
  type Clock,
  type Cloud,
  type Failure,
  failed,
  type Host,
  type Random,
} from '#core/ports.ts'

export type PerformerParts = {
  readonly cloud: Cloud
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly answer: (to: ReplyId, answer: Answer) => void
  readonly post: (event: Event) => void
  /** Ends calls under way when the process stops. */
  readonly signal: AbortSignal
  /** Tells logs and metrics what a cloud call came to. */
  readonly onCall?: (call: CallReport) => void
}

export type CallReport = {
  readonly action: CloudAction
  readonly failure: Failure | undefined
  readonly milliseconds: number
}

/** Returns the function that begins one action; it never throws for operating errors. */
export const createPerformer =
  (parts: PerformerParts) =>
  (action: Action): void => {
    const at = parts.clock.now()
    switch (action.kind) {
      case 'reply':
        return parts.answer(action.to, action.answer)
      case 'wirePod': {
        const outcome = parts.host.wirePod(action.wiring)
        return parts.post({ kind: 'podWired', key: action.sandbox.key, outcome, at })
      }
      case 'unwirePod': {
        const outcome = parts.host.unwirePod(action.wiring)
        return parts.post({ kind: 'podUnwired', key: action.key, outcome, at })
      }
      case 'admitPod': {
        const outcome = parts.host.admitPod(action.wiring)
        return parts.post({ kind: 'podWired', key: action.sandbox.key, outcome, at })
      }
      case 'dismissPod': {
        const outcome = parts.host.dismissPod(action.wiring)
        return parts.post({ kind: 'podUnwired', key: action.key, outcome, at })
      }
      case 'reconcileHost':
        return parts.post({
          kind: 'hostReconciled',
          report: parts.host.reconcile(action.wiring),
          at,
        })
      case 'describeNode':
      case 'observeCloud':
      case 'createNic':
      case 'attachNic':
      case 'detachNic':
      case 'deleteNic':
      case 'lendBlocks':
      case 'returnBlocks':
        return void finish(parts, action)
    }
  }

const finish = async (parts: PerformerParts, action: CloudAction): Promise<void> => {
  const startedAt = parts.clock.now()
  const result = await call(parts, action).catch((error: unknown) => crashed(action, error))
  const at = parts.clock.now()
  const failure = result.outcome.kind === 'failed' ? result.outcome.failure : undefined
  parts.onCall?.({ action, failure, milliseconds: at - startedAt })
  parts.post({ kind: 'finished', id: action.id, jitter: parts.random.fraction(), result, at })
}

const call = async (parts: PerformerParts, action: CloudAction): Promise<CloudResult> => {
  const { cloud, signal } = parts
  switch (action.kind) {
    case 'describeNode':
      return { kind: 'nodeDescribed', outcome: await cloud.describeNode(signal) }
    case 'observeCloud':
      return { kind: 'observed', outcome: await cloud.observe(signal) }
    case 'createNic':
      return { kind: 'nicCreated', outcome: await cloud.createNic(action.request, signal) }
    case 'attachNic':
      return { kind: 'nicAttached', outcome: await cloud.attachNic(action, signal) }
    case 'detachNic':
      return { kind: 'nicDetached', outcome: await cloud.detachNic(action.nic, signal) }
    case 'deleteNic':
      return { kind: 'nicDeleted', outcome: await cloud.deleteNic(action.nic, signal) }
    case 'lendBlocks':
      return { kind: 'blocksLent', outcome: await cloud.lendBlocks(action, signal) }
    case 'returnBlocks':
      return { kind: 'blocksReturned', outcome: await cloud.returnBlocks(action, signal) }
  }
}

// A provider that throws has a bug, but a node without addresses helps nobody: it is treated as an
// ambiguous transient failure, which the core meets by observing.
const crashed = (action: CloudAction, error: unknown): CloudResult => {
  const outcome = failed({
    kind: 'transient',
    ambiguous: true,
    call: action.kind,
    code: error instanceof Error ? error.name : 'Unknown',
    message: error instanceof Error ? error.message : String(error),
    retryAfterMs: undefined,
  })
  return { kind: resultKinds[action.kind], outcome }
}

const resultKinds = {
  describeNode: 'nodeDescribed',
  observeCloud: 'observed',
  createNic: 'nicCreated',
  attachNic: 'nicAttached',
  detachNic: 'nicDetached',
  deleteNic: 'nicDeleted',
  lendBlocks: 'blocksLent',
  returnBlocks: 'blocksReturned',
} as const satisfies { [Kind in CloudAction['kind']]: CloudResult['kind'] }
