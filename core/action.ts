// Everything the daemon can want done. Each value is complete: whoever performs it needs no state.

import type { DelegatedIp } from './delegated.ts'
import type { Cidr } from './ip.ts'
import type { Millis, NicId, OperationId, PoolName, ReplyId, SandboxKey } from './names.ts'
import type { BlockRequest, NicRequest } from './ports.ts'
import type { AddRequest, Sandbox } from './state.ts'
import type { DelegatedWiring, HostWiring, PodWiring } from './wiring.ts'

/** Who a call is made for; a call may use the budget only down to its class's reserve. */
export type Priority = 'blocking' | 'prewarming' | 'returning' | 'sweeping'

/** A call to the cloud. `id` comes back with its result. */
export type CloudAction = { readonly id: OperationId; readonly priority: Priority } & (
  | { readonly kind: 'describeNode' }
  | { readonly kind: 'observeCloud' }
  | { readonly kind: 'createNic'; readonly pool: PoolName; readonly request: NicRequest }
  | { readonly kind: 'attachNic'; readonly nic: NicId; readonly deviceIndex: number }
  | { readonly kind: 'detachNic'; readonly nic: NicId }
  | { readonly kind: 'deleteNic'; readonly nic: NicId }
  | { readonly kind: 'lendBlocks'; readonly nic: NicId; readonly blocks: BlockRequest }
  | { readonly kind: 'returnBlocks'; readonly nic: NicId; readonly blocks: readonly Cidr[] }
)

export type HostAction =
  | { readonly kind: 'wirePod'; readonly sandbox: Sandbox; readonly wiring: PodWiring }
  | { readonly kind: 'unwirePod'; readonly key: SandboxKey; readonly wiring: PodWiring }
  /** The same for a pod whose link another plugin makes. */
  | { readonly kind: 'admitPod'; readonly sandbox: Sandbox; readonly wiring: DelegatedWiring }
  | { readonly kind: 'dismissPod'; readonly key: SandboxKey; readonly wiring: DelegatedWiring }
  | { readonly kind: 'reconcileHost'; readonly wiring: HostWiring }

export type Action =
  | CloudAction
  | HostAction
  | { readonly kind: 'reply'; readonly to: ReplyId; readonly answer: Answer }

/** A call under way, and when it was sent. */
export type Operation = { readonly action: CloudAction; readonly startedAt: Millis }

export type Answer =
  | { readonly kind: 'added'; readonly sandbox: Sandbox; readonly wiring: PodWiring }
  | {
      readonly kind: 'delegated'
      readonly sandbox: Sandbox
      readonly ips: readonly DelegatedIp[]
    }
  | { readonly kind: 'addFailed'; readonly request: AddRequest; readonly reason: Reason }
  | { readonly kind: 'deleted' }

/** Why an ADD got no address: a word for metrics and one sentence for the user. */
export type Reason = {
  readonly code:
    | 'Exhausted'
    | 'NicLimit'
    | 'Throttled'
    | 'Denied'
    | 'CloudUnreachable'
    | 'WaitingForNic'
    | 'WaitingForCloud'
    | 'Cooling'
    | 'PoolMaximum'
    | 'UnknownPool'
    | 'Unservable'
    | 'Canceled'
    | 'HostNotReady'
    | 'HostFailed'
  readonly message: string
  /** True when the same ADD can succeed later without anybody changing anything. */
  readonly isTemporary: boolean
}
