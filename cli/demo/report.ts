// What the demonstration found: the object that machines read, and its empty form, which is filled
// step by step so that a run that breaks off still says how far it came.

import type { NodeView } from '#ipamd/views.ts'
import { netnsPath } from '#emulator/fabric/layout.ts'
import type { FamilyName } from '../max-pods/question.ts'
import type { DemoNode } from './nodes.ts'
import type { Play } from './options.ts'
import type { Percentiles } from './statistics.ts'

/** Printed with `--output json`, key by key as documented. */
export type Report = {
  ok: boolean
  readonly cloud: string
  /** Of which every pod has an address, IPv4 first. */
  readonly ipFamilies: readonly FamilyName[]
  readonly seed: number
  /** As they were with pods on them. */
  nodes: readonly NodeReport[]
  /** Sums over the families, and each family by itself. */
  readonly reachability: Reachability & {
    readonly families: Partial<Record<FamilyName, Readonly<Reachability>>>
  }
  /** Milliseconds. */
  addMs: Percentiles
  delMs: Percentiles
  /** Calls of the cloud's API by action, failed ones included. */
  apiCalls: Readonly<Record<string, number>>
  /** What stayed behind: of deleted pods on the nodes, and of the run on this machine. */
  leftovers: readonly string[]
}

export type Reachability = {
  podToPod: Reached
  podToInternet: Reached
  spoofed: { readonly sent: number; readonly delivered: number }
}

export type Reached = { readonly checked: number; readonly failed: number }

export type NodeReport = {
  readonly name: string
  readonly instanceType: string
  /** Path, for `nsenter --net=`. */
  readonly netns: string
  readonly socket: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  readonly stateDir: string
  readonly daemonPid: number
  readonly nics: number
  readonly pods: number
  /** How many of them have addresses of the primary NIC. */
  readonly podsOnPrimaryNic: number
  readonly pool: PoolCounts
}

export type PoolCounts = {
  readonly warm: number
  readonly assigned: number
  readonly cooling: number
  readonly settling: number
}

const unreached: Readonly<Reachability> = {
  podToPod: { checked: 0, failed: 0 },
  podToInternet: { checked: 0, failed: 0 },
  spoofed: { sent: 0, delivered: 0 },
}

/** Adds what one family reached to the report. */
export const addReached = (
  { reachability: total }: Report,
  family: FamilyName,
  reached: Readonly<Reachability>,
): void => {
  const sum = (a: Reached, b: Reached): Reached => ({
    checked: a.checked + b.checked,
    failed: a.failed + b.failed,
  })
  total.families[family] = reached
  total.podToPod = sum(total.podToPod, reached.podToPod)
  total.podToInternet = sum(total.podToInternet, reached.podToInternet)
  total.spoofed = {
    sent: total.spoofed.sent + reached.spoofed.sent,
    delivered: total.spoofed.delivered + reached.spoofed.delivered,
  }
}

const nothing: Percentiles = { count: 0, p50: 0, p99: 0 }

/** A report of a run that has only begun. */
export const emptyReport = ({ cloud, families, seed }: Play): Report => ({
  ok: false,
  cloud,
  ipFamilies: families,
  seed,
  nodes: [],
  reachability: { ...unreached, families: {} },
  addMs: nothing,
  delMs: nothing,
  apiCalls: {},
  leftovers: [],
})

/** A node as the report shows it. */
export const nodeReportOf = (node: DemoNode, view: NodeView): NodeReport => ({
  name: node.name,
  instanceType: node.instanceType,
  netns: netnsPath(node.netns),
  socket: node.socket,
  cniBinDir: node.cniBinDir,
  cniConfDir: node.cniConfDir,
  stateDir: node.stateDir,
  daemonPid: node.daemonPid,
  nics: view.nics.length,
  pods: view.pods.length,
  podsOnPrimaryNic: podsOnPrimary(view),
  pool: poolCountsOf(view),
})

/** Pods of a node whose addresses belong to its primary NIC. */
export const podsOnPrimary = ({ pods, nics }: Pick<NodeView, 'pods' | 'nics'>): number => {
  const primaries = new Set(nics.filter(nic => nic.primary).map(nic => nic.id))
  return pods.filter(pod => primaries.has(pod.nic)).length
}

/** The addresses of a node, over all its pools. */
export const poolCountsOf = ({ pools }: { readonly pools: readonly PoolCounts[] }): PoolCounts => {
  const sum = (count: (pool: PoolCounts) => number): number =>
    pools.reduce((total, pool) => total + count(pool), 0)
  return {
    warm: sum(pool => pool.warm),
    assigned: sum(pool => pool.assigned),
    cooling: sum(pool => pool.cooling),
    settling: sum(pool => pool.settling),
  }
}
