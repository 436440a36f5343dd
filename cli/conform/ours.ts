// `npm run conform`: the suite against our own built executable, with its daemon on an emulated
// node. Starts that, judges, prints, and removes all of it.

import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import type { Report } from '#cni/conform/report.ts'
import { conform } from '#cni/conform/suite.ts'
import { parseSubject, type Subject, type SubjectOptions } from '#cni/conform/subject.ts'
import { conflistName } from '#cni/conflist.ts'
import type { JsonObject } from '#cni/spec/json.ts'
import { netnsPath } from '#emulator/fabric/layout.ts'
import type { PlatformName } from '#emulator/platform.ts'
import { startNodes, type DemoNode, type Nodes } from '../demo/nodes.ts'
import { conformOwnRuntime, surroundings, tell, type OutputFormat } from './command.ts'

/** Machines whose first NIC alone holds the addresses the suite takes. */
const instanceTypes: Readonly<Record<PlatformName, string>> = {
  aws: 'm5.4xlarge',
  azure: 'Standard_D8s_v5',
  alibaba: 'ecs.g7.4xlarge',
}

// NICs that come while the suite looks at the host would be taken for the plugin's: all addresses
// are there before it begins, and rest so briefly that they suffice.
const pool = { warmTarget: 8, minimum: 24, coolingSeconds: 1 } as const
const warmMsMax = 60_000
const warmLookMs = 200

/** What our executable is judged as: on its own, as an IPAM plugin, or below Debian's ptp. */
export const roles = ['interface', 'ipam', 'ptp'] as const
export type OursRole = (typeof roles)[number]

export type OursOptions = {
  readonly cloud: PlatformName
  readonly seed: number
  readonly as?: OursRole
}

/** Judges our executable on one emulated node. */
export const conformOurs = async (options: OursOptions): Promise<Report> => {
  const { cloud, seed, as = 'interface' } = options
  const instanceType = instanceTypes[cloud]
  const nodes = await startNodes({ cloud, nodes: 1, instanceType, seed, latency: 'fast', pool })
  try {
    return await judgeOn(nodes, as)
  } finally {
    const left = await nodes.close()
    for (const line of left) process.stderr.write(`could not remove ${line}\n`)
  }
}

const judgeOn = async ({ nodes, directory }: Nodes, as: OursRole): Promise<Report> => {
  const [node] = nodes
  if (node === undefined) throw new Error('cannot judge: the emulator started without a node')
  await untilWarm(node)
  const conflist = await readFile(join(node.cniConfDir, conflistName), 'utf8')
  const noDaemon = { socket: join(directory, 'no-daemon', 'cni.sock') }
  const place = { hostNetns: netnsPath(node.netns), ifName: 'eth0', ...surroundings }
  if (as === 'interface') {
    const subject = subjectOf({ conflist, binDirectory: node.cniBinDir })
    return conform({ ...place, subject, daemonDown: noDaemon })
  }
  const subject = subjectOf(await delegated({ conflist, directory, node, as }))
  return conform({ ...place, subject, daemonDown: { ipam: { type: 'eniway', ...noDaemon } } })
}

const subjectOf = (options: SubjectOptions): Subject => {
  const subject = parseSubject(options)
  if (subject.kind === 'failed') throw new Error(subject.message)
  return subject.value
}

type Delegated = {
  readonly conflist: string
  readonly directory: string
  readonly node: DemoNode
  readonly as: OursRole
}

// We are an IPAM plugin when `type` names another one; on its own that is us by another name.
const delegated = async ({ conflist, directory, node, as }: Delegated): Promise<SubjectOptions> => {
  const binDirectory = join(directory, 'conform-bin')
  const type = as === 'ipam' ? 'eniway-ipam' : as
  const ours = join(node.cniBinDir, 'eniway')
  await mkdir(binDirectory)
  await copyFile(ours, join(binDirectory, 'eniway'))
  await copyFile(as === 'ipam' ? ours : join(debianBinaries, as), join(binDirectory, type))
  const list = JSON.parse(conflist) as { readonly plugins: readonly JsonObject[] }
  const plugins = [{ type, ipam: list.plugins[0] }]
  return { conflist: JSON.stringify({ ...list, plugins }), binDirectory }
}

/** Where Debian's containernetworking-plugins lie. */
const debianBinaries = '/usr/lib/cni'

const untilWarm = async (node: DemoNode): Promise<void> => {
  const deadline = performance.now() + warmMsMax
  const isWarm = async (): Promise<boolean> => {
    const { pools } = await node.view()
    return pools.every(({ wanted, warm }) => warm >= wanted)
  }
  while (!(await isWarm())) {
    if (performance.now() > deadline) {
      throw new Error(`cannot judge: the pool is not warm after ${warmMsMax / 1000} s`)
    }
    await sleep(warmLookMs)
  }
}

/** The program behind `npm run conform`. */
export const oursCommand = (): Command =>
  new Command('conform')
    .description('Judge our own executable, with its daemon on an emulated node.')
    .option('--runtime', 'judge our runtime instead, which needs neither')
    .addOption(
      new Option('--cloud <name>', 'whose emulation')
        .choices(Object.keys(instanceTypes))
        .default('aws'),
    )
    .addOption(
      new Option('--as <role>', 'alone, as an IPAM plugin, or as the delegate of ptp')
        .choices(roles)
        .default('interface'),
    )
    .option('--seed <number>', 'of the emulated cloud', '1')
    .addOption(
      new Option('--output <format>', 'for programs, for people, or for test reports')
        .choices(['json', 'text', 'junit'])
        .default('json'),
    )
    .action(async ({ cloud, seed, as, output, runtime }: Flags) => {
      const judge = () => conformOurs({ cloud, seed: Number(seed), as })
      process.exitCode = await tell(runtime === true ? conformOwnRuntime : judge, output)
    })

type Flags = {
  readonly cloud: PlatformName
  readonly seed: string
  readonly as: OursRole
  readonly output: OutputFormat
  readonly runtime?: true
}
