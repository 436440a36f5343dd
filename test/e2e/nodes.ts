// Emulated nodes with a ready daemon each, as the end-to-end tests want them. Only this file knows
// that they are the demonstration's.

import { startNodes as startDemoNodes, type DemoNode } from '#cli/demo/nodes.ts'
import { prepareNamespaceDirectory } from './containerd/namespaces.ts'

/** One node: a network namespace, the daemon in it, and where a runtime finds the plugin. */
export type Node = Pick<DemoNode, 'name' | 'cniBinDir' | 'cniConfDir' | 'view'> & {
  /** Path of the node's network namespace. */
  readonly netns: string
}

export type Nodes = {
  readonly nodes: readonly Node[]
  /** Ends daemons and emulator; returns what of namespaces and files could not be removed. */
  readonly stop: () => Promise<readonly string[]>
}

export type NodesOptions = {
  readonly seed: number
  readonly count: number
  /** Of which every pod gets an address; left out: IPv4. */
  readonly ipFamilies?: readonly ('ipv4' | 'ipv6')[]
}

// Three NICs with nine secondary addresses each: 15 pods need more than the primary NIC.
const instanceType = 'm5.large'

/** Starts an emulated VPC with nodes whose daemons are ready for pods. */
export const startNodes = async ({ count, ...more }: NodesOptions): Promise<Nodes> => {
  await prepareNamespaceDirectory()
  const options = { ...more, nodes: count, instanceType, latency: 'fast' } as const
  const { nodes, close } = await startDemoNodes(options)
  return { nodes: nodes.map(nodeOf), stop: close }
}

const nodeOf = ({ name, cniBinDir, cniConfDir, netns, view }: DemoNode): Node => ({
  name,
  cniBinDir,
  cniConfDir,
  view,
  netns: `/run/netns/${netns}`,
})
