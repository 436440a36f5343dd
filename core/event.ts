// Everything that can happen to the daemon, each with its time. Events carry facts, no decisions.

import type { Action } from './action.ts'
import type { Cidr } from './ip.ts'
import type { Millis, OperationId, ReplyId, SandboxKey } from './names.ts'
import type {
  CloudNic,
  CloudObservation,
  HostOutcome,
  HostReport,
  NodeFacts,
  Outcome,
} from './ports.ts'
import type { AddRequest, CoreConfig } from './state.ts'

export type Event = { readonly at: Millis } &
  /** The shell took up an action; what is under way is state. */
  (
    | { readonly kind: 'started'; readonly action: Action }
    /** A cloud call returned. `jitter` in [0, 1) spreads what is tried again. */
    | {
        readonly kind: 'finished'
        readonly id: OperationId
        readonly jitter: number
        readonly result: CloudResult
      }
    | {
        readonly kind: 'addRequested'
        readonly reply: ReplyId
        readonly request: AddRequest
        readonly deadline: Millis
      }
    /** The caller went away; nobody waits for the answer any more. */
    | { readonly kind: 'addAborted'; readonly reply: ReplyId }
    | {
        readonly kind: 'delRequested'
        readonly reply: ReplyId
        readonly key: SandboxKey
        readonly network: string
        /** When the runtime asked, if the daemon was away then: what is newer must survive. */
        readonly queuedAt: Millis | undefined
      }
    | { readonly kind: 'podWired'; readonly key: SandboxKey; readonly outcome: HostOutcome }
    | { readonly kind: 'podUnwired'; readonly key: SandboxKey; readonly outcome: HostOutcome }
    /** The background finished deleting a pod link, or found it gone. */
    | { readonly kind: 'linkDeleted'; readonly ifindex: number }
    | { readonly kind: 'hostReconciled'; readonly report: HostReport }
    | { readonly kind: 'configured'; readonly config: CoreConfig }
  )

export type CloudResult =
  | { readonly kind: 'nodeDescribed'; readonly outcome: Outcome<NodeFacts> }
  | { readonly kind: 'observed'; readonly outcome: Outcome<CloudObservation> }
  | { readonly kind: 'nicCreated'; readonly outcome: Outcome<CloudNic> }
  | { readonly kind: 'nicAttached'; readonly outcome: Outcome<CloudNic> }
  | { readonly kind: 'nicDetached'; readonly outcome: Outcome<void> }
  | { readonly kind: 'nicDeleted'; readonly outcome: Outcome<void> }
  | { readonly kind: 'blocksLent'; readonly outcome: Outcome<readonly Cidr[]> }
  | { readonly kind: 'blocksReturned'; readonly outcome: Outcome<readonly Cidr[]> }
