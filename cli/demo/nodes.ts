// Emulated nodes with a ready daemon each: the stage on which the demonstration plays. Knows how a
// node is set up; knows nothing of pods.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { conflistName } from '#cni/conflist.ts'
import type { Description } from '#emulator/description.ts'
import { inNetns, runCommand } from '#emulator/fabric/command.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { cleanup } from '#emulator/fabric/netns.ts'
import type { LatencyName } from '#emulator/model/latency.ts'
import type { PlatformName } from '#emulator/platform.ts'
import { launchEmulator, type LaunchedEmulator, type LaunchedNode } from '#emulator/launch.ts'
import type { NodeView } from '#ipamd/views.ts'
import { lastWords, startDaemon, type RunningDaemon } from './daemon.ts'

/** Keys of the daemon's `pool` section; what is left out has the daemon's default. */
export type PoolSettings = {
  readonly warmTarget?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly blockSize?: 32 | 28 | 'auto'
  readonly coolingSeconds?: number
  readonly settleSeconds?: number
  readonly releaseAfterSeconds?: number
}

export type NodesOptions = {
  /** Left out: `aws`. */
  readonly cloud?: PlatformName
  /** Of which every pod gets an address; left out: the daemon's default. */
  readonly ipFamilies?: readonly ('ipv4' | 'ipv6')[]
  /** Names namespaces; left out: random. */
  readonly run?: string
  readonly nodes: number
  readonly instanceType: string
  readonly seed: number
  readonly latency?: LatencyName
  readonly pool?: PoolSettings
  /** Further keys of the daemon's configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  /** The VPC; left out: two subnets with the nodes in turn. */
  readonly layout?: Description
  /** Directory for the nodes' files, to be created; left out: a new temporary one. */
  readonly directory?: string
  /** Aborting makes the start fail, with nothing left. */
  readonly signal?: AbortSignal
}

/** One node with its daemon. */
export type DemoNode = {
  readonly name: string
  readonly instanceType: string
  /** Name of the network namespace; `netnsPath` makes a path of it. */
  readonly netns: string
  readonly primaryAddress: string
  readonly socket: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  readonly stateDir: string
  readonly log: string
  readonly daemonPid: number
  /** Gives the running daemon other pool settings, which it reads by itself within a second. */
  setPool(pool: PoolSettings): Promise<void>
  /** Asks the daemon for `/v1/node`. */
  view(): Promise<NodeView>
  /** Ends the daemon, starts it again and says when (monotonic, in ns); it may not be ready yet. */
  restartDaemon(signal?: NodeJS.Signals): Promise<bigint>
  /** Resolves when `/readyz` is answered with 200; rejects when it died or takes too long. */
  untilReady(): Promise<void>
}

/** Emulator and nodes, until they are closed. */
export type Nodes = {
  readonly run: string
  readonly emulator: LaunchedEmulator
  readonly nodes: readonly DemoNode[]
  readonly directory: string
  /** Ends and removes everything; returns what it could not remove. Twice is once. */
  close(): Promise<readonly string[]>
}

const readyMs = 90_000
const lookMs = 25
const askAgainMs = 200
const stateUrl = 'http://127.0.0.1:61680'

/** Starts them and resolves when every daemon is ready; its pool may still grow. */
export const startNodes = async (options: NodesOptions): Promise<Nodes> => {
  options.signal?.throwIfAborted()
  const directory = await ownDirectory(options.directory)
  const daemons: RunningDaemon[] = []
  let emulator: LaunchedEmulator | undefined
  let closing: Promise<readonly string[]> | undefined
  const close = () => (closing ??= closeAll({ daemons, emulator, directory }))
  try {
    emulator = await launchEmulator(emulatorOptions(options))
    const launched = emulator
    options.signal?.throwIfAborted()
    const nodes = await together(
      launched.nodes.map(node => startNode({ node, directory, options, daemons })),
    )
    await together(nodes.map(node => node.untilReady()))
    return { run: launched.run, emulator, nodes, directory, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Waits for all, also when one fails, so that nothing is started behind a clean-up's back. */
export const together = async <T>(all: readonly Promise<T>[]): Promise<readonly T[]> => {
  await Promise.allSettled(all)
  return Promise.all(all)
}

const ownDirectory = async (wanted: string | undefined): Promise<string> => {
  if (wanted === undefined) return mkdtemp(join(tmpdir(), 'eniway-nodes-'))
  await mkdir(wanted, { recursive: true, mode: 0o700 })
  return wanted
}

const emulatorOptions = (options: NodesOptions): Parameters<typeof launchEmulator>[0] => {
  const { cloud, run, nodes, instanceType, seed, latency, layout } = options
  return {
    ...(cloud === undefined ? {} : { cloud }),
    nodes,
    instanceType,
    seed,
    ...(run === undefined ? {} : { run }),
    ...(latency === undefined ? {} : { latency }),
    ...(layout === undefined ? {} : { layout }),
  }
}

type NodeStart = {
  readonly node: LaunchedNode
  readonly directory: string
  readonly options: NodesOptions
  readonly daemons: RunningDaemon[]
}

const startNode = async ({ node, ...start }: NodeStart): Promise<DemoNode> => {
  const { options, daemons } = start
  const paths = pathsIn(join(start.directory, node.name))
  await mkdir(paths.stateDir, { recursive: true, mode: 0o700 })
  await writeConfig(node, paths, options)
  const daemon = await startDaemon({
    name: node.name,
    netns: node.netns,
    configFile: paths.config,
    logFile: paths.log,
    seed: options.seed,
    env: node.env,
  })
  daemons.push(daemon)
  const { name, instanceType, netns, primaryAddress } = node
  const { socket, cniBinDir, cniConfDir, stateDir, log } = paths
  return {
    name,
    instanceType,
    netns,
    primaryAddress,
    socket,
    cniBinDir,
    cniConfDir,
    stateDir,
    log,
    get daemonPid() {
      return daemon.pid()
    },
    setPool: pool => writeConfig(node, paths, { ...options, pool }),
    view: () => viewOf(netns, daemon),
    restartDaemon: (signal = 'SIGTERM') => daemon.restart(signal),
    untilReady: () => untilReady({ node, paths, daemon, signal: options.signal }),
  }
}

// A daemon that died says more than a refused connection.
const viewOf = async (netns: string, daemon: RunningDaemon): Promise<NodeView> => {
  try {
    return (await ask(netns, '/v1/node')).body as NodeView
  } catch (error) {
    const death = await daemon.death()
    // Its last words say more than how our question failed.
    throw death === undefined ? error : new Error(death)
  }
}

type Paths = ReturnType<typeof pathsIn>

const pathsIn = (directory: string) => ({
  config: join(directory, 'config.yaml'),
  log: join(directory, 'daemon.log'),
  socket: join(directory, 'cni.sock'),
  stateDir: join(directory, 'state'),
  cniBinDir: join(directory, 'bin'),
  cniConfDir: join(directory, 'net.d'),
})

// By rename: the daemon watches the file. JSON is YAML.
const writeConfig = async (
  node: LaunchedNode,
  paths: Paths,
  options: NodesOptions,
): Promise<void> => {
  const text = `${JSON.stringify(configOf(node, paths, options), undefined, 2)}\n`
  await writeFile(`${paths.config}.new`, text)
  await rename(`${paths.config}.new`, paths.config)
}

const configOf = (node: LaunchedNode, paths: Paths, options: NodesOptions): object => ({
  node: node.name,
  cloud: options.cloud ?? 'aws',
  ...(options.ipFamilies === undefined ? {} : { ipFamilies: options.ipFamilies }),
  socket: paths.socket,
  stateDirectory: paths.stateDir,
  cni: { binDirectory: paths.cniBinDir, configDirectory: paths.cniConfDir },
  ...(options.pool === undefined ? {} : { pool: options.pool }),
  ...options.config,
})

type Waiting = {
  readonly node: LaunchedNode
  readonly paths: Paths
  readonly daemon: RunningDaemon
  readonly signal: AbortSignal | undefined
}

// The list appears when the daemon is ready for the first time; looking for it costs no process.
const untilReady = async ({ node, paths, daemon, signal }: Waiting): Promise<void> => {
  const deadline = performance.now() + readyMs
  const isReady = async (): Promise<boolean> => {
    if (!existsSync(join(paths.cniConfDir, conflistName))) return false
    const answer = await ask(node.netns, '/readyz').catch(() => undefined)
    if (answer?.status !== 200) await sleep(askAgainMs)
    return answer?.status === 200
  }
  while (!(await isReady())) {
    signal?.throwIfAborted()
    const death = await daemon.death()
    if (death !== undefined) throw new Error(death)
    if (performance.now() > deadline) {
      const words = await lastWords(paths.log)
      throw new Error(`${node.name} is not ready after ${readyMs / 1000} s; ${words}`)
    }
    await sleep(lookMs)
  }
}

type Answer = { readonly status: number; readonly body: unknown }

const askTool = join(import.meta.dirname, 'tools', 'ask.ts')

const ask = async (netns: string, path: string): Promise<Answer> => {
  const argv = [nodeBinary(), askTool, `${stateUrl}${path}`]
  return JSON.parse(await runCommand({ netns, argv })) as Answer
}

type Everything = {
  readonly daemons: readonly RunningDaemon[]
  readonly emulator: LaunchedEmulator | undefined
  readonly directory: string
}

// Daemons first: each would otherwise see its NICs go and try to repair the node.
const closeAll = async (all: Everything): Promise<readonly string[]> => {
  const left: string[] = []
  const note = (what: string) => (error: unknown) =>
    void left.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  await Promise.all(all.daemons.map(daemon => daemon.stop().catch(note('daemon'))))
  if (all.emulator !== undefined) {
    const { run } = all.emulator
    await all.emulator.close().catch(note('emulator'))
    await cleanup(run).catch(note('namespaces'))
  }
  await rm(all.directory, { recursive: true, force: true }).catch(note(all.directory))
  return left
}

/** The argv that runs a program on a node as a runtime on that machine would. */
export const onNode = (node: DemoNode, argv: readonly string[]): readonly string[] =>
  inNetns(node.netns, argv)
