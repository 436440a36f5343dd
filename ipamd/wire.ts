// One pod in the kernel: a veth made in place, addresses, routes, neighbours and the map element
// that lets it send; and all of that undone. Synchronous, because rtnetlink is serial anyway.

import { bitsOf, everywhere, familyOf, hostCidr, type Ip, ip } from '#core/ip.ts'
import type { HostFailure, HostOutcome } from '#core/ports.ts'
import {
  delegatedMap,
  delegatedSet,
  podChain,
  podLinkGroup,
  podMap,
  tableName,
} from '#core/ruleset.ts'
import {
  type DelegatedSpec,
  type ElementSpec,
  type NeighbourSpec,
  podObjects,
  type PodWiring,
  type RouteSpec,
} from '#core/wiring.ts'
import {
  type Ack,
  deleteLinkInBackground,
  findLink,
  hasLink,
  OWN_NAMESPACE,
  request,
  type Request,
} from '#linux/kernel.ts'
import { openNamespace } from '#linux/namespace.ts'
import { ExchangeError } from '#linux/native.ts'
import { writeSysctl, writeSysctlIn } from '#linux/sysctl.ts'
import { addAddress, SCOPE } from '#linux/netlink/address.ts'
import { changeLink, createVeth, removeLink } from '#linux/netlink/link.ts'
import { answerFor, replaceNeighbour, teachNeighbour } from '#linux/netlink/neighbour.ts'
import { addRoute, type NewRoute, removeRoute, replaceRoute } from '#linux/netlink/route.ts'
import {
  changeElements,
  type Element,
  type ElementChange,
  type ElementSet,
} from '#linux/nftables/transaction.ts'

/** Next hops of every pod; they exist only as permanent neighbours. */
export const podGateways = { 4: ip('169.254.1.1'), 6: ip('fe80::1') } as const

const loopbackIfindex = 1
const ok: HostOutcome = { kind: 'ok' }

export type Surroundings = {
  /** The node's own addresses, for its own packets to the pod. */
  readonly sources: readonly Ip[]
  /** True for a pod link that the background is deleting. */
  readonly isLeaving: (ifindex: number) => boolean
}

/** Makes the wiring; on failure everything made is undone before it returns. */
export const wirePod = (pod: PodWiring, { sources, isLeaving }: Surroundings): HostOutcome => {
  const namespace = openNamespace(pod.netns)
  if (namespace.kind !== 'open') return failed('ENOENT', namespace.message)
  using open = namespace
  const made = makeLink(pod, open.fd, isLeaving)
  if (made.kind === 'failed') return made
  const outcome = firstFailure([
    () => shutEars(pod),
    () => openIpv6(pod, open.fd),
    () => configurePod(pod, open.fd),
    () => refusal(pod, request(OWN_NAMESPACE, hostRequests(pod, sources))),
    () => refusal(pod, [changeElements(OWN_NAMESPACE, elementChanges(pod, 'add'))]),
    () => awaitCarrier(pod, open.fd),
  ])
  if (outcome.kind === 'failed') undo(pod)
  return outcome
}

/** Routes and map elements go now; the link goes in the background. Absence is success. */
export const unwirePod = (pod: PodWiring): HostOutcome => {
  const { routes } = podObjects(pod, [])
  const acks = request(
    OWN_NAMESPACE,
    routes.map(route => removeRoute(toRoute(route))),
  )
  const removed = changeElements(OWN_NAMESPACE, elementChanges(pod, 'remove'))
  return refusal(
    pod,
    [...acks, removed].filter(ack => !isAbsent(ack)),
  )
}

export const isAbsent = (ack: Ack): boolean =>
  !ack.ok && ['ESRCH', 'ENOENT', 'ENODEV'].includes(ack.code)

// An IPv6 gateway needs no promise that it is on the link: a link-local one is, and for another the
// kernel asks the same table, where its link route lies. With the promise it would ask the main
// table, and refuse the gateway of a secondary NIC whose subnet is the primary one's
// (ip6_route_check_nh_onlink, net/ipv6/route.c).
export const toRoute = (route: RouteSpec): NewRoute => ({
  destination: route.destination,
  table: route.table,
  device: route.device,
  scope: route.gateway === undefined ? SCOPE.link : SCOPE.global,
  ...(route.gateway === undefined
    ? {}
    : { gateway: route.gateway, onLink: familyOf(route.gateway) === 4 }),
  ...(route.source === undefined ? {} : { source: route.source }),
})

export const toNeighbour = ({ device, ip: address, mac }: NeighbourSpec): readonly Request[] =>
  mac === undefined ? [] : [teachNeighbour({ index: device, address, mac })]

/** The map of a family, as the ruleset declares it. */
export const elementSet = (family: 4 | 6): ElementSet => ({
  table: tableName,
  name: podMap(family),
  key: ['number', family === 4 ? 'ip4' : 'ip6'],
})

export const toElement = ({ device, ip: address, slot }: ElementSpec): Element => ({
  key: [device, address],
  value: { kind: 'goto', chain: podChain(slot) },
})

/** The map of a family for pods that other plugins connect, and the set that goes with it. */
export const delegatedSets = (
  family: 4 | 6,
): { readonly from: ElementSet; readonly to: ElementSet } => {
  const common = { table: tableName, key: [family === 4 ? 'ip4' : 'ip6'] } as const
  return {
    from: { ...common, name: delegatedMap(family) },
    to: { ...common, name: delegatedSet(family) },
  }
}

/** Both elements of one such address. */
export const delegatedChanges = (
  { ip: address, slot }: DelegatedSpec,
  kind: ElementChange['kind'],
): readonly ElementChange[] => {
  const { from, to } = delegatedSets(familyOf(address))
  const value = { kind: 'goto', chain: podChain(slot) } as const
  return [
    { kind, set: from, elements: [{ key: [address], value }] },
    { kind, set: to, elements: [{ key: [address], value: undefined }] },
  ]
}

const elementChanges = (pod: PodWiring, kind: 'add' | 'remove') =>
  podObjects(pod, []).elements.map(element => ({
    kind,
    set: elementSet(familyOf(element.ip)),
    elements: [toElement(element)],
  }))

const makeLink = (
  pod: PodWiring,
  netnsFd: number,
  isLeaving: Surroundings['isLeaving'],
): HostOutcome => {
  const veth = createVeth({
    index: pod.hostIfindex,
    name: pod.hostName,
    mac: pod.hostMac,
    mtu: pod.mtu,
    group: podLinkGroup,
    isUp: false,
    peer: { index: pod.hostIfindex, name: pod.ifName, mac: pod.podMac, netnsFd },
  })
  const [ack] = request(OWN_NAMESPACE, [veth])
  if (ack === undefined || ack.ok) return ok
  if (ack.code !== 'EEXIST') return refusal(pod, [ack])
  const taken = findLink(netnsFd, { name: pod.ifName })
  if (taken !== undefined && !isLeaving(taken.index)) {
    const where = `${pod.ifName} already exists in ${pod.netns}`
    return failed('EEXIST', `interface ${where}; use another interface name or remove it`)
  }
  // Our own link that still leaves after a DEL (both ends have one number), or the host end of an
  // attachment that was never undone: its pod is gone, so nobody misses it.
  const old = taken ?? findLink(OWN_NAMESPACE, { name: pod.hostName })
  if (old === undefined || (taken === undefined && old.group !== podLinkGroup)) {
    return refusal(pod, [ack])
  }
  const [removed, made] = request(OWN_NAMESPACE, [removeLink(old.index), veth])
  const acks = [removed, made].flatMap(each => each ?? [])
  return refusal(
    pod,
    acks.filter(each => !isAbsent(each)),
  )
}

const podRequests = (pod: PodWiring): readonly Request[] => {
  const device = pod.hostIfindex
  return [
    changeLink({ index: loopbackIfindex, up: true }),
    ...(pod.ips.some(ip => familyOf(ip) === 6) ? [] : [withoutLinkLocal(device)]),
    // Chained plugins may change the MAC: the node hears of it at once.
    changeLink({ index: device, up: true, ipv4: { arp_notify: 1 } }),
    ...pod.ips.map(address =>
      addAddress({
        index: device,
        address,
        prefixLength: bitsOf(familyOf(address)),
        noDuplicateDetection: true,
      }),
    ),
    ...pod.ips.map(address =>
      replaceNeighbour({
        index: device,
        address: podGateways[familyOf(address)],
        mac: pod.hostMac,
      }),
    ),
  ]
}

// The IPv6 gateway is link-local and reachable by itself.
const podRoutes = (pod: PodWiring, metric: number | undefined): readonly Request[] => {
  const common = { device: pod.hostIfindex, ...(metric === undefined ? {} : { metric }) }
  return pod.ips.flatMap(source => {
    const family = familyOf(source)
    const gateway = podGateways[family]
    const reach = { ...common, destination: hostCidr(gateway), scope: SCOPE.link }
    const leave = { ...common, destination: everywhere(family), gateway, onLink: true, source }
    return [...(family === 4 ? [addRoute(reach)] : []), addRoute(leave)]
  })
}

// A further interface of the same pod comes after the first one: its routes give way by their
// metric.
const configurePod = (pod: PodWiring, netnsFd: number): HostOutcome => {
  const requests = podRequests(pod)
  const acks = request(netnsFd, [...requests, ...podRoutes(pod, undefined)])
  const routes = acks.slice(requests.length)
  const isFurther = routes.some(ack => !ack.ok && ack.code === 'EEXIST')
  if (!isFurther) return refusal(pod, acks)
  const metric = furtherMetric + (pod.hostIfindex % furtherMetric)
  const again = request(netnsFd, podRoutes(pod, metric))
  return refusal(pod, [...acks.slice(0, requests.length), ...again])
}

const furtherMetric = 0x10000

const hostRequests = (pod: PodWiring, sources: readonly Ip[]): readonly Request[] => {
  const { routes, neighbours } = podObjects(pod, sources)
  return [
    withoutLinkLocal(pod.hostIfindex),
    changeLink({ index: pod.hostIfindex, up: true }),
    ...pod.ips.map(address => gatewayRequest(pod, familyOf(address))),
    ...routes.map(route => replaceRoute(toRoute(route))),
    ...neighbours.flatMap(toNeighbour),
  ]
}

// The pod knows its gateways by permanent entries, until its MAC is changed: then its kernel
// forgets them all (neigh_changeaddr, net/core/neighbour.c) and has to ask.
const gatewayRequest = ({ hostIfindex: index }: PodWiring, family: 4 | 6): Request => {
  const address = podGateways[family]
  if (family === 4) return answerFor({ index, address })
  const isQuiet = { noDuplicateDetection: true, noPrefixRoute: true }
  return addAddress({ index, address, prefixLength: 128, scope: SCOPE.link, ...isQuiet })
}

// Otherwise the kernel makes an IPv6 address, looks for duplicates and asks for routers, and has
// all of that to undo when the link goes.
const withoutLinkLocal = (index: number): Request =>
  changeLink({ index, ipv6AddressGeneration: 'none' })

// A pod is no router, whatever it says. Its packets are dropped by rule (core/ruleset.ts); where
// the setting cannot be written, that is enough.
const shutEars = (pod: PodWiring): HostOutcome => {
  const hasIpv6 = pod.ips.some(ip => familyOf(ip) === 6)
  if (hasIpv6) writeSysctl(`ipv6/conf/${pod.hostName}/accept_ra`, 0)
  return ok
}

// Some runtimes make namespaces in which IPv6 is switched off for every new link.
const openIpv6 = (pod: PodWiring, netnsFd: number): HostOutcome => {
  if (!pod.ips.some(ip => familyOf(ip) === 6)) return ok
  const name = `ipv6/conf/${pod.ifName}/disable_ipv6`
  try {
    writeSysctlIn(netnsFd, name, 0)
    writeSysctlIn(netnsFd, `ipv6/conf/${pod.ifName}/ndisc_notify`, 1)
    return ok
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    const what = `cannot switch IPv6 on for ${pod.ifName} in ${pod.netns}`
    return failed(error.code, `${what}: ${error.message}; give pods IPv4 only, or enable IPv6`)
  }
}

const undo = (pod: PodWiring): void => {
  unwirePod(pod)
  void deleteLinkInBackground(pod.hostIfindex)
}

// The host end gave the pod's end its carrier, but the kernel's link watch makes that end ready to
// send only later, and drops packets until then. Who asks for a link has it made ready at once:
// linkwatch_sync_dev in rtnl_getlink, net/core/rtnetlink.c.
const awaitCarrier = (pod: PodWiring, netnsFd: number): HostOutcome => {
  if (hasLink(netnsFd, pod.hostIfindex)) return ok
  return failed('ENODEV', `${pod.ifName} in ${pod.netns} was removed while it was wired`)
}

const firstFailure = (steps: readonly (() => HostOutcome)[]): HostOutcome => {
  for (const step of steps) {
    const outcome = step()
    if (outcome.kind === 'failed') return outcome
  }
  return ok
}

const refusal = (pod: PodWiring, acks: readonly Ack[]): HostOutcome => {
  const bad = acks.find(ack => !ack.ok)
  if (bad === undefined || bad.ok) return ok
  const what = `the kernel refused the wiring of ${pod.ifName} in ${pod.netns}`
  return failed(bad.code, `${what}: ${bad.message}`)
}

// A namespace that is gone or a name that is taken stays so; the rest may pass.
const failed = (code: string, message: string): HostOutcome => {
  const isTemporary = code !== 'ENOENT' && code !== 'EEXIST'
  const failure: HostFailure = { code, message, isTemporary }
  return { kind: 'failed', failure }
}
