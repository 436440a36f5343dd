// The network configuration list that tells runtimes to call eniway.

import { versions, type Version } from './spec/versions.ts'
import { defaultSocket } from './plugin/wire.ts'

/** File name in the runtime's configuration directory; runtimes take the first in name order. */
export const conflistName = '10-eniway.conflist'

/** Name of the executable, and so the `type` of our plugin object. */
export const pluginType = 'eniway'

/** Whether runtimes choose the version of the list, or which one is used by all. */
export const versionChoices = ['auto', '0.4.0', '1.0.0', '1.1.0'] as const
export type VersionChoice = (typeof versionChoices)[number]

/** The options of `conflist` that hold a choice; `auto` is its defaults. */
export const chosenVersion = (
  choice: VersionChoice,
): Pick<ConflistOptions, 'cniVersion' | 'cniVersions'> =>
  choice === 'auto' ? {} : { cniVersion: choice, cniVersions: [choice] }

export type ConflistOptions = {
  /** What a runtime that does not know `cniVersions` uses. */
  readonly cniVersion?: Version
  /** What newer runtimes choose the highest from. */
  readonly cniVersions?: readonly Version[]
  readonly name?: string
  readonly socket?: string
  readonly timeoutSeconds?: number
  readonly pool?: string
  /** Capabilities the runtime shall fill in, such as `io.kubernetes.cri.pod-annotations`. */
  readonly capabilities?: Readonly<Record<string, boolean>>
  /** Plugin objects to run after ours, in this order. */
  readonly chained?: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[]
}

/**
 * The text of the list. 1.0.0 by default, because containerd before 2.0 loads a 1.1.0 list and then
 * fails every pod; a runtime that knows `cniVersions` chooses 1.1.0 and so gets STATUS and GC.
 */
export const conflist = (options: ConflistOptions = {}): string => {
  const { cniVersion = '1.0.0', cniVersions = ['0.4.0', '1.0.0', '1.1.0'], chained = [] } = options
  const list = {
    cniVersion,
    cniVersions: versions.filter(version => cniVersions.includes(version)),
    name: options.name ?? pluginType,
    plugins: [pluginObject(options), ...chained],
  }
  return `${JSON.stringify(list, undefined, 2)}\n`
}

const pluginObject = (options: ConflistOptions) => ({
  type: pluginType,
  socket: options.socket ?? defaultSocket,
  // JSON leaves out what is undefined.
  timeoutSeconds: options.timeoutSeconds,
  pool: options.pool,
  capabilities: options.capabilities,
})
