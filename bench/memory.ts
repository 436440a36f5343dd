// What a daemon holds in memory through a day, and how soon it is ready: with a full node, after
// heavy churn, and at rest. The processes it starts count as well. Needs root and about ten minutes
// for each cloud.
//
//   node bench/memory.ts --cloud aws

import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import type { PlatformName } from '#emulator/platform.ts'
import { addPods, callAll, deletePods, type Workshop } from './context.ts'
import { buildHarness } from './harness.ts'
import { restartMs } from './measures/start.ts'
import { startNode, type BenchNode } from './nodes.ts'
import { ourSide } from './ours.ts'
import { cpuMsOf, memoryOf, withChildren } from './resident.ts'
import { Session } from './shell.ts'
import type { Side } from './side.ts'
import { maximum, median } from './statistics.ts'

type Options = {
  readonly cloud: PlatformName
  readonly type: string | undefined
  readonly pods: number
  readonly ledgerPods: number
  readonly pairs: number
  readonly rest: number
  readonly seed: number
}

/** Types that carry 220 pods and more; on Azure every size carries 255. */
const types: Readonly<Record<PlatformName, string>> = {
  aws: 'm5.24xlarge',
  azure: 'Standard_D4s_v5',
  alibaba: 'ecs.g7.16xlarge',
}

const readOptions = (): Options =>
  new Command('memory')
    .description('Measures memory and start of a daemon on one emulated cloud.')
    .addOption(new Option('--cloud <name>', 'cloud').choices(Object.keys(types)).default('aws'))
    .option('--type <name>', 'instance type; left out: one that carries the pods')
    .option('--pods <number>', 'pods of a full node', Number, 110)
    .option('--ledger-pods <number>', 'pods in the ledger of a start', Number, 220)
    .option('--pairs <number>', 'ADDs and DELs of the churn', Number, 10_000)
    .option('--rest <seconds>', 'rest after the churn, without any call', Number, 300)
    .option('--seed <number>', 'decides every random choice', Number, 1)
    .parse()
    .opts<Options>()

type Bench = Workshop & { readonly ours: Side; readonly node: BenchNode; readonly options: Options }

const startsCount = 5
const restLookMs = 5_000

const setUp = async (session: Session, options: Options): Promise<Bench> => {
  const dir = await mkdtemp(join(tmpdir(), 'ew-memory-'))
  session.atEnd(() => rm(dir, { recursive: true, force: true }))
  const harness = await buildHarness(session, dir)
  const node = await startNode(session, {
    cloud: options.cloud,
    instanceType: options.type ?? types[options.cloud],
    seed: options.seed,
    directory: join(dir, 'node'),
    stateDirectory: join(dir, 'ledger'),
    addressesMin: options.ledgerPods,
  })
  return {
    session,
    harness,
    dir,
    prefix: basename(dir),
    ours: await ourSide(session, node),
    node,
    options,
  }
}

const measure = async (bench: Bench): Promise<void> => {
  const { node, options } = bench
  await addAll(bench, options.ledgerPods, async () => {
    const startMs: number[] = []
    for (let i = 0; i < startsCount; i++) startMs.push(await restartMs(bench))
    const times = `median ${median(startMs).toFixed(0)} ms, largest ${maximum(startMs).toFixed(0)}`
    say(`start to ready with ${options.ledgerPods} pods in the ledger: ${times}`)
    await sample(bench, 'just ready')
    await untilChild(bench, true)
    await sleep(restLookMs)
    await sample(bench, 'with the cloud process')
  })
  await addAll(bench, options.pods, async () => {
    await untilChild(bench, false)
    await sample(bench, `${options.pods} pods, cloud process ended`)
  })
  const before = await cpuMsOf([node.daemonPid()])
  let pairs = 0
  for (; pairs < options.pairs; pairs += options.pods) {
    await addAll(bench, options.pods, async () => undefined)
  }
  const cpuMs = (await cpuMsOf([node.daemonPid()])) - before
  await sample(bench, `${pairs} pairs`)
  say(`processor time of a pair, cloud process included: ${(cpuMs / pairs).toFixed(2)} ms`)
  await addAll(bench, options.pods, () => rest(bench))
}

// A full node at rest: what is measured at its end counts, the largest on the way is told as well.
const rest = async (bench: Bench): Promise<void> => {
  const daemon: number[] = []
  const both: number[] = []
  for (let ms = 0; ms < bench.options.rest * 1000; ms += restLookMs) {
    await sleep(restLookMs, undefined, { signal: bench.session.signal })
    const { daemonMib, childrenMib } = await look(bench)
    daemon.push(daemonMib)
    both.push(daemonMib + childrenMib)
  }
  const share = both.filter((mib, i) => mib > (daemon[i] ?? 0)).length / both.length
  await sample(bench, `${bench.options.rest} s of rest`)
  say(
    `during the rest: median ${median(both).toFixed(1)}, largest ${maximum(both).toFixed(1)}; a ` +
      `cloud process was there in ${(share * 100).toFixed(0)} % of the looks`,
  )
}

const addAll = async (
  bench: Bench,
  count: number,
  meanwhile: () => Promise<void>,
): Promise<void> => {
  const pods = await addPods(bench, count)
  const calls = pods.map(pod => ({ side: bench.ours, pod }))
  await bench.ours.prepare(count)
  await callAll(bench, 'ADD', calls)
  await meanwhile()
  await callAll(bench, 'DEL', calls)
  await bench.ours.settle(0)
  await deletePods(bench, pods)
}

const look = async ({ node }: Bench) => {
  const [daemon = 0, ...children] = await withChildren([node.daemonPid()])
  const own = await memoryOf(daemon)
  const others = await Promise.all(children.map(memoryOf))
  return {
    daemonMib: own.rssMib,
    anonymousMib: own.anonymousMib,
    childrenMib: others.reduce((sum, { rssMib }) => sum + rssMib, 0),
  }
}

const sample = async (bench: Bench, when: string): Promise<void> => {
  const { daemonMib, anonymousMib, childrenMib } = await look(bench)
  const cells = [daemonMib, anonymousMib, childrenMib].map(mib => mib.toFixed(1))
  say(`| ${when} | ${cells.join(' | ')} |`)
}

const untilChild = (bench: Bench, isThere: boolean): Promise<void> =>
  bench.session.until(
    `a cloud process: ${isThere}`,
    async () => (await withChildren([bench.node.daemonPid()])).length > 1 === isThere,
    { everyMs: 200, timeoutMs: 120_000 },
  )

const say = (text: string): void => console.log(text)

const main = async (): Promise<void> => {
  const options = readOptions()
  const session = new Session()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => session.stop())
  }
  const [load = 0] = loadavg()
  say(`${options.cloud}, seed ${options.seed}, Node ${process.version}, load ${load.toFixed(2)}`)
  say('| when | daemon, MiB | of it anonymous | cloud process |\n| --- | --- | --- | --- |')
  try {
    await measure(await setUp(session, options))
  } finally {
    await session.end()
  }
}

await main()
