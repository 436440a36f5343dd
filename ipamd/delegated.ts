// A pod in the kernel that another plugin connects: its addresses leave through their NIC, and
// where its link is a port of a bridge, the node finds it there. Link and namespace are not ours.

import type { Ip } from '#core/ip.ts'
import type { HostOutcome } from '#core/ports.ts'
import { delegatedObjects, type DelegatedWiring } from '#core/wiring.ts'
import { type Ack, findLink, OWN_NAMESPACE, request } from '#linux/kernel.ts'
import { removeRoute, replaceRoute } from '#linux/netlink/route.ts'
import { changeElements } from '#linux/nftables/transaction.ts'
import { delegatedChanges, isAbsent, toRoute } from './wire.ts'

/** Elements, and routes to the bridge where it exists already; undone when a part is refused. */
export const admitPod = (pod: DelegatedWiring, sources: readonly Ip[]): HostOutcome => {
  const { routes, delegated } = objectsOf(pod, sources)
  const changes = delegated.flatMap(spec => delegatedChanges(spec, 'add'))
  const outcome = outcomeOf(pod, [
    ...routes.flatMap(route => request(OWN_NAMESPACE, [replaceRoute(toRoute(route))])),
    changeElements(OWN_NAMESPACE, changes),
  ])
  if (outcome.kind === 'failed') dismissPod(pod)
  return outcome
}

/** Absence is success. */
export const dismissPod = (pod: DelegatedWiring): HostOutcome => {
  const { routes, delegated } = objectsOf(pod, [])
  const changes = delegated.flatMap(spec => delegatedChanges(spec, 'remove'))
  const acks = [
    ...routes.flatMap(route => request(OWN_NAMESPACE, [removeRoute(toRoute(route))])),
    // Each by itself: one that is absent would keep the others.
    ...changes.map(change => changeElements(OWN_NAMESPACE, [change])),
  ]
  return outcomeOf(
    pod,
    acks.filter(ack => !isAbsent(ack)),
  )
}

const objectsOf = (pod: DelegatedWiring, sources: readonly Ip[]) =>
  delegatedObjects({ ...pod, device: bridgeOf(pod) }, sources)

const bridgeOf = ({ bridge }: DelegatedWiring): number | undefined =>
  bridge === undefined ? undefined : findLink(OWN_NAMESPACE, { name: bridge })?.index

const outcomeOf = ({ ips }: DelegatedWiring, acks: readonly Ack[]): HostOutcome => {
  const bad = acks.find(ack => !ack.ok)
  if (bad === undefined || bad.ok) return { kind: 'ok' }
  const message = `the kernel refused what lets ${ips.join(' and ')} out: ${bad.message}`
  return { kind: 'failed', failure: { code: bad.code, message, isTemporary: true } }
}
