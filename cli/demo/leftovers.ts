// Looks for what should be gone: of deleted pods in a node's kernel, and of a whole run on the
// machine. Uses the system's own tools, so that our codecs are not their own judge.

import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { podLinkGroup, tableName } from '#core/ruleset.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { netnsPath, runPrefix } from '#emulator/fabric/layout.ts'
import { adminSocketOf, netnsNames } from '#emulator/fabric/netns.ts'
import type { DemoNode } from './nodes.ts'

/** Carried by every process of a run, so that a stray one can be told from others'. */
export const runVariable = 'EW_DEMO_RUN'

const podTable = '200'
const goneMs = 10_000
const lookMs = 100

/** Waits until nothing of pods is in the node's kernel; what stays is named. */
export const podTraces = async (
  node: DemoNode,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  // A daemon deletes links after its answer, in the background.
  const deadline = performance.now() + goneMs
  for (;;) {
    const found = await tracesOn(node)
    if (found.length === 0 || performance.now() > deadline) return found
    await sleep(lookMs, undefined, { signal })
  }
}

const tracesOn = async ({ netns, name }: DemoNode): Promise<readonly string[]> => {
  const ask = (...argv: string[]) => runCommand({ netns, argv })
  const links = await ask('ip', '-oneline', 'link', 'show', 'group', String(podLinkGroup))
  // The kernel knows no table that has no route (fib_rules.c), hence all of them.
  const routes = await ask('ip', '-oneline', 'route', 'show', 'table', 'all')
  const table = await ask('nft', '-j', 'list', 'table', 'inet', tableName)
  return [
    ...linesOf(links).map(line => `${name}: link ${line.split(':', 2)[1]?.trim() ?? line}`),
    ...linesOf(routes)
      .filter(line => line.includes(` table ${podTable} `))
      .map(line => `${name}: route ${line}`),
    ...elementsIn(table).map(element => `${name}: nftables element ${element}`),
  ]
}

const linesOf = (text: string): readonly string[] =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')

type NftObjects = {
  readonly nftables: readonly {
    readonly map?: { readonly name: string; readonly elem?: readonly unknown[] }
    readonly rule?: { readonly comment?: string; readonly expr: readonly NftExpression[] }
  }[]
}

type NftExpression = { readonly counter?: { readonly packets: number } }

const elementsIn = (json: string): readonly string[] =>
  (JSON.parse(json) as NftObjects).nftables
    .filter(({ map }) => map?.name.startsWith('pods') === true)
    .flatMap(({ map }) => (map?.elem ?? []).map(element => JSON.stringify(element)))

/** Packets that a node has dropped because a pod sent them from an address not its own. */
export const droppedLies = async ({ netns }: DemoNode): Promise<number> => {
  const argv = ['nft', '-j', 'list', 'table', 'inet', tableName]
  const { nftables } = JSON.parse(await runCommand({ netns, argv })) as NftObjects
  const drops = nftables.flatMap(({ rule }) => (rule?.comment === 'spoofed' ? rule.expr : []))
  return drops.reduce((sum, { counter }) => sum + (counter?.packets ?? 0), 0)
}

/** Namespaces, processes and files of a run that exist now; our own process is not counted. */
export const runTraces = async (run: string, directory: string): Promise<readonly string[]> => {
  const namespaces = (await netnsNames()).filter(name => name.startsWith(runPrefix(run)))
  const processes = await processesOf(run, directory)
  const files = [directory, ...(await recordsOf(run))].filter(path => existsSync(path))
  return [
    ...namespaces.map(name => `namespace ${netnsPath(name)}`),
    ...processes.map(({ pid, command }) => `process ${pid} ${command}`),
    ...files.map(path => `file ${path}`),
  ]
}

// The emulator keeps its records beside its admin socket.
const recordsOf = async (run: string): Promise<readonly string[]> => {
  const records = dirname(adminSocketOf(run))
  const names = await readdir(records).catch(() => [])
  return names.filter(name => name.startsWith(`${run}.`)).map(name => join(records, name))
}

type Running = { readonly pid: number; readonly command: string }

/** Processes that carry the run in their environment or its directory in their command line. */
export const processesOf = async (run: string, directory: string): Promise<readonly Running[]> => {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number)
  const all = await Promise.all(
    pids.filter(pid => pid !== process.pid).map(pid => look(pid, { run, directory })),
  )
  return all.flatMap(found => found ?? [])
}

const look = async (
  pid: number,
  { run, directory }: { readonly run: string; readonly directory: string },
): Promise<Running | undefined> => {
  // A process that has ended in between cannot be read.
  const words = async (file: string): Promise<readonly string[]> =>
    (await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')).split('\0')
  const command = await words('cmdline')
  const isOurs =
    command.some(word => word.startsWith(`${directory}/`)) ||
    (await words('environ')).includes(`${runVariable}=${run}`)
  return isOurs ? { pid, command: command.join(' ').trim() } : undefined
}
