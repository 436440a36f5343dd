// A container runtime's side of the CNI specification (section 3): runs the chains of plugins,
// remembers results, cleans up after failed ADDs, and keeps operations apart that may not overlap.

import { chooseVersion } from '../spec/choice.ts'
import type { ValidAttachment } from '../spec/config.ts'
import type { Variables } from '../spec/environment.ts'
import { codes, parsed, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import { cacheIn, defaultCacheDirectory } from './cache-files.ts'
import type { CacheEntry } from './cache.ts'
import { capabilitiesOf, requestsFor, tellAll, versionsOf, type Setting } from './chain.ts'
import type { RunOptions } from './exec.ts'
import { linesIn } from './lines.ts'
import type { Network } from './network.ts'
import { addAgain, check, del, gc, type Place } from './operations.ts'
import { knows, type Attachment } from './request.ts'
import { createTurns } from './turns.ts'

export type RuntimeOptions = Omit<RunOptions, 'signal'> & {
  /** Where plugins are looked for, in order. */
  readonly pluginPath: readonly string[]
  readonly cacheDirectory?: string
  /** What plugins inherit, as a rule the runtime's own variables. */
  readonly environment: Variables
  /** How often an ADD that failed with code 11 is tried again; each time after a DEL. */
  readonly againMax?: number
  readonly againMs?: number
}

/** What can be asked of a runtime. Nothing rejects; a signal kills the plugin that is running. */
export type Runtime = {
  /** The final result, in the configuration's version. */
  readonly add: Operation<JsonObject>
  readonly del: Operation<undefined>
  readonly check: Operation<undefined>
  /**
   * Deletes every remembered attachment of the network that is not in `valid`, then asks the
   * plugins to collect. Without `valid` all are deleted and plugins are given no list.
   */
  readonly gc: (
    network: Network,
    valid?: readonly ValidAttachment[],
    signal?: AbortSignal,
  ) => Promise<Parsed<undefined>>
  readonly status: (network: Network, signal?: AbortSignal) => Promise<Parsed<undefined>>
  readonly versions: (network: Network, signal?: AbortSignal) => Promise<Parsed<Support>>
  /** What is remembered, of all networks. */
  readonly attachments: () => Promise<Parsed<readonly CacheEntry[]>>
}

export type Operation<T> = (
  network: Network,
  attachment: Attachment,
  signal?: AbortSignal,
) => Promise<Parsed<T>>

/** What the plugins of a network can do. */
export type Support = {
  readonly plugins: readonly { readonly type: string; readonly versions: readonly string[] }[]
  /** What requests are made in. */
  readonly cniVersion: string
  /** The highest version that the configuration allows and all plugins support. */
  readonly agreed: string | undefined
  /** What a runtime may usefully give as capability arguments. */
  readonly capabilities: readonly string[]
}

/** Starts nothing and opens nothing. */
export const createRuntime = (options: RuntimeOptions): Runtime => {
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory
  const cache = cacheIn(cacheDirectory)
  const inTurn = turnsFor(options, cacheDirectory)
  const at = (signal?: AbortSignal): Place => ({ cache, setting: { ...options, signal } })
  const { againMax = 0, againMs = 1000 } = options
  return {
    add: (network, attachment, signal) =>
      inTurn({ container: attachment.containerId, signal }, () =>
        addAgain({ network, attachment }, { ...at(signal), againMax, againMs }),
      ),
    del: (network, attachment, signal) =>
      inTurn({ container: attachment.containerId, signal, isBestEffort: true }, () =>
        del({ network, attachment }, at(signal)),
      ),
    check: (network, attachment, signal) =>
      inTurn({ container: attachment.containerId, signal }, () =>
        check({ network, attachment }, at(signal)),
      ),
    gc: async (network, valid, signal) => {
      // What is added from here on is newer than the caller's list.
      const before = await cache.list()
      if (before.kind === 'failed') return before
      const known = before.value.filter(entry => entry.network === network.name)
      return inTurn({ signal }, () => gc({ network, valid, known }, at(signal)))
    },
    status: (network, signal) => status(network, at(signal).setting),
    versions: (network, signal) => support(network, at(signal).setting),
    attachments: cache.list,
  }
}

type Turn = {
  /** Left out: nobody else may run. */
  readonly container?: string
  readonly signal: AbortSignal | undefined
  /** Goes on where turns cannot be taken, as a DEL on a full disk has to. */
  readonly isBestEffort?: boolean
}

// First inside this process, in order, and then among processes.
const turnsFor = ({ clock }: RuntimeOptions, cacheDirectory: string) => {
  const turns = createTurns()
  const lines = linesIn(cacheDirectory)
  return <T>(turn: Turn, work: () => Promise<Parsed<T>>): Promise<Parsed<T>> => {
    const { container, signal, isBestEffort = false } = turn
    const apart = async (): Promise<Parsed<T>> => {
      const taken = await lines.take(container, { clock, signal })
      if (taken.kind === 'failed') {
        return isBestEffort && taken.code === codes.io ? work() : taken
      }
      const outcome = await work()
      await taken.value()
      return outcome
    }
    return container === undefined ? turns.alone(apart) : turns.oneOf(container, apart)
  }
}

// Below 1.1.0 nobody can be asked, which is no reason to call it not ready (point 98).
const status = async (network: Network, setting: Setting): Promise<Parsed<undefined>> =>
  knows(network, 'STATUS')
    ? tellAll('STATUS', requestsFor({ network }), setting)
    : parsed(undefined)

const support = async (network: Network, setting: Setting): Promise<Parsed<Support>> => {
  const plugins: Support['plugins'][number][] = []
  for (const { type } of network.plugins) {
    const versions = await versionsOf(type, setting)
    if (versions.kind === 'failed') return versions
    plugins.push({ type, versions: versions.value })
  }
  const { cniVersion } = network
  return parsed({
    plugins,
    cniVersion,
    agreed: agreedOf(network, plugins),
    capabilities: capabilitiesOf(network),
  })
}

// Point 4. Versions are compared by exact text, as plugins do (point 45).
const agreedOf = (network: Network, plugins: Support['plugins']): string | undefined => {
  const common = network.cniVersions.filter(version =>
    plugins.every(plugin => plugin.versions.includes(version)),
  )
  if (common.length === 0) return undefined
  const chosen = chooseVersion({ cniVersions: common })
  return chosen.kind === 'parsed' && common.includes(chosen.value) ? chosen.value : undefined
}
