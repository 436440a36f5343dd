// The small interfaces through which the core's decisions reach the world, and the values that
// cross them. Implementations lie in providers/, ipamd/, runtime/; the simulation has its own.

import type { Cidr, Family, Ip } from './ip.ts'
import type {
  InstanceId,
  Mac,
  Millis,
  NicId,
  SandboxKey,
  SecurityGroupId,
  SubnetId,
  Token,
} from './names.ts'
import type { DelegatedWiring, HostWiring, PodWiring } from './wiring.ts'

/** What a failure means, whatever the cloud calls it; the core decides on nothing else. */
export type FailureKind =
  | 'throttled'
  | 'exhausted'
  | 'fragmented'
  | 'limit'
  | 'conflict'
  | 'notFound'
  | 'denied'
  | 'transient'

export type Failure = {
  readonly kind: FailureKind
  /**
   * True when the call may have taken effect (time-out, reset, 5xx): observe before trying again.
   */
  readonly ambiguous: boolean
  /** The cloud's own name of the call, for the user: `AssignPrivateIpAddresses`. */
  readonly call: string
  /** The cloud's own error code, for the user: `InsufficientFreeAddressesInSubnet`. */
  readonly code: string
  /** Call, cause and what to do, in the cloud's terms; empty when there is no more to say. */
  readonly message: string
  /** How long the cloud asked us to wait; undefined when it did not say. */
  readonly retryAfterMs: number | undefined
}

export type Outcome<Value> =
  | { readonly kind: 'ok'; readonly value: Value }
  | { readonly kind: 'failed'; readonly failure: Failure }

export const ok = <Value>(value: Value): Outcome<Value> => ({ kind: 'ok', value })
export const failed = (failure: Failure): Outcome<never> => ({ kind: 'failed', failure })

/** What the instance type allows. Counts are per family where families differ. */
export type Limits = {
  /** NICs on the instance, the primary one included. */
  readonly nicsMax: number
  /**
   * False where the cloud attaches NICs to stopped instances only (Azure): those that are there are
   * used, none is created, attached, detached or deleted.
   */
  readonly hotPlug: boolean
  /** Blocks (secondary addresses or prefixes) one NIC can hold beside what it was born with. */
  readonly blocksPerNicMax: { readonly 4: number; readonly 6: number }
  /** Families in which a NIC's own address, where it has one, takes one of those places too. */
  readonly ownTakesPlaceIn?: readonly Family[]
  /**
   * Blocks of both families on all NICs together (Azure); undefined where there is no such limit.
   */
  readonly blocksPerNodeMax: number | undefined
  /** Whether /28 blocks can be lent to this instance. */
  readonly prefixes: boolean
}

export type Subnet = {
  readonly id: SubnetId
  readonly zone: string
  readonly cidrs: readonly Cidr[]
  /** Free addresses as the cloud counts them; a hint that lags. */
  readonly available: number
}

/** What is true of the instance and changes rarely. */
export type NodeFacts = {
  /** Kubernetes node name, or the instance's name when there is no Kubernetes. */
  readonly node: string
  readonly instanceId: InstanceId
  readonly instanceType: string
  readonly zone: string
  readonly limits: Limits
  /** Prefixes inside which pods are reached without source NAT. */
  readonly vpc: readonly Cidr[]
  /** Subnets new NICs may lie in, all of this zone, best first. Never empty. */
  readonly subnets: readonly Subnet[]
  /** Security groups for NICs of the default pool (those of the primary NIC unless configured). */
  readonly securityGroups: readonly SecurityGroupId[]
}

/** One NIC as the cloud describes it. */
export type CloudNic = {
  readonly id: NicId
  readonly mac: Mac
  readonly subnet: SubnetId
  readonly securityGroups: readonly SecurityGroupId[]
  readonly attachment:
    | { readonly kind: 'none' }
    | {
        readonly kind: 'attaching' | 'attached' | 'detaching'
        readonly instance: InstanceId
        readonly deviceIndex: number
        /** The cloud deletes the NIC with the instance. */
        readonly isProtected: boolean
      }
  readonly isPrimary: boolean
  /** False for NICs somebody else manages (tagged so, or of a special kind): leave them alone. */
  readonly isManaged: boolean
  /** The token it was created with by us, read back from its tag; undefined if not ours. */
  readonly token: Token | undefined
  /** The NIC's own addresses that the node keeps, first IPv4 then IPv6; never given to pods. */
  readonly primaryAddresses: readonly Ip[]
  /** Next hop of the NIC's subnet per family it has. */
  readonly gateways: readonly Ip[]
  /** Blocks lent to it, primary address excluded, in canonical order. */
  readonly blocks: readonly Cidr[]
  /**
   * Those of `blocks` that live and die with the NIC: never returned, not counted by the limits.
   * Alibaba gives pods a secondary NIC's own address.
   */
  readonly fixedBlocks: readonly Cidr[]
}

/** NICs attached to this instance, and NICs created for it that are not attached. */
export type CloudObservation = {
  readonly nics: readonly CloudNic[]
  readonly subnets: readonly Subnet[]
}

export type NicRequest = {
  /** Saved before the call: asking again with the same token gives the same NIC. */
  readonly token: Token
  readonly subnet: SubnetId
  readonly securityGroups: readonly SecurityGroupId[]
  /** First blocks, at most one request per family; empty asks for none. */
  readonly blocks: readonly BlockRequest[]
}

export type BlockRequest = {
  readonly family: Family
  /** Prefix length: 32 or 28 for IPv4, 128 or 80 for IPv6. */
  readonly length: number
  /** Blocks, not addresses; 0 asks for none. */
  readonly count: number
}

/**
 * The cloud's API, seen by one instance. Calls never throw for operating errors; they return what
 * was really reached (three of five blocks is a result). One call here may be several on the wire;
 * each is safe to repeat: creating with a known token, attaching what is attached, returning,
 * detaching and deleting what is gone all succeed.
 */
export interface Cloud {
  describeNode(signal: AbortSignal): Promise<Outcome<NodeFacts>>
  observe(signal: AbortSignal): Promise<Outcome<CloudObservation>>
  /** Creates an unattached NIC with its first blocks; fewer blocks than asked is a result. */
  createNic(request: NicRequest, signal: AbortSignal): Promise<Outcome<CloudNic>>
  /**
   * Attaches, and has the cloud delete the NIC with the instance. Returns once the cloud agreed.
   */
  attachNic(
    request: { readonly nic: NicId; readonly deviceIndex: number },
    signal: AbortSignal,
  ): Promise<Outcome<CloudNic>>
  /** Returns once the cloud shows the NIC detached, or `transient` if that takes too long. */
  detachNic(nic: NicId, signal: AbortSignal): Promise<Outcome<void>>
  deleteNic(nic: NicId, signal: AbortSignal): Promise<Outcome<void>>
  /** Lends `count` further blocks; returns only those this call added. */
  lendBlocks(
    request: { readonly nic: NicId; readonly blocks: BlockRequest },
    signal: AbortSignal,
  ): Promise<Outcome<readonly Cidr[]>>
  /** Returns the blocks that are no longer on the NIC afterwards. */
  returnBlocks(
    request: { readonly nic: NicId; readonly blocks: readonly Cidr[] },
    signal: AbortSignal,
  ): Promise<Outcome<readonly Cidr[]>>
}

/** A network device of the host, as the kernel lists it. */
export type Device = {
  readonly ifindex: number
  readonly name: string
  readonly mac: Mac
  readonly mtu: number
}

/** Why the host could not do a pod's wiring; `code` is the kernel's errno name or our own word. */
export type HostFailure = {
  readonly code: string
  readonly message: string
  /** True when trying again later can help; false for a wrong namespace or a taken name. */
  readonly isTemporary: boolean
}

export type HostOutcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'failed'; readonly failure: HostFailure }

/** What a look at the kernel found and mended. */
export type HostReport = {
  /** Devices that may be NICs (no pod links). */
  readonly devices: readonly Device[]
  /** NIC slots whose tables, rules and settings now are as desired. */
  readonly wiredSlots: readonly number[]
  /** Ifindexes of existing pod links of ours (link group), desired or not. */
  readonly podLinks: ReadonlySet<number>
  /** Pod links of ours that belong to no pod we know, with the addresses routed to them. */
  readonly strays: readonly { readonly link: number; readonly ips: readonly Ip[] }[]
  /** Sandboxes whose network namespace path no longer leads to a namespace. */
  readonly goneNamespaces: ReadonlySet<SandboxKey>
  /** What somebody else had removed or changed and was put back, as text for the log. */
  readonly repaired: readonly string[]
  readonly failures: readonly string[]
}

/** The Linux side. Synchronous: netlink work is short and must be serial (rtnl). Never throws. */
export interface Host {
  wirePod(pod: PodWiring): HostOutcome
  /** Removes routes and map entries and hands the link to the background; absence is success. */
  unwirePod(pod: PodWiring): HostOutcome
  /** Lets out what is sent from addresses of a pod that another plugin connects. */
  admitPod(pod: DelegatedWiring): HostOutcome
  /** Undoes that; absence is success. */
  dismissPod(pod: DelegatedWiring): HostOutcome
  /** Compares the kernel with the whole desired wiring and repairs it. Foreign objects stay. */
  reconcile(desired: HostWiring): HostReport
}

/** Time. The only source of it; virtual in the simulation. */
export interface Clock {
  now(): Millis
  /** Runs soon, after what is already queued, so that a burst of events shares one turn. */
  soon(run: () => void): void
  /** Runs once at or after `time`; the returned function cancels it. */
  at(time: Millis, run: () => void): () => void
}

/** Chance. The only source of it; seeded in the simulation. */
export interface Random {
  /** A number in [0, 1). */
  fraction(): number
  /** Lower-case hexadecimal text with the given number of digits. */
  hex(digits: number): string
}

/** One durable fact: a key and its value, or the fact that the key is gone. */
export type LedgerChange =
  | { readonly kind: 'put'; readonly key: string; readonly value: unknown }
  | { readonly kind: 'drop'; readonly key: string }

/** Durable memory. `save` returns after the changes are on disk; a failed save ends the process. */
export interface Store {
  save(changes: readonly LedgerChange[]): void
}
