// One pod after the other: latency of ADD and DEL, and CPU of a pair.

import {
  addPods,
  callAll,
  deletePods,
  interleaved,
  type Call,
  type Context,
  type Measure,
} from '../context.ts'
import type { Timing } from '../harness.ts'
import { cpuMsOf } from '../resident.ts'
import { resultOf, type Result, type Target } from '../result.ts'
import { mean, percentile } from '../statistics.ts'
import type { Side, Verb } from '../side.ts'

type Samples = { readonly add: Timing[]; readonly del: Timing[]; residentMs: number }
type BySide = { readonly ours: Samples; readonly peer: Samples }

/**
 * ADDs all pods of a round, then DELs them; the two sides take turns within each pod. One round of
 * both goes before and is not counted: a daemon runs for weeks, and its first calls are unusual.
 */
export const measureSequence: Measure = async context => {
  context.say('one at a time: a round to warm up')
  await runRound(context, emptySamples(), context.pods)
  const samples = emptySamples()
  for (let round = 1; round <= context.rounds; round++) {
    context.say(`one at a time: round ${round} of ${context.rounds}`)
    await runRound(context, samples, context.pods)
  }
  return [...latencies(samples), cpuPerPair(samples)]
}

const emptySamples = (): BySide => ({
  ours: { add: [], del: [], residentMs: 0 },
  peer: { add: [], del: [], residentMs: 0 },
})

const runRound = async (context: Context, samples: BySide, count: number): Promise<void> => {
  const { ours, peer } = context
  await ours.prepare(count)
  const pods = { ours: await addPods(context, count), peer: await addPods(context, count) }
  const before = await residentMs([ours, peer])
  for (const verb of ['ADD', 'DEL'] as const) {
    const calls = interleaved(context, pods)
    collect(samples, { verb, calls, timings: await callAll(context, verb, calls) })
  }
  // Our links are deleted after the answers; that work belongs to the pair as well.
  await ours.settle(0)
  const after = await residentMs([ours, peer])
  samples.ours.residentMs += (after[0] ?? 0) - (before[0] ?? 0)
  samples.peer.residentMs += (after[1] ?? 0) - (before[1] ?? 0)
  await deletePods(context, [...pods.ours, ...pods.peer])
}

const residentMs = (sides: readonly Side[]): Promise<readonly number[]> =>
  Promise.all(sides.map(side => cpuMsOf(side.residents())))

type Finished = {
  readonly verb: Verb
  readonly calls: readonly Call[]
  readonly timings: readonly Timing[]
}

const collect = (samples: BySide, { verb, calls, timings }: Finished): void => {
  for (const [i, { side }] of calls.entries()) {
    const timing = timings[i]
    const list = verb === 'ADD' ? samples[side.name].add : samples[side.name].del
    if (timing !== undefined) list.push(timing)
  }
}

const addNote =
  'from exec to exit, both sides warm from one round that is not counted; ' +
  'the peer neither guards source addresses, ' +
  'translates for the internet nor syncs its leases, we do all three'

const delNote =
  'from exec to exit; our answer comes before the kernel has freed the veth pair, which a ' +
  'background thread does, while the peer waits for it'

const latencies = ({ ours, peer }: BySide): readonly Result[] => {
  const pair = (verb: 'add' | 'del', share: number, target: Target): Result =>
    resultOf({
      name: `${verb}-p${share * 100}`,
      unit: 'ms',
      ours: percentile(wallMs(ours[verb]), share),
      peer: percentile(wallMs(peer[verb]), share),
      target,
      note: verb === 'add' ? addNote : delNote,
    })
  return [
    pair('add', 0.5, { kind: 'ratio', max: 0.3 }),
    pair('add', 0.99, { kind: 'ratio', max: 0.5 }),
    pair('del', 0.5, { kind: 'ratio', max: 0.1 }),
    pair('del', 0.99, { kind: 'none' }),
  ]
}

const wallMs = (timings: readonly Timing[]): readonly number[] =>
  timings.map(timing => timing.wallMs)

const cpuPerPair = ({ ours, peer }: BySide): Result =>
  resultOf({
    name: 'cpu-per-pair',
    unit: 'ms',
    ours: pairCpuMs(ours),
    peer: pairCpuMs(peer),
    target: { kind: 'ratio', max: 0.25 },
    note:
      'user and system time of one ADD and one DEL after a round that is not counted, the daemon ' +
      'with its background deletion and its regular look at kernel and cloud included; kernel ' +
      'threads that free links later are counted for neither; the pool is full, so nothing is lent',
  })

const pairCpuMs = ({ add, del, residentMs: resident }: Samples): number =>
  mean(add.map(({ cpuMs }) => cpuMs)) +
  mean(del.map(({ cpuMs }) => cpuMs)) +
  resident / Math.min(add.length, del.length)
