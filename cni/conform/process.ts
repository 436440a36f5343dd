// Starts the plugin as a runtime does: in the host's namespace, with an environment and stdin of
// our making, and takes down what it answers.

import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

/** What the plugin finds on its stdin. A directory can be opened but not read. */
export type Stdin =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'directory' }
  | { readonly kind: 'open' }

export type Start = {
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: Stdin
}

export type Outcome = {
  readonly stdout: string
  readonly stderr: string
  /** Undefined when a signal ended it, or when it ran too long. */
  readonly exitCode: number | undefined
  readonly milliseconds: number
}

/** A plugin that answers later than this is killed. */
const runMsMax = 60_000

/** Runs it to its end; rejects only when it cannot be started. */
export const execute = (start: Start): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const [command = '', ...rest] = start.argv
    const directory = start.stdin.kind === 'directory' ? openSync('/', 'r') : undefined
    const began = process.hrtime.bigint()
    const child = spawn(command, rest, {
      env: start.environment,
      stdio: [directory ?? 'pipe', 'pipe', 'pipe'],
      timeout: runMsMax,
      killSignal: 'SIGKILL',
    })
    if (directory !== undefined) closeSync(directory)
    const texts = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (part: string) => (texts.stdout += part))
    child.stderr?.setEncoding('utf8').on('data', (part: string) => (texts.stderr += part))
    child.on('error', reject)
    child.on('close', code => {
      const milliseconds = Number((process.hrtime.bigint() - began) / 1000n) / 1000
      child.stdin?.destroy()
      resolve({ ...texts, exitCode: code ?? undefined, milliseconds })
    })
    // A plugin may end without reading; that is its right, not our failure.
    child.stdin?.on('error', () => undefined)
    if (start.stdin.kind === 'text') child.stdin?.end(start.stdin.text)
  })

/** Runs a tool of the machine and returns its stdout; rejects when it fails. */
export const tool = async (...argv: readonly string[]): Promise<string> => {
  const environment = { PATH: toolPath }
  const { stdout, stderr, exitCode } = await execute({ argv, environment, stdin: noStdin })
  if (exitCode === 0) return stdout
  throw new Error(`cannot run ${argv.join(' ')}: ${stderr.trim() || `exit ${exitCode}`}`)
}

/** Where plugins and tools find iptables, nft and ip. */
export const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const noStdin: Stdin = { kind: 'text', text: '' }
