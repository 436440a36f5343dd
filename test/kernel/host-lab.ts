// A node with two NICs in a small VPC, for tests of the Host: the VPC drops what a NIC may not
// send, as clouds do, so that a packet on the wrong NIC is a packet lost.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ip } from '#core/ip.ts'
import { cidr } from '#core/ip.ts'
import { mac, sandboxKey } from '#core/names.ts'
import type { HostOutcome } from '#core/ports.ts'
import { podLinkGroup } from '#core/ruleset.ts'
import type { HostWiring, PodWiring } from '#core/wiring.ts'
import type { HostCommand, PlainReport } from './host-program.ts'
import { makeNamespace, node24, run, runIn, type Namespace } from './netlink-lab.ts'

/** Own addresses of the NICs; their pods have 10.0.1.N and 10.0.2.N. */
export const nicAddress = { 1: '10.0.0.10', 2: '10.0.0.20' } as const

/** A host of the VPC outside the node, and one beyond the VPC. */
export const insideHost = '10.0.9.9'
export const outsideHost = '203.0.113.9'

/** The same for IPv6: the secondary NIC has no address of its own; pods have 2001:db8:0:SLOT::N. */
export const nicAddress6 = '2001:db8::10'
export const insideHost6 = '2001:db8:0:9::9'
export const outsideHost6 = '2001:db9::9'
/**
 * The gateway is known by a link-local address, as on AWS, or by one of the subnet, as on Alibaba.
 */
export const gateways6 = { linkLocal: 'fe80::1234:5678:9abc', global: '2001:db8::fff7' } as const

const gateway = '10.0.0.1'
const nicMac = { 1: '02:00:00:00:00:01', 2: '02:00:00:00:00:02' } as const
const mtu = 9001

export type Lab = {
  /** The node: eth0 is configured as by DHCP, eth1 is as it was plugged in. */
  readonly node: Namespace
  readonly vpc: Namespace
}

export type LabOptions = {
  /** The VPC has IPv6, too. */
  readonly hasIpv6?: boolean
}

/** Builds node and VPC. */
export const makeLab = ({ hasIpv6 = false }: LabOptions = {}): Lab => {
  const [node, vpc] = [makeNamespace(), makeNamespace()]
  const nodeLines = [
    'link set lo up',
    `address add ${nicAddress[1]}/20 dev eth0`,
    'link set eth0 up',
    `route add default via ${gateway} dev eth0`,
  ]
  const vpcLines = [
    'link set lo up',
    ...[gateway, insideHost, outsideHost].map(address => `address add ${address}/32 dev lo`),
    ...nics.flatMap(plug(node)),
  ]
  batch(vpc, hasIpv6 ? [...vpcLines, ...vpcLines6] : vpcLines)
  batch(node, hasIpv6 ? [...nodeLines, ...nodeLines6] : nodeLines)
  runIn(vpc, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  if (hasIpv6) runIn(vpc, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
  runIn(vpc, 'nft', guard)
  return { node, vpc }
}

// What a NIC with this MAC calls itself on its link (RFC 4291, appendix A).
const linkLocal = (slot: 1 | 2): string => `fe80::ff:fe00:${slot}`

const vpcLines6 = [
  ...[insideHost6, outsideHost6].map(address => `address add ${address}/128 dev lo`),
  ...([1, 2] as const).flatMap(slot => [
    `address add ${gateways6.linkLocal}/64 dev p${slot} nodad`,
    `address add ${gateways6.global}/128 dev p${slot} nodad`,
    `route add 2001:db8:0:${slot}::/64 via ${linkLocal(slot)} dev p${slot}`,
  ]),
  `route add ${nicAddress6}/128 via ${linkLocal(1)} dev p1`,
]

const nodeLines6 = [
  `address add ${nicAddress6}/64 dev eth0 nodad`,
  `route add ::/0 via ${gateways6.linkLocal} dev eth0`,
]

const nics = [1, 2] as const

const plug =
  (node: Namespace) =>
  (slot: 1 | 2): readonly string[] => [
    `link add p${slot} mtu ${mtu} type veth peer name eth${slot - 1} ` +
      `address ${nicMac[slot]} mtu ${mtu} netns ${node.name}`,
    `link set p${slot} up`,
    `route add ${nicAddress[slot]}/32 dev p${slot} src ${gateway}`,
    `route add 10.0.${slot}.0/24 via ${nicAddress[slot]} dev p${slot} onlink`,
  ]

const guard = `table inet guard {
  chain in {
    type filter hook prerouting priority -300;
    iif p1 ip saddr != { ${nicAddress[1]}, 10.0.1.0/24 } counter drop
    iif p2 ip saddr != { ${nicAddress[2]}, 10.0.2.0/24 } counter drop
    iif p1 ip6 saddr != { ${nicAddress6}, 2001:db8:0:1::/64, fe80::/10, :: } counter drop
    iif p2 ip6 saddr != { 2001:db8:0:2::/64, fe80::/10, :: } counter drop
  }
}`

/** Runs lines of ip(8) in a namespace. */
export const batch = (namespace: Namespace, lines: readonly string[]): void => {
  run('nsenter', [`--net=${namespace.path}`, 'ip', '-batch', '-'], `${lines.join('\n')}\n`)
}

/** A host program in a namespace. */
export type HostProcess = {
  ask(command: HostCommand): Promise<unknown>
  wire(...pods: readonly PodWiring[]): Promise<readonly HostOutcome[]>
  unwire(...pods: readonly PodWiring[]): Promise<readonly HostOutcome[]>
  reconcile(desired: HostWiring): Promise<PlainReport>
  gone(): Promise<readonly number[]>
  end(): Promise<void>
}

const program = fileURLToPath(new URL('host-program.ts', import.meta.url))

/** Starts a process with a fresh Host on the node. */
export const startHost = ({ node }: Lab): HostProcess => {
  const argv = [`--net=${node.path}`, node24, program]
  const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ask = async (command: HostCommand): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify(command)}\n`)
    const { value, done } = await answers.next()
    if (done === true) throw new Error(`the host program ended during ${command.kind}`)
    return JSON.parse(value)
  }
  return {
    ask,
    wire: async (...pods) => (await ask({ kind: 'wire', pods })) as HostOutcome[],
    unwire: async (...pods) => (await ask({ kind: 'unwire', pods })) as HostOutcome[],
    reconcile: async desired => (await ask({ kind: 'reconcile', desired })) as PlainReport,
    gone: async () => (await ask({ kind: 'gone' })) as number[],
    end: () => end(child),
  }
}

const end = async (child: ChildProcess): Promise<void> => {
  const exited = once(child, 'exit')
  child.stdin?.end()
  if (child.exitCode === null && child.signalCode === null) await exited
}

/** The wiring that a node with both NICs and these pods wants. */
export const desired = (
  pods: readonly PodWiring[],
  more: Partial<HostWiring> = {},
): HostWiring => ({
  nics: nics.map(slot => ({
    slot,
    mac: mac(nicMac[slot]),
    isPrimary: slot === 1,
    primaryAddresses: [ip(nicAddress[slot])],
    gateways: [ip(gateway)],
  })),
  pods,
  delegated: [],
  leavingLinks: [],
  nat: { isEnabled: true, insideCidrs: [cidr('10.0.0.0/16')] },
  ...more,
})

/** The same where the VPC has IPv6, whose gateway is known by one of `gateways6`. */
export const desired6 = (
  pods: readonly PodWiring[],
  kind: keyof typeof gateways6 = 'linkLocal',
): HostWiring => {
  const wiring = desired(pods)
  return {
    ...wiring,
    nics: wiring.nics.map(nic => ({
      ...nic,
      primaryAddresses: nic.isPrimary
        ? [...nic.primaryAddresses, ip(nicAddress6)]
        : nic.primaryAddresses,
      gateways: [...nic.gateways, ip(gateways6[kind])],
    })),
    nat: { isEnabled: true, insideCidrs: [...wiring.nat.insideCidrs, cidr('2001:db8::/32')] },
  }
}

/** Pod number N with an address of each family given. */
export const podOf = (
  families: readonly (4 | 6)[],
  slot: 1 | 2,
  { number, netns }: { readonly number: number; readonly netns: string },
): PodWiring => {
  const pod = podOn(slot, number, netns)
  const addresses = {
    4: pod.ips[0] ?? ip('::'),
    6: ip(`2001:db8:0:${slot}::${number.toString(16)}`),
  }
  return { ...pod, ips: families.map(family => addresses[family]) }
}

/** Pod number N (1 to 254) on a NIC, in a namespace of its own or in the given one. */
export const podOn = (slot: 1 | 2, number: number, netns: string): PodWiring => {
  const low = [10, 0, slot, number].map(byte => byte.toString(16).padStart(2, '0'))
  return {
    sandbox: sandboxKey(`c${slot}-${number}`, 'eth0'),
    netns,
    ifName: 'eth0',
    slot,
    ips: [ip(`10.0.${slot}.${number}`)],
    mtu,
    hostIfindex: 0x1000_0000 + slot * 256 + number,
    hostName: `ewy${low.join('').padStart(12, '0')}`,
    hostMac: mac('0a:58:a9:fe:01:01'),
    podMac: mac(`0a:58:${low.join(':')}`),
  }
}

/** Many namespaces at once, and how to remove them. */
export const makeMany = (count: number): { readonly paths: readonly string[]; remove(): void } => {
  const prefix = `ew-${randomBytes(4).toString('hex')}`
  const names = Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
  const each = (verb: string) =>
    run('ip', ['-batch', '-'], names.map(name => `netns ${verb} ${name}\n`).join(''))
  each('add')
  return { paths: names.map(name => `/run/netns/${name}`), remove: () => void each('delete') }
}

/**
 * The node's state as sorted lines: links, IPv4 addresses, rules, routes but those of link-local
 * IPv6 (which come when they like), permanent and taught neighbours, sysctls and nftables.
 * `handles` also tells whether rules were loaded anew.
 */
export const dumpNode = ({ node }: Lab, options: { readonly handles?: boolean } = {}): string => {
  const lines = (command: string, ...args: readonly string[]): readonly string[] =>
    runIn(node, command, ...args).split('\n')
  const list = options.handles === true ? ['-a', 'list', 'ruleset'] : ['list', 'ruleset']
  return [
    ...lines('ip', '-o', '-d', 'link').map(line => line.replaceAll(/ (state|qlen) \S+/g, '')),
    ...addresses(node),
    ...lines('ip', 'rule'),
    ...lines('ip', '-6', 'rule').map(line => `6 ${line}`),
    ...lines('ip', 'route', 'show', 'table', 'all').filter(line => !/fe80:|ff00:/.test(line)),
    ...lines('ip', 'neighbour', 'show', 'nud', 'permanent').filter(line => !isTaught(line)),
    ...taught(node),
    ...rulesetLines(runIn(node, 'nft', ...list)),
    ...sysctls.map(name => `${name} ${runIn(node, 'cat', `/proc/sys/net/ipv4/${name}`).trim()}`),
  ]
    .map(line => line.trim())
    .filter(line => line !== '')
    .sort()
    .join('\n')
}

// What the kernel was told of pods; how sure it is of it changes by itself.
const taught = (node: Namespace): readonly string[] =>
  runIn(node, 'ip', 'neighbour', 'show', 'nud', 'all')
    .split('\n')
    .filter(isTaught)
    .map(line => line.replace(/ [A-Z]+ *$/, ''))

const isTaught = (line: string): boolean => line.includes('extern_learn')

// Elements one a line, because nft prints several in a line and in the order of their hashes.
const rulesetLines = (text: string): readonly string[] =>
  text
    .replaceAll(/packets \d+ bytes \d+/g, '')
    .replaceAll(/elements = \{([^}]*)\}/g, (_, list: string) =>
      list
        .split(',')
        .map(element => `\nelement ${element.trim()}`)
        .join(''),
    )
    .split('\n')

const sysctls = ['ip_forward', 'conf/eth0/rp_filter', 'conf/eth1/rp_filter']

const addresses = (node: Namespace): readonly string[] =>
  runIn(node, 'ip', '-o', '-4', 'address')
    .split('\n')
    .map(line => line.split(/\s+/).slice(1, 4).join(' '))

/** The interface group of pod links, as ip(8) wants it. */
export const podGroup = String(podLinkGroup)
