// An emulated node with a running daemon, as the benchmark wants it. Only this file knows that it
// is the demonstration's.

import { startNodes, type DemoNode } from '#cli/demo/nodes.ts'
import type { PlatformName } from '#emulator/platform.ts'
import { pathOf } from './namespaces.ts'
import type { Session } from './shell.ts'

/** A node whose instance type has room for 735 pods: 15 NICs with 49 secondary addresses each. */
export type BenchNode = Pick<DemoNode, 'cniBinDir' | 'cniConfDir' | 'view'> & {
  /** Path of the node's network namespace. */
  readonly netns: string
  readonly daemonPid: () => number
  /** Kills the daemon with -9 and starts it again; the monotonic clock, in ns, at the start. */
  readonly restartDaemon: () => Promise<bigint>
}

export type BenchNodeOptions = {
  readonly seed: number
  /** Directory of its own for the node's files. */
  readonly directory: string
  /** Directory of the daemon's ledger. */
  readonly stateDirectory: string
  /** Addresses the pool keeps at least. */
  readonly addressesMin: number
  /** Left out: AWS, and a type that holds 735 pods. */
  readonly cloud?: PlatformName
  readonly instanceType?: string
}

const largeType = 'm5.24xlarge'

/** Starts an emulated VPC with one node, which ends with the session; its pool may still grow. */
export const startNode = async (
  session: Session,
  options: BenchNodeOptions,
): Promise<BenchNode> => {
  const { seed, directory, stateDirectory, addressesMin } = options
  const { cloud = 'aws', instanceType = largeType } = options
  const started = await startNodes({
    cloud,
    nodes: 1,
    instanceType,
    seed,
    directory,
    latency: 'fast',
    // Short rests, so that a round does not wait for the addresses of the one before.
    pool: { minimum: addressesMin, coolingSeconds: 1, settleSeconds: 1 },
    config: { stateDirectory },
    signal: session.signal,
  })
  session.atEnd(started.close)
  const [node] = started.nodes
  if (node === undefined) throw new Error('the emulator started no node')
  const { cniBinDir, cniConfDir, view } = node
  return {
    cniBinDir,
    cniConfDir,
    view,
    netns: pathOf(node.netns),
    daemonPid: () => node.daemonPid,
    restartDaemon: () => node.restartDaemon('SIGKILL'),
  }
}
