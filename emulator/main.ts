// `eniway emulator`: VPC in a box as a program. Parses the command line, launches the emulator,
// prints where it is, and ends it on a signal.
import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { cleanup } from './fabric/netns.ts'
import { launchEmulator } from './launch.ts'
import type { Launched, LaunchedEmulator, LaunchOptions } from './launch.ts'
import { instanceTypes, parseLayout } from './launch-layout.ts'
import type { LatencyName } from './model/latency.ts'
import { latencyProfiles } from './model/latency.ts'
import type { PlatformName } from './platform.ts'
import { platformNames } from './platforms.ts'

interface Flags {
  readonly config?: string
  readonly cloud: PlatformName
  readonly nodes: number
  readonly instanceType?: string
  readonly nics: number
  readonly seed: number
  readonly latency: LatencyName
  readonly run?: string
  readonly fabric: boolean
  readonly adminSocket?: string
  readonly output: 'text' | 'json'
  readonly cleanup?: string
}

/** The command, for the `eniway` program to add to its own. */
export const emulatorCommand = (): Command =>
  new Command('emulator')
    .description('Emulate a cloud VPC on this machine: its API, instance metadata, and packets.')
    .addOption(new Option('--cloud <name>', 'whose VPC').choices([...platformNames]).default('aws'))
    .option('--config <file>', 'YAML description of the VPC; replaces --nodes and its like')
    .option('--nodes <count>', 'instances in the default VPC', wholeNumber, 2)
    .option('--instance-type <type>', `their type, which sets the limits of their NICs (${types})`)
    .option('--nics <count>', 'NICs that each of them boots with', positiveNumber, 1)
    .option('--seed <number>', 'decides every id, delay and fault', wholeNumber, 1)
    .addOption(
      new Option('--latency <profile>', 'how long calls and changes take')
        .choices(Object.keys(latencyProfiles))
        .default('documented'),
    )
    .option('--run <id>', 'name of this run in namespaces and files (default: random)')
    .option('--no-fabric', 'no namespaces and no packets: API and metadata on loopback, no root')
    .option('--admin-socket <path>', 'unix socket to inject faults and read the call log')
    .addOption(outputOption())
    .option('--cleanup <run>', 'remove what a crashed run left behind, then exit')
    .addHelpText('after', help)
    .action(async (flags: Flags) => {
      if (flags.cleanup === undefined) await serve(flags)
      else await sweep(flags.cleanup, flags.output)
    })

const types = Object.values(instanceTypes).join(', ')

const outputOption = (): Option =>
  new Option('--output <format>', 'one JSON object, or text for people')
    .choices(['text', 'json'])
    .default('text')

const help = `
Alone, without root: a cloud's API for its SDK and tools, here EC2
  $ eniway emulator --no-fabric
  $ export AWS_ENDPOINT_URL_EC2=…  (and the other variables it prints)
  $ aws ec2 describe-instances

With packets (root; needs nftables, iproute2, util-linux)
  $ eniway emulator --nodes 2
  Each instance is a network namespace; a NIC that is attached appears there as a device:
  $ nsenter --net=/run/netns/ew-RUN-node-a ip address
  The API (at the printed endpoint) and the metadata service (at its own address) answer inside.

A VPC of your own (--config); unknown keys are refused
  cidrs: [10.0.0.0/16]
  subnets:
    - { name: a, zone: us-east-1a, cidr: 10.0.1.0/24 }
  securityGroups:                      # beside \`default\`: in from itself, out to everywhere
    - { name: web, ingress: [{ protocol: tcp, ports: [80, 80], peer: 0.0.0.0/0 }] }
  instances:
    - { name: node-a, type: m5.large, subnet: a, securityGroups: [web] }
      # also primaryAddress, role, tags, secondaryNics: [{ subnet, securityGroups, tags }],
      # scaleSet: { name, mode: flexible | uniform }, accelerated, renames, addressCount6
  accounts:                            # optional, like deniedToRoles, throttleFactor, nicsMax
    - { id: '123456789012', keys: [{ accessKeyId: AKIAME, deniedActions: [TerminateInstances] }] }

It runs in the foreground; Ctrl-C or SIGTERM ends it and removes all it made.`

const serve = async (flags: Flags): Promise<void> => {
  const stopped = stopSignal()
  const emulator = await launchEmulator(await launchOptions(flags))
  const shown = describe(emulator)
  process.stdout.write(flags.output === 'json' ? `${JSON.stringify(shown)}\n` : render(shown))
  const reason = await Promise.race([stopped, emulator.ended.then(() => 'ended' as const)])
  const left = await emulator.close()
  if (left.length > 0) process.stderr.write(`removed after it: ${left.join(', ')}\n`)
  if (reason === 'ended') throw new Error('the emulator ended by itself; see its output above')
}

const launchOptions = async (flags: Flags): Promise<LaunchOptions> => {
  const { cloud, nodes, instanceType, nics, seed, latency, config, run, adminSocket } = flags
  return {
    cloud,
    nodes,
    nics,
    ...(instanceType === undefined ? {} : { instanceType }),
    seed,
    latency,
    hasFabric: flags.fabric,
    ...(run === undefined ? {} : { run }),
    ...(adminSocket === undefined ? {} : { adminSocket }),
    ...(config === undefined ? {} : await readLayout(config, cloud)),
  }
}

const readLayout = async (
  file: string,
  cloud: PlatformName,
): Promise<Pick<LaunchOptions, 'layout' | 'limits'>> => {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot read the VPC described in ${file}: ${cause.code}`, { cause })
  })
  const { vpc, limits } = parseLayout(text, file, cloud)
  return { layout: vpc, limits }
}

// A parent that started us with a channel wants us gone when it is gone.
const stopSignal = (): Promise<'signal'> =>
  new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => resolve('signal'))
    }
    if (process.send !== undefined) process.on('disconnect', () => resolve('signal'))
  })

const describe = (emulator: LaunchedEmulator): Launched => {
  const { run, cloud, pid, netns, nodes, endpoint, env, internet, admin } = emulator
  return { run, cloud, pid, netns, nodes, endpoint, env, internet, admin }
}

const render = (shown: Launched): string => {
  const { run, cloud, nodes, endpoint, env, internet, admin } = shown
  const lines = [
    `run ${run}: ${apiNames[cloud]} at ${endpoint}`,
    ...nodes.map(
      node =>
        `  ${node.name}  ${node.instanceId}  ${node.instanceType}  ${node.primaryAddress}` +
        `  /run/netns/${node.netns}`,
    ),
    ...Object.entries(env).map(([key, value]) => `export ${key}=${value}`),
    ...(internet === undefined
      ? []
      : [
          `internet host ${internet.address}, ${internet.address6}: echo on UDP ${internet.udpPort}, TCP ${internet.tcpPort}`,
        ]),
    `admin socket ${admin.socket}`,
  ]
  return `${lines.join('\n')}\n`
}

const apiNames: Readonly<Record<PlatformName, string>> = {
  aws: 'EC2 API',
  azure: 'Azure Resource Manager',
  alibaba: 'ECS API',
}

const sweep = async (run: string, output: Flags['output']): Promise<void> => {
  const removed = await cleanup(run)
  const text = removed.length === 0 ? `run ${run} left nothing` : `removed ${removed.join(', ')}`
  process.stdout.write(`${output === 'json' ? JSON.stringify({ run, removed }) : text}\n`)
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new InvalidArgumentError('Give a whole number.')
}

function positiveNumber(text: string): number {
  const value = wholeNumber(text)
  if (value > 0) return value
  throw new InvalidArgumentError('Give at least 1.')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await emulatorCommand().parseAsync()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
