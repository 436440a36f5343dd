// What the daemon holds resident while a node is as full as Kubernetes allows by default.

import { addPods, callAll, deletePods, type Measure } from '../context.ts'
import { rssMibOf } from '../resident.ts'
import { resultOf } from '../result.ts'

// kubelet's default for maxPods.
const podsOfFullNode = 110

/** Adds 110 pods, reads the daemon's memory, and deletes them. */
export const measureMemory: Measure = async context => {
  context.say(`memory with ${podsOfFullNode} pods`)
  const { ours } = context
  await ours.prepare(podsOfFullNode)
  const pods = await addPods(context, podsOfFullNode)
  const calls = pods.map(pod => ({ side: ours, pod }))
  await callAll(context, 'ADD', calls)
  const rssMib = await rssMibOf(ours.residents())
  await callAll(context, 'DEL', calls)
  await ours.settle(0)
  await deletePods(context, pods)
  return [
    resultOf({
      name: `daemon-rss-${podsOfFullNode}-pods`,
      unit: 'MiB',
      ours: rssMib,
      peer: 0,
      target: { kind: 'none' },
      note:
        'resident size, pages of the Node executable included; ' +
        'the peer keeps no process between calls, and no pool either',
    }),
  ]
}
