// Child processes of the benchmark, and the list of what has to be undone at its end, however it
// ends.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const outputBytesMax = 1 << 26

export type Command = {
  readonly program: string
  readonly args: readonly string[]
  /** Path of the network namespace to run in; undefined stays where we are. */
  readonly netns?: string | undefined
}

/** One run of the benchmark, from its first side effect to the last one undone. */
export class Session {
  readonly #stop = new AbortController()
  readonly #undo: (() => Promise<unknown>)[] = []

  /** Aborted when the session is stopped. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Runs a program to its end and returns its stdout; ends it when the session is stopped. */
  async run(command: Command): Promise<string> {
    const [program, ...args] = wordsOf(command)
    const options = { maxBuffer: outputBytesMax, signal: this.#stop.signal }
    return (await execute(program, args, options)).stdout
  }

  /** Starts a program that runs until the session ends; its stdout is a pipe. */
  start(command: Command): ChildProcess {
    const [program, ...args] = wordsOf(command)
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.atEnd(async () => child.kill('SIGKILL'))
    return child
  }

  /** Registers what must be undone; the last registered is undone first. */
  atEnd(undo: () => Promise<unknown>): void {
    this.#undo.push(undo)
  }

  /** Waits until the question is answered with yes; rejects when the session is stopped. */
  async until(
    what: string,
    ask: () => Promise<boolean>,
    { everyMs, timeoutMs }: { readonly everyMs: number; readonly timeoutMs: number },
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await ask())) {
      if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
      await setTimeout(everyMs, undefined, { signal: this.#stop.signal })
    }
  }

  /** Makes everything that is being waited for reject. */
  stop(): void {
    this.#stop.abort()
  }

  /** Undoes everything; a failure is reported and does not keep the rest from being undone. */
  async end(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) {
      await undo().catch((error: unknown) => console.error('clean-up failed:', error))
    }
  }
}

const wordsOf = ({ program, args, netns }: Command): readonly [string, ...string[]] =>
  netns === undefined ? [program, ...args] : ['nsenter', `--net=${netns}`, program, ...args]

/**
 * Runs a program outside of any session: for undoing, which must not be stopped. In a process group
 * of its own, so that an impatient second Ctrl-C does not reach it.
 */
export const runAnyway = async (program: string, args: readonly string[]): Promise<void> => {
  await execute('setsid', ['--wait', program, ...args])
}
