// What the kernel holds of ours, as the same values that say what it should hold.

import { parseMac } from '#core/names.ts'
import { podChain } from '#core/ruleset.ts'
import type { HostObjects, PresentNic } from '#core/wiring.ts'
import {
  dumpAddresses,
  dumpNeighbours,
  dumpRoutes,
  dumpRules,
  OWN_NAMESPACE,
} from '#linux/kernel.ts'
import type { Link } from '#linux/netlink/link.ts'
import { type Route, ROUTE_PROTOCOL } from '#linux/netlink/route.ts'
import { type Element, listElements } from '#linux/nftables/transaction.ts'
import { delegatedSets, elementSet } from './wire.ts'

type Scene = {
  readonly nics: readonly PresentNic[]
  readonly podLinks: readonly Link[]
}

export type Observed = HostObjects & {
  readonly hasTable: boolean
  /** Routes with our protocol number of a kind that we never make, such as unreachable. */
  readonly oddRoutes: readonly Route[]
}

/** Routes and rules that carry our protocol number, our maps, and what stands on our links. */
export const observeObjects = (scene: Scene): Observed => {
  const ours = dumpRoutes(OWN_NAMESPACE, { protocol: ROUTE_PROTOCOL }).filter(
    route => route.protocol === ROUTE_PROTOCOL,
  )
  const maps = ([4, 6] as const).map(family => listElements(OWN_NAMESPACE, elementSet(family)))
  const objects: HostObjects = {
    routes: ours.filter(isOrdinary).map(toRouteSpec),
    rules: observeRules(),
    neighbours: observeNeighbours(scene),
    elements: maps.flatMap(elements => (elements ?? []).flatMap(toSpec)),
    delegated: observeDelegated(),
    addresses: observeAddresses(scene),
  }
  const hasTable = maps.every(elements => elements !== undefined)
  return { ...objects, hasTable, oddRoutes: ours.filter(route => !isOrdinary(route)) }
}

/** What the maps hold: which pod link may send from which address. */
export const observeElements = (): HostObjects['elements'] =>
  ([4, 6] as const).flatMap(family =>
    (listElements(OWN_NAMESPACE, elementSet(family)) ?? []).flatMap(toSpec),
  )

/** What lets pods out that other plugins connect; slot 0 where one of two elements is missing. */
export const observeDelegated = (): HostObjects['delegated'] =>
  ([4, 6] as const).flatMap(family => {
    const { from, to } = delegatedSets(family)
    const elements = listElements(OWN_NAMESPACE, from) ?? []
    const sources = new Map(elements.map(({ key, value }) => [key[0], toSlot(value)]))
    const known = new Set(listElements(OWN_NAMESPACE, to)?.map(({ key }) => key[0]))
    return [...new Set([...sources.keys(), ...known])].flatMap(ip => {
      if (typeof ip !== 'string') return []
      return [{ ip, slot: known.has(ip) ? (sources.get(ip) ?? 0) : 0 }]
    })
  })

const isOrdinary = (route: Route): boolean => route.kind === 'unicast' && route.device !== undefined

const toRouteSpec = ({ table, destination, device = 0, gateway, source }: Route) => ({
  table,
  destination,
  device,
  gateway,
  source,
})

const observeRules = (): HostObjects['rules'] =>
  dumpRules(OWN_NAMESPACE, { protocol: ROUTE_PROTOCOL }).map(
    ({ family, priority, table, mark }) => ({ family, priority, table, mark: mark?.value }),
  )

const observeNeighbours = ({ podLinks }: Scene): HostObjects['neighbours'] => {
  const ours = new Set(podLinks.map(link => link.index))
  return dumpNeighbours(OWN_NAMESPACE).flatMap(({ index, address, mac, isPermanent }) => {
    if (!ours.has(index)) return []
    const parsed = isPermanent && mac !== undefined ? parseMac(mac) : undefined
    return [{ device: index, ip: address, mac: parsed }]
  })
}

const observeAddresses = ({ nics }: Scene): HostObjects['addresses'] => {
  const devices = new Set(nics.map(nic => nic.device.ifindex))
  return dumpAddresses(OWN_NAMESPACE)
    .filter(({ index }) => devices.has(index))
    .map(({ index, address }) => ({ device: index, ip: address }))
}

const slotOf = new Map(
  Array.from({ length: 128 }, (_, slot): readonly [string, number] => [podChain(slot), slot]),
)

const toSpec = ({ key, value }: Element): HostObjects['elements'] => {
  const [device, ip] = key
  if (typeof device !== 'number' || typeof ip !== 'string') return []
  return [{ device, ip, slot: toSlot(value) }]
}

const toSlot = (value: Element['value']): number =>
  (value?.kind === 'goto' ? slotOf.get(value.chain) : undefined) ?? 0
