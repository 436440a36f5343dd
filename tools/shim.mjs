// Compiles the CNI executable into dist/bin/eniway. Plain JavaScript for Node 20 and newer, because
// set-up runs it before our own Node is installed.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const sources = join(root, 'cni', 'shim')
const source = join(sources, 'eniway.c')

/** Where the executable is after buildShim. */
export const shimPath = join(root, 'dist', 'bin', 'eniway')

// Warnings are errors; the rest makes the file smaller, because its pages are read at each exec.
// musl's start code ignores the segment of relro, which costs a page all the same.
const flags = [
  '-std=c11 -Os -s -static -Wall -Wextra -Werror',
  '-fno-pie -no-pie -ffunction-sections -fno-asynchronous-unwind-tables',
  '-Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro',
].flatMap(group => group.split(' '))

/**
 * Compiles the executable when it is missing or older than its source or this script; answers its
 * path. musl is preferred: the process starts in less than half the time of a glibc one.
 */
export const buildShim = () => {
  if (!isStale()) return shimPath
  mkdirSync(dirname(shimPath), { recursive: true })
  // Two builds at once must not see each other's half-written file.
  const unfinished = `${shimPath}.${process.pid}`
  try {
    execFileSync(compiler(), [...flags, '-o', unfinished, source], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    renameSync(unfinished, shimPath)
  } catch (error) {
    throw new Error(`cannot compile ${source}: ${error.message}; install gcc and musl-tools`, {
      cause: error,
    })
  } finally {
    rmSync(unfinished, { force: true })
  }
  return shimPath
}

const isStale = () => {
  if (!existsSync(shimPath)) return true
  const built = statSync(shimPath).mtimeMs
  const inputs = readdirSync(sources).map(name => join(sources, name))
  return [...inputs, fileURLToPath(import.meta.url)].some(path => statSync(path).mtimeMs > built)
}

const compiler = () => (isRunnable('musl-gcc') ? 'musl-gcc' : 'gcc')

const isRunnable = command => {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(buildShim())
