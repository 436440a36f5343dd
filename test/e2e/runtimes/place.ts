// What tests against real runtimes share: nodes of the stage as a runtime sees them, and a pod with
// a shell in it.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LaunchedEmulator } from '#emulator/launch.ts'
import { conflistName } from '#cni/conflist.ts'
import type { StageNode } from '../bad-days/node.ts'
import type { Pod } from '../containerd/cri.ts'
import { shellImage } from '../containerd/image.ts'
import { until } from '../containerd/process.ts'
import type { Machine } from '../machine.ts'
import type { Node } from '../nodes.ts'

/** Starts the node's daemon and waits until it has installed executable and list. */
export const startNode = async (node: StageNode, config: object = {}): Promise<Node> => {
  await node.start(config)
  await node.untilReady()
  const directory = dirname(node.socket)
  const [cniBinDir, cniConfDir] = [join(directory, 'bin'), join(directory, 'net.d')]
  await until('the list is installed', async () => existsSync(join(cniConfDir, conflistName)))
  const netns = `/run/netns/${node.netns}`
  return { name: node.name, netns, cniBinDir, cniConfDir, view: () => node.view() }
}

/** A pod that runs. */
export type Running = {
  readonly sandbox: string
  readonly container: string
  readonly ip: string
}

type Command = { readonly name: string; readonly command?: readonly string[] } & Partial<Pod>

export const serverPort = '7777'

/** Says its name to whoever connects. */
export const server = ['nc', '-ll', '-p', serverPort, '-e', 'hostname']

/** Makes a sandbox and a container in it, that sleeps when it is told nothing else. */
export const runPod = async (
  { containerd }: Machine,
  { command = ['sleep', '1000'], ...options }: Command,
): Promise<Running> => {
  const { cri, cgroupParent } = containerd
  const pod: Pod = { uid: `uid-${options.name}`, cgroupParent, ...options }
  const sandbox = await cri.runSandbox(pod)
  const container = await cri.startContainer(sandbox, { pod, image: shellImage, command })
  return { sandbox, container, ip: (await cri.sandboxNetwork(sandbox)).ip }
}

/** What the runtime does when a pod is deleted. */
export const deletePod = async ({ containerd }: Machine, sandbox: string): Promise<void> => {
  await containerd.cri.stopSandbox(sandbox)
  await containerd.cri.removeSandbox(sandbox)
}

/** Runs a script in the pod; its output, or how it ended. */
export const shell = async (
  { containerd }: Machine,
  { container }: Running,
  script: string,
): Promise<string> => {
  const { stdout, stderr, exitCode } = await containerd.cri.execute(container, ['sh', '-c', script])
  return exitCode === 0 ? stdout.trim() : `exit ${exitCode}: ${stdout}${stderr}`
}

/** A shell script that asks a pod for its name. */
export const askName = (ip: string): string => `nc -w 5 ${ip} ${serverPort} </dev/null`

/** A shell script that asks the internet who it sees. */
export const askInternet = ({ internet }: LaunchedEmulator): string =>
  `echo hello | nc -w 5 ${internet?.address} ${internet?.tcpPort}`
