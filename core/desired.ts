// From the state to the wiring it wants: the whole host at once, and one pod by itself.

import { bytesOf, familyOf, type Ip } from './ip.ts'
import { mac, type Mac, type SandboxKey } from './names.ts'
import type { Nic, Sandbox, State, Use } from './state.ts'
import type { DelegatedWiring, HostWiring, NicWiring, PodWiring } from './wiring.ts'

/** All host ends share it: each link has one neighbour, which knows it by a permanent entry. */
const hostMac = mac('0a:58:a9:fe:01:01')

/** Links of pods are numbered from here; the kernel numbers its own from 1 upwards. */
export const firstIfindex = 0x1000_0000

/** A pod keeps its wiring while the daemon knows it, also when its NIC or block is lost. */
export const desiredHost = (state: State): HostWiring => ({
  nics: [...state.nics.values()].flatMap(nic => nicWiring(nic, wantsIpv6(state)) ?? []),
  pods: sandboxes(state, isOurs).map(podWiring),
  delegated: sandboxes(state, isDelegated).map(delegatedWiring),
  leavingLinks: [...state.nics.values()].flatMap(nic =>
    [...nic.uses.values()].flatMap(leavingLink),
  ),
  nat: {
    isEnabled: state.config.nat.isEnabled,
    insideCidrs: [...(state.node?.vpc ?? []), ...state.config.nat.exclusions],
  },
})

const sandboxes = (state: State, isWanted: (sandbox: Sandbox) => boolean): readonly Sandbox[] =>
  [...state.sandboxes.values()].filter(isWanted)

const isOurs = ({ delegator, phase }: Sandbox): boolean =>
  delegator === undefined && phase.kind === 'wired'

// Also one that is being admitted: a look at the kernel in the same turn comes after that, and has
// no link by which it could see that the elements are a new pod's.
const isDelegated = ({ delegator, phase }: Sandbox): boolean =>
  delegator !== undefined && (phase.kind === 'wired' || phase.kind === 'wiring')

// A node whose pods have no IPv6 goes on as it was: it becomes no IPv6 router because of its
// subnet.
const wantsIpv6 = ({ config, sandboxes }: State): boolean =>
  config.families.includes(6) ||
  [...sandboxes.values()].some(({ addresses }) => addresses.some(({ ip }) => familyOf(ip) === 6))

const leavingLink = (use: Use): readonly number[] =>
  use.kind === 'cooling' && use.link !== undefined && !use.isStray ? [use.link] : []

// Also before its device has appeared: the host looks for it by MAC, and after a restart the tables
// that are already there stay.
const nicWiring = (nic: Nic, isIpv6Wanted: boolean): NicWiring | undefined => {
  const { kind } = nic.phase
  const isHere = kind === 'attaching' || kind === 'wiring' || kind === 'ready'
  if (!isHere || !nic.isManaged) return undefined
  const { slot, mac, isPrimary, primaryAddresses } = nic
  const gateways = nic.gateways.filter(gateway => familyOf(gateway) === 4 || isIpv6Wanted)
  return { slot, mac, isPrimary, primaryAddresses, gateways }
}

export const podWiring = (sandbox: Sandbox): PodWiring => {
  const ips = sandbox.addresses.map(({ ip }) => ip)
  return {
    sandbox: sandbox.key,
    netns: sandbox.netns,
    ifName: sandbox.ifName,
    slot: sandbox.slot,
    ips,
    mtu: sandbox.mtu,
    hostIfindex: sandbox.hostIfindex,
    hostName: hostNameOf(sandbox.key),
    hostMac,
    podMac: podMacOf(ips, sandbox.key),
  }
}

export const delegatedWiring = (sandbox: Sandbox): DelegatedWiring => {
  const { key, slot, delegator } = sandbox
  const bridge = delegator?.kind === 'routed' ? delegator.bridge : undefined
  return { sandbox: key, slot, ips: sandbox.addresses.map(({ ip }) => ip), bridge }
}

/** Name of the host end: found from the attachment alone, so that DEL and CHECK need no state. */
export const hostNameOf = (key: SandboxKey): string =>
  `ewy${hash(key).toString(16).padStart(12, '0')}`

// Locally administered, and the same for the same address: neighbours keep their entries.
const podMacOf = (ips: readonly Ip[], key: SandboxKey): Mac => {
  const v4 = ips.find(ip => familyOf(ip) === 4)
  const low =
    v4 === undefined
      ? [24, 16, 8, 0].map(shift => Math.floor(hash(key) / 2 ** shift) % 256)
      : [...bytesOf(v4)]
  return mac(['0a', '58', ...low.map(byte => byte.toString(16).padStart(2, '0'))].join(':'))
}

// FNV-1a, 64 bits, of which the upper 48 are used: names for some hundred links, no secret. In four
// numbers of 16 bits, lowest first, because BigInt took a hundredth of the daemon's time; the prime
// is 2^40 + 0x1b3.
const hash = (text: string): number => {
  let [a, b, c, d] = [0x2325, 0x8422, 0x9ce4, 0xcbf2]
  for (let i = 0; i < text.length; i++) {
    const low = a ^ text.charCodeAt(i)
    const first = low * 0x1b3
    const second = b * 0x1b3 + (first >>> 16)
    const third = c * 0x1b3 + (low << 8) + (second >>> 16)
    d = (d * 0x1b3 + (b << 8) + (third >>> 16)) & 0xffff
    a = first & 0xffff
    b = second & 0xffff
    c = third & 0xffff
  }
  return d * 2 ** 32 + c * 2 ** 16 + b
}
