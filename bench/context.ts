// What every measure needs, and the steps they share: making pods, calling plugins, chance.

import { runStarts, traceStarts, type Harness, type Timing, type Timings } from './harness.ts'
import { addNamespaces, deleteNamespaces, pathOf } from './namespaces.ts'
import type { Result } from './result.ts'
import type { Session } from './shell.ts'
import { startOf, type Pod, type Side, type Verb } from './side.ts'
import type { BenchNode } from './nodes.ts'

export type Context = {
  readonly session: Session
  readonly harness: Harness
  /** Directory for files of this run. */
  readonly dir: string
  /** Unique start of every namespace name of this run. */
  readonly prefix: string
  readonly ours: Side
  readonly peer: Side
  readonly node: BenchNode
  readonly pods: number
  readonly rounds: number
  /** From 0 to below 1; decides the order of everything that is compared. */
  readonly random: () => number
  /** Progress, for people. */
  readonly say: (text: string) => void
}

/** What making and calling pods takes. */
export type Workshop = Pick<Context, 'session' | 'harness' | 'dir' | 'prefix'>

/** One group of figures that are taken together. */
export type Measure = (context: Context) => Promise<readonly Result[]>

/** One call of a plugin for a pod. */
export type Call = { readonly side: Side; readonly pod: Pod }

let podsMade = 0

/** Makes empty pods; they are removed at the end or by `deletePods`. */
export const addPods = async (context: Workshop, count: number): Promise<readonly Pod[]> => {
  const ids = Array.from({ length: count }, () => `${context.prefix}-${++podsMade}`)
  await addNamespaces(context.session, context.dir, ids)
  return ids.map(id => ({ id, netns: pathOf(id) }))
}

/** Removes the namespaces of pods; the kernel removes what is in them later. */
export const deletePods = (context: Workshop, pods: readonly Pod[]): Promise<void> =>
  deleteNamespaces(
    context.dir,
    pods.map(({ id }) => id),
  )

/** Calls the plugins in the given order; the timings are in the same order. */
export const callAll = async (
  context: Workshop,
  verb: Verb,
  calls: readonly Call[],
): Promise<readonly Timing[]> => (await callAtOnce(context, verb, { calls, atOnce: 1 })).timings

/** Calls so many plugins at once, batch after batch. */
export const callAtOnce = async (
  { harness, dir }: Workshop,
  verb: Verb,
  { calls, atOnce }: { readonly calls: readonly Call[]; readonly atOnce: number },
): Promise<Timings> => {
  const starts = await Promise.all(calls.map(({ side, pod }) => startOf({ dir, side }, verb, pod)))
  return runStarts(harness, starts, atOnce)
}

/** Calls the plugins one after the other and answers the memory of each in MiB. */
export const traceAll = async (
  { harness, dir }: Workshop,
  verb: Verb,
  calls: readonly Call[],
): Promise<readonly number[]> =>
  traceStarts(
    harness,
    await Promise.all(calls.map(({ side, pod }) => startOf({ dir, side }, verb, pod))),
  )

/** Both sides' calls, pod by pod, with the order within each pair drawn at random. */
export const interleaved = (
  { random, ours, peer }: Context,
  pods: { readonly ours: readonly Pod[]; readonly peer: readonly Pod[] },
): readonly Call[] =>
  pods.ours.flatMap((pod, i) => {
    const other = pods.peer[i]
    const pair = [{ side: ours, pod }, ...(other === undefined ? [] : [{ side: peer, pod: other }])]
    return random() < 0.5 ? pair : pair.reverse()
  })

/** Both sides in random order. */
export const bothSides = ({ random, ours, peer }: Context): readonly Side[] =>
  random() < 0.5 ? [ours, peer] : [peer, ours]
