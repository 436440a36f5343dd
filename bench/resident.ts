// What a process that runs all the time has used (proc_pid_stat(5), proc_pid_status(5)).

import { readFile } from 'node:fs/promises'

// USER_HZ is 100 on every architecture that Node supports.
const msPerTick = 10

/** User and system time of all threads since the process began, in steps of 10 ms. */
export const cpuMsOf = async (pids: readonly number[]): Promise<number> => {
  const each = await Promise.all(pids.map(ticksOf))
  return each.reduce((sum, ticks) => sum + ticks, 0) * msPerTick
}

/** Resident memory, shared pages of the executable included. */
export const rssMibOf = async (pids: readonly number[]): Promise<number> => {
  const each = await Promise.all(pids.map(rssKibOf))
  return each.reduce((sum, kib) => sum + kib, 0) / 1024
}

// The second field is the name, in parentheses, and may itself hold spaces; utime and stime are the
// fields 14 and 15.
const ticksOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

const rssKibOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1])
}
