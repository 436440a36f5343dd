// What the node daemon offers to the CNI verbs. The plugin side parses, validates and prints; the
// daemon behind this port assigns addresses and wires pods, and never sees CNI JSON.

import type { Failure } from '../spec/failure.ts'
import type { Result, ResultInterface, ResultIp, ResultRoute } from '../spec/result.ts'

/** Who holds an attachment. Clean-up is keyed by this alone, never by address or device name. */
export type AttachmentKey = {
  readonly network: string
  readonly containerId: string
  readonly ifName: string
}

/** The pod as the runtime names it in CNI_ARGS; `uid` is empty when the runtime does not say. */
export type PodIdentity = {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** W3C trace context of the caller, to be continued; empty strings when there is none. */
export type Trace = {
  readonly parent: string
  readonly state: string
  readonly baggage: string
}

type Common = AttachmentKey & {
  readonly pod: PodIdentity | undefined
  /** Name of the pool the configuration asks for; undefined is the node's default choice. */
  readonly pool: string | undefined
  /** Time left to answer, counted from the arrival of the call; later the caller has gone. */
  readonly timeoutMs: number
  readonly trace: Trace
}

/** Who makes the pod's link when we are its IPAM plugin: see core/state.ts. */
export type Delegator =
  | { readonly kind: 'routed'; readonly bridge: string | undefined }
  | { readonly kind: 'shared'; readonly master: string | undefined }

export type AddRequest = Common & {
  /** Undefined when the link is ours to make; else addresses, gateways and routes are asked for. */
  readonly delegator: Delegator | undefined
  /** Path of the pod's network namespace; goes into `sandbox` of the result unchanged. */
  readonly netns: string
  /** `runtimeConfig` by capability name, as the runtime sent it; key case varies by runtime. */
  readonly capabilities: Readonly<Record<string, unknown>>
}

export type DelRequest = Common & {
  /** Undefined when the namespace is already gone. */
  readonly netns: string | undefined
  /**
   * Wall-clock milliseconds at which a call kept in pending-del/ was made; undefined for a live
   * call. An attachment of the same key that is newer must survive.
   */
  readonly queuedAtMs: number | undefined
}

export type CheckRequest = Omit<AddRequest, 'delegator'> & {
  /** The final result of the ADD; plugins after us may have changed routes and MACs. */
  readonly expected: Result
}

export type GcRequest = {
  readonly network: string
  /** The attachments of this network that live on; everything else of it may go. */
  readonly valid: readonly { readonly containerId: string; readonly ifName: string }[]
  readonly timeoutMs: number
  readonly trace: Trace
}

export type StatusRequest = {
  readonly network: string
  readonly pool: string | undefined
}

/**
 * What an ADD made: both veth ends, the addresses with the pod end's index, and pod routes. For a
 * delegator it is addresses without an index and routes, and no interface.
 */
export type Attachment = {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
}

export type AddOutcome = { readonly kind: 'added'; readonly attachment: Attachment } | Failure
export type DelOutcome = { readonly kind: 'deleted' } | Failure
export type CheckOutcome = { readonly kind: 'intact' } | Failure
export type GcOutcome = { readonly kind: 'collected' } | Failure

/** Not ready is `notAvailable` (50); with connectivity limited it is `limitedConnectivity` (51). */
export type StatusOutcome =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'unready'
      readonly connectivity: 'unaffected' | 'limited'
      readonly message: string
      readonly details: string
    }

/** The daemon as the CNI verbs see it. A rejected promise is a fault and becomes code 100. */
export type Attachments = {
  /** Converges when repeated for the same key; the signal aborts when the caller has gone. */
  readonly add: (request: AddRequest, signal: AbortSignal) => Promise<AddOutcome>
  /** Succeeds when there is nothing to delete. */
  readonly del: (request: DelRequest) => Promise<DelOutcome>
  /** Changes nothing. */
  readonly check: (request: CheckRequest) => Promise<CheckOutcome>
  /** Removes what is not valid, except what was added after the call arrived. */
  readonly gc: (request: GcRequest) => Promise<GcOutcome>
  /** A cached verdict: kubelet asks every few seconds. */
  readonly status: (request: StatusRequest) => StatusOutcome
}
