// An emulated node with a running daemon, as the benchmark wants it. Only this file knows how the
// demonstration starts them.

/** A node whose instance type has room for 735 pods: 15 NICs with 49 secondary addresses each. */
export type BenchNode = {
  /** Path of the node's network namespace. */
  readonly netns: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  readonly daemonPid: () => number
  /** Kills the daemon with -9 and starts it again; the monotonic clock, in ns, at the start. */
  readonly restartDaemon: () => Promise<bigint>
  /** Ends daemon and emulator and removes namespaces and files. */
  readonly stop: () => Promise<void>
}

export type BenchNodeOptions = {
  readonly seed: number
  /** Addresses the pool keeps at least. */
  readonly addressesMin: number
}

/** Starts an emulated VPC with one node; its pool may still be growing. */
export const startNode = async (options: BenchNodeOptions): Promise<BenchNode> => {
  throw new Error(`cannot start a node (seed ${options.seed}): cli/demo does not offer it yet`)
}
