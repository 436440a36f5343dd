// How long a node cannot serve pods when its daemon dies: killed with -9, started again, ready.

import { ourHttp } from '../ours.ts'
import { addPods, callAll, deletePods, type Context, type Measure } from '../context.ts'
import { resultOf } from '../result.ts'
import { maximum, median } from '../statistics.ts'

const podsInLedger = 250
const startsMin = 5
const readyMsMax = 30_000

/** Fills the ledger with 250 pods and restarts the daemon several times. */
export const measureStart: Measure = async context => {
  const { ours } = context
  await ours.prepare(podsInLedger)
  const pods = await addPods(context, podsInLedger)
  const calls = pods.map(pod => ({ side: ours, pod }))
  await callAll(context, 'ADD', calls)
  const startMs: number[] = []
  for (let i = 0; i < Math.max(startsMin, context.rounds); i++) {
    context.say(`daemon start ${i + 1}`)
    startMs.push(await restartMs(context))
  }
  await callAll(context, 'DEL', calls)
  await ours.settle(0)
  await deletePods(context, pods)
  return [
    resultOf({
      name: `start-to-ready-${podsInLedger}-pods`,
      unit: 'ms',
      ours: median(startMs),
      peer: null,
      target: { kind: 'value', max: 400 },
      note:
        `median of ${startMs.length} starts after kill -9, largest ` +
        `${maximum(startMs).toFixed(0)}, until /readyz answers 200; the peer has nothing to start`,
    }),
  ]
}

/**
 * Kills the daemon with -9, starts it and answers how long it took to be ready. The harness starts
 * to ask when the old daemon is dead, so that it cannot answer for the new one.
 */
export const restartMs = async ({
  harness,
  node,
  session,
}: Pick<Context, 'harness' | 'node' | 'session'>): Promise<number> => {
  const startedNs = await node.restartDaemon()
  const args = ['ready', ourHttp.host, String(ourHttp.port), '/readyz', String(readyMsMax)]
  const readyNs = await session.run({ program: harness.path, args, netns: node.netns })
  return Number(BigInt(readyNs.trim()) - startedNs) / 1e6
}
