// Network namespaces for kernel tests: made fresh with a unique name, judged by `ip` and `nft`
// rather than by the code under test, and removed afterwards even when a test failed.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The tests may run under an older Node that cannot load TypeScript; programs need this one. */
export const node24 = `${root}node_modules/.bin/node`

export type Namespace = { readonly name: string; readonly path: string; readonly fd: number }

/** Fails with one sentence when this machine cannot run kernel tests; compiles the addon. */
export const prepare = (tools: readonly string[] = ['ip']): void => {
  if (process.getuid?.() !== 0) throw new Error('kernel tests need root; run them as root')
  for (const tool of ['cc', 'nsenter', ...tools]) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
    } catch {
      throw new Error(`kernel tests need the command ${tool}; install ${PACKAGES[tool] ?? tool}`)
    }
  }
  execFileSync(process.execPath, ['tools/native.mjs'], { cwd: root, stdio: 'ignore' })
}

/** A new, empty namespace that is removed after the tests of the file. */
export const makeNamespace = (): Namespace => {
  const name = `ew-${randomBytes(4).toString('hex')}`
  run('ip', ['netns', 'add', name])
  const path = `/run/netns/${name}`
  const namespace = { name, path, fd: openSync(path, 'r') }
  made.push(namespace)
  return namespace
}

/** Runs a command to its end and returns its output; a failure throws with its error output. */
export const run = (command: string, args: readonly string[], input?: string): string =>
  execFileSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    ...(input === undefined ? {} : { input }),
  })

/** Runs a command inside a namespace. */
export const runIn = (namespace: Namespace, command: string, ...args: readonly string[]): string =>
  run('nsenter', [`--net=${namespace.path}`, command, ...args])

/** What `ip -j` says about a namespace, parsed. */
export const ipJson = (namespace: Namespace, ...args: readonly string[]): readonly Shown[] =>
  JSON.parse(runIn(namespace, 'ip', '-j', '-d', ...args) || '[]') as readonly Shown[]

export type Shown = Readonly<Record<string, unknown>>

/** Runs a program, which may import our TypeScript, in a namespace; parses what it printed. */
export const nodeIn = (namespace: Namespace, program: string): unknown =>
  JSON.parse(runIn(namespace, node24, '--input-type=module', '--eval', program))

const PACKAGES: Readonly<Record<string, string>> = {
  cc: 'gcc and libc6-dev',
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
}

const made: Namespace[] = []

afterAll(() => {
  for (const { name, fd } of made.splice(0)) {
    closeSync(fd)
    run('ip', ['netns', 'delete', name])
  }
})
