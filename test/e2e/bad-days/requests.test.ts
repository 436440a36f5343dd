// Bad requests against a real daemon: namespaces that are none, names that are taken, garbage,
// callers that may not call, that give up or that die; and a second daemon on the same node.

import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommand, inNetns } from '#emulator/fabric/command.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { shimPath } from '#tools/shim.mjs'
import { runShim } from '../../kernel/shim.ts'
import { httpOverSocket } from './admin.ts'
import { root } from './build.ts'
import { podTraces } from './kernel.ts'
import { networkConfig, type StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const nobody = 65_534

let stage: Stage<'node' | 'scarce'>
let node: StageNode

beforeAll(async () => {
  stage = await openStage({
    seed: 5,
    roles: { node: { type: 'm5.large' }, scarce: { type: 'm5.large' } },
  })
  node = stage.nodes.node
  await node.start()
  await node.untilReady()
})

afterAll(() => stage?.close())

const nameOf = (path: string): string => path.split('/').at(-1) ?? ''

// Whatever was refused, nothing of it may be left. Links go in the background.
const untilNothingIsLeft = (on: StageNode) =>
  on.untilView('nothing is left', async ({ pods, waiting, pools }) => {
    const { links, routes, elements } = await podTraces(on.netns)
    const assigned = pools.reduce((sum, pool) => sum + pool.assigned, 0)
    const left = [pods, waiting, links, routes, elements].reduce(
      (sum, { length }) => sum + length,
      0,
    )
    return assigned + left === 0
  })

test.for([
  [
    'gone',
    '/run/netns/ew-no-such-namespace',
    /: cannot open the network namespace \S+: it does not exist$/,
  ],
  ['a file', '/etc/hostname', /: \/etc\/hostname is not a network namespace; was it unmounted/],
  [
    'a namespace of another kind',
    '/proc/self/ns/uts',
    /: \/proc\/self\/ns\/uts is not a network namespace|: the kernel /,
  ],
] as const)('ADD into a namespace that is %s', async ([, netns, sentence]) => {
  const { exitCode, answer } = await node.cni('ADD', { container: 'c', netns })
  expect(exitCode).toBe(1)
  expect(answer?.msg).toMatch(/^cannot wire pod shop\/c/)
  expect(answer?.msg).toMatch(sentence)
  await untilNothingIsLeft(node)
})

test('ADD into the namespace of the node itself', async () => {
  const netns = `/run/netns/${node.netns}`
  const { answer } = await node.cni('ADD', { container: 'c', netns })
  expect(answer?.code).toBe(8)
  expect(answer?.msg).toMatch(
    /is the node's own network namespace, not a pod's; give a pod namespace/,
  )
})

test('ADD of an interface whose name is taken leaves that interface alone', async () => {
  const netns = await stage.makeNetns()
  const inside = { netns: nameOf(netns) }
  await runCommand({
    ...inside,
    argv: ['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'own'],
  })
  const { answer } = await node.cni('ADD', { container: 'taken', netns })
  expect(answer?.msg).toBe(
    `cannot wire pod shop/taken: interface eth0 already exists in ${netns}; ` +
      'use another interface name or remove it',
  )
  const links = await runCommand({ ...inside, argv: ['ip', 'link', 'show', 'eth0'] })
  expect(links).toContain('eth0@own')
  await untilNothingIsLeft(node)
})

test('ADD again gives the same answer; the routes of a second interface give way', async () => {
  const netns = await stage.makeNetns()
  const pod = { container: 'twice', netns }
  const first = await node.cni('ADD', pod)
  expect(first.exitCode).toBe(0)
  expect(await node.cni('ADD', pod)).toEqual(first)
  expect((await node.cni('ADD', { ...pod, ifName: 'eth1' })).exitCode).toBe(0)
  const routes = await runCommand({ netns: nameOf(netns), argv: ['ip', 'route'] })
  expect(routes).toMatch(/^default via 169\.254\.1\.1 dev eth0 (?!.*metric)/m)
  expect(routes).toMatch(/^default via 169\.254\.1\.1 dev eth1 .*metric/m)
  for (const ifName of ['eth0', 'eth1']) {
    expect((await node.cni('DEL', { ...pod, ifName })).exitCode).toBe(0)
  }
  await untilNothingIsLeft(node)
})

// What the executable would send: it finds the daemon only through a valid configuration.
const post = (body: object) => httpOverSocket(node.socket, 'POST /cni', body)

const environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c',
  CNI_NETNS: '/x',
  CNI_IFNAME: 'eth0',
}

test.for([
  ['garbage', 'what is this', 6],
  ['nothing', '', 6],
  ['a cut object', '{"cniVersion": "1.0.0", "name"', 6],
  ['a list', '[]', 6],
  ['half a megabyte of brackets', '['.repeat(500_000), 6],
] as const)('%s on stdin', async ([, stdin, code]) => {
  const { text } = await post({ environment, stdin })
  const answer = JSON.parse(text) as { code: number; msg: string }
  expect(answer.code).toBe(code)
  expect(answer.msg).toMatch(/stdin/)
})

test('what is no call at all', async () => {
  expect(await post([])).toEqual({ status: 400, text: expect.stringMatching(/^a call is a JSON/) })
})

test('four megabytes on stdin', async () => {
  const config = { ...networkConfig(node.socket), fill: 'x'.repeat(4 << 20) }
  const { exitCode, stdout } = await runShim({ command: 'ADD', stdin: JSON.stringify(config) })
  expect(exitCode).toBe(1)
  expect(stdout).toMatch(/"code":5,"msg":"the network configuration on stdin is too large: /)
})

test('garbage beside a valid socket is refused by the daemon itself', async () => {
  const config = { ...networkConfig(node.socket), name: '../etc', timeoutSeconds: 'soon' }
  const { exitCode, stdout } = await runShim({ command: 'ADD', stdin: JSON.stringify(config) })
  const answer = JSON.parse(stdout) as { code: number; msg: string }
  expect([exitCode, answer.code]).toEqual([1, 7])
  expect(answer.msg).toMatch(/name.*"\.\.\/etc"/)
})

test('a caller that is not root is kept out, by the file and by who it is', async () => {
  const call = () =>
    runShim({
      command: 'ADD',
      stdin: JSON.stringify(networkConfig(node.socket)),
      shell: `exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups "$0"`,
    })
  const codeOf = (stdout: string) => JSON.parse(stdout) as { code: number; msg: string }
  const refused = codeOf((await call()).stdout)
  expect([refused.code, refused.msg]).toEqual([11, expect.stringContaining('permission denied')])

  // Somebody opened the way: now only the peer's credentials keep it out.
  const way = [node.socket, dirname(node.socket), dirname(dirname(node.socket))]
  for (const path of way) await chmod(path, 0o777)
  const cutOff = codeOf((await call()).stdout)
  for (const path of way) await chmod(path, 0o700)
  expect([cutOff.code, cutOff.msg]).toEqual([
    11,
    expect.stringMatching(/closed the connection|connection reset/),
  ])
  await untilNothingIsLeft(node)
})

test('a second daemon on the same node ends with one sentence; the first goes on', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ew-second-'))
  const own = { socket: join(directory, 'cni.sock'), stateDirectory: join(directory, 'state') }
  const first = { socket: node.socket, stateDirectory: dirname(node.ledger) }
  const cases = [
    [
      { ...own, stateDirectory: first.stateDirectory },
      /cannot use \S+: process \d+ is already running/,
    ],
    [
      { ...own, socket: first.socket },
      /cannot listen on \S+cni\.sock: .*already in use.*; choose another/,
    ],
    [own, /cannot listen on 127\.0\.0\.1:61680: .*already in use.*; choose another/],
  ] as const
  try {
    for (const [config, sentence] of cases) {
      const { exitCode, output } = await runDaemon(directory, config)
      expect(exitCode, output).toBe(1)
      expect(output).toMatch(sentence)
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  expect((await node.cni('STATUS', { container: 'none' })).exitCode).toBe(0)
})

const runDaemon = async (directory: string, config: object) => {
  const file = join(directory, 'config.yaml')
  await writeFile(file, JSON.stringify({ node: 'second', cni: { install: false }, ...config }))
  const program = [nodeBinary(), join(root, 'dist', 'ipamd.cjs'), '--config', file]
  const [command = '', ...argv] = inNetns(node.netns, program)
  const child = spawn(command, argv, { env: { PATH: process.env['PATH'], ...node.env } })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { exitCode: await ended, output: stdout + stderr }
}

// One address for all: whoever comes second has to wait.
const startScarce = async (): Promise<StageNode> => {
  const scarce = stage.nodes.scarce
  await scarce.start({ pool: { warmTarget: 1, maximum: 1 } })
  return scarce
}

test('ADDs that wait: one is overtaken by its DEL, the caller of another dies', async () => {
  const scarce = await startScarce()
  const holder = { container: 'holder', netns: await stage.makeNetns() }
  expect((await scarce.cni('ADD', holder)).exitCode).toBe(0)

  const netns = await stage.makeNetns()
  const overtaken = scarce.cni('ADD', { container: 'overtaken', netns })
  const child = spawn(shimPath, [], {
    env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'dies', CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.stdin.end(JSON.stringify(networkConfig(scarce.socket)))
  await scarce.untilView('both wait', ({ waiting }) => waiting.length === 2)

  expect((await scarce.cni('DEL', { container: 'overtaken', netns })).exitCode).toBe(0)
  expect((await overtaken).answer?.msg).toBe(
    'cannot add overtaken/eth0: a DEL of the same attachment arrived meanwhile',
  )
  child.kill('SIGKILL')
  await scarce.untilView('nobody waits', ({ waiting }) => waiting.length === 0)

  // The address becomes free, and none of those who gave up gets it.
  expect((await scarce.cni('DEL', holder)).exitCode).toBe(0)
  await scarce.untilView('the address is warm', ({ pools }) => pools[0]?.warm === 1)
  await untilNothingIsLeft(scarce)
  expect((await scarce.cni('ADD', { container: 'next', netns })).exitCode).toBe(0)
})
