// What later plugins of a chain do to the pod's end: a new MAC, with which the kernel forgets every
// neighbour of that link, permanent ones too (neigh_changeaddr, net/core/neighbour.c). The pod
// would lose its gateway, and the node would go on sending to a MAC that nobody has.

import { familyOf } from '#core/ip.ts'
import { type Mac, parseMac } from '#core/names.ts'
import type { PodWiring } from '#core/wiring.ts'
import { type Ack, ExchangeError, findLink, findPeers, request } from '#linux/kernel.ts'
import { openNamespace } from '#linux/namespace.ts'
import type { Link } from '#linux/netlink/link.ts'
import { replaceNeighbour } from '#linux/netlink/neighbour.ts'
import { podGateways } from './wire.ts'

export type Peers = {
  /**
   * The pods with the MACs they really have. A pod whose MAC is another than at the last look gets
   * its gateways back, without which it can send nothing.
   */
  follow(pods: readonly PodWiring[], links: readonly Link[]): Followed
}

export type Followed = {
  readonly pods: readonly PodWiring[]
  readonly repaired: readonly string[]
  readonly failures: readonly string[]
}

/** Both ends of a pair of ours have one number, so that a peer is told by it. */
export const createPeers = (): Peers => {
  let known = new Map<number, Mac>()
  return {
    follow: (pods, links) => {
      const macs = macsOf(links)
      const actual = pods.map(pod => ({ ...pod, podMac: macs.get(pod.hostIfindex) ?? pod.podMac }))
      const changed = actual.filter(
        ({ hostIfindex, podMac }, place) =>
          podMac !== (known.get(hostIfindex) ?? pods[place]?.podMac),
      )
      const failures = changed.flatMap(giveGateways)
      known = new Map(
        actual.flatMap(({ hostIfindex, podMac }) =>
          failures.some(({ device }) => device === hostIfindex) ? [] : [[hostIfindex, podMac]],
        ),
      )
      return {
        pods: actual,
        repaired: changed.map(({ ifName, sandbox }) => `gateway of ${ifName} in ${sandbox}`),
        failures: failures.map(({ message }) => message),
      }
    },
  }
}

const macsOf = (links: readonly Link[]): ReadonlyMap<number, Mac> =>
  new Map(
    findPeers(links).flatMap(({ index, mac }) => {
      const parsed = mac === undefined ? undefined : parseMac(mac)
      return parsed === undefined ? [] : [[index, parsed]]
    }),
  )

type Failure = { readonly device: number; readonly message: string }

const giveGateways = (pod: PodWiring): readonly Failure[] => {
  const namespace = openNamespace(pod.netns)
  // A pod on its way out needs none.
  if (namespace.kind !== 'open') return []
  using open = namespace
  const device = pod.hostIfindex
  try {
    // The path may lead elsewhere by now.
    if (findLink(open.fd, { index: device })?.mac !== pod.podMac) return []
    const acks = request(
      open.fd,
      pod.ips.map(ip =>
        replaceNeighbour({ index: device, address: podGateways[familyOf(ip)], mac: pod.hostMac }),
      ),
    )
    return acks.flatMap(ack => refusal(pod, ack))
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    return [{ device, message: error.message }]
  }
}

const refusal = (pod: PodWiring, ack: Ack): readonly Failure[] =>
  ack.ok
    ? []
    : [
        {
          device: pod.hostIfindex,
          message: `the kernel refused the gateway of ${pod.ifName} in ${pod.netns}: ${ack.message}`,
        },
      ]
