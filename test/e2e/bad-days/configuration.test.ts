// A configuration that cannot be used: exit code 2 and one sentence that names the key, before the
// daemon touches anything.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { buildAll, root } from './build.ts'

let directory: string

beforeAll(() => {
  buildAll()
  directory = mkdtempSync(join(tmpdir(), 'ew-config-'))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

const run = async (yaml: string | undefined, env: Readonly<Record<string, string>> = {}) => {
  const file = join(directory, 'config.yaml')
  if (yaml !== undefined) writeFileSync(file, yaml)
  const config = yaml === undefined ? join(directory, 'none.yaml') : file
  const argv = [join(root, 'dist', 'ipamd.cjs'), '--config', config]
  const child = spawn(nodeBinary(), argv, { env: { PATH: process.env['PATH'], ...env } })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { exitCode: await ended, stdout, stderr: stderr.replaceAll(directory, 'DIR') }
}

const cannotUse = 'eniway ipamd: cannot use the configuration DIR/config.yaml: '

test.for([
  ['unknown key', 'pool: {warmTargets: 3}', 'unknown key pool.warmTargets; see docs/'],
  ['unknown key at the root', 'sokcet: /run/x', 'unknown key sokcet; see docs/'],
  ['wrong type', 'pool: {warmTarget: lots}', 'pool.warmTarget is "lots", but '],
  ['list instead of object', 'pool: [1]', 'pool is [1], but '],
  [
    'out of range',
    'httpPort: 70000',
    'httpPort is 70000, but too big: expected number to be <=65535',
  ],
  ['below range', 'pool: {coolingSeconds: -1}', 'pool.coolingSeconds is -1, but too small'],
  ['not one of', 'cloud: basement', 'cloud is "basement", but '],
  ['relative path', 'socket: cni.sock', 'socket is "cni.sock", but must be an absolute path'],
  ['not a prefix', 'nat: {exclude: [10.0.0.1/40]}', 'nat.exclude.0 is "10.0.0.1/40", but '],
  ['not YAML', 'pool: {warmTarget: [', 'it is not YAML: '],
  ['no keys', 'just words', 'it must hold keys and values'],
] as const)('%s', async ([, yaml, sentence]) => {
  const { exitCode, stdout, stderr } = await run(yaml)
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
  expect(stderr).toContain(cannotUse + sentence)
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
})

test('two mistakes are both told', async () => {
  const { exitCode, stderr } = await run('{httpPort: -1, logLevel: loud}')
  expect(exitCode).toBe(2)
  expect(stderr).toMatch(/httpPort is -1, but .*; logLevel is "loud", but /)
})

test('file is missing', async () => {
  expect(await run(undefined)).toEqual({
    exitCode: 2,
    stdout: '',
    stderr:
      'eniway ipamd: cannot read the configuration DIR/none.yaml: ENOENT; name an existing file\n',
  })
})

test.for([
  ['ENIWAY_POOL_WARM_TARGETS', '3', 'the environment variable ENIWAY_POOL_WARM_TARGETS is unknown'],
  ['ENIWAY_POOL_WARM_TARGET', 'lots', 'pool.warmTarget is "lots", but '],
] as const)('environment variable %s=%s', async ([name, value, sentence]) => {
  const { exitCode, stdout, stderr } = await run('{}', { [name]: value })
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
  expect(stderr).toContain(sentence)
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
})
