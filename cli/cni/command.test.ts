// The command as a process, with plugins that are shell scripts.

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakePlugins, type FakePlugins } from '#cni/runtime/fake.ts'

const main = join(import.meta.dirname, '..', 'main.ts')

let place: FakePlugins

beforeEach(() => {
  place = fakePlugins('one', 'two')
  const plugins = [{ type: 'one', capabilities: { ips: true } }, { type: 'two' }]
  place.write('10-net.conflist', { cniVersion: '1.1.0', name: 'net', plugins })
})

afterEach(() => place.remove())

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string }

const run = (argv: readonly string[], variables: object = {}): Promise<Ended> =>
  new Promise(resolve => {
    const env = {
      PATH: process.env['PATH'],
      CNI_PATH: place.bin,
      NETCONFPATH: place.conf,
      ENIWAY_CNI_CACHE_DIR: place.cacheDirectory,
      ...variables,
    }
    execFile(process.execPath, [main, 'cni', ...argv], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

const check = async (argv: readonly string[], want: Partial<Ended>, variables: object = {}) => {
  const ended = await run(argv, variables)
  const stderr = ended.stderr.replaceAll(place.directory, 'DIR')
  expect({ ...ended, stderr }).toEqual({ code: 0, stdout: '', stderr: '', ...want })
}

const quiet = {}

test('an add that is told to end kills its plugin and takes down what it began', async () => {
  place.behave('one', 'ADD', { run: 'exec sleep 60' })
  const env = { PATH: process.env['PATH'], CNI_PATH: place.bin, NETCONFPATH: place.conf }
  const argv = [main, 'cni', 'add', 'net', '/run/netns/ew-x', '--cache-dir', place.cacheDirectory]
  const child = spawn(process.execPath, argv, { env, stdio: 'ignore' })
  const ended = new Promise(resolve => child.once('close', resolve))
  while (place.calls().length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  child.kill('SIGTERM')
  expect(await ended).toBe(1)
  expect(place.calls()).toEqual(['ADD one', 'DEL two', 'DEL one'])
  expect(readdirSync(join(place.cacheDirectory, 'turns'))).toEqual([])
})

/** As cnitool does it: printf %s PATH | sha512sum | head -c 20. */
const containerId = (path: string) =>
  `cnitool-${createHash('sha512').update(path).digest('hex').slice(0, 20)}`

test('add, check and del with the variables and the container id of cnitool', async () => {
  const variables = {
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web',
    CAP_ARGS: '{"ips":["10.0.0.9"],"mac":"x"}',
    CNI_IFNAME: 'net1',
    CNI_CONTAINERID: 'not-used',
  }
  const result = { ips: [{ address: '10.0.0.5/24' }], cniVersion: '1.1.0' }
  const stdout = `${JSON.stringify(result, undefined, 4)}\n`
  await check(['add', 'net', '/run/netns/../netns/ew-x'], { stdout }, variables)
  const id = containerId('/run/netns/ew-x')
  expect(place.environment('one', 'ADD')).toMatchObject({
    CNI_CONTAINERID: id,
    CNI_NETNS: '/run/netns/ew-x',
    CNI_IFNAME: 'net1',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web',
    CNI_PATH: place.bin,
  })
  expect(place.stdin('one', 'ADD')['runtimeConfig']).toEqual({ ips: ['10.0.0.9'] })
  expect(place.stdin('two', 'ADD')).not.toHaveProperty('runtimeConfig')
  const results = join(place.cacheDirectory, 'results')
  expect(readdirSync(results)).toEqual([`net-${id}-net1`])
  await check(['check', 'net', '/run/netns/ew-x'], quiet, variables)
  await check(['del', 'net', '/run/netns/ew-x', '-i', 'net1'], quiet)
  expect(readdirSync(results)).toEqual([])
})

test('eth0 by default; a failure is one sentence on stderr, and exit code 1', async () => {
  place.behave('one', 'ADD', { stdout: '{"code":11,"msg":"no address"}', exitCode: 1 })
  const stderr = 'eniway cni add: plugin "one" failed ADD: no address (CNI code 11)\n'
  await check(['add', 'net', '/run/netns/ew-x'], { code: 1, stderr })
  expect(place.environment('one', 'ADD')).toMatchObject({ CNI_IFNAME: 'eth0' })
  expect(existsSync(join(place.cacheDirectory, 'results'))).toBe(false)
})

test('what a plugin writes on stderr is passed on', async () => {
  place.behave('two', 'STATUS', { stderr: 'hm', stdout: '{"code":50,"msg":"full"}', exitCode: 1 })
  const stderr = 'hmeniway cni status: full (CNI code 50)\n'
  await check(['status', 'net', '/run/netns/ew-x'], { code: 1, stderr })
})

test('gc deletes what is remembered, but for what is kept', async () => {
  await run(['add', 'net', '/run/netns/ew-x'])
  await run(['add', 'net', '/run/netns/ew-y'])
  const id = containerId('/run/netns/ew-x')
  await check(['gc', 'net', '--keep', `${id}/eth0`], quiet)
  expect(place.stdin('one', 'GC')['cni.dev/valid-attachments']).toEqual([
    { containerID: id, ifname: 'eth0' },
  ])
  expect(place.environment('one', 'DEL')).toMatchObject({
    CNI_CONTAINERID: containerId('/run/netns/ew-y'),
  })
  await check(['gc', 'net', '/run/netns/ew-x'], quiet)
  expect(place.stdin('one', 'GC')).not.toHaveProperty('cni.dev/valid-attachments')
  expect(readdirSync(join(place.cacheDirectory, 'results'))).toEqual([])
})

test('version, for people and for programs', async () => {
  const all = ['0.4.0', '1.0.0', '1.1.0']
  const text = all.join(' ')
  const lines = ['configuration: 1.1.0', 'highest of all: 1.1.0', 'capabilities: ips']
  const stdout = [`one: ${text}`, `two: ${text}`, ...lines, ''].join('\n')
  await check(['version', 'net'], { stdout })
  const { stdout: json } = await run(['version', 'net', '--output', 'json'])
  expect(JSON.parse(json)).toEqual({
    plugins: [
      { type: 'one', versions: all },
      { type: 'two', versions: all },
    ],
    cniVersion: '1.1.0',
    agreed: '1.1.0',
    capabilities: ['ips'],
  })
})

test('what is not there is said with where it was looked for', async () => {
  await check(['add', 'other', '/run/netns/ew-x'], {
    code: 1,
    stderr: 'eniway cni add: there is no network "other" in DIR/net.d: it holds net (CNI code 7)\n',
  })
  rmSync(join(place.bin, 'one'))
  await check(['add', 'net', '/run/netns/ew-x'], {
    code: 1,
    stderr:
      'eniway cni add: there is no plugin "one" in CNI_PATH DIR/bin; install it or correct CNI_PATH (CNI code 110)\n',
  })
})

const wrong: readonly (readonly [string, readonly string[], object])[] = [
  ['CAP_ARGS must hold one JSON object, not 5', ['add', 'net', '/x'], { CAP_ARGS: '5' }],
  ['CNI_ARGS holds "A", which is not KEY=VALUE', ['del', 'net', '/x'], { CNI_ARGS: 'A' }],
  ['--timeout-seconds is "0"', ['status', 'net', '--timeout-seconds', '0'], {}],
  ['--keep is "c1"', ['gc', 'net', '--keep', 'c1'], {}],
  ["missing required argument 'netns'", ['add', 'net'], {}],
]

test.each(wrong)('%s: exit code 2 and nothing is run', async (sentence, argv, variables) => {
  const { code, stdout, stderr } = await run(argv, variables)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(sentence)
  expect(place.calls()).toEqual([])
})
