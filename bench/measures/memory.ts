// What the plugins hold in memory: a process of theirs while it runs, and our daemon while a node
// is as full as Kubernetes allows by default.

import { addPods, callAll, deletePods, traceAll, type Context, type Measure } from '../context.ts'
import { rssMibOf, withChildren } from '../resident.ts'
import { resultOf, type Result } from '../result.ts'
import { maximum } from '../statistics.ts'
import type { Side } from '../side.ts'

// kubelet's default for maxPods.
const podsOfFullNode = 110
const podsToTrace = 5

/** Reads the memory of a few calls of either side, then that of the daemon with 110 pods. */
export const measureMemory: Measure = async context => {
  context.say(`memory of a call, and of the daemon with ${podsOfFullNode} pods`)
  const { ours, peer } = context
  const calls = [invocationResult(await callMib(context, ours), await callMib(context, peer))]
  return [...calls, ...(await measureDaemon(context))]
}

const callMib = async (context: Context, side: Side): Promise<number> => {
  await side.prepare(podsToTrace)
  const pods = await addPods(context, podsToTrace)
  const calls = pods.map(pod => ({ side, pod }))
  const rssMib = [...(await traceAll(context, 'ADD', calls))]
  rssMib.push(...(await traceAll(context, 'DEL', calls)))
  await side.settle(0)
  await deletePods(context, pods)
  return maximum(rssMib)
}

const invocationResult = (ours: number, peer: number): Result =>
  resultOf({
    name: 'invocation-rss',
    unit: 'MiB',
    ours,
    peer,
    target: { kind: 'none' },
    note:
      `largest resident size of a plugin process in ${2 * podsToTrace} calls; the peer has two ` +
      'of this size at once, the plugin and its IPAM',
  })

const measureDaemon = async (context: Context): Promise<readonly Result[]> => {
  const { ours } = context
  await ours.prepare(podsOfFullNode)
  const pods = await addPods(context, podsOfFullNode)
  const calls = pods.map(pod => ({ side: ours, pod }))
  await callAll(context, 'ADD', calls)
  const daemons = ours.residents()
  const alone = await rssMibOf(daemons)
  const withCloud = await rssMibOf(await withChildren(daemons))
  await callAll(context, 'DEL', calls)
  await ours.settle(0)
  await deletePods(context, pods)
  const name = `daemon-rss-${podsOfFullNode}-pods`
  const note =
    'resident size, pages of the Node executable included; ' +
    'the peer keeps no process between calls, and no pool either'
  const figure = { unit: 'MiB', peer: 0, target: { kind: 'none' } } as const
  return [
    resultOf({ ...figure, name, ours: alone, note }),
    resultOf({
      ...figure,
      name: `${name}-and-cloud`,
      ours: withCloud,
      note: 'the same with its cloud process, which ends 15 s after the last call to the cloud',
    }),
  ]
}
