// One verb for the plugins of one network, in order and without memory: what is told to each, and
// what becomes of their answers. Cache, turns and rollback are in runtime.ts.

import type { WorkingVerb } from '../spec/call.ts'
import type { Command, Variables } from '../spec/environment.ts'
import { parsed, type Failure, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import { newestVersion } from '../spec/versions.ts'
import { readResult, readSilence, readVersions } from './answer.ts'
import { findPlugin, runPlugin, type Ended, type RunOptions } from './exec.ts'
import { within } from './failures.ts'
import type { Network, PluginConfig } from './network.ts'
import { configurationFor, variablesFor, type Request } from './request.ts'

/** What is the same for every plugin that is run. */
export type Setting = RunOptions & {
  /** Directories, in order. */
  readonly pluginPath: readonly string[]
  /** The runtime's own; CNI_* in it never reach a plugin unless they are set anew. */
  readonly environment: Variables
}

/** How far an ADD came: `ran` counts plugins that were started, the failing one included. */
export type Added = { readonly outcome: Parsed<JsonObject>; readonly ran: number }

type Told = Omit<Request, 'plugin'>

/** ADD forward, each with the result of the one before (points 63 and 64). */
export const addAll = async (told: Told, setting: Setting): Promise<Added> => {
  let previous: JsonObject | undefined
  let ran = 0
  for (const plugin of told.network.plugins) {
    const ended = await runOne('ADD', { ...told, plugin, previous }, setting)
    if (ended.kind === 'failed' && !ended.hasRun) return { outcome: ended.failure, ran }
    ran++
    const outcome = ended.kind === 'failed' ? ended.failure : readAdded(ended.ended, told, plugin)
    if (outcome.kind === 'failed') return { outcome, ran }
    previous = outcome.value
  }
  return { outcome: parsed(previous ?? { cniVersion: told.network.cniVersion }), ran }
}

const readAdded = (ended: Ended, { network }: Told, plugin: PluginConfig): Parsed<JsonObject> =>
  within(describe('ADD', plugin), readResult(ended, network.cniVersion))

/** One of the verbs that answer nothing, in the given order, up to the first failure. */
export const tellAll = async (
  verb: Exclude<WorkingVerb, 'ADD'>,
  requests: readonly Request[],
  setting: Setting,
): Promise<Parsed<undefined>> => {
  for (const request of requests) {
    const outcome = await tellOne(verb, request, setting)
    if (outcome.kind === 'failed') return outcome
  }
  return parsed(undefined)
}

/** The same, but all of them, and every failure (points 67 and 121). */
export const tellEach = async (
  verb: Exclude<WorkingVerb, 'ADD'>,
  requests: readonly Request[],
  setting: Setting,
): Promise<readonly Failure[]> => {
  const failures: Failure[] = []
  for (const request of requests) {
    const outcome = await tellOne(verb, request, setting)
    if (outcome.kind === 'failed') failures.push(outcome)
  }
  return failures
}

const tellOne = async (
  verb: Exclude<WorkingVerb, 'ADD'>,
  request: Request,
  setting: Setting,
): Promise<Parsed<undefined>> => {
  const ended = await runOne(verb, request, setting)
  if (ended.kind === 'failed') return ended.failure
  const outcome = readSilence(ended.ended)
  // A STATUS is passed on as the plugin said it (point 104).
  return verb === 'STATUS' ? outcome : within(describe(verb, request.plugin), outcome)
}

/** What a plugin of that type supports, from VERSION. */
export const versionsOf = async (
  type: string,
  setting: Setting,
): Promise<Parsed<readonly string[]>> => {
  const file = await findPlugin(type, setting.pluginPath)
  if (file.kind === 'failed') return file
  const environment = environmentFor(setting, variablesFor('VERSION', { pluginPath: [] }))
  const stdin = JSON.stringify({ cniVersion: newestVersion })
  const ended = await runPlugin({ file: file.value, environment, stdin }, setting)
  if (ended.kind === 'failed') return ended
  return within(`plugin "${type}" failed VERSION`, readVersions(ended.value))
}

type RanOne =
  | { readonly kind: 'ended'; readonly ended: Ended }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly hasRun: boolean }

const runOne = async (command: Command, request: Request, setting: Setting): Promise<RanOne> => {
  const { plugin, attachment } = request
  const file = await findPlugin(plugin.type, setting.pluginPath)
  if (file.kind === 'failed') return { kind: 'failed', failure: file, hasRun: false }
  const variables = variablesFor(command, { attachment, pluginPath: setting.pluginPath })
  const environment = environmentFor(setting, variables)
  const stdin = JSON.stringify(configurationFor(request))
  const ended = await runPlugin({ file: file.value, environment, stdin }, setting)
  if (ended.kind === 'parsed') return { kind: 'ended', ended: ended.value }
  const failure = within(describe(command, plugin), ended)
  return { kind: 'failed', failure: failure as Failure, hasRun: true }
}

const environmentFor = (setting: Setting, variables: Readonly<Record<string, string>>) => ({
  ...setting.environment,
  ...variables,
})

const describe = (command: Command, { type }: PluginConfig): string =>
  `plugin "${type}" failed ${command}`

/** One request per plugin, in the order of ADD. */
export const requestsFor = (told: Told): readonly Request[] =>
  told.network.plugins.map((plugin: PluginConfig) => ({ ...told, plugin }))

/** Capabilities that some plugin of the network declares. */
export const capabilitiesOf = ({ plugins }: Network): readonly string[] => [
  ...new Set(plugins.flatMap(({ capabilities }) => capabilities)),
]
