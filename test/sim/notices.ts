// What happened in the simulated world, as the checkers hear of it. Notices carry outside facts
// only: requests, answers, calls, kernel and cloud changes, never the daemon's own opinion.

import type { Answer } from '#core/action.ts'
import type { CallClass } from '#core/budget.ts'
import type { Cidr, Ip } from '#core/ip.ts'
import type { Millis, NicId, SandboxKey, Token } from '#core/names.ts'
import type { Failure, HostOutcome, HostReport, NicRequest, BlockRequest } from '#core/ports.ts'
import type { AddRequest } from '#core/state.ts'
import type { HostWiring, PodWiring } from '#core/wiring.ts'

/** Who did something to the world. */
export type Actor = 'daemon' | 'human' | 'kernel'

export type CloudCall = {
  readonly serial: number
  readonly life: number
  readonly class: CallClass
  readonly at: Millis
} & (
  | { readonly kind: 'describeNode' }
  | { readonly kind: 'observeCloud' }
  | { readonly kind: 'createNic'; readonly request: NicRequest }
  | { readonly kind: 'attachNic'; readonly nic: NicId; readonly deviceIndex: number }
  | { readonly kind: 'detachNic' | 'deleteNic'; readonly nic: NicId }
  | { readonly kind: 'lendBlocks'; readonly nic: NicId; readonly blocks: BlockRequest }
  | { readonly kind: 'returnBlocks'; readonly nic: NicId; readonly blocks: readonly Cidr[] }
)

export type AddCall = {
  readonly kind: 'add'
  readonly request: AddRequest
  readonly arrivedAt: Millis
  readonly deadline: Millis
}
export type DelCall = {
  readonly kind: 'del'
  readonly key: SandboxKey
  readonly arrivedAt: Millis
  /** When the runtime asked, if no daemon ran then. */
  readonly queuedAt: Millis | undefined
}
export type PodCall = AddCall | DelCall

export type Notice =
  | { readonly kind: 'lifeStarted'; readonly life: number }
  | { readonly kind: 'lifeEnded'; readonly life: number; readonly cause: string }
  | { readonly kind: 'fatal'; readonly error: unknown }
  | { readonly kind: 'restored'; readonly problems: readonly unknown[] }
  | { readonly kind: 'called'; readonly call: CloudCall }
  | {
      readonly kind: 'returned'
      readonly call: CloudCall
      readonly failure: Failure | undefined
    }
  | { readonly kind: 'requested'; readonly call: PodCall }
  | { readonly kind: 'aborted'; readonly call: AddCall }
  /** `isHeard` is false when the caller had gone away. */
  | {
      readonly kind: 'answered'
      readonly call: PodCall
      readonly answer: Answer
      readonly isHeard: boolean
    }
  /** The runtime ended the pod: it asked for DEL, or its namespace is gone. */
  | { readonly kind: 'podEnded'; readonly key: SandboxKey }
  | { readonly kind: 'wiring'; readonly pod: PodWiring }
  | { readonly kind: 'wired'; readonly pod: PodWiring; readonly outcome: HostOutcome }
  | { readonly kind: 'unwired'; readonly pod: PodWiring; readonly outcome: HostOutcome }
  | { readonly kind: 'reconciled'; readonly desired: HostWiring; readonly report: HostReport }
  /** A link, route or map element of a pod vanished from the kernel. */
  | {
      readonly kind: 'removed'
      readonly what: 'link' | 'route' | 'element'
      readonly sandbox: SandboxKey | undefined
      readonly ips: readonly Ip[]
      readonly by: Actor
    }
  | { readonly kind: 'slotRemoved'; readonly slot: number; readonly by: Actor }
  | { readonly kind: 'lent'; readonly nic: NicId; readonly block: Cidr }
  | { readonly kind: 'taken'; readonly nic: NicId; readonly block: Cidr; readonly by: Actor }
  | { readonly kind: 'detached'; readonly nic: NicId; readonly by: Actor }
  | { readonly kind: 'nicCreated'; readonly nic: NicId; readonly token: Token | undefined }
  | { readonly kind: 'nicDeleted'; readonly nic: NicId; readonly by: Actor }
  /** The daemon's memory is gone; pods that live now are strangers to it from here on. */
  | { readonly kind: 'ledgerLost' }
  /** The machine started again: kernel state and everything in /run is gone. */
  | { readonly kind: 'rebooted' }

export type Notify = (notice: Notice) => void
