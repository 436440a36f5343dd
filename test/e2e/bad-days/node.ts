// One emulated node with a real daemon that a test starts, kills and asks, and the built executable
// that a test calls as a container runtime would.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastWords, startDaemon, type RunningDaemon } from '#cli/demo/daemon.ts'
import type { LaunchedNode } from '#emulator/launch.ts'
import type { NodeView } from '#ipamd/views.ts'
import { runShim } from '../../kernel/shim.ts'
import { until } from '../containerd/process.ts'
import { httpOverSocket } from './admin.ts'
import { startHelper, type Helper } from './helper.ts'

/** The answer of the executable, its JSON parsed. */
export type Answered = {
  readonly exitCode: number | null
  /** Result or error object; undefined when it printed nothing. */
  readonly answer: CniAnswer | undefined
  readonly stderr: string
}

export type CniAnswer = {
  readonly code?: number
  readonly msg?: string
  readonly details?: string
  readonly ips?: readonly { readonly address: string }[]
}

/** A pod as the runtime names it. */
export type PodCall = {
  readonly container: string
  readonly netns?: string
  readonly ifName?: string
  readonly timeoutSeconds?: number
}

export type StageNode = LaunchedNode & {
  readonly socket: string
  readonly pendingDirectory: string
  readonly configFile: string
  readonly ledger: string
  readonly env: Readonly<Record<string, string>>
  /** Writes the daemon's configuration: paths, quick intervals, and what is given on top. */
  configure(more?: object): Promise<void>
  /**
   * Starts the daemon, with the given configuration and further variables; waits until it listens,
   * not until ready.
   */
  start(more?: object, variables?: Readonly<Record<string, string>>): Promise<void>
  /** Ends the daemon and starts it again, as `start` does. */
  restart(signal: NodeJS.Signals): Promise<void>
  /** Ends the daemon. */
  stop(signal?: NodeJS.Signals): Promise<void>
  pid(): number
  /** Why the daemon ended by itself; undefined while it runs and while a test ends it. */
  death(): Promise<string | undefined>
  /** `/v1/node`. */
  view(): Promise<NodeView>
  /** Waits until the daemon shows what is wanted. */
  untilView(
    what: string,
    isSo: (view: NodeView) => boolean | Promise<boolean>,
    ms?: number,
  ): Promise<NodeView>
  /** Waits until the daemon would serve an ADD. */
  untilReady(): Promise<void>
  /** Calls the executable. */
  cni(command: 'ADD' | 'DEL' | 'CHECK' | 'STATUS', pod: PodCall): Promise<Answered>
  /** Log lines of all lives of the daemon. */
  log(): Promise<readonly Readonly<Record<string, unknown>>[]>
}

type Parts = {
  readonly launched: LaunchedNode
  readonly directory: string
  readonly seed: number
  /** What the daemon's SDK needs to find the cloud, and its own access key. */
  readonly env: Readonly<Record<string, string>>
}

/** Intervals that make a day pass in seconds; none is shorter than the fast cloud's own delays. */
const quick = {
  pool: { warmTarget: 2, coolingSeconds: 1, settleSeconds: 0.1, releaseAfterSeconds: 600 },
  intervals: { observeSeconds: 1, reconcileSeconds: 1, consistencySeconds: 2 },
}

const statePort = 61_680

/** Knows a node's paths; starts nothing. */
export const makeNode = (parts: Parts): StageNode => {
  const { launched, env } = parts
  const directory = join(parts.directory, launched.name)
  const socket = join(directory, 'cni.sock')
  const configFile = join(directory, 'config.yaml')
  const logFile = join(directory, 'daemon.log')
  const stateDirectory = join(directory, 'state')
  const relaySocket = join(directory, 'relay.sock')
  let daemon: RunningDaemon | undefined
  let relay: Helper | undefined
  let isEnding = false

  const configure = async (more: object = {}): Promise<void> => {
    await mkdir(directory, { recursive: true })
    const paths = {
      binDirectory: join(directory, 'bin'),
      configDirectory: join(directory, 'net.d'),
    }
    const config = merge(
      { node: launched.name, socket, stateDirectory, cni: paths, ...quick },
      more,
    )
    // JSON is YAML.
    await writeFile(configFile, JSON.stringify(config))
  }

  const running = (): RunningDaemon => {
    if (daemon === undefined) throw new Error(`no daemon was started on ${launched.name}`)
    return daemon
  }

  const ask = (path: string) => httpOverSocket(relaySocket, `GET ${path}`)

  const view = async (): Promise<NodeView> => JSON.parse((await ask('/v1/node')).text) as NodeView

  const orDied = async <T>(what: string, ask: () => Promise<T | undefined>, ms = 60_000) => {
    const last: { view?: NodeView } = {}
    const look = async () => {
      const death = await daemon?.death()
      if (death !== undefined) throw new Error(death)
      return ask()
    }
    return until(what, look, ms).catch(async (cause: unknown) => {
      last.view = await view().catch(() => undefined as never)
      const shown = JSON.stringify(last.view)
      throw new Error(`${what}: not so; ${await lastWords(logFile)}\n${shown}`, { cause })
    })
  }

  const isUp = () => orDied(`${launched.name} listens`, () => view().catch(() => undefined))

  return {
    ...launched,
    socket,
    pendingDirectory: join(directory, 'pending-del'),
    configFile,
    ledger: join(stateDirectory, 'ledger'),
    env,
    configure,
    start: async (more, further = {}) => {
      await configure(more)
      relay ??= await startHelper(launched.netns, 'relay', [relaySocket, String(statePort)])
      const { name, netns } = launched
      const seen = { ...env, ...further }
      daemon = await startDaemon({ name, netns, configFile, logFile, seed: parts.seed, env: seen })
      await isUp()
    },
    restart: async signal => {
      isEnding = true
      await running().restart(signal)
      isEnding = false
      await isUp()
    },
    stop: async (signal = 'SIGTERM') => {
      if (signal === 'SIGKILL' && daemon !== undefined) process.kill(daemon.pid(), signal)
      await daemon?.stop()
      if (signal === 'SIGTERM') await relay?.end()
    },
    pid: () => running().pid(),
    death: async () => (isEnding ? undefined : running().death()),
    view,
    untilView: (what, isSo, ms) =>
      orDied(
        what,
        async () => {
          const seen = await view().catch(() => undefined)
          return seen !== undefined && (await isSo(seen)) ? seen : undefined
        },
        ms,
      ),
    untilReady: async () => {
      const isReady = async () =>
        (await ask('/readyz').catch(() => undefined))?.status === 200 ? true : undefined
      await orDied(`${launched.name} is ready`, isReady)
    },
    cni: async (command, pod) => {
      const { exitCode, stdout, stderr } = await runShim({
        command,
        env: variables(pod),
        stdin: JSON.stringify(networkConfig(socket, pod)),
      })
      const answer = stdout.trim() === '' ? undefined : (JSON.parse(stdout) as CniAnswer)
      return { exitCode, answer, stderr }
    },
    log: async () =>
      (await readFile(logFile, 'utf8'))
        .split('\n')
        .filter(line => line.startsWith('{'))
        .map(line => JSON.parse(line) as Record<string, unknown>),
  }
}

const variables = ({ container, netns, ifName = 'eth0' }: PodCall) => ({
  CNI_CONTAINERID: container,
  CNI_NETNS: netns ?? '',
  CNI_IFNAME: ifName,
  CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${container}`,
})

/** What a runtime sends on stdin. */
export const networkConfig = (socket: string, { timeoutSeconds = 20 }: Partial<PodCall> = {}) => ({
  cniVersion: '1.1.0',
  name: 'eniway',
  type: 'eniway',
  socket,
  timeoutSeconds,
})

const merge = (base: object, more: object): object => {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(more) as [string, unknown][]) {
    const known = merged[key]
    const areBoth = isObject(known) && isObject(value)
    merged[key] = areBoth ? merge(known, value) : value
  }
  return merged
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
