// What the kernel should hold, as values: from pods and NICs to routes, rules, neighbours and map
// elements, and the pure difference between that and what a look at the kernel found.

import { type Cidr, everywhere, type Family, familyOf, hostCidr, type Ip } from './ip.ts'
import type { Mac, SandboxKey } from './names.ts'
import type { Device } from './ports.ts'

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

/** What the node needs for addresses of a pod that another plugin connects. No link is ours. */
export type DelegatedWiring = {
  readonly sandbox: SandboxKey
  readonly slot: number
  readonly ips: readonly Ip[]
  /** Name of the bridge that leads to the pod; undefined when the plugin makes the routes. */
  readonly bridge: string | undefined
}

/** The same with the bridge as the kernel knows it now; undefined while there is none. */
export type PresentDelegated = DelegatedWiring & { readonly device: number | undefined }

/** One NIC as the host should have it. The host finds its device by MAC, never by name. */
export type NicWiring = {
  /** 1 is the primary NIC; the NIC's table is 200 + slot, its mark slot << 24. */
  readonly slot: number
  readonly mac: Mac
  readonly isPrimary: boolean
  readonly primaryAddresses: readonly Ip[]
  /**
   * Next hop per family that pods have; an IPv6 one may be link-local or an address of the subnet.
   */
  readonly gateways: readonly Ip[]
}

/** The whole desired state of the host's side, handed over at once and diffed. */
export type HostWiring = {
  readonly nics: readonly NicWiring[]
  readonly pods: readonly PodWiring[]
  readonly delegated: readonly DelegatedWiring[]
  /** Pod links of ours that must go: their pods were deleted. Other unknown ones are left alone. */
  readonly leavingLinks: readonly number[]
  readonly nat: {
    readonly isEnabled: boolean
    /** Destinations reached with the pod's own address: the VPC and the user's exclusions. */
    readonly insideCidrs: readonly Cidr[]
  }
}

/** A NIC whose device the kernel shows. */
export type PresentNic = NicWiring & { readonly device: Device }

export type RouteSpec = {
  readonly table: number
  readonly destination: Cidr
  readonly device: number
  readonly gateway: Ip | undefined
  /** Address the node itself uses towards it; undefined leaves the choice to the kernel. */
  readonly source: Ip | undefined
}

export type RuleSpec = {
  readonly family: Family
  readonly priority: number
  readonly table: number
  /** Matches packets with this mark under markMask; undefined matches all. */
  readonly mark: number | undefined
}

export type NeighbourSpec = {
  readonly device: number
  readonly ip: Ip
  /** Undefined where the kernel keeps it by asking; that is never wrong. */
  readonly mac: Mac | undefined
}

/** May send from `ip` on `device`, through the NIC in `slot`. */
export type ElementSpec = { readonly device: number; readonly ip: Ip; readonly slot: number }

/** What is sent from `ip` leaves through the NIC in `slot`, whichever link it comes from. */
export type DelegatedSpec = { readonly ip: Ip; readonly slot: number }

export type AddressSpec = { readonly device: number; readonly ip: Ip }

export type HostObjects = {
  readonly routes: readonly RouteSpec[]
  readonly rules: readonly RuleSpec[]
  readonly neighbours: readonly NeighbourSpec[]
  readonly elements: readonly ElementSpec[]
  readonly delegated: readonly DelegatedSpec[]
  readonly addresses: readonly AddressSpec[]
}

/** Table of all local pods; it has no default, so that others fall through to the next rule. */
export const podTable = 200

/** Rules in front of main (32766): local pods, then one per NIC. */
export const rulePriority = { pods: 512, nics: 1024 } as const

/**
 * Bits 24 to 30 of packet and connection marks: kube-proxy uses 0x4000 and 0x8000, the AWS VPC CNI
 * 0x80, Tailscale 0xff0000.
 */
export const markMask = 0x7f00_0000

export const nicTable = (slot: number): number => podTable + slot
export const nicMark = (slot: number): number => slot * 2 ** 24

/**
 * Every object the wiring wants; NICs without a device are not part of it yet. `sources` are the
 * node's own addresses, for its own packets to pods.
 */
export const desiredObjects = (
  { nics, pods, delegated }: DesiredParts,
  sources: readonly Ip[],
): HostObjects => {
  const families = new Set(nics.flatMap(nic => nic.gateways.map(familyOf)))
  const perPod = pods.map(pod => podObjects(pod, sources))
  const others = delegated.map(each => delegatedObjects(each, sources))
  const routes = [
    ...[...perPod, ...others].flatMap(({ routes }) => routes),
    ...nics.flatMap(nicRoutes),
  ]
  const rules = [...families].flatMap(family => [
    { family, priority: rulePriority.pods, table: podTable, mark: undefined },
    ...nics.map(({ slot }) => ({
      family,
      priority: rulePriority.nics,
      table: nicTable(slot),
      mark: nicMark(slot),
    })),
  ])
  return {
    routes,
    rules,
    neighbours: perPod.flatMap(({ neighbours }) => neighbours),
    elements: perPod.flatMap(({ elements }) => elements),
    delegated: others.flatMap(({ delegated }) => delegated),
    addresses: nics.filter(nic => !nic.isPrimary).flatMap(nic => nicAddresses(nic, sources)),
  }
}

type DesiredParts = {
  readonly nics: readonly PresentNic[]
  readonly pods: readonly PodWiring[]
  readonly delegated: readonly PresentDelegated[]
}

/** The host's objects of one pod. `sources` are the node's own addresses, for its own packets. */
export const podObjects = (pod: PodWiring, sources: readonly Ip[]): HostObjects => {
  const device = pod.hostIfindex
  return {
    ...noObjects,
    routes: pod.ips.map(ip => podRoute(ip, device, sources)),
    neighbours: pod.ips.map(ip => ({ device, ip, mac: pod.podMac })),
    elements: pod.ips.map(ip => ({ device, ip, slot: pod.slot })),
  }
}

/** The host's objects of one pod that another plugin connects. */
export const delegatedObjects = (
  { ips, slot, device }: PresentDelegated,
  sources: readonly Ip[],
): HostObjects => ({
  ...noObjects,
  routes: device === undefined ? [] : ips.map(ip => podRoute(ip, device, sources)),
  delegated: ips.map(ip => ({ ip, slot })),
})

const noObjects: HostObjects = {
  routes: [],
  rules: [],
  neighbours: [],
  elements: [],
  delegated: [],
  addresses: [],
}

const podRoute = (ip: Ip, device: number, sources: readonly Ip[]): RouteSpec => ({
  table: podTable,
  destination: hostCidr(ip),
  device,
  gateway: undefined,
  source: sources.find(source => familyOf(source) === familyOf(ip)),
})

// The link route comes first: the kernel refuses a gateway that it cannot reach.
const nicRoutes = (nic: PresentNic): readonly RouteSpec[] =>
  nic.gateways.flatMap(gateway => {
    const common = { table: nicTable(nic.slot), device: nic.device.ifindex, source: undefined }
    return [
      { ...common, destination: hostCidr(gateway), gateway: undefined },
      { ...common, destination: everywhere(familyOf(gateway)), gateway },
    ]
  })

// A secondary NIC carries its own address, so that neighbour requests it sends name an address the
// cloud knows to be its own. One whose IPv4 address is a pod's carries the node's: on a device
// without any, loose reverse path filtering drops what comes in (net/ipv4/fib_frontend.c).
const nicAddresses = (nic: PresentNic, sources: readonly Ip[]): readonly AddressSpec[] => {
  const has4 = (ips: readonly Ip[]): boolean => ips.some(ip => familyOf(ip) === 4)
  const isBare = has4(nic.gateways) && !has4(nic.primaryAddresses)
  const lent = isBare ? sources.filter(ip => familyOf(ip) === 4) : []
  return [...lent, ...nic.primaryAddresses].map(ip => ({ device: nic.device.ifindex, ip }))
}

export type HostDiff = { readonly missing: HostObjects; readonly excess: HostObjects }

/**
 * What is to be added and removed. `observed` holds only objects of ours; excess on a device for
 * which `isForeign` is true stays, as do neighbours and addresses: only the missing ones matter.
 */
export const diffObjects = (
  observed: HostObjects,
  desired: HostObjects,
  isForeign: (device: number) => boolean,
): HostDiff => {
  const isOurs = (spec: { readonly device: number }): boolean => !isForeign(spec.device)
  const missing = lacking(desired.routes, observed.routes, routeText)
  // Those are replaced; a removal would find the route that has taken their place.
  const replaced = new Set(missing.map(placeOf))
  return {
    missing: {
      routes: missing,
      rules: lacking(desired.rules, observed.rules, ruleText),
      neighbours: lackingNeighbours(desired.neighbours, observed.neighbours),
      elements: lacking(desired.elements, observed.elements, elementText),
      delegated: lacking(desired.delegated, observed.delegated, delegatedText),
      addresses: lacking(desired.addresses, observed.addresses, addressText),
    },
    excess: {
      routes: lacking(observed.routes, desired.routes, routeText).filter(
        route => isOurs(route) && !replaced.has(placeOf(route)),
      ),
      rules: lacking(observed.rules, desired.rules, ruleText),
      neighbours: [],
      elements: lacking(observed.elements, desired.elements, elementText).filter(isOurs),
      delegated: lacking(observed.delegated, desired.delegated, delegatedText),
      addresses: [],
    },
  }
}

const placeOf = ({ destination, table }: RouteSpec): string => `${destination} in ${table}`

const lacking = <Spec>(
  wanted: readonly Spec[],
  held: readonly Spec[],
  text: (spec: Spec) => string,
): readonly Spec[] => {
  const texts = new Set(held.map(text))
  return wanted.filter(spec => !texts.has(text(spec)))
}

const lackingNeighbours = (
  wanted: HostObjects['neighbours'],
  held: HostObjects['neighbours'],
): HostObjects['neighbours'] => {
  const placeOf = ({ device, ip }: NeighbourSpec): string => `${ip} on ${device}`
  const asked = new Set(held.filter(({ mac }) => mac === undefined).map(placeOf))
  return lacking(wanted, held, neighbourText).filter(spec => !asked.has(placeOf(spec)))
}

/** Objects as readable text; equal text means equal object. */
export const routeText = (route: RouteSpec): string => {
  const via = route.gateway === undefined ? '' : ` via ${route.gateway}`
  const source = route.source === undefined ? '' : ` src ${route.source}`
  return `route ${route.destination}${via} dev ${route.device} table ${route.table}${source}`
}

export const ruleText = (rule: RuleSpec): string => {
  const mark = rule.mark === undefined ? '' : ` fwmark 0x${rule.mark.toString(16)}`
  return `rule ${rule.priority}: inet${rule.family}${mark} lookup ${rule.table}`
}

export const neighbourText = ({ device, ip, mac }: NeighbourSpec): string =>
  `neighbour ${ip} dev ${device}${mac === undefined ? '' : ` lladdr ${mac}`}`

export const elementText = ({ device, ip, slot }: ElementSpec): string =>
  `pod ${ip} on ${device} through slot ${slot}`

export const delegatedText = ({ ip, slot }: DelegatedSpec): string =>
  `delegated ${ip} through slot ${slot}`

export const addressText = ({ device, ip }: AddressSpec): string => `address ${ip} dev ${device}`

/** All objects as lines, for logs and tests. */
export const render = (objects: HostObjects): string =>
  [
    ...objects.rules.map(ruleText),
    ...objects.addresses.map(addressText),
    ...objects.routes.map(routeText),
    ...objects.neighbours.map(neighbourText),
    ...objects.elements.map(elementText),
    ...objects.delegated.map(delegatedText),
  ].join('\n')
