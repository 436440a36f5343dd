// An emulated node with a running daemon, as the benchmark wants it. Only this file knows how the
// demonstration starts them.

import type { Session } from './shell.ts'

/** A node whose instance type has room for 735 pods: 15 NICs with 49 secondary addresses each. */
export type BenchNode = {
  /** Path of the node's network namespace. */
  readonly netns: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  readonly daemonPid: () => number
  /** Kills the daemon with -9 and starts it again; the monotonic clock, in ns, at the start. */
  readonly restartDaemon: () => Promise<bigint>
}

export type BenchNodeOptions = {
  readonly seed: number
  /** Addresses the pool keeps at least. */
  readonly addressesMin: number
}

/** Starts an emulated VPC with one node, which ends with the session; its pool may still grow. */
export const startNode = async (
  session: Session,
  options: BenchNodeOptions,
): Promise<BenchNode> => {
  session.atEnd(async () => undefined)
  throw new Error(`cannot start a node (seed ${options.seed}): cli/demo does not offer it yet`)
}
