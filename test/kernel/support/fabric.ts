// A small VPC for kernel tests: NICs as values, and ip(8) inside an instance, as a guest would.
import { randomBytes } from 'node:crypto'
import { cidr, hostCidr, ip } from '#core/ip.ts'
import type { Cidr } from '#core/ip.ts'
import { ipBatch, runCommand } from '#emulator/fabric/command.ts'
import { openFabric } from '#emulator/fabric/fabric.ts'
import type { PacketFabric } from '#emulator/fabric/fabric.ts'
import { instanceNetns } from '#emulator/fabric/layout.ts'
import type { FabricNic, FabricSecurityGroup } from '#emulator/ports.ts'

/** A run id that no other test uses. */
export const newRun = (): string => `t${randomBytes(4).toString('hex')}`

/** Everything may come in and go out. */
export const openGroup: FabricSecurityGroup = {
  id: 'sg-open',
  ingress: [
    { protocol: 'all', ports: undefined, peer: { kind: 'cidr', cidr: cidr('0.0.0.0/0') } },
    { protocol: 'all', ports: undefined, peer: { kind: 'cidr', cidr: cidr('::/0') } },
  ],
  egress: [
    { protocol: 'all', ports: undefined, peer: { kind: 'cidr', cidr: cidr('0.0.0.0/0') } },
    { protocol: 'all', ports: undefined, peer: { kind: 'cidr', cidr: cidr('::/0') } },
  ],
}

/** Everything may go out, nothing may come in. */
export const outOnlyGroup: FabricSecurityGroup = { ...openGroup, id: 'sg-out', ingress: [] }

/** Blocks written as addresses or prefixes. */
export const blocks = (...texts: readonly string[]): readonly Cidr[] =>
  texts.map(text => (text.includes('/') ? cidr(text) : hostCidr(ip(text))))

/** A NIC in 10.0.<subnet>.0/24 with the given last octet; the first one of its instance. */
export const nicOf = (
  instance: string,
  place: { readonly subnet: number; readonly host: number },
  change: Partial<FabricNic> = {},
): FabricNic => ({
  id: `eni-${place.subnet}-${place.host}`,
  instanceId: instance,
  mac: `02:00:0a:00:${hex(place.subnet)}:${hex(place.host)}`,
  deviceIndex: 0,
  primary: true,
  subnet: cidr(`10.0.${place.subnet}.0/24`),
  gateway: ip(`10.0.${place.subnet}.1`),
  subnet6: cidr(`2001:db8:${place.subnet}::/64`),
  gateway6: ip('fe80::1'),
  mtu: 9001,
  deviceName: undefined,
  fastPath: 'none',
  primaryAddress: ip(`10.0.${place.subnet}.${place.host}`),
  blocks: blocks(`10.0.${place.subnet}.${place.host}`, `2001:db8:${place.subnet}::${place.host}`),
  sourceDestCheck: true,
  securityGroups: [openGroup],
  ...change,
})

/** A fabric with helpers that name instances by their ids. */
export interface Vpc {
  readonly run: string
  readonly fabric: PacketFabric
  netns(instance: string): string
  add(instance: string): Promise<void>
  ip(instance: string, ...lines: readonly string[]): Promise<void>
  devices(instance: string): Promise<readonly Device[]>
}

/** A device as `ip -j address` shows it. */
export interface Device {
  readonly ifname: string
  readonly address: string
  readonly mtu: number
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[]
}

export const newVpc = async (run: string = newRun()): Promise<Vpc> => {
  const fabric = await openFabric(run)
  const netns = (instance: string): string => instanceNetns(run, instance)
  return {
    run,
    fabric,
    netns,
    add: id => fabric.addInstance({ id, name: id, netns: netns(id) }),
    ip: (instance, ...lines) => ipBatch(netns(instance), lines),
    devices: async instance => {
      const argv = ['ip', '-j', 'address', 'show']
      return JSON.parse(await runCommand({ netns: netns(instance), argv })) as Device[]
    },
  }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
