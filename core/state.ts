// Everything one node daemon knows, as one readonly value. Times that have passed (settling,
// cooling, back-off) need no event: functions that read the state take `now`.

import type { Operation } from './action.ts'
import type { Budget, Rates } from './budget.ts'
import type { Cidr, Family, Ip } from './ip.ts'
import type {
  Mac,
  Millis,
  NicId,
  PoolName,
  ReplyId,
  OperationId,
  SandboxKey,
  SecurityGroupId,
  SubnetId,
  Token,
} from './names.ts'
import type {
  BlockRequest,
  Device,
  Failure,
  HostFailure,
  HostReport,
  NodeFacts,
  Subnet,
} from './ports.ts'

export type State = {
  readonly config: CoreConfig
  /** Random text of this process's life; makes tokens unique even when the ledger was lost. */
  readonly epoch: string
  /** When this life of the process began. */
  readonly bornAt: Millis
  /** Counts operations, tokens and pod links; saved, so that none is given twice. */
  readonly serial: number
  readonly node: NodeFacts | undefined
  readonly nics: ReadonlyMap<NicId, Nic>
  /** NICs that were decided on and are not yet known to exist. */
  readonly intents: ReadonlyMap<Token, NicIntent>
  readonly sandboxes: ReadonlyMap<SandboxKey, Sandbox>
  /** ADDs and DELs that wait for an answer, in order of arrival. */
  readonly adds: ReadonlyMap<ReplyId, PendingAdd>
  readonly dels: ReadonlyMap<ReplyId, PendingDel>
  readonly subnets: ReadonlyMap<SubnetId, SubnetHealth>
  readonly budget: Budget
  /** Cloud calls under way, by operation. */
  readonly operations: ReadonlyMap<OperationId, Operation>
  readonly cloud: CloudView
  readonly host: HostView
  /** Pools that have more addresses of a family than they want; absent while they have not. */
  readonly surpluses: ReadonlyMap<PoolName, ReadonlyMap<Family, Surplus>>
  /** What went wrong last, by subject; shown to the user, never decided on. */
  readonly problems: ReadonlyMap<string, Problem>
  /** What we returned or deleted lately: a stale description must not bring it back. */
  readonly tombstones: ReadonlyMap<Cidr | NicId, Millis>
}

/** A surplus that lasts: `least` is the smallest it has been since it began, in addresses. */
export type Surplus = { readonly since: Millis; readonly least: number }

/** Targets of one pool, counted in addresses per family. Undefined means not set; 0 means none. */
export type PoolTargets = {
  readonly warmTarget: number
  readonly minimum: number
  readonly maximum: number | undefined
}

export type CoreConfig = {
  /** Families every pod gets, in the order of the result: IPv4 before IPv6. Never empty. */
  readonly families: readonly Family[]
  readonly pools: ReadonlyMap<PoolName, PoolTargets>
  /** Size of IPv4 blocks: single addresses, /28 prefixes, or /28 where they can be had. */
  readonly blockLength: 32 | 28 | 'auto'
  /** How long a released address rests before another pod may get it. */
  readonly coolingMs: number
  /** How long a lent block rests before packets are sure to flow. */
  readonly settleMs: number
  /** How long a surplus lasts before blocks are returned. */
  readonly releaseAfterMs: number
  /** How often the cloud is asked what is true when nothing else makes us ask. */
  readonly observeEveryMs: number
  /** How often the kernel is compared with the desired wiring. */
  readonly reconcileEveryMs: number
  /** How long a NIC may take from attachment to its device before it is given up. */
  readonly appearWithinMs: number
  /** For how long the cloud's descriptions may lag behind its own answers. */
  readonly consistencyMs: number
  /** Calls this node may make, per class. */
  readonly rates: Rates
  readonly nat: { readonly isEnabled: boolean; readonly exclusions: readonly Cidr[] }
  /** MTU of pod links; undefined takes the NIC's. */
  readonly podMtu: number | undefined
  /** At most this many NICs, the primary included; undefined leaves it to the instance type. */
  readonly nicsMax: number | undefined
}

export type Nic = {
  readonly id: NicId
  readonly mac: Mac
  /** 1 for the primary NIC; others take the lowest free number and keep it. */
  readonly slot: number
  readonly pool: PoolName
  readonly subnet: SubnetId
  readonly isPrimary: boolean
  /** Unmanaged NICs hold a slot of the instance and nothing else. */
  readonly isManaged: boolean
  readonly token: Token | undefined
  readonly primaryAddresses: readonly Ip[]
  readonly gateways: readonly Ip[]
  readonly phase: NicPhase
  /** The cloud deletes it with the instance. */
  readonly isProtected: boolean
  /** Undefined until the kernel shows it. */
  readonly device: Device | undefined
  readonly blocks: ReadonlyMap<Cidr, Block>
  /** Addresses that are or were in use; one that is absent was never given to a pod. */
  readonly uses: ReadonlyMap<Ip, Use>
  /** Calls about this NIC wait until then after a failure; `attempts` sets how long. */
  readonly retryAt: Millis
  readonly attempts: number
  /** An ambiguous failure: no further mutation before an observation asked for after this. */
  readonly unsureSince: Millis | undefined
  /** First observation that lacked the NIC; a second one, later, makes it lost. */
  readonly missingSince: Millis | undefined
}

export type NicPhase =
  /** Exists, not attached. */
  | { readonly kind: 'created'; readonly since: Millis }
  /** The cloud has said yes or is about to; the device has not appeared. */
  | { readonly kind: 'attaching'; readonly since: Millis; readonly deviceIndex: number }
  /** The device is there, tables and rules are being made. */
  | { readonly kind: 'wiring'; readonly deviceIndex: number }
  | { readonly kind: 'ready'; readonly deviceIndex: number }
  /** On its way out: nothing is assigned from it; it is detached, then deleted. */
  | {
      readonly kind: 'leaving'
      readonly isDetached: boolean
      /** The place on the instance it holds until it is detached, where that is known. */
      readonly deviceIndex: number | undefined
      readonly since: Millis
    }
  /** The cloud no longer knows it although pods use it. Reported, never reused silently. */
  | { readonly kind: 'lost'; readonly since: Millis }

export type Block = {
  readonly cidr: Cidr
  /** When we learnt of it; a description that is older may rightly lack it. */
  readonly lentAt: Millis
  /** Lives and dies with the NIC: never returned, not counted by the limits. */
  readonly isFixed: boolean
  readonly phase:
    | { readonly kind: 'held'; readonly settledAt: Millis }
    /** Nothing is assigned from it; it is being given back. */
    | {
        readonly kind: 'returning'
        /** A call may already have returned it: nobody may use it again, whatever is described. */
        readonly isDoubtful: boolean
      }
    /** The cloud no longer shows it; its pods are reported, its addresses never reused. */
    | { readonly kind: 'lost'; readonly since: Millis }
  /** First observation that lacked it; a second one, later, makes it lost or gone. */
  readonly missingSince: Millis | undefined
}

export type Use = { readonly block: Cidr } & (
  | { readonly kind: 'assigned'; readonly sandbox: SandboxKey }
  /**
   * Warm again once `until` has passed and the pod link `link` is gone (then undefined). It keeps
   * this kind until it is assigned again, so that the oldest released address is known.
   */
  | {
      readonly kind: 'cooling'
      readonly until: Millis
      readonly link: number | undefined
      /** The link belongs to a pod we do not know; it is left alone and not remembered on disk. */
      readonly isStray: boolean
    }
)

/** A NIC that was decided on; saved before the cloud is asked. */
export type NicIntent = {
  readonly token: Token
  readonly pool: PoolName
  readonly subnet: SubnetId
  readonly securityGroups: readonly SecurityGroupId[]
  readonly blocks: readonly BlockRequest[]
  /** Its answer was lost then: it counts as made until descriptions have had time to show it. */
  readonly unsureSince: Millis | undefined
}

export type Sandbox = {
  readonly key: SandboxKey
  readonly network: string
  readonly containerId: string
  readonly ifName: string
  /** Path the runtime gave at ADD. */
  readonly netns: string
  readonly pod: PodIdentity | undefined
  readonly pool: PoolName
  /** Who makes the pod's link, when we only give the addresses. */
  readonly delegator: Delegator | undefined
  readonly nic: NicId
  readonly slot: number
  /** One per family, in the order of the result. */
  readonly addresses: readonly { readonly ip: Ip; readonly block: Cidr }[]
  readonly mtu: number
  readonly hostIfindex: number
  readonly createdAt: Millis
  readonly phase:
    | { readonly kind: 'wiring' }
    | { readonly kind: 'wired' }
    /** Its namespace and its link are gone without a DEL: it is released as if one had come. */
    | { readonly kind: 'gone' }
    | { readonly kind: 'unwiring' }
}

export type PodIdentity = {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export type AddRequest = {
  readonly key: SandboxKey
  readonly network: string
  readonly containerId: string
  readonly ifName: string
  readonly netns: string
  readonly pod: PodIdentity | undefined
  readonly pool: PoolName
  readonly delegator: Delegator | undefined
}

/** What the plugin that asked us for addresses only makes of the pod's link. */
export type Delegator =
  /** A link to the node, which routes; one that is a port of a bridge is found by its bridge. */
  | { readonly kind: 'routed'; readonly bridge: string | undefined }
  /** A place on the wire of a NIC, by its device's name; undefined is the primary NIC. */
  | { readonly kind: 'shared'; readonly master: string | undefined }

export type PendingAdd = {
  readonly reply: ReplyId
  readonly request: AddRequest
  readonly arrivedAt: Millis
  readonly deadline: Millis
  /** Why the host could not wire the pod; undefined while it waits or is being wired. */
  readonly failure: HostFailure | undefined
}

export type PendingDel = {
  readonly reply: ReplyId
  readonly key: SandboxKey
  readonly network: string
  readonly arrivedAt: Millis
  /** When the runtime asked: an attachment that is newer survives. */
  readonly askedAt: Millis
}

/** What a subnet can run out of; a NIC takes several addresses at once, one for itself. */
export type SubnetSupply = Family | 'nic'

export type SubnetHealth = {
  /** What the cloud last said of it; undefined when it was never described. */
  readonly subnet: Subnet | undefined
  /** No addresses of the family until then; no new NIC, though single addresses may be had. */
  readonly exhaustedUntil: { readonly [What in SubnetSupply]: Millis }
  /** No free /28 until then; single addresses may still be had. */
  readonly fragmentedUntil: Millis
  readonly attempts: number
}

export type CloudView = {
  /** False until the instance was described in this life of the process. */
  readonly isDescribed: boolean
  /** When the last observation that arrived was asked for; undefined before the first. */
  readonly observedAt: Millis | undefined
  /** An observation asked for at or after this time is needed. */
  readonly wantedAt: Millis
  readonly retryAt: Millis
  readonly attempts: number
  /** New NICs are not tried before this: the instance or the account has no room. */
  readonly nicsLimitedUntil: Millis
  readonly nicAttempts: number
}

export type HostView = {
  readonly reconciledAt: Millis | undefined
  readonly wantedAt: Millis
  /** Slots whose tables and rules are in place, as last reported. */
  readonly wiredSlots: readonly number[]
  readonly devices: readonly Device[]
  /** Pod links that belong to no pod we know, as last reported. */
  readonly strays: HostReport['strays']
  /** What of the node's wiring could not be made at the last look. */
  readonly failures: readonly string[]
}

export type Problem = {
  /** `cannot lend addresses to eni-1: …`: one sentence, with what to do. */
  readonly text: string
  readonly kind: Failure['kind'] | 'host' | 'lost'
  readonly firstAt: Millis
  readonly lastAt: Millis
  readonly count: number
}
