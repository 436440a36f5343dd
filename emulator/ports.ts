// The port from the cloud model to the packet plane. The model says what each NIC may receive and
// send; the fabric makes packets obey. It names no provider: every cloud's face shares one fabric.
import type { Cidr, Ip } from '#core/ip.ts'

/**
 * The packet plane. Calls are made in order, one at a time per NIC. Every call is idempotent:
 * plugging what is plugged brings it to the given state, unplugging what is absent succeeds.
 */
export interface Fabric {
  /** Prepares the instance's network namespace; made before any of its NICs is plugged. */
  addInstance(instance: FabricInstance): Promise<void>
  /** Forgets an instance; its NICs were unplugged before. */
  removeInstance(instanceId: string): Promise<void>
  /** Makes the NIC appear in its instance's namespace, as a hot-plugged device does. */
  plug(nic: FabricNic): Promise<void>
  /** Makes the NIC vanish from its instance's namespace. */
  unplug(nicId: string): Promise<void>
  /** Addresses, prefixes, security groups or the source check of a plugged NIC have changed. */
  update(nic: FabricNic): Promise<void>
  /** Removes everything the fabric created. */
  close(): Promise<void>
}

/** One emulated machine: a network namespace that the fabric creates or adopts. */
export interface FabricInstance {
  readonly id: string
  /** A readable name, unique in one emulator: `node-a`. */
  readonly name: string
  /** Name of the namespace under /run/netns. */
  readonly netns: string
}

/** The whole desired state of one attached NIC. */
export interface FabricNic {
  readonly id: string
  readonly instanceId: string
  /** Lower case, colons: `02:3f:…`. The device in the guest must have exactly this one. */
  readonly mac: string
  readonly deviceIndex: number
  /** True for device index 0: the NIC that the instance started with. */
  readonly primary: boolean
  readonly subnet: Cidr
  /** Answers ARP as the subnet's router. */
  readonly gateway: Ip
  /** The subnet's IPv6 range, when it has one. */
  readonly subnet6: Cidr | undefined
  /** Its router: a link-local address, or one of the subnet. */
  readonly gateway6: Ip | undefined
  readonly mtu: number
  /** What the guest calls the device by now; undefined: what the kernel called it. */
  readonly deviceName: string | undefined
  /** Accelerated: a second device with the same MAC below the first; it may be gone for a while. */
  readonly fastPath: 'none' | 'plugged' | 'gone'
  /** The address a DHCP server would give the guest for this NIC. */
  readonly primaryAddress: Ip
  /** All that this NIC may receive and source: /32s and prefixes, of both families. */
  readonly blocks: readonly Cidr[]
  /** False lifts the check that a packet's source (or destination) is one of `blocks`. */
  readonly sourceDestCheck: boolean
  /** Complete rules of every group, so that one NIC can be programmed without asking back. */
  readonly securityGroups: readonly FabricSecurityGroup[]
}

/** Stateful allow rules: what no rule allows is dropped; replies to allowed packets pass. */
export interface FabricSecurityGroup {
  readonly id: string
  readonly ingress: readonly FabricRule[]
  readonly egress: readonly FabricRule[]
}

/** One allow rule: packets of `protocol` to `ports`, from (ingress) or to (egress) `peer`. */
export interface FabricRule {
  /** `all` also covers protocols that have no name here; `icmp` means ICMPv6 on IPv6. */
  readonly protocol: 'all' | 'tcp' | 'udp' | 'icmp'
  /** Destination ports, both ends included; undefined: every port (or not a TCP/UDP rule). */
  readonly ports: { readonly from: number; readonly to: number } | undefined
  readonly peer: FabricPeer
}

/** A prefix, or every NIC that carries the group (the group itself included). */
export type FabricPeer =
  | { readonly kind: 'cidr'; readonly cidr: Cidr }
  | { readonly kind: 'group'; readonly id: string }
