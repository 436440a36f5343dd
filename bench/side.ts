// One of the two plugins that are compared, and how a runtime would call it for a pod.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Start } from './harness.ts'

/** A plugin in a namespace of its own that plays the node. */
export type Side = {
  readonly name: 'ours' | 'peer'
  /** Path of the namespace that plays the node. */
  readonly netns: string
  readonly program: string
  readonly cniPath: string
  /** What a runtime sends on stdin, without prevResult. */
  readonly config: Readonly<Record<string, unknown>>
  /** Waits until so many more pods can be added without waiting for the cloud. */
  readonly prepare: (pods: number) => Promise<void>
  /** Waits until work that goes on after the last answer has ended and so many pods are left. */
  readonly settle: (podsLeft: number) => Promise<void>
  /** Pids of processes that serve the plugin all the time. */
  readonly residents: () => readonly number[]
}

/** A pod to be: its namespace exists, its interface does not. */
export type Pod = { readonly id: string; readonly netns: string }

export type Verb = 'ADD' | 'DEL'

/** Everything the harness needs for one call; a DEL gets the result of the ADD, as libcni does. */
export const startOf = async (
  { dir, side }: { readonly dir: string; readonly side: Side },
  verb: Verb,
  pod: Pod,
): Promise<Start> => {
  const file = (what: string): string => join(dir, `${side.name}-${pod.id}-${what}`)
  const prevResult = verb === 'DEL' ? { prevResult: await resultOf(file('ADD.out')) } : {}
  await writeFile(file(`${verb}.in`), JSON.stringify({ ...side.config, ...prevResult }))
  return {
    netns: side.netns,
    stdinFile: file(`${verb}.in`),
    stdoutFile: file(`${verb}.out`),
    environment: environmentOf(side, verb, pod),
    program: side.program,
  }
}

/** The pod's address as the ADD printed it. */
export const addressOf = async (dir: string, side: Side, pod: Pod): Promise<string> => {
  const { ips } = await resultOf(join(dir, `${side.name}-${pod.id}-ADD.out`))
  const address = ips[0]?.address.split('/')[0]
  if (address === undefined) throw new Error(`the result of ${side.program} has no address`)
  return address
}

type PrintedResult = { readonly ips: readonly { readonly address: string }[] }

const resultOf = async (file: string): Promise<PrintedResult> =>
  JSON.parse(await readFile(file, 'utf8')) as PrintedResult

// IgnoreUnknown: the reference plugins refuse the Kubernetes keys without it.
const environmentOf = (side: Side, verb: Verb, { id, netns }: Pod): Record<string, string> => ({
  CNI_COMMAND: verb,
  CNI_CONTAINERID: id,
  CNI_NETNS: netns,
  CNI_IFNAME: 'eth0',
  CNI_PATH: side.cniPath,
  CNI_ARGS: [
    'IgnoreUnknown=1',
    'K8S_POD_NAMESPACE=default',
    `K8S_POD_NAME=${id}`,
    `K8S_POD_INFRA_CONTAINER_ID=${id}`,
    `K8S_POD_UID=uid-${id}`,
  ].join(';'),
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
})
