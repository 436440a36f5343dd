// What one machine's kernel holds: NIC devices, pod links with their routes and map elements, and
// network namespaces. It outlives the daemon; only a reboot empties it.

import type { Ip } from '#core/ip.ts'
import type { Mac, SandboxKey } from '#core/names.ts'
import type { Device } from '#core/ports.ts'
import type { NicWiring, PodWiring } from '#core/wiring.ts'
import type { Actor, Notify } from './notices.ts'

export type PodLink = {
  readonly ifindex: number
  readonly name: string
  readonly netns: string
  readonly sandbox: SandboxKey
  readonly ips: readonly Ip[]
}

export type Route = { readonly ifindex: number; readonly sandbox: SandboxKey }
export type MapElement = {
  readonly ifindex: number
  readonly address: Ip
  readonly slot: number
  readonly sandbox: SandboxKey
}

/** Elements are keyed by link and address, as the anti-spoofing map is. */
export const elementKey = (ifindex: number, address: Ip): string => `${ifindex} ${address}`

export type Kernel = {
  readonly devices: ReadonlyMap<number, Device>
  readonly links: ReadonlyMap<number, PodLink>
  /** Table 200: where each pod address leads. */
  readonly routes: ReadonlyMap<Ip, Route>
  /** The map from pod address to NIC slot, which also guards against spoofing. */
  readonly elements: ReadonlyMap<string, MapElement>
  /** NICs whose tables and rules are in place. */
  readonly slots: Map<number, NicWiring>
  readonly namespaces: ReadonlySet<string>
  addDevice(hardware: Mac): void
  removeDevice(hardware: Mac): void
  addNamespace(path: string): void
  /** The pod's end of a link dies with its namespace, and so does the link. */
  removeNamespace(path: string): void
  addLink(pod: PodWiring): void
  addRoute(pod: PodWiring, address: Ip): void
  addElement(pod: PodWiring, address: Ip): void
  removeLink(ifindex: number, by: Actor): void
  removeRoute(address: Ip, by: Actor): void
  removeElement(key: string, by: Actor): void
  /** Somebody flushes the rules and tables of one NIC. */
  removeSlot(slot: number, by: Actor): void
  reboot(): void
}

const mtu = 9001

export const createKernel = (notify: Notify): Kernel => {
  const devices = new Map<number, Device>()
  const links = new Map<number, PodLink>()
  const routes = new Map<Ip, Route>()
  const elements = new Map<string, MapElement>()
  const slots = new Map<number, NicWiring>()
  const namespaces = new Set<string>()
  let lastIfindex = 1

  const freeIfindex = (): number => {
    do lastIfindex++
    while (devices.has(lastIfindex) || links.has(lastIfindex))
    return lastIfindex
  }
  const removeRoute = (address: Ip, by: Actor): void => {
    const route = routes.get(address)
    if (route === undefined) return
    routes.delete(address)
    notify({ kind: 'removed', what: 'route', sandbox: route.sandbox, ips: [address], by })
  }
  const removeLink = (ifindex: number, by: Actor): void => {
    const link = links.get(ifindex)
    if (link === undefined) return
    links.delete(ifindex)
    notify({ kind: 'removed', what: 'link', sandbox: link.sandbox, ips: link.ips, by })
    // A device takes its routes with it.
    for (const [address, route] of routes) if (route.ifindex === ifindex) removeRoute(address, by)
  }

  return {
    devices,
    links,
    routes,
    elements,
    slots,
    namespaces,
    addDevice: hardware => {
      const ifindex = freeIfindex()
      devices.set(ifindex, { ifindex, name: `eth${devices.size}x${ifindex}`, mac: hardware, mtu })
    },
    removeDevice: hardware => {
      for (const [ifindex, device] of devices) if (device.mac === hardware) devices.delete(ifindex)
      for (const [slot, nic] of slots) if (nic.mac === hardware) slots.delete(slot)
    },
    addNamespace: path => void namespaces.add(path),
    removeNamespace: path => {
      namespaces.delete(path)
      for (const link of links.values()) {
        if (link.netns === path) removeLink(link.ifindex, 'kernel')
      }
    },
    addLink: pod =>
      void links.set(pod.hostIfindex, {
        ifindex: pod.hostIfindex,
        name: pod.hostName,
        netns: pod.netns,
        sandbox: pod.sandbox,
        ips: pod.ips,
      }),
    addRoute: (pod, address) =>
      void routes.set(address, { ifindex: pod.hostIfindex, sandbox: pod.sandbox }),
    addElement: (pod, address) =>
      void elements.set(elementKey(pod.hostIfindex, address), {
        ifindex: pod.hostIfindex,
        address,
        slot: pod.slot,
        sandbox: pod.sandbox,
      }),
    removeLink,
    removeRoute,
    removeElement: (key, by) => {
      const element = elements.get(key)
      if (element === undefined) return
      elements.delete(key)
      const { sandbox, address } = element
      notify({ kind: 'removed', what: 'element', sandbox, ips: [address], by })
    },
    removeSlot: (slot, by) => {
      slots.delete(slot)
      notify({ kind: 'slotRemoved', slot, by })
    },
    reboot: () => {
      links.clear()
      routes.clear()
      elements.clear()
      slots.clear()
      namespaces.clear()
      notify({ kind: 'rebooted' })
    },
  }
}
