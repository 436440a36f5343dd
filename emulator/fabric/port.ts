// One plugged NIC as text: what its port needs in the kernel, said as ip(8) lines, and which
// elements it needs in the nftables table. Pure; `fabric.ts` compares and applies.
import { baseOf, bitsOf, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import type { Cidr, Ip } from '#core/ip.ts'
import type { FabricNic } from '../ports.ts'
import { groupChain, memberSet } from './groups.ts'
import type { GroupNumber } from './groups.ts'
import { guestEnd } from './guest.ts'
import { guestHop, guestHop6, routerLink, routerMac } from './layout.ts'

/** A NIC and the number its device in the fabric is named after; numbers are never reused. */
export interface Port {
  readonly number: number
  readonly nic: FabricNic
  /** Namespace of the instance that the guest end appears in. */
  readonly netns: string
}

/** Metric of routes that say "nobody": worse than any route to an owner of an address. */
export const lastMetric = 4_000_000_000

/** Name of the fabric's end. */
export const portDevice = (port: Port): string => `p${port.number}`

/** Names of the chain that a port's packets meet, by direction. */
export const portChain = (port: Port, direction: 'in' | 'out'): string =>
  `p${port.number}_${direction}`

/** Lines that create the pair in place (moving a veth later costs 18 ms) and ready the port. */
export const portLines = (port: Port): readonly string[] => {
  const device = portDevice(port)
  const { mac, mtu, gateway6 } = port.nic
  const end = guestEnd(port.nic)
  const guest = `name ${end.name} address ${end.mac} mtu ${mtu} netns ${port.netns}`
  return [
    `link add ${device} address ${routerMac} mtu ${mtu} type veth peer ${guest}`,
    `link set ${device} addrgenmode none`,
    // Proxied ARP answers are held back up to 0.8 s unless told otherwise (kernel net/ipv4/arp.c).
    `ntable change name arp_cache dev ${device} proxy_delay 0`,
    `link set ${device} up`,
    `address add ${routerLink}/64 dev ${device} nodad`,
    ...(gateway6 === undefined ? [] : [`address add ${gateway6}/128 dev ${device} nodad`]),
    `neighbour add ${guestHop} lladdr ${mac} dev ${device} nud permanent`,
    `neighbour add ${guestHop6} lladdr ${mac} dev ${device} nud permanent`,
  ]
}

/** Lines every subnet needs once: the router's own address, and an end for what nobody owns. */
export const subnetLines = (nic: FabricNic): readonly string[] => [
  `address replace ${hostCidr(nic.gateway)} dev lo`,
  `route replace unreachable ${nic.subnet} metric ${lastMetric}`,
  ...(nic.subnet6 === undefined
    ? []
    : [`route replace unreachable ${nic.subnet6} metric ${lastMetric}`]),
]

/** Line that sends a block to a port; replaces a route to the block's former owner. */
export const routeLine = (port: Port, block: Cidr): string =>
  familyOf(block) === 4
    ? `route replace ${block} via ${guestHop} dev ${portDevice(port)} onlink`
    : `route replace ${block} via ${guestHop6} dev ${portDevice(port)}`

/** Line that takes the route back. */
export const unrouteLine = (port: Port, block: Cidr): string =>
  `route del ${block} dev ${portDevice(port)}`

/**
 * Every element that the port needs in sets and maps, as `set key` or `set key : value`. Comparing
 * two of these gives the transaction that leads from one state of a NIC to the next.
 */
export const elementsOf = (port: Port, numberOf: GroupNumber): ReadonlySet<string> => {
  const { nic } = port
  const name = `"${portDevice(port)}"`
  return new Set([
    `ports ${name}`,
    `mac ${name} . ${nic.mac}`,
    `leaving ${name} : jump ${portChain(port, 'out')}`,
    `entering ${name} : jump ${portChain(port, 'in')}`,
    ...(nic.sourceDestCheck ? [] : [`unchecked ${name}`]),
    ...nic.blocks.flatMap(block => blockElements(name, block)),
    ...(nic.primary ? [`public4 ${nic.primaryAddress}`] : []),
    ...nic.securityGroups.flatMap(group =>
      nic.blocks.map(block => memberElement(numberOf(group.id), block)),
    ),
  ])
}

/** The jumps of a port's two chains: one per group and direction. */
export const portJumps = (port: Port, numberOf: GroupNumber): readonly string[] =>
  port.nic.securityGroups.flatMap(group =>
    (['in', 'out'] as const).map(
      direction =>
        `${portChain(port, direction)} jump ${groupChain(numberOf(group.id), direction)}`,
    ),
  )

// IPv6 addresses are public by nature: an internet gateway passes them without any mapping.
const blockElements = (name: string, block: Cidr): readonly string[] => {
  const family = familyOf(block)
  const set = isHost(block) ? `source${family}` : `block${family}`
  const source = `${set} ${name} . ${keyOf(block)}`
  return family === 4 ? [source] : [source, `public6 ${keyOf(block)}`]
}

const memberElement = (group: number, block: Cidr): string => {
  const family = familyOf(block)
  const kind = isHost(block) ? (`host${family}` as const) : (`block${family}` as const)
  return `${memberSet(group, kind)} ${keyOf(block)}`
}

const isHost = (block: Cidr): boolean => lengthOf(block) === bitsOf(familyOf(block))

const keyOf = (block: Cidr): Ip | Cidr => (isHost(block) ? baseOf(block) : block)
