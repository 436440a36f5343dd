// One node daemon as a child process in the namespace of its node. It dies with us, whatever
// happens to us, and what it said last is shown when it fails.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { netnsPath } from '#emulator/fabric/layout.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { nodeFlags } from '#runtime/memory.ts'

/** Where a daemon runs and with what. */
export type DaemonPlace = {
  readonly name: string
  /** Name of the namespace. */
  readonly netns: string
  readonly configFile: string
  readonly logFile: string
  readonly seed: number
  /** What the SDK needs to find the cloud. */
  readonly env: Readonly<Record<string, string>>
}

/** A daemon that can be ended and started again. */
export type RunningDaemon = {
  readonly pid: () => number
  /** Undefined while it runs, else one sentence with its last lines. */
  readonly death: () => Promise<string | undefined>
  /** Ends it with the signal, starts it again, and says when that was (monotonic, in ns). */
  readonly restart: (signal: NodeJS.Signals) => Promise<bigint>
  /** Ends it, by force after some seconds. */
  readonly stop: () => Promise<void>
}

const stopMs = 5_000
const logLinesShown = 8

const program = join(import.meta.dirname, '..', '..', 'dist', 'ipamd.cjs')

/** Starts the built daemon; resolves before it is ready. */
export const startDaemon = async (place: DaemonPlace): Promise<RunningDaemon> => {
  if (!existsSync(program)) {
    throw new Error(`cannot start daemons: ${program} is not built; run node tools/bundle.mjs`)
  }
  let starts = 0
  let child = await launch(place, starts)
  return {
    pid: () => child.pid ?? 0,
    death: async () => (hasEnded(child) ? deathOf(place, child) : undefined),
    restart: async signal => {
      await end(child, signal)
      const startedNs = process.hrtime.bigint()
      child = await launch(place, ++starts)
      return startedNs
    },
    stop: () => end(child, 'SIGTERM'),
  }
}

// setpriv and nsenter become the daemon by exec, so the child's pid is the daemon's. A session of
// its own: Ctrl-C reaches it only through us.
const launch = async (place: DaemonPlace, starts: number): Promise<ChildProcess> => {
  const daemon = [nodeBinary(), ...nodeFlags, program, '--config', place.configFile]
  const seed = ['--seed', `${place.seed}/${place.name}/${starts}`]
  const namespace = ['nsenter', `--net=${netnsPath(place.netns)}`, '--']
  const log = await open(place.logFile, 'a', 0o600)
  try {
    const argv = ['--pdeathsig', 'KILL', ...namespace, ...daemon, ...seed]
    const env = { ...cleanEnvironment, ...place.env }
    const stdio = ['ignore', log.fd, log.fd] as const
    const child = spawn('setpriv', argv, { env, stdio: [...stdio], detached: true })
    await once(child, 'spawn')
    return child
  } finally {
    await log.close()
  }
}

// Nothing of the user's own cloud settings or ENIWAY_* variables may change what the daemon does.
const cleanEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
}

const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const isLate = await Promise.race([ended.then(() => false), sleep(stopMs, true, { ref: false })])
  if (isLate) child.kill('SIGKILL')
  await ended
}

const deathOf = async (place: DaemonPlace, child: ChildProcess): Promise<string> =>
  `the daemon of ${place.name} ended with ${child.signalCode ?? `code ${child.exitCode}`}; ` +
  (await lastWords(place.logFile))

/** The last lines of a log, for an error message. */
export const lastWords = async (logFile: string): Promise<string> => {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  const lines = text.trimEnd().split('\n').slice(-logLinesShown)
  return lines.join('') === '' ? 'it wrote nothing' : `it wrote last:\n  ${lines.join('\n  ')}`
}
