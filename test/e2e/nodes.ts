// Emulated nodes with a running daemon each, as the end-to-end tests want them: one emulator, and in
// each node's namespace the daemon with sockets, state and plugin directories of its own.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { launchEmulator, type LaunchedEmulator } from '#emulator/launch.ts'
import { prepareNamespaceDirectory } from './containerd/namespaces.ts'
import { until } from './containerd/process.ts'

/** One node: a network namespace, the daemon in it, and where a runtime finds the plugin. */
export type Node = {
  readonly name: string
  /** Path of the node's network namespace. */
  readonly netns: string
  readonly cniBinDir: string
  readonly cniConfDir: string
}

export type Nodes = {
  readonly nodes: readonly Node[]
  /** Ends daemons and emulator and removes namespaces and files. */
  readonly stop: () => Promise<void>
}

export type NodesOptions = { readonly seed: number; readonly count: number }

const readyMsMax = 60_000

/** Starts an emulated VPC with nodes whose daemons are ready for pods. */
export const startNodes = async ({ seed, count }: NodesOptions): Promise<Nodes> => {
  await prepareNamespaceDirectory()
  const dir = await mkdtemp(join(tmpdir(), 'ew-nodes-'))
  const emulator = await launchEmulator({ nodes: count, seed, latency: 'fast' })
  const daemons: ChildProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map(endDaemon))
    await emulator.close()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const nodes = emulator.nodes.map(({ name, netns }) => nodeIn(dir, { name, netns }))
    for (const node of nodes) daemons.push(await startDaemon(dir, node, emulator))
    for (const [i, node] of nodes.entries()) await isReady(dir, node, daemons[i])
    return { nodes, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const nodeIn = (
  dir: string,
  { name, netns }: { readonly name: string; readonly netns: string },
): Node => ({
  name,
  netns: `/run/netns/${netns}`,
  cniBinDir: join(dir, name, 'bin'),
  cniConfDir: join(dir, name, 'net.d'),
})

const configOf = (dir: string, node: Node): object => ({
  node: node.name,
  socket: join(dir, node.name, 'cni.sock'),
  stateDirectory: join(dir, node.name, 'state'),
  cni: { binDirectory: node.cniBinDir, configDirectory: node.cniConfDir },
})

const daemonModule = pathToFileURL(join(import.meta.dirname, '../../ipamd/main.ts')).href

const startDaemon = async (
  dir: string,
  node: Node,
  emulator: LaunchedEmulator,
): Promise<ChildProcess> => {
  await mkdir(join(dir, node.name, 'state'), { recursive: true })
  const config = join(dir, node.name, 'config.yaml')
  // JSON is YAML.
  await writeFile(config, JSON.stringify(configOf(dir, node)))
  const script =
    `const { runDaemon } = await import('${daemonModule}')\n` +
    `process.exitCode = await runDaemon({ config: '${config}', seed: undefined })`
  const program = [nodeBinary(), '--input-type=module', '--eval', script]
  const log = await open(logOf(dir, node), 'a')
  try {
    // The daemon dies with us, whatever happens to us.
    const args = ['--pdeathsig', 'KILL', 'nsenter', `--net=${node.netns}`, ...program]
    const env = { ...process.env, ...emulator.env }
    return spawn('setpriv', args, { env, stdio: ['ignore', log.fd, log.fd] })
  } finally {
    await log.close()
  }
}

const logOf = (dir: string, node: Node): string => join(dir, `${node.name}.log`)

// The daemon installs the list when it can serve pods, and not before.
const isReady = (dir: string, node: Node, daemon: ChildProcess | undefined): Promise<true> =>
  until(
    `daemon of ${node.name}`,
    async () => {
      if (daemon === undefined || daemon.exitCode !== null) {
        throw new Error(`the daemon ended: ${await readFile(logOf(dir, node), 'utf8')}`)
      }
      return existsSync(join(node.cniConfDir, '10-eniway.conflist')) && true
    },
    readyMsMax,
  )

const endDaemon = async (daemon: ChildProcess): Promise<void> => {
  daemon.kill('SIGTERM')
  const hasEnded = async () => daemon.exitCode !== null || daemon.signalCode !== null
  await until('end of a daemon', hasEnded).catch(() => daemon.kill('SIGKILL'))
}
