// Starts the emulator as a child process inside the fabric's namespace and looks after it: whatever
// happens to either process, nothing that the run made stays behind.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Description } from './description.ts'
import { inNetns } from './fabric/command.ts'
import { readCounters } from './fabric/fabric.ts'
import { isRunId, runIdLengthMax, vpcNetns } from './fabric/layout.ts'
import { addNetns, cleanup, fileOf, netnsNames } from './fabric/netns.ts'
import { nodeBinary } from './fabric/node.ts'
import type { FabricCounters } from './fabric/ruleset.ts'
import { defaultLayout, instanceTypes } from './launch-layout.ts'
import type { LaunchLimits } from './launch-layout.ts'
import type { LatencyName } from './model/latency.ts'
import type { PlatformName } from './platform.ts'

/** What to emulate. Everything may be left out. */
export interface LaunchOptions {
  /** Left out: `aws`. */
  readonly cloud?: PlatformName
  /** Names namespaces and files; up to 24 lower-case letters and digits. Left out: random. */
  readonly run?: string
  /** The VPC; left out: two subnets with `nodes` instances of `instanceType`, as that cloud has. */
  readonly layout?: Description
  /** Accounts, denied actions, throttling; left out: as documented. */
  readonly limits?: LaunchLimits
  readonly nodes?: number
  readonly instanceType?: string
  /** NICs that each node boots with; left out: 1. */
  readonly nics?: number
  readonly seed?: number
  readonly latency?: LatencyName
  /** False: no namespaces, no packets, no root; control plane and metadata on loopback only. */
  readonly hasFabric?: boolean
  /** Path of the admin interface's unix socket; left out: named after the run. */
  readonly adminSocket?: string
}

/** One emulated machine. */
export interface LaunchedNode {
  readonly name: string
  readonly instanceId: string
  readonly instanceType: string
  readonly netns: string
  readonly primaryAddress: string
  /** Where the node's metadata is: the usual address inside its namespace, else on loopback. */
  readonly metadataEndpoint: string
  /** What an SDK on this node needs in its environment, credentials included. */
  readonly env: Readonly<Record<string, string>>
}

/** What is running, as plain data: the program prints it, and the child reports it. */
export interface Launched {
  readonly run: string
  readonly cloud: PlatformName
  readonly pid: number
  /** Namespace of the fabric and of the emulator; undefined without a fabric. */
  readonly netns: string | undefined
  readonly nodes: readonly LaunchedNode[]
  /** URL of the cloud's API. */
  readonly endpoint: string
  /** What the cloud's SDK needs in its environment, credentials included, as the first node. */
  readonly env: Readonly<Record<string, string>>
  /** A host outside the VPC that echoes with the source address it saw. */
  readonly internet: LaunchedInternet | undefined
  readonly admin: { readonly socket: string }
}

export interface LaunchedInternet {
  readonly netns: string
  readonly address: string
  readonly address6: string
  readonly udpPort: number
  readonly tcpPort: number
}

/** A running emulator. */
export interface LaunchedEmulator extends Launched {
  /** Packets by fate; all 0 without a fabric. */
  counters(): Promise<FabricCounters>
  /** Resolves when the emulator has ended, by `close` or by itself. */
  readonly ended: Promise<void>
  /** Ends it and removes all it made; returns what it had left for us to remove (nothing). */
  close(): Promise<readonly string[]>
}

/** What the child is told once, as its first message. */
export interface InsideOptions {
  readonly run: string
  readonly cloud: PlatformName
  readonly layout: Description
  readonly limits: LaunchLimits
  readonly seed: number
  readonly latency: LatencyName
  readonly hasFabric: boolean
  readonly adminSocket: string
  readonly authorityFile: string
}

/** What the child says. */
export type InsideMessage =
  | { readonly kind: 'ready'; readonly launched: Launched }
  | { readonly kind: 'failed'; readonly message: string }

/** A child that has not answered by then is ended. */
const closeMs = 20_000
const startMs = 60_000

const noPackets: FabricCounters = {
  spoofed: 0,
  forbidden: 0,
  unowned: 0,
  noPublicAddress: 0,
  delivered: 0,
}

/** Starts an emulator and resolves when it serves. Throws, with nothing left, when it cannot. */
export const launchEmulator = async (options: LaunchOptions = {}): Promise<LaunchedEmulator> => {
  const inside = insideOptions(options)
  const { run, hasFabric } = inside
  if (hasFabric) await makeRoom(run)
  const child = start(inside)
  // The child removes its own things; what it could not is removed here, also after a SIGKILL.
  const ended = exitOf(child).then(() => (hasFabric ? cleanup(run) : []))
  const launched = await firstMessage(child, ended)
  return {
    ...launched,
    ended: ended.then(() => undefined),
    counters: () => (hasFabric ? readCounters(vpcNetns(run)) : Promise.resolve(noPackets)),
    close: async () => {
      if (child.connected) child.disconnect()
      const isEnded = await Promise.race([ended, sleep(closeMs, undefined, { ref: false })])
      if (isEnded === undefined) child.kill('SIGKILL')
      return ended
    },
  }
}

const insideOptions = (options: LaunchOptions): InsideOptions => {
  const { cloud = 'aws', nodes = 2, seed = 1, latency = 'documented' } = options
  const { hasFabric = true, instanceType = instanceTypes[cloud], nics = 1 } = options
  const run = options.run ?? `r${randomBytes(4).toString('hex')}`
  const pathOf = (ending: 'sock' | 'pem'): string =>
    hasFabric ? fileOf(run, ending) : join(tmpdir(), `eniway-emulator-${run}.${ending}`)
  if (!isRunId(run)) {
    throw new Error(`"${run}" is no run id: use up to ${runIdLengthMax} lower-case letters, digits`)
  }
  return {
    run,
    cloud,
    layout: options.layout ?? defaultLayout({ cloud, nodes, instanceType, nics }),
    limits: options.limits ?? {},
    seed,
    latency,
    hasFabric,
    adminSocket: options.adminSocket ?? pathOf('sock'),
    authorityFile: pathOf('pem'),
  }
}

const makeRoom = async (run: string): Promise<void> => {
  if (process.getuid?.() !== 0) {
    throw new Error('cannot create network namespaces: run as root, or use --no-fabric')
  }
  if ((await netnsNames()).includes(vpcNetns(run))) {
    throw new Error(
      `cannot start run ${run}: namespace ${vpcNetns(run)} exists; end that run, or remove what ` +
        `it left with \`eniway emulator --cleanup ${run}\``,
    )
  }
  await addNetns(run, vpcNetns(run))
}

// A session of its own: Ctrl-C reaches us alone, and the closed channel tells the child to end.
const start = (options: InsideOptions): ChildProcess => {
  const program = fileURLToPath(new URL('./launch-inside.ts', import.meta.url))
  const netns = options.hasFabric ? vpcNetns(options.run) : undefined
  const [command = '', ...argv] = inNetns(netns, [nodeBinary(), program])
  const stdio = ['ignore', 2, 2, 'ipc'] as const
  const child = spawn(command, argv, { stdio: [...stdio], detached: true })
  child.send(options)
  return child
}

// `error` instead of `exit` says that the program could not even be started.
const exitOf = (child: ChildProcess): Promise<void> =>
  new Promise(resolve => {
    child.on('exit', () => resolve())
    child.on('error', error => {
      process.stderr.write(`cannot start the emulator: ${error.message}\n`)
      resolve()
    })
  })

const firstMessage = async (
  child: ChildProcess,
  ended: Promise<readonly string[]>,
): Promise<Launched> => {
  const late: InsideMessage = { kind: 'failed', message: `not ready after ${startMs / 1000} s` }
  const died: InsideMessage = { kind: 'failed', message: 'its process ended; see its output' }
  const message = await Promise.race([
    once(child, 'message').then(([first]) => first as InsideMessage),
    ended.then(() => died),
    sleep(startMs, late, { ref: false }),
  ])
  if (message.kind === 'ready') return message.launched
  child.kill('SIGKILL')
  await ended
  throw new Error(`cannot start the emulator: ${message.message}`)
}
