// What an action of the ARM face is: work that meets the cloud's state, after the call's latency.
import type { CallKind } from '#emulator/model/latency.ts'
import type { Struck } from '#emulator/wire/passage.ts'
import type { AzureAction } from './actions.ts'
import type { Arm } from './arm.ts'
import type { Json, JsonObject } from './json.ts'
import type { Principal } from './principals.ts'

/** What the work of a call needs to know; blocks are new configurations here. */
export interface Context extends Struck {
  readonly arm: Arm
  readonly principal: Principal
  readonly method: string
  /** Resource group of the path; undefined: the call is about the subscription. */
  readonly group: string | undefined
  /** The path's names from left to right: of a NIC of a scale set's member, three. */
  readonly names: readonly string[]
  /** ARM id of what the path leads to, as the client wrote it. */
  readonly id: string
  readonly query: URLSearchParams
  readonly body: Json | undefined
  readonly ifMatch: string | undefined
  /** `https://host:port` that the client used; links lead there. */
  readonly origin: string
}

export interface Reply {
  readonly status: number
  readonly body: JsonObject | undefined
  readonly headers: Readonly<Record<string, string>>
}

export const replyOf = (
  status: number,
  body: JsonObject | undefined,
  headers: Readonly<Record<string, string>> = {},
): Reply => ({ status, body, headers })

export interface Action {
  readonly name: AzureAction
  /** Decides the latency. */
  readonly kind: CallKind
  readonly work: (context: Context) => Reply
}
