// The state of the ARM face beside the model: what Azure knows of a NIC and the model does not,
// and the asynchronous operations.
import type { Cidr, Family } from '#core/ip.ts'
import type { Nic } from '#emulator/model/types.ts'
import type { World } from '#emulator/model/world.ts'
import type { JsonObject } from './json.ts'
import type { Directory } from './principals.ts'

/** One emulated subscription. */
export interface Arm {
  readonly world: World
  readonly subscriptionId: string
  readonly location: string
  readonly directory: Directory
  /** By NIC id of the model; read through `recordOf`, which keeps them in step. */
  readonly records: Map<string, NicRecord>
  /** By operation id. */
  readonly operations: Map<string, ArmOperation>
  /** Those that have not ended yet. */
  readonly running: Set<ArmOperation>
}

export type ProvisioningState = 'Succeeded' | 'Updating' | 'Failed'

/** One IP configuration. */
export interface IpConfig {
  readonly name: string
  /** /32, /128 or a prefix; undefined: it failed and has no address. */
  readonly block: Cidr | undefined
  readonly family: Family
  readonly isPrimary: boolean
  readonly method: 'Dynamic' | 'Static'
  readonly state: ProvisioningState
  /** Properties that mean nothing to the model, as the client wrote them. */
  readonly more: JsonObject
}

/** What Azure knows of a NIC beside the model's value. */
export interface NicRecord {
  readonly name: string
  readonly configs: readonly IpConfig[]
  readonly state: ProvisioningState
  /** Properties of the NIC that mean nothing to the model, as the client wrote them. */
  readonly more: JsonObject
  /** Blocks that the model's NIC still has and that go when the running operation ends. */
  readonly leaving: readonly Cidr[]
  /** Grows with every change. */
  readonly revision: number
}

/** Something that takes longer than a call. */
export interface ArmOperation {
  readonly id: string
  readonly provider: 'Microsoft.Network' | 'Microsoft.Compute'
  readonly startedAt: number
  /** ARM ids of what nobody else may change meanwhile, in lower case. */
  readonly locks: readonly string[]
  state: 'InProgress' | 'Succeeded' | 'Failed'
  endedAt: number | undefined
  error: { readonly code: string; readonly message: string } | undefined
}

/** A NIC together with what Azure knows of it. */
export interface ArmNic {
  readonly nic: Nic
  readonly record: NicRecord
}
