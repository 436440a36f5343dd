// Where runs are found again: one directory each under a fixed name, with a mark in those that were
// kept. Ending a run finds its processes by what they carry, so no list of pids can be out of date.

import { existsSync } from 'node:fs'
import { readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from '#emulator/fabric/netns.ts'
import { processesOf, runTraces } from './leftovers.ts'

/** Only root can write here, so nobody else can leave us something to end. */
const base = '/run/eniway-demo'

const keptMark = 'kept'
const endMs = 15_000
const lookMs = 50

/** The directory of a run. */
export const directoryOf = (run: string): string => join(base, run)

/** Marks a run as one that waits for `--down`. */
export const markKept = (run: string): Promise<void> =>
  writeFile(join(directoryOf(run), keptMark), '')

/** Removes the directory of all runs when it is empty. */
export const tidy = async (): Promise<void> => {
  await rmdir(base).catch(() => undefined)
}

/** Runs that were kept, and runs whose keeper has died: not those that others play right now. */
export const endableRuns = async (): Promise<readonly string[]> => {
  const runs = existsSync(base) ? await readdir(base) : []
  const isEndable = async (run: string): Promise<boolean> =>
    existsSync(join(directoryOf(run), keptMark)) ||
    (await processesOf(run, directoryOf(run))).every(({ command }) => !isKeeper(command))
  const endable = await Promise.all(runs.map(isEndable))
  return runs.filter((_, index) => endable[index])
}

/** Name of the program that plays a run and then looks after it. */
export const keeperFile = 'keeper.ts'

const isKeeper = (command: string): boolean => command.includes(keeperFile)

/** Ends a run: asks its keeper, and removes what is left after that. Returns what it could not. */
export const endRun = async (run: string): Promise<readonly string[]> => {
  const directory = directoryOf(run)
  const keepers = (await processesOf(run, directory)).filter(({ command }) => isKeeper(command))
  for (const { pid } of keepers) signal(pid, 'SIGTERM')
  await untilGone(run, pid => keepers.some(keeper => keeper.pid === pid))
  return sweep(run)
}

/** Removes everything of a run whose keeper is gone. Returns what it could not remove. */
export const sweep = async (run: string): Promise<readonly string[]> => {
  const directory = directoryOf(run)
  // The emulator ends itself when the keeper is gone, and does it better than we.
  await untilGone(run, () => true)
  for (const { pid } of await processesOf(run, directory)) signal(pid, 'SIGKILL')
  await untilGone(run, () => true)
  await cleanup(run)
  await rm(directory, { recursive: true, force: true })
  await tidy()
  return runTraces(run, directory)
}

const untilGone = async (run: string, isMeant: (pid: number) => boolean): Promise<void> => {
  const deadline = performance.now() + endMs
  const isThere = async (): Promise<boolean> =>
    (await processesOf(run, directoryOf(run))).some(({ pid }) => isMeant(pid))
  while ((await isThere()) && performance.now() < deadline) await sleep(lookMs)
}

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
