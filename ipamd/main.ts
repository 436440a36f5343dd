// The node daemon as a program: configuration, the active cloud's provider, signals and exit codes.

import { createLog } from '#runtime/log.ts'
import { securityGroupId, subnetId } from '#core/names.ts'
import type { CloudOptions, SubnetSelection } from '#providers/common/options.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { remoteCloud } from './remote/cloud.ts'
import { processStarter } from './remote/process.ts'

export type DaemonArguments = {
  readonly config: string | undefined
  readonly seed: string | undefined
}

/** Runs until SIGTERM or SIGINT; the promise is the exit code. */
export const runDaemon = async ({ config: file, seed }: DaemonArguments): Promise<number> => {
  const config = readConfig(file)
  if (config === undefined) return 2
  const log = createLog({ level: config.logLevel })
  return new Promise<number>(resolve => {
    const fail = (error: unknown): void => {
      log.error('ended', { error })
      resolve(1)
    }
    startDaemon({
      config,
      configFile: file,
      reload: file === undefined ? undefined : () => loadConfig(file, process.env),
      cloud: ({ clock, onCall }) =>
        remoteCloud({
          clock,
          log,
          start: processStarter({ clock, log, environment: process.env }),
          provider: config.cloud,
          options: cloudOptions(config),
          idleMs: idleMs(config),
          onCall,
        }),
      log,
      seed,
      onFatal: fail,
    }).then(daemon => stopOnSignal(daemon, resolve), fail)
  })
}

const readConfig = (file: string | undefined): Config | undefined => {
  try {
    return loadConfig(file, process.env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`eniway ipamd: ${error.message}\n`)
    return undefined
  }
}

const stopOnSignal = (daemon: Daemon, resolve: (code: number) => void): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      daemon.stop().then(
        () => resolve(0),
        () => resolve(1),
      )
    })
  }
}

// What a process started for one call costs is spent once for the calls that follow within this
// time: a grow is several, some seconds apart, and under churn they come every few seconds.
const cloudIdleMs = 15_000

// A provider remembers what descriptions do not show yet, so it lives for as long as they lag.
const idleMs = ({ intervals }: Config): number =>
  Math.max(cloudIdleMs, intervals.consistencySeconds * 1000)

// The sections are alike.
type Section = Config['aws']

// Azure chooses nothing: its NICs are there before the node is.
const nothingChosen: Section = {
  subnets: [],
  subnetTags: undefined,
  securityGroups: [],
  cluster: undefined,
}

const cloudOptions = (config: Config): Omit<CloudOptions, 'onCall'> => {
  const section = config.cloud === 'azure' ? nothingChosen : config[config.cloud]
  return {
    node: config.node,
    cluster: section.cluster,
    tags: {},
    subnets: subnetSelection(section),
    securityGroups: section.securityGroups.map(securityGroupId),
  }
}

const subnetSelection = ({ subnets, subnetTags }: Section): SubnetSelection => {
  if (subnets.length > 0) return { kind: 'ids', ids: subnets.map(subnetId) }
  return subnetTags === undefined ? { kind: 'default' } : { kind: 'tags', tags: subnetTags }
}
