// Pods as a container runtime makes them: a network namespace each, and the installed executable
// called in the node's namespace for ADD, CHECK and DEL. Measures each call from exec to exit.

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { conflistName } from '#cni/conflist.ts'
import type { Random } from '#core/ports.ts'
import { netnsNames } from '#emulator/fabric/netns.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { netnsPath } from '#emulator/fabric/layout.ts'
import type { FamilyName } from '../max-pods/question.ts'
import { onNode, type DemoNode } from './nodes.ts'

/** A pod to be: its namespace exists, its interface may not. */
export type PodPlace = {
  readonly node: DemoNode
  readonly name: string
  /** Name of the namespace. */
  readonly netns: string
  readonly containerId: string
}

/** A pod with its addresses. */
export type Pod = PodPlace & {
  /** One per family, IPv4 first. */
  readonly ips: readonly string[]
  /** What the ADD printed; a runtime gives it back to CHECK and DEL. */
  readonly result: Readonly<Record<string, unknown>>
}

/** Calls the executable; one for each node, because each has a conflist of its own. */
export type Caller = {
  readonly random: Random
  readonly signal: AbortSignal
  /** What an ADD has to give, in this order. */
  readonly families: readonly FamilyName[]
  /** Told how long each successful call took, in milliseconds. */
  readonly onCall: (verb: Verb, ms: number) => void
}

export type Verb = 'ADD' | 'CHECK' | 'DEL'

export type PodsWanted = {
  readonly run: string
  readonly nodes: readonly DemoNode[]
  readonly perNode: number
  /** Part of their names; the second round has other pods than the first. */
  readonly round: number
  readonly random: Random
}

/** Makes the namespaces; `run` is in their names, so the run's end removes them at the latest. */
export const addPlaces = async (wanted: PodsWanted): Promise<readonly PodPlace[]> => {
  const places = wanted.nodes.flatMap(node =>
    Array.from({ length: wanted.perNode }, (_, index) => {
      const name = `${node.name}-pod${wanted.round}-${index + 1}`
      const netns = `ew-${wanted.run}-${name}`
      return { node, name, netns, containerId: wanted.random.hex(64) }
    }),
  )
  await netnsBatch('add', places)
  return places
}

/** Removes those of the namespaces that exist. */
export const removePlaces = async (places: readonly PodPlace[]): Promise<void> => {
  const present = new Set(await netnsNames())
  await netnsBatch(
    'delete',
    places.filter(({ netns }) => present.has(netns)),
  )
}

const netnsBatch = async (verb: 'add' | 'delete', places: readonly PodPlace[]): Promise<void> => {
  const input = places.map(({ netns }) => `netns ${verb} ${netns}\n`).join('')
  await runCommand({ netns: undefined, argv: ['ip', '-batch', '-'], input })
}

/** Gives the pod its interface. Throws with the plugin's own sentence when that fails. */
export const addPod = async (place: PodPlace, caller: Caller): Promise<Pod> => {
  const text = await callPlugin({ verb: 'ADD', place, extra: {} }, caller)
  const result = JSON.parse(text) as AddResult
  const ips = result.ips.map(({ address }) => address.split('/', 1)[0] ?? '')
  const families = ips.map(ip => (ip.includes(':') ? 'ipv6' : 'ipv4'))
  if (families.join() === caller.families.join()) return { ...place, ips, result }
  throw new Error(
    `ADD of ${place.name} should print one address of each of ${caller.families.join(', ')}, but ` +
      `it printed ${text}`,
  )
}

type AddResult = Readonly<Record<string, unknown>> & {
  readonly ips: readonly { readonly address: string }[]
}

/** Asks whether the pod's interface is as ADD left it; throws when it is not. */
export const checkPod = async (pod: Pod, caller: Caller): Promise<void> => {
  await callPlugin({ verb: 'CHECK', place: pod, extra: { prevResult: pod.result } }, caller)
}

/** Takes the pod its interface. */
export const deletePod = async (pod: Pod, caller: Caller): Promise<void> => {
  await callPlugin({ verb: 'DEL', place: pod, extra: { prevResult: pod.result } }, caller)
}

type PluginCall = { readonly verb: Verb; readonly place: PodPlace; readonly extra: object }

const callPlugin = async (call: PluginCall, caller: Caller): Promise<string> => {
  const { verb, place } = call
  const config = { ...(await pluginConfig(place.node)), ...call.extra }
  const ended = await execute({
    argv: onNode(place.node, [join(place.node.cniBinDir, 'eniway')]),
    env: environmentOf(call, caller.random),
    stdin: JSON.stringify(config),
    signal: caller.signal,
  })
  if (ended.code !== 0) throw new Error(`${verb} of pod ${place.name} failed: ${reasonOf(ended)}`)
  caller.onCall(verb, ended.ms)
  return ended.stdout
}

// What libcni makes of a list for its only plugin (CNI 1.1.0, "Deriving execution configuration").
const pluginConfig = async (node: DemoNode): Promise<Record<string, unknown>> => {
  const text = await readFile(join(node.cniConfDir, conflistName), 'utf8')
  const list = JSON.parse(text) as {
    readonly name: string
    readonly plugins: readonly Record<string, unknown>[]
  }
  return { ...list.plugins[0], cniVersion: '1.0.0', name: list.name }
}

// containerd keeps these in a Go map, so that they arrive in another order each time.
const environmentOf = ({ verb, place }: PluginCall, random: Random): Record<string, string> => ({
  CNI_COMMAND: verb,
  CNI_CONTAINERID: place.containerId,
  CNI_NETNS: netnsPath(place.netns),
  CNI_IFNAME: 'eth0',
  CNI_PATH: place.node.cniBinDir,
  CNI_ARGS: shuffled(
    [
      'IgnoreUnknown=1',
      'K8S_POD_NAMESPACE=default',
      `K8S_POD_NAME=${place.name}`,
      `K8S_POD_INFRA_CONTAINER_ID=${place.containerId}`,
    ],
    random,
  ).join(';'),
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
})

const shuffled = (words: readonly string[], random: Random): readonly string[] =>
  words
    .map(word => ({ word, place: random.fraction() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ word }) => word)

type Execution = {
  readonly argv: readonly string[]
  readonly env: Record<string, string>
  readonly stdin: string
  readonly signal: AbortSignal
}

type Ended = {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

const execute = ({ argv, env, stdin, signal }: Execution): Promise<Ended> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const startedAt = performance.now()
    const child = spawn(argv[0] ?? '', argv.slice(1), { env, signal, killSignal: 'SIGKILL' })
    let ms = 0
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    child.stdin.on('error', () => undefined)
    child.on('error', reject)
    child.on('exit', () => (ms = performance.now() - startedAt))
    child.on('close', code => resolve({ code, ms, ...output }))
    child.stdin.end(stdin)
  })

// A plugin says on stdout what went wrong (CNI 1.1.0, "Error").
const reasonOf = ({ code, stdout, stderr }: Ended): string => {
  try {
    const { msg, details } = JSON.parse(stdout) as { readonly msg?: string; details?: string }
    return [msg, details].filter(text => text !== undefined && text !== '').join('; ')
  } catch {
    return `exit code ${code}: ${stdout}${stderr}`.trim()
  }
}
