// Addresses without wiring: another plugin (ptp, bridge, macvlan) makes the pod's link and asked us
// as its IPAM plugin. Which NICs can serve it, and what it is told of addresses and gateways.

import {
  addressAt,
  bitsOf,
  type Cidr,
  cidrOf,
  contains,
  everywhere,
  type Family,
  familyOf,
  type Ip,
  ip,
  lengthOf,
  sizeOf,
} from './ip.ts'
import type { AddRequest, Nic, Sandbox, State } from './state.ts'

/** One address as the delegating plugin is told it. */
export type DelegatedIp = {
  readonly ip: Ip
  /** Long enough for the gateway to be inside. */
  readonly length: number
  readonly gateway: Ip
  /** All of them by the gateway. */
  readonly routes: readonly Cidr[]
}

/** True when the delegating plugin, if there is one, can use addresses of this NIC. */
export const canServe = (nic: Nic, { delegator }: Pick<AddRequest, 'delegator'>): boolean => {
  if (delegator?.kind !== 'shared') return true
  // Without a master the plugins take the device of the default route.
  return delegator.master === undefined ? nic.isPrimary : nic.device?.name === delegator.master
}

/** Why no address will ever do, as a sentence; undefined while one may. */
export const neverServed = (state: State, { delegator }: AddRequest): string | undefined => {
  if (delegator?.kind === 'routed' && delegator.bridge !== undefined) {
    // Who asks on a bridge for an IPv6 neighbour gets no answer by an address of another device.
    if (!state.config.families.includes(6)) return undefined
    return 'a bridge does not find an IPv6 gateway that is not its own; use ptp, or IPv4 alone'
  }
  if (delegator?.kind !== 'shared' || state.host.reconciledAt === undefined) return undefined
  const isKnown = [...state.nics.values()].some(
    nic => nic.isManaged && canServe(nic, { delegator }),
  )
  if (isKnown) return undefined
  const names = [...state.nics.values()].flatMap(
    nic => (nic.isManaged ? nic.device?.name : []) ?? [],
  )
  return `its master ${delegator.master} is no NIC that gives addresses; use one of: ${names.join(', ')}`
}

/** What the delegating plugin gets, in the order of the result. */
export const delegatedIps = (state: State, sandbox: Sandbox): readonly DelegatedIp[] =>
  sandbox.addresses.map(({ ip: own }) => {
    const family = familyOf(own)
    const gateway = gatewayFor(state, sandbox, family)
    // Reached without a route, so no prefix is needed around it.
    if (family === 6 && !isShared(sandbox)) return aloneWith(own, gateway)
    const length = lengthWith(own, gateway, subnetOf(state, sandbox, own))
    const routes = isShared(sandbox) ? [] : halvesOf(cidrOf(own, length))
    return { ip: own, length, gateway, routes: [everywhere(family), ...routes] }
  })

const isShared = ({ delegator }: Sandbox): boolean => delegator?.kind === 'shared'

const aloneWith = (own: Ip, gateway: Ip): DelegatedIp => ({
  ip: own,
  length: bitsOf(familyOf(own)),
  gateway,
  routes: [everywhere(familyOf(own))],
})

// The node's own address: it is local already, and stays what it is when the plugin gives it to the
// pod's link as well. The subnet's gateway would then be taken for the node itself.
const gatewayFor = (state: State, sandbox: Sandbox, family: Family): Ip => {
  const nics = [...state.nics.values()]
  const owner = state.nics.get(sandbox.nic)
  const primary = nics.find(nic => nic.isPrimary)
  const ofFamily = (list: readonly Ip[] = []): Ip | undefined =>
    list.find(address => familyOf(address) === family)
  if (isShared(sandbox)) return ofFamily(owner?.gateways) ?? fallbackGateway[family]
  if (family === 6) return fallbackGateway[6]
  return (
    ofFamily(owner?.primaryAddresses) ?? ofFamily(primary?.primaryAddresses) ?? fallbackGateway[4]
  )
}

const fallbackGateway: Readonly<Record<Family, Ip>> = { 4: ip('169.254.1.1'), 6: ip('fe80::1') }

const subnetOf = (state: State, { nic }: Sandbox, own: Ip): Cidr | undefined => {
  const id = state.nics.get(nic)?.subnet
  const described = id === undefined ? undefined : state.subnets.get(id)?.subnet
  const subnet = described ?? state.node?.subnets.find(each => each.id === id)
  return subnet?.cidrs.find(cidr => contains(cidr, own))
}

// The subnet where the gateway lies in it, else the longest prefix around both in which neither is
// its first or last address: a host may not have those.
const lengthWith = (own: Ip, gateway: Ip, subnet: Cidr | undefined): number => {
  // A link-local gateway is on the link whatever the prefix says.
  if (familyOf(own) === 6) return subnet === undefined ? 64 : lengthOf(subnet)
  const isInside = subnet !== undefined && contains(subnet, gateway)
  let length = isInside ? lengthOf(subnet) : bitsOf(4) - 2
  while (length > 1 && !isUsable(cidrOf(own, length), [own, gateway])) length--
  return length
}

const isUsable = (prefix: Cidr, addresses: readonly Ip[]): boolean =>
  addresses.every(address => contains(prefix, address)) &&
  !edgesOf(prefix).some(edge => addresses.includes(edge))

const edgesOf = (prefix: Cidr): readonly Ip[] => [
  addressAt(prefix, 0),
  addressAt(prefix, sizeOf(prefix) - 1),
]

// Longer than the route the kernel makes of an address: neighbours in the prefix are reached by the
// gateway too, because they are not on this wire.
const halvesOf = (prefix: Cidr): readonly Cidr[] => {
  const length = lengthOf(prefix) + 1
  const upper = addressAt(prefix, sizeOf(prefix) / 2)
  return [cidrOf(addressAt(prefix, 0), length), cidrOf(upper, length)]
}
