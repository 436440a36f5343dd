// The things of an emulated cloud as immutable values. No provider's names or formats: a face for
// each provider's wire protocol renders them.
import type { Cidr, Ip } from '#core/ip.ts'
import type { FabricRule } from '#emulator/ports.ts'

export type Tags = Readonly<Record<string, string>>

export interface Vpc {
  readonly id: string
  /** The first one is the primary range. */
  readonly cidrs: readonly Cidr[]
  readonly cidrs6: readonly Cidr[]
  readonly tags: Tags
}

export interface Subnet {
  readonly id: string
  readonly name: string
  readonly vpcId: string
  /** Where a subnet spans its region (Azure), the region. */
  readonly zone: string
  readonly cidr: Cidr
  readonly cidr6: Cidr | undefined
  readonly tags: Tags
}

export interface SecurityGroup {
  readonly id: string
  readonly name: string
  readonly vpcId: string
  readonly description: string
  readonly ingress: readonly FabricRule[]
  readonly egress: readonly FabricRule[]
  readonly tags: Tags
}

/** `stopped` keeps its NICs, but no device of theirs is in the guest. */
type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated'

export interface Instance {
  readonly id: string
  /** Unique and readable, chosen by who runs it. */
  readonly name: string
  readonly type: string
  readonly zone: string
  readonly vpcId: string
  readonly subnetId: string
  readonly netns: string
  readonly state: InstanceState
  /** Role whose credentials the metadata service gives out; undefined: none. */
  readonly role: string | undefined
  /** How many network hops a metadata reply survives: 1 keeps pods out. */
  readonly metadataHops: number
  readonly launchedAt: number
  readonly tags: Tags
  /** The scale set that it is a member of; undefined: none. */
  readonly scaleSet: ScaleSetMembership | undefined
  /** True: its NICs appear as two devices with one MAC, the fast one enslaved to the other. */
  readonly accelerated: boolean
  /** True: its devices get another name some time after they appear, as from udev. */
  readonly renames: boolean
}

/** Members of a `uniform` set are addressed through the set; those of a `flexible` one directly. */
export interface ScaleSetMembership {
  readonly name: string
  readonly mode: 'flexible' | 'uniform'
}

export interface Attachment {
  readonly id: string
  readonly instanceId: string
  readonly deviceIndex: number
  readonly cardIndex: number
  readonly state: 'attaching' | 'attached' | 'detaching'
  readonly deleteOnTermination: boolean
  readonly attachedAt: number
  /** True while the device is in the guest; lags `state` in both directions. */
  readonly isPlugged: boolean
  /** What the guest calls the device by now; undefined: what its kernel called it. */
  readonly deviceName: string | undefined
  /** True while an accelerated machine's fast device is gone. */
  readonly isSlow: boolean
}

export interface Nic {
  readonly id: string
  readonly vpcId: string
  readonly subnetId: string
  readonly zone: string
  readonly mac: string
  readonly description: string
  readonly groupIds: readonly string[]
  readonly tags: Tags
  readonly sourceDestCheck: boolean
  readonly primaryAddress: Ip
  /** Secondary addresses, in the order in which they were lent. */
  readonly addresses: readonly Ip[]
  readonly prefixes: readonly Cidr[]
  readonly addresses6: readonly Ip[]
  readonly prefixes6: readonly Cidr[]
  readonly attachment: Attachment | undefined
  /** Until then the NIC is `pending`. */
  readonly availableAt: number
}

export type NicStatus = 'pending' | 'available' | 'attaching' | 'in-use' | 'detaching'

/** The status word that a describe shows. */
export const nicStatus = (nic: Nic, now: number): NicStatus => {
  if (nic.attachment === undefined) return now < nic.availableAt ? 'pending' : 'available'
  return nic.attachment.state === 'attached' ? 'in-use' : nic.attachment.state
}

/** IPv4 slots in use, as instance limits count them: a prefix takes one slot like an address. */
export const slotsOf = (nic: Nic): number => 1 + nic.addresses.length + nic.prefixes.length

export const slots6Of = (nic: Nic): number => nic.addresses6.length + nic.prefixes6.length

/** What a machine type can carry. */
export interface TypeLimits {
  readonly nicsMax: number
  /** NICs per network card; its length is the number of cards. */
  readonly nicsPerCard: readonly number[]
  /** Addresses and prefixes per NIC, the primary address included. */
  readonly slotsPerNic: number
  readonly slots6PerNic: number
  /** Blocks of both families over all NICs; left out: no such limit. */
  readonly slotsPerInstanceMax?: number
  readonly hasPrefixes: boolean
  readonly isBareMetal: boolean
  readonly cpus: number
}

/** Account-wide limits. */
export interface Quotas {
  readonly nicsMax: number
  readonly groupsPerNicMax: number
  readonly tagsMax: number
}
