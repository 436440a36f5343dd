// What an action of the RPC face is: a reader of parameters that returns the work to be done.
// Reading refuses malformed calls; the work meets the cloud's state, after the call's latency.
import type { CallKind } from '#emulator/model/latency.ts'
import type { World } from '#emulator/model/world.ts'
import type { Notes } from './notes.ts'
import type { Params } from './params.ts'

/** A JSON object of an answer, without the request's id. */
export type Members = Readonly<Record<string, unknown>>

/** What the work of a call needs to know beside its parameters. */
export interface CallContext {
  readonly world: World
  readonly action: string
  /** Owner of everything in the VPC. */
  readonly ownerId: string
  readonly accountId: string
  readonly region: string
  /** Blocks that a `partial` fault lets the call have; undefined: all. */
  readonly granted: number | undefined
  /** What ECS knows of NICs beside the model. */
  readonly notes: Notes
  /** Remembered answers of calls that carried a ClientToken. */
  readonly tokens: Map<string, TokenUse>
}

export interface TokenUse {
  readonly fingerprint: string
  readonly answer: Members
}

/** Does the call and gives the members of its answer. */
export type Work = (context: CallContext) => Members

export interface Action {
  /** Decides the latency. */
  readonly kind: CallKind
  /** API version, which is also the product: ECS or VPC. */
  readonly version: '2014-05-26' | '2016-04-28'
  /** False: the call may leave RegionId out. */
  readonly needsRegion: boolean
  readonly read: (params: Params) => Work
}

export type Actions = Readonly<Record<string, Action>>

/** The versions by product name, as permissions and host names spell it. */
export const productOf = (version: Action['version']): 'ecs' | 'vpc' =>
  version === '2014-05-26' ? 'ecs' : 'vpc'

/** An ECS action that needs a Region, as nearly all do. */
export const ecs = (kind: CallKind, read: Action['read']): Action => ({
  kind,
  version: '2014-05-26',
  needsRegion: true,
  read,
})
