// What one run of the demonstration holds open, and its end: whatever was begun is undone, in the
// right order, however far the run came.

import type { Socket } from 'node:dgram'
import { createRandom } from '#runtime/random.ts'
import { layoutOf } from './clouds.ts'
import { startNodes, type Nodes, type PoolSettings } from './nodes.ts'
import type { Play } from './options.ts'
import { removePlaces, type Caller, type PodPlace, type Verb } from './pods.ts'
import { closeSockets } from './sockets.ts'

/** A run under way. */
export type Stage = {
  readonly play: Play
  readonly signal: AbortSignal
  /** Text for people, as it becomes known. */
  readonly say: (text: string) => void
  readonly caller: Caller
  /** Milliseconds of the calls so far; a round takes them over and empties them. */
  readonly times: Record<Verb, number[]>
  nodes: Nodes | undefined
  /** Pods whose namespaces exist. */
  places: readonly PodPlace[]
  sockets: readonly Socket[]
}

/** How long an address rests in the demonstration. */
export const coolingSeconds = 3

// Fewer than there are pods, so that the second round cannot do with addresses nobody had.
const warmTargetOf = ({ pods }: Play): number => Math.min(2, pods - 1)

/** A run that has not begun anything. */
export const newStage = (
  play: Play,
  io: { readonly signal: AbortSignal; readonly say: (text: string) => void },
): Stage => {
  const times: Stage['times'] = { ADD: [], CHECK: [], DEL: [] }
  const caller: Caller = {
    random: createRandom(`${play.seed}/pods`),
    signal: io.signal,
    families: play.families,
    onCall: (verb, ms) => void times[verb].push(ms),
  }
  return { play, ...io, caller, times, nodes: undefined, places: [], sockets: [] }
}

/** Addresses each node's pool is told to hold: all pods find theirs ready. */
export const addressesHeld = (play: Play): number =>
  Math.min(play.pods + warmTargetOf(play), play.room.total)

/**
 * Addresses it holds before that. On Azure those of the primary NIC's subnet: asked for more than
 * there are, the daemon would leave that subnet alone and take all from the other one.
 */
export const addressesHeldFirst = (play: Play): number =>
  play.cloud === 'azure' ? Math.min(addressesHeld(play), play.room.onPrimary) : addressesHeld(play)

/** Settings of a pool that holds so many addresses. */
export const poolOf = (play: Play, minimum: number): PoolSettings => ({
  coolingSeconds,
  warmTarget: minimum < addressesHeld(play) ? 0 : warmTargetOf(play),
  minimum,
})

/** Starts emulator, nodes and daemons, with files in the directory. */
export const raise = async (stage: Stage, directory: string): Promise<Nodes> => {
  const { run, cloud, families, nodes, instanceType, seed, latency, room } = stage.play
  const layout = layoutOf(cloud, { nodes, instanceType, room })
  stage.nodes = await startNodes({
    run,
    cloud,
    ipFamilies: families,
    nodes,
    instanceType,
    seed,
    latency,
    pool: poolOf(stage.play, addressesHeldFirst(stage.play)),
    ...(layout === undefined ? {} : { layout }),
    directory,
    signal: stage.signal,
  })
  stage.signal.throwIfAborted()
  return stage.nodes
}

/** The nodes, once they are there. */
export const nodesOf = ({ nodes }: Stage): Nodes => {
  if (nodes === undefined) throw new Error('the nodes have not been started')
  return nodes
}

/** Closes the sockets of the pods, which would keep their namespaces alive. */
export const hush = (stage: Stage): void => {
  closeSockets(stage.sockets)
  stage.sockets = []
}

/** Ends everything; returns what could not be removed. */
export const strike = async (stage: Stage): Promise<readonly string[]> => {
  hush(stage)
  const left: string[] = []
  await removePlaces(stage.places).catch((error: unknown) => left.push(String(error)))
  return [...left, ...((await stage.nodes?.close()) ?? [])]
}
