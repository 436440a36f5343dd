// What one cloud adds to the shared model: its limits and habits, and the servers that speak its
// wire protocols. Everything else of the emulator is the same for every cloud.
import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Cidr, Ip } from '#core/ip.ts'
import type { Account } from './accounts.ts'
import type { Built } from './description.ts'
import type { CallLog } from './model/calls.ts'
import type { Pace } from './model/latency.ts'
import type { Quotas, TypeLimits } from './model/types.ts'
import type { IdKind, World } from './model/world.ts'

export type PlatformName = 'aws' | 'azure' | 'alibaba'

/** What the model and the fabric need to know of a cloud. */
export interface Traits {
  readonly quotas: Quotas
  /** Undefined: there is no such machine type. */
  readonly typeLimits: (type: string) => TypeLimits | undefined
  /** Makes an id of 64 random hexadecimal digits. */
  readonly nameId: (kind: IdKind, hex: string) => string
  /** Addresses at both ends of a subnet that the cloud keeps for itself. */
  readonly reserved: { readonly head: number; readonly tail: number }
  /** The same for IPv6; left out: as `reserved`. */
  readonly reserved6?: { readonly head: number; readonly tail: number }
  /** Next hop of a subnet, for either family. */
  readonly gateway: (subnet: Cidr) => Ip
  /** MTU of a device as it appears in the guest. */
  readonly mtu: number
  /** False: NICs are attached to and detached from stopped machines only. */
  readonly hotPlug: boolean
  /** Where a machine finds its metadata service. */
  readonly metadataHost: Ip
  /** What takes another time than on EC2, as ranges of the profile `documented`. */
  readonly pace?: Pace
  /** The region (location) that a zone belongs to. */
  readonly regionOf: (zone: string) => string
  /** What a machine and its place are called when nobody chose, and who may call. */
  readonly defaults: {
    readonly instanceType: string
    readonly zone: string
    readonly account: Account
  }
}

/** What the servers of a platform are made from. */
export interface PlatformParts {
  readonly world: World
  /** Never empty: `Traits.defaults.account` when nobody named any. The first one owns the VPC. */
  readonly accounts: readonly Account[]
  readonly calls: CallLog
  /** Multiplies every documented request limit. */
  readonly throttleFactor: number | undefined
  /** Actions that an instance's role may not call, by role name. */
  readonly deniedToRoles: Readonly<Record<string, readonly string[]>>
  readonly netnsOf: (name: string) => string
  /** Region or location of everything. */
  readonly region: string
  readonly ids: Built
  /** Address that the API will listen on: loopback, or the fabric's own. */
  readonly apiHost: string
  /**
   * Writes the certificate of who signed the API's own, for clients to trust (as
   * NODE_EXTRA_CA_CERTS takes it), and returns the file's path. It is removed on close.
   */
  readonly writeAuthority: (pem: string) => Promise<string>
}

/** Who asks the metadata service, and over how many network hops: 1 from the host itself. */
export interface Asker {
  readonly instanceId: string
  readonly hops: number
}

/** The faces of one cloud, none of them listening yet. */
export interface PlatformServers {
  readonly api: HttpServer | HttpsServer
  readonly scheme: 'http' | 'https'
  /** One metadata server; undefined from `ask`: nobody's address, the connection is dropped. */
  readonly createMetadata: (ask: (remoteAddress: string) => Asker | undefined) => HttpServer
  /**
   * Environment that leads an official SDK here. `metadata` is a URL when the service is not at its
   * real address; undefined inside the fabric, where it is.
   */
  readonly environment: (at: {
    readonly api: string
    readonly metadata: string | undefined
  }) => Readonly<Record<string, string>>
}

/** One cloud: what is different about it. */
export interface Platform {
  readonly name: PlatformName
  readonly traits: Traits
  readonly open: (parts: PlatformParts) => Promise<PlatformServers>
}
