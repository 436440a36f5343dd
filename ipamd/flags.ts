// Starts the daemon's executable again, in the same process, when Node lacks the flags that keep
// its memory small: whoever starts it need not know of them.

import { nodeFlags } from '#runtime/memory.ts'

/** Returns when the flags are there, or where a process cannot be replaced. */
export const ensureFlags = (): void => {
  const [node, program, ...args] = process.argv
  const isLacking = nodeFlags.some(flag => !process.execArgv.includes(flag))
  if (!isLacking || node === undefined || program === undefined) return
  process.execve?.(node, [node, ...process.execArgv, ...nodeFlags, program, ...args])
}
