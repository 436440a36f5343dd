// Security groups as nft text: two chains with a group's rules, and sets with its members'
// addresses that other groups' rules refer to. Numbers stand for ids, which nft could not take.
import { familyOf, lengthOf } from '#core/ip.ts'
import type { Family } from '#core/ip.ts'
import type { FabricRule, FabricSecurityGroup } from '../ports.ts'
import { tableName } from './ruleset.ts'

/** The number under which a group is known in the table. */
export type GroupNumber = (id: string) => number

/** Names of the chain that a NIC of the group jumps to, by direction. */
export const groupChain = (group: number, direction: 'in' | 'out'): string =>
  `g${group}_${direction}`

type SetKind = 'host4' | 'host6' | 'block4' | 'block6'

/** Name of the set with the members' addresses: single ones, or prefixes, by family. */
export const memberSet = (group: number, kind: SetKind): string => `g${group}_${kind}`

/** Lines that make a group's empty chains and sets; needed before anything refers to it. */
export const newGroup = (group: number): readonly string[] => [
  `add set ${tableName} ${memberSet(group, 'host4')} { type ipv4_addr; }`,
  `add set ${tableName} ${memberSet(group, 'host6')} { type ipv6_addr; }`,
  `add set ${tableName} ${memberSet(group, 'block4')} { type ipv4_addr; flags interval; }`,
  `add set ${tableName} ${memberSet(group, 'block6')} { type ipv6_addr; flags interval; }`,
  `add chain ${tableName} ${groupChain(group, 'in')}`,
  `add chain ${tableName} ${groupChain(group, 'out')}`,
]

/** Lines that give a group exactly these rules. */
export const groupRules = (
  group: FabricSecurityGroup,
  numberOf: GroupNumber,
): readonly string[] => [
  ...chainRules(groupChain(numberOf(group.id), 'in'), group.ingress, rule =>
    matches(rule, 'saddr', numberOf),
  ),
  ...chainRules(groupChain(numberOf(group.id), 'out'), group.egress, rule =>
    matches(rule, 'daddr', numberOf),
  ),
]

/** Ids of the groups that a group's rules name as peers. */
export const peersOf = (group: FabricSecurityGroup): readonly string[] =>
  [...group.ingress, ...group.egress].flatMap(({ peer }) => (peer.kind === 'group' ? peer.id : []))

const chainRules = (
  chain: string,
  rules: readonly FabricRule[],
  matchesOf: (rule: FabricRule) => readonly string[],
): readonly string[] => [
  `flush chain ${tableName} ${chain}`,
  ...rules.flatMap(matchesOf).map(match => `add rule ${tableName} ${chain} ${match} accept`),
]

type Side = 'saddr' | 'daddr'

const matches = (rule: FabricRule, side: Side, numberOf: GroupNumber): readonly string[] =>
  peerMatches(rule, side, numberOf).map(([family, peer]) =>
    [peer, protocolMatch(rule, family)].filter(text => text !== '').join(' '),
  )

const peerMatches = (
  { peer }: FabricRule,
  side: Side,
  numberOf: GroupNumber,
): readonly (readonly [Family, string])[] => {
  if (peer.kind === 'cidr') {
    const family = familyOf(peer.cidr)
    // nft takes a prefix of length zero for a mistake, so "anyone" is said by family.
    if (lengthOf(peer.cidr) === 0) return [[family, `meta nfproto ipv${family}`]]
    return [[family, `${family === 4 ? 'ip' : 'ip6'} ${side} ${peer.cidr}`]]
  }
  const set = (kind: SetKind): string => `@${memberSet(numberOf(peer.id), kind)}`
  return [
    [4, `ip ${side} ${set('host4')}`],
    [4, `ip ${side} ${set('block4')}`],
    [6, `ip6 ${side} ${set('host6')}`],
    [6, `ip6 ${side} ${set('block6')}`],
  ]
}

const protocolMatch = ({ protocol, ports }: FabricRule, family: Family): string => {
  if (protocol === 'all') return ''
  if (protocol === 'icmp') return `meta l4proto ${family === 4 ? 'icmp' : 'ipv6-icmp'}`
  if (ports === undefined) return `meta l4proto ${protocol}`
  return `${protocol} dport ${ports.from}-${ports.to}`
}
