// Placeholder types; the diff follows.
import type { Cidr, Ip } from './ip.ts'
import type { Mac, SandboxKey } from './names.ts'

/** Everything the kernel needs to connect one pod; complete in itself, so DEL needs no lookup. */
export type PodWiring = {
  readonly sandbox: SandboxKey
  /** Path of the pod's network namespace; empty when it is unknown (a DEL without namespace). */
  readonly netns: string
  readonly ifName: string
  /** Slot of the NIC whose addresses it uses; 1 is the primary NIC. */
  readonly slot: number
  readonly ips: readonly Ip[]
  readonly mtu: number
  /** Also used for the pod's end, in the pod's namespace. */
  readonly hostIfindex: number
  readonly hostName: string
  readonly hostMac: Mac
  readonly podMac: Mac
}

/** One NIC as the host should have it. */
export type NicWiring = {
  /** 1 is the primary NIC; the NIC's table is 200 + slot, its mark slot << 24. */
  readonly slot: number
  readonly ifindex: number
  readonly mac: Mac
  readonly isPrimary: boolean
  readonly primaryAddresses: readonly Ip[]
  readonly gateways: readonly Ip[]
}

/** The whole desired state of the host's side, handed over at once and diffed. */
export type HostWiring = {
  readonly nics: readonly NicWiring[]
  readonly pods: readonly PodWiring[]
  readonly nat: {
    readonly isEnabled: boolean
    /** Destinations reached with the pod's own address: the VPC and the user's exclusions. */
    readonly insideCidrs: readonly Cidr[]
  }
}
