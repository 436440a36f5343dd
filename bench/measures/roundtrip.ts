// What each packet pays for the number of pods on its node: small UDP datagrams from one pod to
// others, through the node's rules and routes, with few and with very many pods.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { addPods, bothSides, callAll, deletePods, type Context, type Measure } from '../context.ts'
import { resultOf, type Result } from '../result.ts'
import { addressOf, type Pod, type Side } from '../side.ts'
import { median } from '../statistics.ts'

// The largest is what fifteen NICs with 49 secondary addresses nearly fill. Ten pods are measured
// again at the end, so that a machine that gets slower meanwhile does not look like growth.
const few = 10
const visits = [few, 250, 730, few] as const
const many = Math.max(...visits)

const echoPort = '7777'
const pingsPerServer = 2000
const pingsToWarmUp = 200

type Samples = { readonly ours: Map<number, number[]>; readonly peer: Map<number, number[]> }

/** Round trips with 10, 250 and 730 pods, and how much longer they take with the most. */
export const measureRoundTrip: Measure = async context => {
  const samples: Samples = { ours: new Map(), peer: new Map() }
  const pods = { ours: await addPods(context, many), peer: await addPods(context, many) }
  let here = 0
  await context.ours.prepare(many)
  for (const count of visits) {
    context.say(`round trip with ${count} pods`)
    for (const side of bothSides(context)) await resize(context, side, { pods, here, count })
    here = count
    await context.ours.settle(count)
    await measureHere(context, samples, { pods, count })
  }
  for (const side of bothSides(context)) await resize(context, side, { pods, here, count: 0 })
  await deletePods(context, [...pods.ours, ...pods.peer])
  return [...[...new Set(visits)].map(count => timeResult(samples, count)), growthResult(samples)]
}

type Pods = { readonly ours: readonly Pod[]; readonly peer: readonly Pod[] }
type Resize = { readonly pods: Pods; readonly here: number; readonly count: number }

const resize = async (context: Context, side: Side, step: Resize): Promise<void> => {
  const { pods, here, count } = step
  const changed = pods[side.name].slice(Math.min(here, count), Math.max(here, count))
  const calls = changed.map(pod => ({ side, pod }))
  if (calls.length > 0) await callAll(context, count > here ? 'ADD' : 'DEL', calls)
}

const measureHere = async (
  context: Context,
  samples: Samples,
  { pods, count }: { readonly pods: Pods; readonly count: number },
): Promise<void> => {
  for (let round = 0; round < context.rounds; round++) {
    for (const side of bothSides(context)) {
      const micros = await pingPods(context, side, pods[side.name].slice(0, count))
      const known = samples[side.name].get(count) ?? []
      samples[side.name].set(count, [...known, ...micros])
    }
  }
}

// The first pod asks the second, the middle and the last one: a list that is searched from either
// end would show.
const pingPods = async (
  context: Context,
  side: Side,
  pods: readonly Pod[],
): Promise<readonly number[]> => {
  const [client, ...others] = pods
  const servers = [others.at(0), others.at(others.length >> 1), others.at(-1)]
  const all: number[] = []
  for (const server of servers) {
    if (client === undefined || server === undefined) throw new Error('too few pods to ping')
    all.push(...(await pingPod(context, side, { client, server })))
  }
  return all
}

const pingPod = async (
  { harness, session, dir }: Context,
  side: Side,
  { client, server }: { readonly client: Pod; readonly server: Pod },
): Promise<readonly number[]> => {
  const address = await addressOf(dir, side, server)
  const echo = session.start({
    program: harness.path,
    args: ['echo', echoPort],
    netns: server.netns,
  })
  try {
    await listening(echo)
    const args = ['ping', address, echoPort, String(pingsPerServer + pingsToWarmUp)]
    const output = await session.run({ program: harness.path, args, netns: client.netns })
    return microsOf(output.trim().split('\n').slice(pingsToWarmUp), address)
  } finally {
    echo.kill('SIGKILL')
  }
}

const listening = async (echo: ChildProcess): Promise<void> => {
  if (echo.stdout === null) throw new Error('the echo server has no stdout')
  const words: unknown[] = await Promise.race([once(echo.stdout, 'data'), once(echo, 'exit')])
  if (echo.exitCode !== null) throw new Error(`the echo server ended: ${words.join(' ')}`)
}

const microsOf = (lines: readonly string[], address: string): readonly number[] => {
  const micros = lines.filter(line => line !== 'lost').map(line => Number(line) / 1e3)
  if (micros.length > 0.99 * lines.length) return micros
  throw new Error(`${lines.length - micros.length} of ${lines.length} to ${address} were lost`)
}

const medianAt = (samples: Samples, side: 'ours' | 'peer', count: number): number =>
  median(samples[side].get(count) ?? [])

const timeResult = (samples: Samples, count: number): Result =>
  resultOf({
    name: `round-trip-${count}-pods`,
    unit: 'us',
    ours: medianAt(samples, 'ours', count),
    peer: medianAt(samples, 'peer', count),
    target: { kind: 'none' },
    note:
      `UDP between two pods of one node, median of ${samples.ours.get(count)?.length ?? 0}; ` +
      'both ends on one processor, so that waking an idle one is left out; no cloud network in ' +
      'the path; the peer has no rules, marks or address guard',
  })

const growthResult = (samples: Samples): Result =>
  resultOf({
    name: `round-trip-growth-${few}-to-${many}`,
    unit: 'x',
    ours: medianAt(samples, 'ours', many) / medianAt(samples, 'ours', few),
    peer: medianAt(samples, 'peer', many) / medianAt(samples, 'peer', few),
    target: { kind: 'value', max: 1.1 },
    note: `the time with ${many} pods over that with ${few}`,
  })
