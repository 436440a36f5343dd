// What an action of the EC2 face is: a reader of parameters that returns the work to be done.
// Reading refuses malformed calls; the work meets the cloud's state, after the call's latency.
import type { CallKind } from '#emulator/model/latency.ts'
import type { World } from '#emulator/model/world.ts'
import type { Params } from './params.ts'
import type { Element } from './xml.ts'

/** What the work of a call needs to know beside its parameters. */
export interface CallContext {
  readonly world: World
  /** Owner of everything in the VPC. */
  readonly ownerId: string
  readonly accountId: string
  /** Blocks that a `partial` fault lets the call have; undefined: all. */
  readonly granted: number | undefined
  readonly requestId: string
  /** Remembered results of calls that carry a ClientToken. */
  readonly tokens: Map<string, TokenUse>
  /** Makes the namespace name of an instance that a RunInstances call launches. */
  readonly netnsOf: (name: string) => string
}

export interface TokenUse {
  readonly fingerprint: string
  readonly id: string
}

/** Does the call and gives the members of its response. */
export type Work = (context: CallContext) => readonly (Element | undefined)[]

export interface Action {
  /** Decides the latency. */
  readonly kind: CallKind
  /** The Assign and Unassign calls know no DryRun (EC2 API reference). */
  readonly hasDryRun: boolean
  readonly read: (params: Params) => Work
}

export type Actions = Readonly<Record<string, Action>>
