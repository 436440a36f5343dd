// Many pods at once, as after a deployment or a drained neighbour: how long until all are done.

import {
  addPods,
  bothSides,
  callAtOnce,
  deletePods,
  type Call,
  type Context,
  type Measure,
} from '../context.ts'
import { resultOf, type Result } from '../result.ts'
import { median } from '../statistics.ts'
import type { Pod, Side, Verb } from '../side.ts'

const atOnce = 50

type Batch = { readonly side: Side; readonly pods: readonly Pod[] }
type BatchMs = { readonly [verb in Verb]: { readonly ours: number[]; readonly peer: number[] } }

/** Starts 50 at a time; batches of the two sides take turns in random order. */
export const measureBurst: Measure = async context => {
  const batchMs: BatchMs = { ADD: { ours: [], peer: [] }, DEL: { ours: [], peer: [] } }
  for (let round = 1; round <= context.rounds; round++) {
    context.say(`${atOnce} at once: round ${round} of ${context.rounds}`)
    await runRound(context, batchMs)
  }
  return (['ADD', 'DEL'] as const).map(verb => burstResult(verb, batchMs))
}

const runRound = async (context: Context, batchMs: BatchMs): Promise<void> => {
  const batches = await makeBatches(context)
  for (const verb of ['ADD', 'DEL'] as const) {
    const calls = batches.flatMap(({ side, pods }): Call[] => pods.map(pod => ({ side, pod })))
    const timings = await callAtOnce(context, verb, { calls, atOnce })
    for (const [i, { side }] of batches.entries()) {
      batchMs[verb][side.name].push(timings.batchMs[i] ?? NaN)
    }
  }
  await context.ours.settle(0)
  await deletePods(
    context,
    batches.flatMap(({ pods }) => pods),
  )
}

const makeBatches = async (context: Context): Promise<readonly Batch[]> => {
  const count = Math.max(1, Math.floor(context.pods / atOnce))
  await context.ours.prepare(count * atOnce)
  const batches: Batch[] = []
  for (let i = 0; i < count; i++) {
    for (const side of bothSides(context)) {
      batches.push({ side, pods: await addPods(context, atOnce) })
    }
  }
  return batches
}

const burstResult = (verb: Verb, batchMs: BatchMs): Result =>
  resultOf({
    name: `${verb.toLowerCase()}-${atOnce}-at-once`,
    unit: 'ms',
    ours: median(batchMs[verb].ours),
    peer: median(batchMs[verb].peer),
    target: { kind: 'ratio', max: 0.25 },
    note:
      `wall time from the first start to the last end, median of ${batchMs[verb].ours.length} ` +
      'batches' +
      (verb === 'DEL' ? '; our links are freed in the background after the answers' : ''),
  })
