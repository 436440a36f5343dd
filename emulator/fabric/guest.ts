// What a guest sees of a plugged NIC, as ip(8) lines for its namespace: names and kinds of devices,
// what a boot does to the first of them, and two devices where the NIC is accelerated. Pure.
import { familyOf, lengthOf } from '#core/ip.ts'
import type { FabricNic } from '../ports.ts'

/** One end of a pair, as ip(8) is told to make it. */
export interface GuestEnd {
  readonly name: string
  readonly mac: string
}

/** Name of the device that carries the NIC's addresses, as it appears. */
export const guestDevice = (nic: FabricNic): string => `eth${nic.deviceIndex}`

/** Names that Azure's virtual functions have: by PCI domain and slot, here by device index. */
export const fastDevice = (nic: FabricNic): string => `enP${nic.deviceIndex + 1}s1`

/**
 * The end of the pair that leads to the fabric, as it is made. It is the NIC's device; or the
 * virtual function; or, while there is none, the slow path. Below a master it begins with a MAC of
 * its own, so that there are never two devices with the NIC's and neither below the other.
 */
export const guestEnd = (nic: FabricNic): GuestEnd => {
  const { mac } = nic
  if (nic.fastPath === 'none') return { name: guestDevice(nic), mac }
  const name = nic.fastPath === 'plugged' ? fastDevice(nic) : `slow${nic.deviceIndex}`
  return { name, mac: `06${mac.slice(2)}` }
}

/**
 * Lines that make the device above the pair's end, where there is one. A bridge stands in for
 * Azure's synthetic device: it has the MAC, the addresses, and the other as its slave.
 */
export const masterLines = (nic: FabricNic): readonly string[] => {
  if (nic.fastPath === 'none') return []
  const { name, mac, mtu } = { ...nic, name: guestDevice(nic) }
  const quiet = 'forward_delay 0 stp_state 0 mcast_snooping 0'
  return [`link add ${name} address ${mac} mtu ${mtu} type bridge ${quiet}`]
}

/** Lines that put the pair's end below its master. `master` is the master's name by now. */
export const slaveLines = (nic: FabricNic, master: string): readonly string[] => {
  if (nic.fastPath === 'none') return []
  const { name } = guestEnd(nic)
  return [
    `link set ${name} addrgenmode none`,
    `link set ${name} master ${master}`,
    ...(nic.fastPath === 'plugged' ? [`link set ${name} address ${nic.mac}`] : []),
    `link set ${name} up`,
  ]
}

/** What the guest's boot would do to its first NIC: DHCP for IPv4, DHCPv6 and an RA for IPv6. */
export const bootLines = (nic: FabricNic): readonly string[] => {
  const device = guestDevice(nic)
  const address6 = nic.blocks.find(block => familyOf(block) === 6 && lengthOf(block) === 128)
  return [
    `address add ${nic.primaryAddress}/${lengthOf(nic.subnet)} broadcast + dev ${device}`,
    ...(address6 === undefined ? [] : [`address add ${address6} dev ${device} nodad`]),
    `link set ${device} up`,
    `route add default via ${nic.gateway} dev ${device} src ${nic.primaryAddress}`,
    ...(address6 === undefined || nic.gateway6 === undefined
      ? []
      : [`route add default via ${nic.gateway6} dev ${device} onlink`]),
  ]
}

/** A device as `ip -j -d link show` prints it, as far as we look. */
export interface ShownLink {
  readonly ifname: string
  readonly address?: string
  readonly master?: string
  readonly linkinfo?: { readonly info_kind?: string }
}

/** The device that carries the NIC's addresses, whatever it is called by now. */
export const nicDevice = (links: readonly ShownLink[], nic: FabricNic): string | undefined =>
  links.find(
    ({ address, linkinfo }) =>
      address === nic.mac && linkinfo?.info_kind === (nic.fastPath === 'none' ? 'veth' : 'bridge'),
  )?.ifname
