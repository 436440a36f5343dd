// The kernel as the Host port: pods are wired one by one, everything else is compared as a whole
// with what is desired and repaired. Foreign objects, and what carries no mark of ours, stay.

import { type Family, familyOf, type Ip } from '#core/ip.ts'
import type { Host, HostOutcome, HostReport } from '#core/ports.ts'
import { podLinkGroup, rulesetText } from '#core/ruleset.ts'
import {
  desiredObjects,
  diffObjects,
  type HostDiff,
  type HostWiring,
  markMask,
  type PodWiring,
  type PresentDelegated,
  type PresentNic,
  render,
} from '#core/wiring.ts'
import {
  type Ack,
  deleteLinkInBackground,
  dumpLinks,
  ExchangeError,
  OWN_NAMESPACE,
  request,
  type Request,
} from '#linux/kernel.ts'
import { openNamespace } from '#linux/namespace.ts'
import { replaceAddress } from '#linux/netlink/address.ts'
import { changeLink, type Link } from '#linux/netlink/link.ts'
import { removeRoute, replaceRoute, type Route } from '#linux/netlink/route.ts'
import { addRule, removeRule } from '#linux/netlink/rule.ts'
import { changeElements, removeElementsIfPresent } from '#linux/nftables/transaction.ts'
import { readSysctl, writeSysctl } from '#linux/sysctl.ts'
import { admitPod, dismissPod } from './delegated.ts'
import { devicesOf } from './devices.ts'
import { observeObjects } from './observe.ts'
import { createRuleset } from './ruleset.ts'
import {
  delegatedChanges,
  elementSet,
  isAbsent,
  toElement,
  toNeighbour,
  toRoute,
  unwirePod,
  wirePod,
} from './wire.ts'

export type HostOptions = {
  /** Told when the background has deleted a pod link, or found it gone. */
  readonly onLinkGone: (ifindex: number) => void
}

/** A link that is gone, and one that never was. */
const goneErrnos = [0, 19]

/**
 * Loose: what arrives for a pod on a secondary NIC would leave by the primary one without a mark.
 */
const looseReversePath = 2

export const createHost = ({ onLinkGone }: HostOptions): Host => {
  const ruleset = createRuleset()
  const leaving = new Set<number>()
  const settled = new Set<string>()
  let sources: readonly Ip[] = []

  const deleteLink = (ifindex: number): void => {
    if (leaving.has(ifindex)) return
    leaving.add(ifindex)
    void deleteLinkInBackground(ifindex).then(errno => {
      leaving.delete(ifindex)
      if (goneErrnos.includes(errno)) onLinkGone(ifindex)
    })
  }

  const reconcile = (desired: HostWiring): HostReport => {
    const look = lookAround(desired)
    for (const link of look.leaving) deleteLink(link)
    const primary = look.nics.find(nic => nic.isPrimary)
    // Without the primary NIC nothing can be made right, and nothing that still works may go.
    if (primary === undefined) return { ...look.report, wiredSlots: [], repaired: [], failures: [] }
    const observed = observeObjects(look)
    sources = sourcesOf(primary, observed.addresses)
    const text = rulesetText({ nics: look.nics, nat: desired.nat })
    const failures = [
      ...prepareNode(look.nics),
      ...prepareLinks(look),
      ...ruleset.ensure(text, observed.hasTable),
    ]
    const wanted = desiredObjects(look, sources)
    const diff = diffObjects(observed, wanted, device => look.strays.has(device))
    failures.push(...send(observed.oddRoutes.map(removeRoute)))
    failures.push(...applyDiff(diff))
    const known = render(diff.missing)
      .split('\n')
      .filter(line => settled.has(line))
    settled.clear()
    for (const line of render(wanted).split('\n')) settled.add(line)
    ruleset.verifyLater()
    return {
      ...look.report,
      wiredSlots: failures.length === 0 ? look.nics.map(({ slot }) => slot) : [],
      repaired: [...known, ...observed.oddRoutes.map(oddText), ...ruleset.takeRepairs()],
      failures,
    }
  }

  return {
    wirePod: pod => guarded(() => wirePod(pod, { sources, isLeaving: link => leaving.has(link) })),
    unwirePod: pod => {
      const outcome = guarded(() => unwirePod(pod))
      deleteLink(pod.hostIfindex)
      return outcome
    },
    admitPod: pod => guarded(() => admitPod(pod, sources)),
    dismissPod: pod => guarded(() => dismissPod(pod)),
    reconcile: desired => {
      try {
        return reconcile(desired)
      } catch (error) {
        if (!(error instanceof ExchangeError)) throw error
        return unseen(desired, error.message)
      }
    },
  }
}

const guarded = (run: () => HostOutcome): HostOutcome => {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    const failure = { code: error.code, message: error.message, isTemporary: true }
    return { kind: 'failed', failure }
  }
}

const oddText = ({ kind, destination, table }: Route): string =>
  `${kind} route ${destination} in table ${table}`

// Nothing could be seen: every link is reported as there, so that nothing is taken for gone.
const unseen = (desired: HostWiring, message: string): HostReport => ({
  devices: [],
  wiredSlots: [],
  podLinks: new Set([...desired.pods.map(pod => pod.hostIfindex), ...desired.leavingLinks]),
  strays: [],
  goneNamespaces: new Set(),
  repaired: [],
  failures: [message],
})

type Look = {
  readonly nics: readonly PresentNic[]
  readonly nicLinks: readonly Link[]
  /** Desired pods whose link is there. */
  readonly pods: readonly PodWiring[]
  readonly delegated: readonly PresentDelegated[]
  readonly podLinks: readonly Link[]
  readonly strays: ReadonlySet<number>
  readonly leaving: readonly number[]
  readonly report: Pick<HostReport, 'devices' | 'podLinks' | 'strays' | 'goneNamespaces'>
}

const lookAround = (desired: HostWiring): Look => {
  const links = dumpLinks(OWN_NAMESPACE)
  const isOfPod = isPodLink(desired)
  const podLinks = links.filter(isOfPod)
  const nicLinks = links.filter(link => !isOfPod(link) && !link.isLoopback)
  const devices = devicesOf(nicLinks)
  const present = new Set(podLinks.map(link => link.index))
  const nics = desired.nics.flatMap(nic => {
    const device = devices.find(each => each.mac === nic.mac)
    return device === undefined ? [] : [{ ...nic, device }]
  })
  const wanted = new Set(desired.pods.map(pod => pod.hostIfindex))
  const leaving = desired.leavingLinks.filter(link => present.has(link))
  const strays = new Set([...present].filter(link => !wanted.has(link) && !leaving.includes(link)))
  const missing = desired.pods.filter(pod => !present.has(pod.hostIfindex))
  return {
    nics,
    nicLinks,
    pods: desired.pods.filter(pod => present.has(pod.hostIfindex)),
    delegated: desired.delegated.map(pod => ({
      ...pod,
      device: links.find(({ name }) => name === pod.bridge)?.index,
    })),
    podLinks,
    strays,
    leaving,
    report: {
      devices,
      podLinks: present,
      strays: strays.size === 0 ? [] : strayAddresses(strays),
      goneNamespaces: new Set(missing.filter(isNamespaceGone).map(pod => pod.sandbox)),
    },
  }
}

// A link that somebody took out of our group is still the pod's: index and name are both ours.
const isPodLink = ({ pods }: HostWiring): ((link: Link) => boolean) => {
  const names = new Map(pods.map(pod => [pod.hostIfindex, pod.hostName]))
  return link => link.group === podLinkGroup || names.get(link.index) === link.name
}

const isNamespaceGone = (pod: PodWiring): boolean => {
  const namespace = openNamespace(pod.netns)
  if (namespace.kind !== 'open') return true
  namespace.close()
  return false
}

const strayAddresses = (strays: ReadonlySet<number>): HostReport['strays'] => {
  const { routes } = observeObjects({ nics: [], podLinks: [] })
  return [...strays].map(link => ({
    link,
    ips: routes.flatMap(route =>
      route.device === link ? [route.destination.split('/', 1)[0] as Ip] : [],
    ),
  }))
}

// An IPv4 address of the primary NIC is there since the node has a network; an IPv6 one comes
// later, or never where the image asks nobody for it, and the kernel refuses a source that it does
// not have.
const sourcesOf = (
  { primaryAddresses }: PresentNic,
  held: readonly { readonly ip: Ip }[],
): readonly Ip[] =>
  primaryAddresses.filter(
    source => familyOf(source) === 4 || held.some(address => address.ip === source),
  )

const prepareNode = (nics: readonly PresentNic[]): readonly string[] =>
  settingsOf(nics)
    .map(([name, value]) => writeSysctl(name, value))
    .flatMap(written => (written.ok ? [] : [written.message]))

const settingsOf = (nics: readonly PresentNic[]): readonly (readonly [string, number])[] => {
  const forwarding4 = ['ipv4/ip_forward', 1] as const
  if (!nics.some(nic => nic.gateways.some(gateway => familyOf(gateway) === 6))) return [forwarding4]
  // A node that forwards listens to routers no more, and forgets the default route it has of them,
  // unless it is told to (accept_ra = 2, Documentation/networking/ip-sysctl). Told first, and only
  // where it listened: who takes its routes from elsewhere has set 0.
  const listening = nics
    .filter(nic => nic.isPrimary)
    .map(({ device }) => `ipv6/conf/${device.name}/accept_ra`)
    .filter(name => readSysctl(name) === '1')
    .map(name => [name, 2] as const)
  return [forwarding4, ...listening, ['ipv6/conf/all/forwarding', 1]]
}

const prepareLinks = ({ nics, nicLinks, pods, podLinks, strays }: Look): readonly string[] => {
  const linkOf = (ifindex: number): Link | undefined =>
    nicLinks.find(({ index }) => index === ifindex)
  const settings = nics
    .filter(({ device }) => linkOf(device.ifindex)?.ipv4.rp_filter !== looseReversePath)
    .map(({ device }) =>
      changeLink({ index: device.ifindex, ipv4: { rp_filter: looseReversePath } }),
    )
  const nicsDown = nics.filter(({ device }) => linkOf(device.ifindex)?.isUp === false)
  const podsDown = podLinks.filter(link => !link.isUp && !strays.has(link.index))
  const ups = [
    ...nicsDown.map(({ device }) => device.ifindex),
    ...podsDown.map(({ index }) => index),
  ]
  const podSettings = restoredPods(pods, podLinks)
  return send([...settings, ...podSettings, ...ups.map(index => changeLink({ index, up: true }))])
}

// The pod sends to this MAC by a permanent neighbour, and the group is what the rules know pods by.
const restoredPods = (pods: readonly PodWiring[], links: readonly Link[]): readonly Request[] => {
  const made = new Map(pods.map(pod => [pod.hostIfindex, pod]))
  return links.flatMap(({ index, group, mac, mtu }) => {
    const pod = made.get(index)
    if (pod === undefined) return []
    if (group === podLinkGroup && mac === pod.hostMac && mtu === pod.mtu) return []
    return [changeLink({ index, group: podLinkGroup, mac: pod.hostMac, mtu: pod.mtu })]
  })
}

// Add before delete: whatever still works goes on working until what replaces it is there.
const applyDiff = ({ missing, excess }: HostDiff): readonly string[] => {
  const additions: readonly Request[] = [
    ...missing.addresses.map(({ device, ip }) =>
      replaceAddress({
        index: device,
        address: ip,
        prefixLength: familyOf(ip) === 4 ? 32 : 128,
        noDuplicateDetection: true,
        noPrefixRoute: true,
      }),
    ),
    ...missing.routes.map(route => replaceRoute(toRoute(route))),
    ...missing.rules.map(rule => addRule(toRule(rule))),
    ...missing.neighbours.flatMap(toNeighbour),
  ]
  const removals: readonly Request[] = [
    ...excess.rules.map(rule => removeRule(toRule(rule))),
    ...excess.routes.map(route => removeRoute(toRoute(route))),
  ]
  return [
    ...send(additions),
    ...changeMaps({ missing, excess }),
    ...changeDelegated({ missing, excess }),
    ...send(removals),
  ]
}

const changeMaps = ({ missing, excess }: HostDiff): readonly string[] =>
  ([4, 6] as const).flatMap(family => {
    const set = elementSet(family)
    const gone = excess.elements.filter(({ ip }) => familyOf(ip) === family).map(toElement)
    const fresh = missing.elements.filter(({ ip }) => familyOf(ip) === family).map(toElement)
    const failures: string[] = []
    // An address that moved to another NIC keeps its key, so its old element goes first.
    if (gone.length > 0)
      failures.push(...refusals([removeElementsIfPresent(OWN_NAMESPACE, set, gone).ack]))
    if (fresh.length === 0) return failures
    const ack = changeElements(OWN_NAMESPACE, [{ kind: 'add', set, elements: fresh }])
    return [...failures, ...refusals([ack])]
  })

const changeDelegated = ({ missing, excess }: HostDiff): readonly string[] => {
  const changes = [
    ...excess.delegated.map(spec => delegatedChanges(spec, 'remove')),
    ...missing.delegated.map(spec => delegatedChanges(spec, 'add')),
  ]
  // Each by itself: of the two elements of an address one may be there already.
  return refusals(changes.flat().map(change => changeElements(OWN_NAMESPACE, [change])))
}

const toRule = (rule: {
  family: Family
  priority: number
  table: number
  mark: number | undefined
}) => ({
  family: rule.family,
  priority: rule.priority,
  table: rule.table,
  ...(rule.mark === undefined ? {} : { mark: { value: rule.mark, mask: markMask } }),
})

const send = (requests: readonly Request[]): readonly string[] =>
  requests.length === 0 ? [] : refusals(request(OWN_NAMESPACE, requests))

const refusals = (acks: readonly Ack[]): readonly string[] =>
  acks.flatMap(ack =>
    ack.ok || ack.code === 'EEXIST' || isAbsent(ack)
      ? []
      : [`the kernel refused a part of the node's wiring: ${ack.message}`],
  )
