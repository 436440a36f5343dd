// Makes directories as `mkdir -p` does. Node's own recursive mkdir never returns where the kernel
// answers ENOENT below a directory that exists, as it does in /proc.

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Makes a directory and those above it; throws the kernel's error when one cannot be made. */
export const makeDirectory = (path: string, mode: number): void => {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return
  const parent = dirname(path)
  if (!existsSync(parent)) makeDirectory(parent, mode)
  try {
    mkdirSync(path, mode)
  } catch (error) {
    // Somebody else was faster, or something else has this name: the next call tells.
    const isTaken = (error as NodeJS.ErrnoException).code === 'EEXIST'
    if (!isTaken || !statSync(path).isDirectory()) throw error
  }
}
