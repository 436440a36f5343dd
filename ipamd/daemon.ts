// The daemon put together: ledger, core, loop, host, doors. Everything it needs of the outside
// comes in as an option, so that tests run it against any cloud.

import { fileURLToPath } from 'node:url'
import { existsSync, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { chosenVersion, conflist } from '#cni/conflist.ts'
import { installConflist, installExecutable } from '#cni/install.ts'
import { handle } from '#cni/plugin/handle.ts'
import { pendingDirectory, replayPendingDels } from '#cni/plugin/pending.ts'
import type { Action } from '#core/action.ts'
import { apply } from '#core/apply.ts'
import { changes } from '#core/durable.ts'
import type { Event } from '#core/event.ts'
import { plan } from '#core/plan.ts'
import type { Clock, Cloud } from '#core/ports.ts'
import { restore } from '#core/restore.ts'
import type { State } from '#core/state.ts'
import { createClock } from '#runtime/clock.ts'
import type { Log } from '#runtime/log.ts'
import { createLoop, type Loop } from '#runtime/loop.ts'
import { giveMemoryBack } from '#runtime/memory.ts'
import { createMetrics, type Metrics } from '#runtime/metrics.ts'
import { createRandom } from '#runtime/random.ts'
import { openLedger } from '#runtime/store.ts'
import { type AnsweringAttachments, createAttachments } from './attachments.ts'
import { type Config, ConfigError, coreConfig } from './config.ts'
import { createGathering, type Gathering } from './gathering.ts'
import { createHost } from './host.ts'
import { createTelemetry, type Telemetry } from './telemetry.ts'
import { createPerformer } from './perform.ts'
import { createRest } from './rest.ts'
import { serveCni, serveState } from './server.ts'
import { isReady } from './views.ts'

export type DaemonOptions = {
  readonly config: Config
  /** Read again when it changes; undefined when there is no file. */
  readonly reload: (() => Config) | undefined
  readonly configFile: string | undefined
  /** Makes the cloud that the daemon closes at its end. */
  readonly cloud: (tools: CloudTools) => ClosableCloud
  readonly log: Log
  readonly seed: string | undefined
  /** Called when the daemon cannot go on; the process should end. */
  readonly onFatal: (error: unknown) => void
}

export type CloudTools = {
  readonly clock: Clock
  /** Counts calls on the wire, by name and result. */
  readonly onCall: (name: string, result: string) => void
}

export type ClosableCloud = Cloud & { close(): void }

export type Daemon = {
  /** Port of the state server on 127.0.0.1. */
  readonly port: number
  readonly state: () => State
  /** Closes the doors, ends what is under way and lets the ledger go. Pods keep their network. */
  stop(): Promise<void>
}

const pendingEveryMs = 60_000
/** Long enough for an executable that found no socket to have left its DEL. */
const pendingAgainMs = 1_000
/** A file that is being written is read when it has been left alone for this long. */
const configQuietMs = 200
const readyLookMs = 20
const installEveryMs = 15_000
const drainMs = 2_000

export const startDaemon = async (options: DaemonOptions): Promise<Daemon> => {
  const { config, log } = options
  const clock = createClock()
  const random = createRandom(options.seed)
  const ledger = await openLedger({ directory: config.stateDirectory, log })
  const initial = restore({
    config: coreConfig(config),
    epoch: random.hex(12),
    entries: ledger.entries,
    at: clock.now(),
  })
  for (const problem of initial.problems) log.warn('ledger fact left out', { problem })

  const gathering = createGathering(clock.soon)
  const stopping = new AbortController()
  const metrics = createMetrics()
  const telemetry = createTelemetry({ log, metrics, state: () => loop.state(), now: clock.now })
  const rest = createRest({ clock, onRest: giveMemoryBack })
  const post = (event: Event): void => {
    telemetry.onEvent(event)
    // The kernel is compared all the time; everything else is somebody's wish.
    if (event.kind !== 'hostReconciled') rest.busy()
    loop.post(event)
  }
  const attachments = createAttachments({ clock, state: () => loop.state(), post })
  const host = createHost({
    onLinkGone: ifindex => post({ kind: 'linkDeleted', ifindex, at: clock.now() }),
  })
  const cloud = options.cloud({ clock, onCall: telemetry.onWireCall })
  const perform = createPerformer({
    cloud,
    host,
    clock,
    random,
    answer: attachments.answer,
    post,
    signal: stopping.signal,
    onCall: telemetry.onCall,
  })
  const loop = createLoop<State, Event, Action>({
    initial: initial.state,
    apply,
    plan,
    started: (action, at) => ({ kind: 'started', action, at }),
    changes,
    store: ledger.store,
    clock: { ...clock, soon: gathering.soon },
    perform,
    onFatal: options.onFatal,
  })

  const running = { options, loop, clock, gathering, post, attachments, telemetry, metrics }
  const close = await openDoors(running)
  return {
    port: close.port,
    state: loop.state,
    stop: async () => {
      await close.stop()
      rest.stop()
      loop.stop()
      stopping.abort()
      cloud.close()
      ledger.store.close()
    },
  }
}

type Running = {
  readonly options: DaemonOptions
  readonly loop: Loop<State, Event>
  readonly clock: Clock
  readonly gathering: Gathering
  readonly post: (event: Event) => void
  readonly attachments: AnsweringAttachments
  readonly telemetry: Telemetry
  readonly metrics: Metrics
}

const openDoors = async (running: Running) => {
  const { options, loop, clock, attachments, telemetry, metrics } = running
  const { config, log } = options
  const replay = (): Promise<void> => replayPending(running)
  // Before the socket listens, so that no new ADD meets an old DEL.
  await replay()
  const cniServer = await serveCni(config.socket, attachments, {
    report: fault => log.error('cni call failed', { error: fault }),
    onAnswered: telemetry.onAnswered,
    gathering: running.gathering,
    nowMs: () => performance.now(),
  })
  const stateServer = await serveState(config.httpPort, {
    state: loop.state,
    now: clock.now,
    metrics,
  })
  // DELs that came after the replay and before the socket have been left in files, too.
  const replayingAgain = setTimeout(() => void replay().catch(options.onFatal), pendingAgainMs)
  const replaying = setInterval(() => void replay().catch(options.onFatal), pendingEveryMs)
  const stopInstalling = installWhenReady(running, stateServer.port)
  const unwatch = watchConfig(options, next => {
    running.post({ kind: 'configured', config: coreConfig(next), at: clock.now() })
  })
  log.info('started', { socket: config.socket, port: stateServer.port, node: config.node })
  return {
    port: stateServer.port,
    stop: async () => {
      clearTimeout(replayingAgain)
      clearInterval(replaying)
      stopInstalling()
      unwatch()
      await Promise.all([cniServer.close(drainMs), stateServer.close(drainMs)])
    },
  }
}

const replayPending = async ({ options, attachments }: Running): Promise<void> => {
  const { config, log } = options
  const done = await replayPendingDels({
    directory: pendingDirectory(config.socket),
    del: ({ call, queuedAtMs }) => handle(call, attachments, { queuedAtMs }),
    report: sentence => log.warn('pending del', { sentence }),
  })
  if (done > 0) log.info('pending dels done', { count: done })
}

// From the first readiness on both files are kept in place: a runtime's upgrade may remove them,
// and what failed once may work later.
const installWhenReady = ({ options, loop, clock }: Running, port: number): (() => void) => {
  const { config, log } = options
  const put = (message: string): void => {
    install(config).then(
      paths => {
        if (paths.length > 0) log.info(message, { paths })
      },
      (error: unknown) => log.error('cannot install', { error }),
    )
  }
  let keeping: NodeJS.Timeout | undefined
  const readying = setInterval(() => {
    if (!isReady(loop.state(), clock.now())) return
    clearInterval(readying)
    log.info('ready', { port })
    put('installed')
    keeping = setInterval(() => put('installed again'), installEveryMs)
  }, readyLookMs)
  return () => {
    clearInterval(readying)
    clearInterval(keeping)
  }
}

// Paths that were missing or different.
const install = async (config: Config): Promise<readonly string[]> => {
  const { install: isWanted, binDirectory, configDirectory, timeoutSeconds, version } = config.cni
  if (!isWanted) return []
  const program = await installExecutable({ source: executable(), binDirectory })
  const text = conflist({
    socket: config.socket,
    ...chosenVersion(version),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  })
  const list = await installConflist({ configDirectory, text })
  return [program, list].flatMap(({ path, change }) => (change === 'written' ? [path] : []))
}

// Beside the bundle in dist/, or in dist/ seen from the sources.
const executable = (): string => {
  const here = typeof __dirname === 'string' ? __dirname : dirname(fileURLToPath(import.meta.url))
  const places = [join(here, 'bin', 'eniway'), join(here, '..', 'dist', 'bin', 'eniway')]
  return places.find(place => existsSync(place)) ?? places[0] ?? ''
}

const watchConfig = (
  { configFile, reload, log }: DaemonOptions,
  onChange: (config: Config) => void,
): (() => void) => {
  if (configFile === undefined || reload === undefined) return () => undefined
  const read = (): void => {
    try {
      onChange(reload())
      log.info('configuration read again', { file: configFile })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      log.error('configuration ignored', { problem: error.message })
    }
  }
  // Whoever writes into the file empties it first, and an empty file means every default.
  let quiet: NodeJS.Timeout | undefined
  const readWhenQuiet = (): void => {
    clearTimeout(quiet)
    quiet = setTimeout(read, configQuietMs)
  }
  // The directory, because editors and ConfigMaps replace the file rather than write into it.
  const watcher = watch(dirname(configFile), (_, name) => {
    if (name === null || name === basename(configFile) || name === '..data') readWhenQuiet()
  })
  return () => {
    clearTimeout(quiet)
    watcher.close()
  }
}
