// Compiles the Node-API addon with the system's C compiler when it is missing or older than its
// source. Plain JavaScript, because the set-up step runs it on whatever Node the machine has.

import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const source = join(root, 'linux/native/addon.c')
const target = join(root, 'dist/native/eniway.node')

/** Builds dist/native/eniway.node when needed; true when it compiled, false when it was new. */
export const buildNative = () => {
  const inputs = [source, fileURLToPath(import.meta.url)]
  if (inputs.every(file => changedAt(file) < changedAt(target))) return false
  mkdirSync(dirname(target), { recursive: true })
  // Several processes may build at once; a rename lets each see a whole file.
  const partial = `${target}.${process.pid}`
  try {
    compile(partial)
    renameSync(partial, target)
  } finally {
    rmSync(partial, { force: true })
  }
  return true
}

const compile = output => {
  const compiler = process.env['CC'] ?? 'cc'
  const { include_dir: headers } = createRequire(import.meta.url)('node-api-headers')
  const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-pthread', '-s']
  try {
    execFileSync(compiler, [...options, '-DNAPI_VERSION=8', '-I', headers, '-o', output, source], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  } catch (cause) {
    const advice = cause.code === 'ENOENT' ? 'install the package gcc and libc6-dev' : 'see above'
    throw new Error(`cannot compile ${source}: ${compiler} failed (${advice})`, { cause })
  }
}

const changedAt = file => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(buildNative() ? `compiled ${target}\n` : `${target} is up to date\n`)
}
