// `eniway cni`: calls the plugins of a network as a container runtime would, with cnitool's
// arguments, variables and container id. Exit codes: 0, 1 when it failed, 2 when called wrongly.

import { Command, Option } from 'commander'
import { defaultCacheDirectory } from '#cni/runtime/cache-files.ts'
import { loadNetwork } from '#cni/runtime/load.ts'
import type { Network } from '#cni/runtime/network.ts'
import type { Attachment } from '#cni/runtime/request.ts'
import { createRuntime, type Runtime, type Support } from '#cni/runtime/runtime.ts'
import type { ValidAttachment } from '#cni/spec/config.ts'
import { parsed, type Failure, type Parsed } from '#cni/spec/failure.ts'
import { createClock } from '#runtime/clock.ts'
import { outputOption } from '../ask.ts'
import { attachmentOf, ownVariables, settingsFrom, type CniSettings } from './config.ts'
import { countOf, keepOf, UsageError } from './options.ts'

type Flags = {
  readonly ifname?: string
  readonly cacheDir: string
  readonly timeoutSeconds?: string
  readonly retries?: string
  readonly keep?: readonly string[]
  readonly output?: 'text' | 'json'
}

/** The command, for the `eniway` program to add to its own. */
export const cniCommand = (): Command => {
  const program = new Command('cni').description(
    'Call the CNI plugins of a network by hand: a cnitool. CNI_PATH, NETCONFPATH, CNI_ARGS, ' +
      'CAP_ARGS and CNI_IFNAME mean what they mean there.',
  )
  const commands = [
    onNamespace('add', 'Add an interface to a network namespace and print the result.', add).option(
      '--retries <count>',
      'how often to try again when a plugin says that it may go well later',
      '0',
    ),
    onNamespace('check', 'Check that an interface is as it was added.', check),
    onNamespace('del', 'Delete an interface; succeeds when it is gone already.', del),
    onNetwork('gc', 'Delete what is remembered of a network, then let its plugins collect.', gc)
      .argument('[netns]', 'not used; cnitool wants one')
      .option('--keep <attachment...>', 'CONTAINERID/IFNAME that stays'),
    onNetwork('status', 'Say whether the plugins of a network are ready for an add.', status)
      // Only so that what works with cnitool works here.
      .argument('[netns]', 'not used; cnitool wants one'),
    onNetwork('version', 'Print the versions that the plugins of a network support.', versions)
      // The result of an add is JSON anyway; this is the one answer for people.
      .addOption(outputOption()),
  ]
  for (const command of commands) program.addCommand(command)
  return program
}

/** What an action knows. */
type Scene = {
  readonly runtime: Runtime
  readonly network: Network
  readonly settings: CniSettings
  readonly flags: Flags
  /** Aborts when this process is told to end. */
  readonly signal: AbortSignal
}

/** The text for stdout. */
type Work = (scene: Scene) => Promise<Parsed<string>>
type NamespaceWork = (scene: Scene, attachment: Attachment) => Promise<Parsed<string>>

const onNetwork = (name: string, what: string, work: Work): Command =>
  command(name, what).action(async (...given: readonly unknown[]) => {
    await perform(name, given, work)
  })

const onNamespace = (name: string, what: string, work: NamespaceWork): Command =>
  command(name, what)
    .argument('<netns>', 'path of the network namespace, such as /run/netns/x')
    .option('-i, --ifname <name>', 'name of the interface (default: CNI_IFNAME, or eth0)')
    .action(async (...given: readonly unknown[]) => {
      const netns = String(given[1])
      await perform(name, given, scene => work(scene, attachmentOf(netns, scene.settings)))
    })

const command = (name: string, what: string): Command =>
  new Command(name)
    .description(what)
    .argument('<network>', 'name of a network in NETCONFPATH, by default /etc/cni/net.d')
    .addOption(
      new Option('--cache-dir <directory>', 'where results are remembered')
        .default(defaultCacheDirectory)
        .env('ENIWAY_CNI_CACHE_DIR'),
    )
    .option('--timeout-seconds <number>', 'kill a plugin that takes longer (default: never)')
    .showHelpAfterError('Run it with --help to see what there is.')
    .exitOverride()

// Commander gives the arguments, then the options, then the command itself.
const perform = async (name: string, given: readonly unknown[], work: Work): Promise<void> => {
  const network = String(given[0])
  const flags = given.at(-2) as Flags
  // A plugin that is running is killed, and what an add began is taken down again.
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort())
  }
  try {
    const settings = settingsFrom(ownVariables(), flags.ifname)
    if (settings.kind === 'failed') throw new UsageError(settings.message)
    const runtime = runtimeFor(settings.value, flags)
    const loaded = await loadNetwork(settings.value.confDirectory, network)
    const scene = { runtime, settings: settings.value, flags, signal: stop.signal }
    const outcome =
      loaded.kind === 'failed' ? loaded : await work({ ...scene, network: loaded.value })
    if (outcome.kind === 'failed') refuse(name, sentenceOf(outcome), 1)
    else process.stdout.write(outcome.value)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    refuse(name, error.message, 2)
  }
}

const runtimeFor = ({ pluginPath }: CniSettings, flags: Flags): Runtime => {
  const { cacheDir, timeoutSeconds, retries = '0' } = flags
  const seconds =
    timeoutSeconds === undefined
      ? undefined
      : countOf('--timeout-seconds', timeoutSeconds, { min: 1, max: 86_400 })
  return createRuntime({
    pluginPath,
    cacheDirectory: cacheDir,
    environment: ownVariables(),
    clock: createClock(),
    timeoutMs: seconds === undefined ? undefined : seconds * 1000,
    stderr: text => void process.stderr.write(text),
    againMax: countOf('--retries', retries, { min: 0, max: 1000 }),
  })
}

const refuse = (name: string, why: string, exitCode: number): void => {
  process.stderr.write(`eniway cni ${name}: ${why}\n`)
  process.exitCode = exitCode
}

const sentenceOf = ({ code, message, details }: Failure): string =>
  `${message}${details === '' ? '' : `; ${details}`} (CNI code ${code})`

const add: NamespaceWork = async ({ runtime, network, signal }, attachment) => {
  const result = await runtime.add(network, attachment, signal)
  // Four blanks, as cnitool prints it.
  return result.kind === 'failed'
    ? result
    : parsed(`${JSON.stringify(result.value, undefined, 4)}\n`)
}

const check: NamespaceWork = async ({ runtime, network, signal }, attachment) =>
  silent(await runtime.check(network, attachment, signal))

const del: NamespaceWork = async ({ runtime, network, signal }, attachment) =>
  silent(await runtime.del(network, attachment, signal))

const gc: Work = async ({ runtime, network, flags, signal }) => {
  const valid: readonly ValidAttachment[] | undefined = flags.keep?.map(keepOf)
  return silent(await runtime.gc(network, valid, signal))
}

const status: Work = async ({ runtime, network, signal }) =>
  silent(await runtime.status(network, signal))

const versions: Work = async ({ runtime, network, flags, signal }) => {
  const support = await runtime.versions(network, signal)
  if (support.kind === 'failed') return support
  const isJson = flags.output === 'json'
  return parsed(isJson ? `${JSON.stringify(support.value)}\n` : supportText(support.value))
}

const silent = (outcome: Parsed<undefined>): Parsed<string> =>
  outcome.kind === 'failed' ? outcome : parsed('')

const supportText = ({ plugins, cniVersion, agreed, capabilities }: Support): string =>
  [
    ...plugins.map(({ type, versions }) => `${type}: ${versions.join(' ')}`),
    `configuration: ${cniVersion}`,
    `highest of all: ${agreed ?? 'none'}`,
    `capabilities: ${capabilities.length === 0 ? 'none' : capabilities.join(' ')}`,
    '',
  ].join('\n')
