// A node with containerd on it, our executable called by it, and what is left when pods have gone.

import { basename, join } from 'node:path'
import { startContainerd, type Containerd } from './containerd/containerd.ts'
import { until } from './containerd/process.ts'
import type { Node } from './nodes.ts'
import { traceOf } from './observe.ts'
import { makeRecorder, versionSpoken, type Recorder } from './recorder.ts'

export type Machine = {
  readonly node: Node
  readonly containerd: Containerd
  /** Between containerd and our executable. */
  readonly recorder: Recorder
}

type MachineOptions = {
  /** A directory that the nodes share. */
  readonly base: string
  /** Where containerd is; left out: where the path finds it. */
  readonly programs?: string
}

/** Starts containerd on a node. */
export const startMachine = async (
  node: Node,
  { base, ...more }: MachineOptions,
): Promise<Machine> => {
  const dir = join(base, node.name)
  const recorder = await makeRecorder(dir, node.cniBinDir)
  const containerd = await startContainerd({
    netns: node.netns,
    dir: join(dir, `run-${basename(base)}-${node.name}`),
    cniBinDir: recorder.binDir,
    cniConfDir: node.cniConfDir,
    ...more,
  })
  return { node, containerd, recorder }
}

/** Says what a test ran with; after its first pod, when the CNI version is known. */
export const tellVersions = async ({ containerd, recorder }: Machine): Promise<void> =>
  tell(`ran with ${containerd.versions}, CNI ${await versionSpoken(recorder)}`)

/** Prints a line beside the name of the test. */
export const tell = (line: string): void => {
  console.info(line)
}

/**
 * What pods with these addresses have left: in the kernel, in containerd and in the daemon. Links
 * are deleted after the answer, by a thread of the daemon, hence the waiting.
 */
export const leftOf = async (
  { node, containerd }: Machine,
  ips: readonly string[],
): Promise<readonly string[]> => [
  ...(await leftOnNode(node, ips)),
  ...(await containerd.podNamespaces()),
  ...(await containerd.shims()).map(pid => `shim ${pid}`),
]

/** The part of it that is not containerd's. */
export const leftOnNode = async (
  node: Node,
  ips: readonly string[],
): Promise<readonly string[]> => {
  let trace: readonly string[] = ['never looked']
  const isGone = async () => {
    trace = await traceOf(node, ips)
    return trace.length === 0
  }
  await until('removal of the pods', isGone).catch(() => undefined)
  const { pools } = await node.view()
  const assigned = pools.filter(pool => pool.assigned > 0).map(pool => `${pool.assigned} assigned`)
  return [...trace, ...assigned]
}
