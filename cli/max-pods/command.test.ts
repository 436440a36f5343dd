// The command as a process: exit codes, what it prints, and what it loads.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const main = join(import.meta.dirname, '..', 'main.ts')

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string }

// Every module that is resolved to a cloud's SDK is told on stderr.
const spy =
  "import{registerHooks}from'node:module';registerHooks({resolve(s,c,next){const r=next(s,c);" +
  "if(/node_modules\\/@(aws-sdk|azure|alicloud)\\//.test(r.url))console.error('SDK',r.url);" +
  'return r}})'

const run = (...argv: readonly string[]): Promise<Ended> =>
  new Promise(resolve => {
    const options = ['--import', `data:text/javascript,${encodeURIComponent(spy)}`]
    const all = [...options, main, 'max-pods', ...argv]
    execFile(process.execPath, all, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

test('the number, the arithmetic, and no SDK', async () => {
  const { code, stdout, stderr } = await run('--cloud', 'aws', '--instance-type', 'm5.large')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('m5.large: maxPods 29\n')
  expect(stdout).toContain('27 + 2 pods on the host network, which take no address = 29\n')
})

test('one object for programs, with these keys', async () => {
  const type = ['--cloud', 'alibaba', '--instance-type', 'ecs.g7.large', '--output', 'json']
  const { stdout } = await run(...type, '--ip-families', 'ipv4,ipv6', '--reserve', '4/min')
  const answer = JSON.parse(stdout) as Record<string, unknown>
  expect(Object.keys(answer).toSorted()).toEqual([
    'addressesPerInterface',
    'arithmetic',
    'blockSize',
    'cloud',
    'families',
    'hostNetwork',
    'instanceType',
    'interfaces',
    'maxPods',
    'notes',
    'published',
    'recommended',
    'reserve',
    'source',
  ])
  expect(answer).toMatchObject({ cloud: 'alibaba', maxPods: 15, reserve: 2, interfaces: 3 })
})

const refused: readonly (readonly [string, readonly string[]])[] = [
  ['--cloud is "gcp"', ['--cloud', 'gcp', '--instance-type', 'm5.large']],
  ['did you mean m5.large', ['--cloud', 'aws', '--instance-type', 'm5.lrage']],
  ['only 2 for pods', ['--cloud', 'aws', '--instance-type', 't2.nano', '--reserve', '2']],
  ['--nics-max is "x"', ['--cloud', 'aws', '--instance-type', 't2.nano', '--nics-max', 'x']],
]

test.each(refused)('%s: one sentence and exit code 2', async (sentence, argv) => {
  const { code, stdout, stderr } = await run(...argv)
  expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({
    code: 2,
    stdout: '',
    lines: 2,
  })
  expect(stderr).toContain(sentence)
})
