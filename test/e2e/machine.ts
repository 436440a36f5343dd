// A node with containerd on it, our executable called by it, and what is left when pods have gone.

import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { startContainerd, type Containerd } from './containerd/containerd.ts'
import { until } from './containerd/process.ts'
import type { Node } from './nodes.ts'
import { traceOf } from './observe.ts'

export type Machine = {
  readonly node: Node
  readonly containerd: Containerd
  /** One line per call of our executable. */
  readonly callsLog: string
}

/** Starts containerd on a node, below a directory that the nodes share. */
export const startMachine = async (node: Node, base: string): Promise<Machine> => {
  const dir = join(base, node.name)
  const callsLog = join(dir, 'calls')
  const cniBinDir = await binDirectory(join(dir, 'bin'), { node, callsLog })
  const containerd = await startContainerd({
    netns: node.netns,
    dir: join(dir, `run-${basename(base)}-${node.name}`),
    cniBinDir,
    cniConfDir: node.cniConfDir,
  })
  return { node, containerd, callsLog }
}

// containerd 1.6 knows one directory of plugins and wants `loopback` in it. Ours is called through
// a script that writes down what the runtime asked for.
const binDirectory = async (
  directory: string,
  { node, callsLog }: { readonly node: Node; readonly callsLog: string },
): Promise<string> => {
  await mkdir(directory, { recursive: true })
  await symlink('/usr/lib/cni/loopback', join(directory, 'loopback'))
  await copyFile(join(node.cniBinDir, 'eniway'), join(directory, 'eniway.real'))
  const note = `echo "$CNI_COMMAND $CNI_CONTAINERID \${CNI_NETNS:+netns}" >>'${callsLog}'`
  const script = `#!/bin/sh\n${note}\nexec '${directory}/eniway.real'\n`
  await writeFile(join(directory, 'eniway'), script, { mode: 0o755 })
  return directory
}

/** What the runtime asked our executable for about one sandbox, in order. */
export const callsOf = async ({ callsLog }: Machine, id: string): Promise<readonly string[]> => {
  const lines = (await readFile(callsLog, 'utf8')).split('\n')
  return lines.filter(line => line.includes(id)).map(line => line.replace(` ${id}`, '').trim())
}

/**
 * What pods with these addresses have left: in the kernel, in containerd and in the daemon. Links
 * are deleted after the answer, by a thread of the daemon, hence the waiting.
 */
export const leftOf = async (
  { node, containerd }: Machine,
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
  const shims = (await containerd.shims()).map(pid => `shim ${pid}`)
  return [...trace, ...(await containerd.podNamespaces()), ...shims, ...assigned]
}
