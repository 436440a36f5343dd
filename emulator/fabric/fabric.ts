// The packet plane of "VPC in a box": one namespace that forwards between instances by owner of an
// address. Changes are made one at a time, by ip(8) and nft(8); packets are the kernel's business.
import { hostCidr } from '#core/ip.ts'
import type { Fabric, FabricInstance } from '../ports.ts'
import { ipBatch, nftApply, runCommand, writeSysctls } from './command.ts'
import { apiHost, metadataHosts, privateRanges, vpcNetns } from './layout.ts'
import { addNetns, netnsNames, removeNetns } from './netns.ts'
import { newPlugs } from './plugs.ts'
import { lastMetric } from './port.ts'
import { newQueue } from './queue.ts'
import { baseTable, parseCounters } from './ruleset.ts'
import type { FabricCounters } from './ruleset.ts'

/** The fabric, and what a test or a demo wants to know about it. */
export interface PacketFabric extends Fabric {
  /** Namespace that forwards; services for nodes must listen inside it. */
  readonly netns: string
  /** Packets by fate since the fabric was opened. */
  counters(): Promise<FabricCounters>
}

/** Opens the fabric of a run; adopts the run's own namespace when it exists, else creates it. */
export const openFabric = async (run: string): Promise<PacketFabric> => {
  const netns = vpcNetns(run)
  if (!(await netnsNames()).includes(netns)) await addNetns(run, netns)
  try {
    await prepare(netns)
  } catch (cause) {
    await removeNetns(run, netns)
    throw new Error(`cannot open the fabric of run ${run}`, { cause })
  }
  const queue = newQueue()
  const instances = newInstances(run)
  const plugs = newPlugs(netns, instances.netnsOf)
  return {
    netns,
    addInstance: instance => queue(() => instances.add(instance)),
    removeInstance: id => queue(() => instances.remove(id)),
    plug: nic => queue(() => plugs.plug(nic)),
    unplug: id => queue(() => plugs.unplug(id)),
    update: nic => queue(() => plugs.update(nic)),
    counters: () => readCounters(netns),
    close: () =>
      queue(async () => {
        // A namespace that we adopted outlives us, so our devices in it must go one by one.
        for (const adopted of instances.adopted()) await plugs.unplugAll(adopted)
        await instances.removeAll()
        await removeNetns(run, netns)
      }),
  }
}

/** Reads a fabric's counters from outside its process, by the name of its namespace. */
export const readCounters = async (netns: string): Promise<FabricCounters> =>
  parseCounters(await runCommand({ netns, argv: ['nft', '-j', 'list', 'counters'] }))

interface Instance {
  readonly netns: string
  /** False when the namespace was there before: then it is not ours to remove. */
  readonly isOurs: boolean
}

const newInstances = (run: string) => {
  const known = new Map<string, Instance>()

  const add = async ({ id, netns }: FabricInstance): Promise<void> => {
    const isThere = (await netnsNames()).includes(netns)
    if (known.has(id) && isThere) return
    if (!isThere) await addNetns(run, netns)
    known.set(id, { netns, isOurs: !isThere })
    if (!isThere) await writeSysctls(netns, guestSysctls)
    await ipBatch(netns, ['link set lo up'])
  }

  const remove = async (id: string): Promise<void> => {
    const instance = known.get(id)
    if (instance?.isOurs === true) await removeNetns(run, instance.netns)
    known.delete(id)
  }

  return {
    add,
    remove,
    removeAll: async () => {
      for (const id of known.keys()) await remove(id)
    },
    netnsOf: (id: string): string | undefined => known.get(id)?.netns,
    adopted: () => [...known.values()].flatMap(({ isOurs, netns }) => (isOurs ? [] : netns)),
  }
}

const prepare = async (netns: string): Promise<void> => {
  await writeSysctls(netns, sysctls)
  await ipBatch(netns, [
    'link set lo up',
    // Scope host: never the source of an ICMP error that the router sends.
    ...[apiHost, ...metadataHosts].map(
      address => `address replace ${hostCidr(address)} dev lo scope host`,
    ),
    ...privateRanges.map(range => `route replace unreachable ${range} metric ${lastMetric}`),
  ])
  await nftApply(netns, baseTable())
}

// As a distribution boots, whatever the machine around us is set to: IPv4 settings of a new
// namespace are copies of the first one's. Loose source checks are systemd's 50-default.conf.
const guestSysctls: readonly (readonly [string, number])[] = [
  ['net/ipv4/ip_forward', 0],
  ['net/ipv4/conf/all/rp_filter', 2],
  ['net/ipv4/conf/default/rp_filter', 2],
]

// Set before any port exists: a new device copies `default`.
const sysctls: readonly (readonly [string, number])[] = [
  ['net/ipv4/ip_forward', 1],
  ['net/ipv6/conf/all/forwarding', 1],
  ['net/ipv4/conf/all/rp_filter', 0],
  ['net/ipv4/conf/default/rp_filter', 0],
  ['net/ipv4/conf/all/send_redirects', 0],
  ['net/ipv4/conf/default/send_redirects', 0],
  // On-link neighbours resolve to the router, as they do in a cloud.
  ['net/ipv4/conf/default/proxy_arp', 1],
  ['net/ipv6/conf/default/accept_dad', 0],
]
