// The acts of the demonstration, in the order in which people see them. Each does one thing, says
// what it saw, fills its part of the report, and returns what was wrong.

import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeView } from '#ipamd/views.ts'
import { callsBy } from './calls.ts'
import { wordsOf } from './clouds.ts'
import { podTraces } from './leftovers.ts'
import type { DemoNode } from './nodes.ts'
import { addPlaces, addPod, checkPod, deletePod, removePlaces, type Pod } from './pods.ts'
import { nodeReportOf, podsOnPrimary, poolCountsOf, type Report } from './report.ts'
import { addressesHeld, addressesHeldFirst, coolingSeconds } from './stage.ts'
import { hush, nodesOf, poolOf, type Stage } from './stage.ts'
import { percentilesOf } from './statistics.ts'
import { callTimes, counted, firstOf, heading, paragraph, table } from './text.ts'

/** Sentences for the user; empty when all was well. */
export type Problems = readonly string[]

const lookMs = 300
const warmBaseMs = 90_000
const warmPerNicMs = 30_000
const coolingMsMax = 60_000

/** The nodes as they are, and their pools once these are full. */
export const showPools = async (stage: Stage): Promise<Problems> => {
  const { nodes } = nodesOf(stage)
  const words = wordsOf[stage.play.cloud]
  const rows = nodes.map(node => [node.name, node.primaryAddress, node.netns, node.daemonPid])
  stage.say(heading('Nodes'))
  stage.say(
    paragraph(
      `Each is a network namespace ${words.nics}. A daemon on each lends addresses through the ` +
        `official ${words.api} SDK.`,
    ),
  )
  stage.say(table(['node', 'address', 'namespace', 'daemon pid'], rows))
  const held = addressesHeld(stage.play)
  stage.say(heading('Warm pools before the pods'))
  const startedAt = performance.now()
  const first = addressesHeldFirst(stage.play)
  if (first < held) await fillFirst(stage, first)
  const views = await untilWarm(stage, held)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  stage.say(
    paragraph(
      `Filled ${seconds} s after the daemons were ready: the demonstration tells each to hold ` +
        `${counted(held, 'address')}, so that no pod waits for the cloud.`,
    ),
  )
  stage.say(poolTable(views))
  return []
}

// The daemon is told to hold more only when the first subnet has given what it has.
const fillFirst = async (stage: Stage, first: number): Promise<void> => {
  const { play, say } = stage
  await untilWarm(stage, first)
  say(
    paragraph(
      `The first NIC lies in a subnet with ${counted(first, 'free address')}. All are lent; what ` +
        "follows comes from the second NIC's subnet.",
    ),
  )
  const pool = poolOf(play, addressesHeld(play))
  await Promise.all(nodesOf(stage).nodes.map(node => node.setPool(pool)))
}

const untilWarm = (stage: Stage, warm: number): Promise<readonly NodeView[]> =>
  viewsWhen(stage, {
    what: `${warm} warm addresses`,
    isTrue: view => poolCountsOf(view).warm >= warm,
    withinMs: warmBaseMs + stage.play.room.nics * warmPerNicMs,
  })

/** Pods through the installed executable, on the first NIC and on the next ones. */
export const makePods = async (stage: Stage, report: Report): Promise<readonly Pod[]> => {
  const { play, say, times } = stage
  const count = play.pods * play.nodes
  say(heading('Pods'))
  say(
    paragraph(
      `${counted(count, 'pod')}, each a network namespace, wired by the installed CNI executable ` +
        'as a container runtime calls it. Times are from exec to exit, nsenter included.',
    ),
  )
  const pods = await addRound(stage, 1)
  for (const pod of pods) await checkPod(pod, stage.caller)
  report.addMs = percentilesOf(times.ADD)
  say(`  ADD    ${callTimes(report.addMs)}\n`)
  say(`  CHECK  ${callTimes(percentilesOf(times.CHECK))}\n`)
  return pods
}

/** Pools with pods on them; wrong when no pod is on an address of a NIC that has to have some. */
export const showPlaces = async (stage: Stage, report: Report): Promise<Problems> => {
  const { play, say } = stage
  const { nodes } = nodesOf(stage)
  const views = await viewsOf(nodes)
  report.nodes = nodes.map((node, index) => nodeReportOf(node, views[index] ?? missing(node)))
  const placed = views.map(view => ({ node: view.node, ...placesIn(view) }))
  const row = ({ node, primary, secondary }: Placed) => [node, primary, secondary]
  say('\n')
  say(table(['node', 'pods on the primary NIC', 'on secondary NICs'], placed.map(row)))
  say(heading('Warm pools with the pods'))
  say(poolTable(views))
  const needsSecondary = play.pods > play.room.onPrimary
  if (!needsSecondary) {
    say(
      paragraph(
        `All ${play.pods} fit on the primary NIC of ${play.instanceType}, which carries ` +
          `${play.room.onPrimary}; more pods or a smaller type show secondary NICs.`,
      ),
    )
  }
  return placed.flatMap(({ node, primary, secondary }) => [
    ...(primary > 0 || play.room.onPrimary === 0
      ? []
      : [`no pod of ${node} has an address of its primary NIC`]),
    ...(secondary > 0 || !needsSecondary
      ? []
      : [`no pod of ${node} has an address of a secondary NIC`]),
    ...(primary + secondary === play.pods
      ? []
      : [`${node} tells of ${primary + secondary} pods, but ${play.pods} were made`]),
  ])
}

type Placed = { readonly node: string; readonly primary: number; readonly secondary: number }

const placesIn = (view: NodeView): Omit<Placed, 'node'> => {
  const primary = podsOnPrimary(view)
  return { primary, secondary: view.pods.length - primary }
}

/** Takes all pods away and looks for what they left in the kernels of the nodes. */
export const removePods = async (
  stage: Stage,
  pods: readonly Pod[],
  report: Report,
): Promise<Problems> => {
  hush(stage)
  const { nodes } = nodesOf(stage)
  for (const pod of pods) await deletePod(pod, stage.caller)
  report.delMs = percentilesOf(stage.times.DEL)
  const views = await viewsOf(nodes)
  const traces = (await Promise.all(nodes.map(node => podTraces(node, stage.signal)))).flat()
  await removePlaces(pods)
  stage.places = []
  report.leftovers = traces
  stage.say(heading('Deletes'))
  stage.say(`  DEL    ${callTimes(report.delMs)}\n`)
  stage.say(
    paragraph(
      traces.length === 0
        ? 'Their links, routes and nftables elements are gone from the nodes. The addresses cool.'
        : `Left on the nodes: ${firstOf(traces)}.`,
    ),
  )
  stage.say(poolTable(views))
  const cooling = views.reduce((sum, view) => sum + poolCountsOf(view).cooling, 0)
  return [
    ...(traces.length === 0 ? [] : [`pods left on the nodes: ${firstOf(traces)}`]),
    ...(cooling > 0 ? [] : ['no address was cooling after the deletes']),
  ]
}

/** Waits until the addresses have cooled and gives them to new pods, which stay. */
export const reuseAddresses = async (
  stage: Stage,
  before: readonly Pod[],
  report: Report,
): Promise<Problems> => {
  const { say } = stage
  await viewsWhen(stage, {
    what: 'the end of cooling',
    isTrue: view => poolCountsOf(view).cooling === 0,
    withinMs: coolingMsMax,
  })
  const pods = await addRound(stage, 2)
  const used = new Set(before.flatMap(({ ips }) => ips))
  const again = pods.filter(({ ips }) => ips.some(ip => used.has(ip))).length
  const { nodes } = nodesOf(stage)
  const views = await viewsOf(nodes)
  report.nodes = nodes.map((node, index) => nodeReportOf(node, views[index] ?? missing(node)))
  say(heading('Reuse'))
  say(
    paragraph(
      `An address rests ${coolingSeconds} s here (30 s unless configured otherwise). ` +
        `After that ${again} of ${counted(pods.length, 'new pod')} got an address that an ` +
        'earlier pod had.',
    ),
  )
  say(poolTable(views))
  return again > 0 ? [] : ['no new pod got an address that an earlier pod had']
}

/** What it cost at the cloud. */
export const showCalls = async (stage: Stage, report: Report): Promise<Problems> => {
  report.apiCalls = await callsBy(nodesOf(stage).emulator.admin.socket)
  const { api } = wordsOf[stage.play.cloud]
  stage.say(heading(`${api} calls`))
  stage.say(table(['action', 'calls'], Object.entries(report.apiCalls)))
  const known = Object.keys(report.apiCalls).length
  return known > 0 ? [] : [`the emulator tells of no ${api} call`]
}

// One after the other: two calls at a time would measure how they share the processors.
const addRound = async (stage: Stage, round: number): Promise<readonly Pod[]> => {
  const { run, nodes } = nodesOf(stage)
  const wanted = { run, nodes, perNode: stage.play.pods, round, random: stage.caller.random }
  stage.places = await addPlaces(wanted)
  const pods: Pod[] = []
  for (const place of stage.places) pods.push(await addPod(place, stage.caller))
  const all = pods.flatMap(({ ips }) => ips)
  const twice = all.find((ip, index) => all.indexOf(ip) !== index)
  if (twice === undefined) return pods
  throw new Error(`two pods have the address ${twice}`)
}

type Condition = {
  readonly what: string
  readonly isTrue: (view: NodeView) => boolean
  readonly withinMs: number
}

const viewsWhen = async (stage: Stage, { what, isTrue, withinMs }: Condition) => {
  const { nodes } = nodesOf(stage)
  const deadline = performance.now() + withinMs
  const views = new Map<DemoNode, NodeView>()
  while (views.size < nodes.length) {
    for (const node of nodes.filter(each => !views.has(each))) {
      const view = await node.view()
      if (isTrue(view)) views.set(node, view)
      else if (performance.now() > deadline) throw new Error(lateness(view, what, withinMs))
    }
    if (views.size < nodes.length) await sleep(lookMs, undefined, { signal: stage.signal })
  }
  return nodes.map(node => views.get(node) ?? missing(node))
}

const lateness = (view: NodeView, what: string, withinMs: number): string => {
  const errors = view.errors.map(
    ({ subject, ...problem }) => `${subject} ${JSON.stringify(problem)}`,
  )
  const { warm, assigned, cooling, settling } = poolCountsOf(view)
  return (
    `${view.node} did not reach ${what} within ${withinMs / 1000} s: ${warm} warm, ` +
    `${assigned} assigned, ${cooling} cooling, ${settling} settling` +
    (errors.length === 0 ? '' : `; its daemon says: ${firstOf(errors)}`)
  )
}

const viewsOf = (nodes: readonly DemoNode[]): Promise<readonly NodeView[]> =>
  Promise.all(nodes.map(node => node.view()))

const missing = (node: DemoNode): never => {
  throw new Error(`no view of ${node.name}`)
}

const poolTable = (views: readonly NodeView[]): string =>
  table(
    ['node', 'NICs', 'warm', 'assigned', 'cooling', 'settling'],
    views.map(view => {
      const { warm, assigned, cooling, settling } = poolCountsOf(view)
      return [view.node, view.nics.length, warm, assigned, cooling, settling]
    }),
  )
