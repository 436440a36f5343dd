// The command line of the demonstration. Values are checked here and in options.ts, so that every
// wrong one ends in one sentence and exit code 2.

import { Command } from 'commander'
import type { LatencyName } from '#emulator/model/latency.ts'
import { clouds } from '../max-pods/figures.ts'
import { defaultTypeOf } from './clouds.ts'
import { runDemo, type DemoOptions } from './main.ts'
import { demoDefaults as defaults } from './options.ts'

type Flags = {
  readonly cloud: string
  readonly nodes: string
  readonly pods?: string
  readonly instanceType?: string
  readonly ipFamilies: string
  readonly seed: string
  readonly latency: string
  readonly output: string
  readonly keep?: true
  readonly down?: true
}

/** The command, for the `eniway` program to add to its own; it ends the process. */
export const demoCommand = (): Command =>
  new Command('demo')
    .description('Show pods on emulated nodes reach each other; needs root, leaves nothing behind.')
    .option('--cloud <name>', 'which to emulate: aws, azure or alibaba', defaults.cloud)
    .option('--nodes <count>', 'machines, in two subnets in turn', String(defaults.nodes))
    .option('--pods <count>', `pods on each (default: ${defaults.pods}, or as many as fit)`)
    .option('--instance-type <type>', `decides NICs and addresses (default: ${types})`)
    .option('--ip-families <names>', 'of every pod: ipv4, ipv6 or ipv4,ipv6', defaults.ipFamilies)
    .option('--seed <number>', 'decides ids, addresses and delays', String(defaults.seed))
    .option('--latency <profile>', 'how long the cloud takes', defaults.latency)
    .option('--output <format>', '`text` for people, `json` for one object on stdout', 'text')
    .option('--keep', 'leave everything running and say how to look around')
    .option('--down', 'end what --keep left running, and remove it')
    .action(async (flags: Flags) => process.exit(await run(flags)))

const types = clouds.map(defaultTypeOf).join(', ')

const run = async (flags: Flags): Promise<number> => {
  const { cloud, nodes, pods, instanceType, ipFamilies, seed, latency, output } = flags
  const counts = { nodes, pods: pods ?? '0', seed }
  const wrong = Object.entries(counts).find(([, text]) => !/^\d{1,15}$/.test(text))
  if (wrong !== undefined) {
    return refuse(`--${wrong[0]} is "${wrong[1]}", but it must be a whole number`)
  }
  if (!isOutput(output)) return refuse(`--output is "${output}", but it must be text or json`)
  return runDemo({
    cloud,
    nodes: Number(nodes),
    pods: pods === undefined ? undefined : Number(pods),
    instanceType,
    ipFamilies,
    seed: Number(seed),
    latency: latency as LatencyName,
    output,
    keep: flags.keep === true,
    down: flags.down === true,
  })
}

const isOutput = (text: string): text is DemoOptions['output'] => text === 'text' || text === 'json'

const refuse = (why: string): number => {
  process.stderr.write(`cannot start the demonstration: ${why}\n`)
  return 2
}
