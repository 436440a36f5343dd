// Child processes and waiting, for tests that drive real programs.

import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs a program to its end and returns its stdout; rejects with its stderr when it fails. */
export const run = async (command: string, args: readonly string[]): Promise<string> => {
  const { stdout } = await execute(command, args, { maxBuffer: 1 << 26 })
  return stdout
}

/** Waits until the question is answered with something other than undefined or false. */
export const until = async <T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> => {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await setTimeout(25)
  }
}

/** A running process as its command line shows it. */
export type Running = { readonly pid: number; readonly command: string }

/** All processes of the machine whose command line contains the text. */
export const processesWith = async (text: string): Promise<readonly Running[]> => {
  const names = await readdir('/proc')
  const all = await Promise.all(names.filter(name => /^\d+$/.test(name)).map(runningOf))
  return all.filter(process => process.command.includes(text))
}

// A process that has ended in between has an empty command line.
const runningOf = async (name: string): Promise<Running> => {
  const text = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
  return { pid: Number(name), command: text.replaceAll('\0', ' ').trim() }
}

/** Kills the processes; those that have gone already do not matter. */
export const kill = (pids: readonly number[]): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // ESRCH: it has gone already.
    }
  }
}
