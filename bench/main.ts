// Compares our executable and daemon with Debian's ptp and host-local, interleaved in one run on
// the same machine, in network namespaces of its own. Progress goes to stderr, the report
// to stdout.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { createRandom } from '#runtime/random.ts'
import { ensureDebianPackages } from '#tools/debian.mjs'
import type { Context, Measure } from './context.ts'
import { buildHarness } from './harness.ts'
import { describeMachine, fileSystemOf } from './machine.ts'
import { measureBurst } from './measures/burst.ts'
import { measureMemory } from './measures/memory.ts'
import { measureRoundTrip } from './measures/roundtrip.ts'
import { measureSequence } from './measures/sequence.ts'
import { measureStart } from './measures/start.ts'
import { startNode } from './nodes.ts'
import { ourSide } from './ours.ts'
import { startPeer } from './peer.ts'
import { tableOf, type Report } from './report.ts'
import type { Result } from './result.ts'
import { Session } from './shell.ts'

// In this order: memory is read from a young daemon, and the largest load comes last.
const measures: Readonly<Record<string, Measure>> = {
  memory: measureMemory,
  start: measureStart,
  sequence: measureSequence,
  burst: measureBurst,
  'round-trip': measureRoundTrip,
}

// 15 NICs with 49 secondary addresses each: the pool is filled once, so that no measure waits.
const addressesMin = 735

type Options = {
  readonly seed: number
  readonly pods: number
  readonly rounds: number
  readonly only: string | undefined
  readonly ledger: string
  readonly output: 'text' | 'json'
}

const numberBetween =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }

// On a node it is in /run, which systemd makes a tmpfs; where /run is none, another one will do.
const ledgerPlace = (): string =>
  ['/run', '/dev/shm'].find(path => existsSync(path) && fileSystemOf(path) === 'tmpfs') ?? tmpdir()

const readOptions = (): Options =>
  new Command('bench')
    .description("Compares eniway with Debian's ptp and host-local on this machine.")
    .option('--seed <number>', 'decides every random order', numberBetween(0, 2 ** 32 - 1), 1)
    .option('--pods <number>', 'pods per side and round', numberBetween(50, 330), 200)
    .option('--rounds <number>', 'repetitions of each measure', numberBetween(1, 100), 3)
    .addOption(new Option('--only <name>', 'one measure').choices(Object.keys(measures)))
    .option('--ledger <directory>', "where the daemon's ledger is kept", ledgerPlace())
    .addOption(
      new Option('--output <kind>', 'form of stdout').choices(['text', 'json']).default('text'),
    )
    .parse()
    .opts<Options>()

const makeContext = async (session: Session, options: Options): Promise<Context> => {
  const dir = await mkdtemp(join(tmpdir(), 'ew-bench-'))
  session.atEnd(() => rm(dir, { recursive: true, force: true }))
  const stateDirectory = await mkdtemp(join(options.ledger, 'ew-bench-ledger-'))
  session.atEnd(() => rm(stateDirectory, { recursive: true, force: true }))
  const prefix = basename(dir)
  const harness = await buildHarness(session, dir)
  const peer = await startPeer(session, dir, `${prefix}-peer`)
  const node = await startNode(session, {
    seed: options.seed,
    directory: join(dir, 'node'),
    stateDirectory,
    addressesMin,
  })
  const ours = await ourSide(session, node)
  const say = (text: string): void => console.error(text)
  say(`filling the pool with ${addressesMin} addresses`)
  await ours.prepare(addressesMin)
  const { pods, rounds } = options
  const chance = createRandom(options.seed)
  const random = (): number => chance.fraction()
  return { session, harness, dir, prefix, ours, peer, node, pods, rounds, random, say }
}

const runMeasures = async (session: Session, options: Options): Promise<readonly Result[]> => {
  const context = await makeContext(session, options)
  const results: Result[] = []
  for (const [name, measure] of Object.entries(measures)) {
    if (options.only === undefined || options.only === name)
      results.push(...(await measure(context)))
  }
  return results
}

const main = async (): Promise<number> => {
  const options = readOptions()
  ensureDebianPackages(['network', 'compile', 'peer'])
  const [loadBefore = 0] = loadavg()
  const session = new Session()
  let stoppedBy: NodeJS.Signals | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stoppedBy ??= signal
      session.stop()
    })
  }
  try {
    const results = await runMeasures(session, options)
    const { seed, pods, rounds } = options
    const [loadAfter = 0] = loadavg()
    const ledger = fileSystemOf(options.ledger)
    const machine = describeMachine({ seed, pods, rounds, loadBefore, loadAfter, ledger })
    const report: Report = { machine, results }
    console.log(options.output === 'json' ? JSON.stringify(report, undefined, 2) : tableOf(report))
    return 0
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    console.error(stoppedBy === undefined ? `bench failed: ${why}` : `stopped by ${stoppedBy}`)
    return stoppedBy === undefined ? 1 : 130
  } finally {
    await session.end()
  }
}

process.exitCode = await main()
