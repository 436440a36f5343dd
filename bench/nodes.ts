// An emulated node with a running daemon, as the benchmark wants it. Only this file knows how they
// are started.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { launchEmulator } from '#emulator/launch.ts'
import { pathOf } from './namespaces.ts'
import type { Session } from './shell.ts'

/** A node whose instance type has room for 735 pods: 15 NICs with 49 secondary addresses each. */
export type BenchNode = {
  /** Path of the node's network namespace. */
  readonly netns: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  readonly daemonPid: () => number
  /** Kills the daemon with -9 and starts it again; the monotonic clock, in ns, at the start. */
  readonly restartDaemon: () => Promise<bigint>
}

export type BenchNodeOptions = {
  readonly seed: number
  /** Directory of its own for the node's files. */
  readonly dir: string
  /** Addresses the pool keeps at least. */
  readonly addressesMin: number
}

const instanceType = 'm5.24xlarge'
const installed = { everyMs: 50, timeoutMs: 60_000 }

/** Starts an emulated VPC with one node, which ends with the session; its pool may still grow. */
export const startNode = async (
  session: Session,
  options: BenchNodeOptions,
): Promise<BenchNode> => {
  const { seed, dir } = options
  const emulator = await launchEmulator({ nodes: 1, instanceType, seed, latency: 'fast' })
  session.atEnd(() => emulator.close())
  const netns = pathOf(emulator.nodes[0]?.netns ?? '')
  await mkdir(join(dir, 'state'), { recursive: true })
  // JSON is YAML.
  await writeFile(join(dir, 'config.yaml'), JSON.stringify(configOf(options)))
  const start = () => startDaemon({ dir, netns, env: emulator.env })
  let daemon = await start()
  session.atEnd(() => endDaemon(daemon, 'SIGTERM'))
  const conflist = join(dir, 'net.d', '10-eniway.conflist')
  await session.until('the daemon', () => isThere(conflist, daemon, dir), installed)
  return {
    netns,
    cniBinDir: join(dir, 'bin'),
    cniConfDir: join(dir, 'net.d'),
    daemonPid: () => daemon.pid ?? 0,
    restartDaemon: async () => {
      await endDaemon(daemon, 'SIGKILL')
      const startedNs = process.hrtime.bigint()
      daemon = await start()
      return startedNs
    },
  }
}

// Short rests, so that a round does not wait for the addresses of the one before.
const configOf = ({ dir, addressesMin }: BenchNodeOptions): object => ({
  node: 'bench',
  socket: join(dir, 'cni.sock'),
  stateDirectory: join(dir, 'state'),
  cni: { binDirectory: join(dir, 'bin'), configDirectory: join(dir, 'net.d') },
  pool: { minimum: addressesMin, coolingSeconds: 1, settleSeconds: 1 },
})

type DaemonPlace = {
  readonly dir: string
  readonly netns: string
  readonly env: Readonly<Record<string, string>>
}

const daemonModule = pathToFileURL(join(import.meta.dirname, '../ipamd/main.ts')).href

const startDaemon = async ({ dir, netns, env }: DaemonPlace): Promise<ChildProcess> => {
  const script =
    `const { runDaemon } = await import('${daemonModule}')\n` +
    `process.exitCode = await runDaemon({ config: '${dir}/config.yaml', seed: undefined })`
  const program = [process.execPath, '--input-type=module', '--eval', script]
  const log = await open(logIn(dir), 'a')
  try {
    // The daemon dies with us, whatever happens to us; Ctrl-C reaches it only through us.
    const args = ['--pdeathsig', 'KILL', 'nsenter', `--net=${netns}`, ...program]
    const stdio = ['ignore', log.fd, log.fd] as const
    return spawn('setpriv', args, {
      detached: true,
      env: { ...process.env, ...env },
      stdio: [...stdio],
    })
  } finally {
    await log.close()
  }
}

const logIn = (dir: string): string => join(dir, 'daemon.log')

const isThere = async (file: string, daemon: ChildProcess, dir: string): Promise<boolean> => {
  if (daemon.exitCode === null) return existsSync(file)
  throw new Error(`the daemon ended: ${await readFile(logIn(dir), 'utf8')}`)
}

const endDaemon = async (daemon: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return
  const ended = once(daemon, 'exit')
  daemon.kill(signal)
  await ended
}
