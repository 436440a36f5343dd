// Starts our own TypeScript programs inside network namespaces.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inNetns, runCommand } from './command.ts'
import type { ProbeResult } from './tools/probe.ts'

/** A Node that runs TypeScript: this one if it can, else the project's own development Node. */
export const nodeBinary = (): string => {
  if (process.features.typescript) return process.execPath
  const own = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
  if (existsSync(own)) return own
  throw new Error(`cannot run TypeScript: ${process.execPath} is ${process.version}; use Node 24`)
}

/** Path of a program beside this file: `echo`, `probe`. */
export const toolPath = (name: 'echo' | 'probe'): string =>
  fileURLToPath(new URL(`./tools/${name}.ts`, import.meta.url))

/** A helper process that lives until it is closed or its parent dies. */
export interface Helper {
  readonly pid: number
  close(): Promise<void>
}

/** Starts an echo service on the addresses inside a namespace and waits until it listens. */
export const startEcho = async (options: {
  readonly netns: string
  readonly port: number
  readonly addresses: readonly string[]
}): Promise<Helper> => {
  const program = [nodeBinary(), toolPath('echo'), String(options.port), ...options.addresses]
  const argv = inNetns(options.netns, program)
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const ready = once(createInterface({ input: child.stdout }), 'line')
  const first = await Promise.race([ready, exited.then(() => undefined)])
  if (first === undefined) throw new Error(`echo service in ${options.netns} ended at once`)
  return { pid: child.pid ?? 0, close: () => endChild(child, exited) }
}

/** Asks an echo service from inside a namespace; see `tools/probe.ts`. */
export const probe = async (options: {
  readonly netns: string
  readonly protocol: 'udp' | 'tcp'
  readonly from?: string
  readonly to: string
  readonly port: number
  readonly ms?: number
}): Promise<ProbeResult> => {
  const { netns, protocol, from, to, port, ms } = options
  const program = [nodeBinary(), toolPath('probe'), protocol, from ?? '-', to, String(port)]
  const argv = ms === undefined ? program : [...program, String(ms)]
  return JSON.parse(await runCommand({ netns, argv })) as ProbeResult
}

const endChild = async (child: ChildProcess, exited: Promise<unknown>): Promise<void> => {
  child.stdin?.end()
  if (child.exitCode === null && child.signalCode === null) await exited
}
