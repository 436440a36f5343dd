// What a process that runs all the time has used (proc_pid_stat(5), proc_pid_smaps(5)). Children
// count with it: the daemon's cloud process comes and goes.

import { readFile } from 'node:fs/promises'

// USER_HZ is 100 on every architecture that Node supports.
const msPerTick = 10

export type Memory = {
  /** Resident, shared pages of the executable included. */
  readonly rssMib: number
  /** The part that lies in no file: heaps and stacks. */
  readonly anonymousMib: number
}

/**
 * User and system time since the processes began, of all their threads and of children that have
 * ended, in steps of 10 ms.
 */
export const cpuMsOf = async (pids: readonly number[]): Promise<number> => {
  const each = await Promise.all((await withChildren(pids)).map(ticksOf))
  return each.reduce((sum, ticks) => sum + ticks, 0) * msPerTick
}

/** Resident memory of the processes, without that of their children. */
export const rssMibOf = async (pids: readonly number[]): Promise<number> => {
  const each = await Promise.all(pids.map(memoryOf))
  return each.reduce((sum, { rssMib }) => sum + rssMib, 0)
}

/** The processes and the children they have now. */
export const withChildren = async (pids: readonly number[]): Promise<readonly number[]> => {
  const each = await Promise.all(pids.map(childrenOf))
  return [...pids, ...each.flat()]
}

/** Memory of one process; none when it has just ended. */
export const memoryOf = async (pid: number): Promise<Memory> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const mibOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) / 1024
  return { rssMib: mibOf('Rss'), anonymousMib: mibOf('Anonymous') }
}

const childrenOf = async (pid: number): Promise<readonly number[]> => {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

// The second field is the name, in parentheses, and may itself hold spaces; utime, stime, cutime
// and cstime are the fields 14 to 17.
const ticksOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0)
}
