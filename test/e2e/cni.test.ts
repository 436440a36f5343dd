// `eniway cni`, as an administrator uses it on a node: its runtime, the plugin's executable and the
// daemon behind it, with nothing of a container runtime.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { containerIdOf } from '#cli/cni/config.ts'
import { addNamespace, deleteNamespace } from './containerd/namespaces.ts'
import { run } from './containerd/process.ts'
import { startNodes, type Node, type Nodes } from './nodes.ts'
import { traceOf } from './observe.ts'

const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
const names = ['a', 'b'].map(name => `ew-cnitool-${process.pid}-${name}`)

let nodes: Nodes
let node: Node
let directory: string
let network: string
const pods: string[] = []

beforeAll(async () => {
  nodes = await startNodes({ seed: 4, count: 1 })
  const [first] = nodes.nodes
  if (first === undefined) throw new Error('there is no node')
  node = first
  directory = await mkdtemp(join(tmpdir(), 'ew-cnitool-'))
  for (const name of names) pods.push(await addNamespace(name))
  const [file = ''] = await readdir(node.cniConfDir)
  const list = JSON.parse(await readFile(join(node.cniConfDir, file), 'utf8')) as { name: string }
  network = list.name
})

afterAll(async () => {
  for (const name of names) await deleteNamespace(name).catch(() => undefined)
  await rm(directory, { recursive: true, force: true })
  expect(await nodes.stop()).toEqual([])
})

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string }

const cni = (verb: string, ...argv: readonly string[]): Promise<Ended> =>
  new Promise(resolve => {
    const env = {
      PATH: process.env['PATH'],
      CNI_PATH: node.cniBinDir,
      NETCONFPATH: node.cniConfDir,
      ENIWAY_CNI_CACHE_DIR: join(directory, 'cache'),
    }
    const program = [process.execPath, main, 'cni', verb, network, ...argv]
    execFile('nsenter', [`--net=${node.netns}`, ...program], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

const quiet: Ended = { code: 0, stdout: '', stderr: '' }
const inPod = (pod: number, ...argv: readonly string[]): Promise<string> =>
  run('ip', ['-n', names[pod] ?? '', ...argv])
const assigned = async (): Promise<number> =>
  (await node.view()).pools.reduce((sum, pool) => sum + pool.assigned, 0)
const addressOf = ({ stdout }: Ended): string =>
  (JSON.parse(stdout) as { ips: { address: string }[] }).ips[0]?.address ?? ''

test('version and status', async () => {
  const version = await cni('version')
  expect(version).toMatchObject({ code: 0, stderr: '' })
  expect(version.stdout).toMatch(/^eniway: 0\.1\.0 .*1\.1\.0$/m)
  expect(version.stdout).toMatch(/^configuration: 1\.1\.0$/m)
  expect(await cni('status')).toEqual(quiet)
})

test('add, check, add again, gc, del, del', async () => {
  const [first = '', second = ''] = pods
  const added = await cni('add', first)
  expect(added).toMatchObject({ code: 0, stderr: '' })
  const address = addressOf(added)
  expect(await inPod(0, '-o', 'address', 'show', 'eth0')).toContain(` ${address} `)
  expect(await cni('check', first)).toEqual(quiet)

  // The runtime does not ask twice; one that has lost its memory does, and nothing changes.
  const again = await cni('add', first)
  expect(again).toMatchObject({ code: 1, stdout: '' })
  expect(again.stderr).toContain('already; delete it there before it is added again')
  const forgetful = await cni('add', first, '--cache-dir', join(directory, 'other'))
  expect(JSON.parse(forgetful.stdout)).toEqual(JSON.parse(added.stdout))
  expect(await assigned()).toBe(1)
  expect(await cni('check', first)).toEqual(quiet)

  const other = addressOf(await cni('add', second))
  expect(other).not.toBe(address)
  expect(await assigned()).toBe(2)
  expect(await cni('gc', '--keep', `${containerIdOf(first)}/eth0`)).toEqual(quiet)
  expect(await cni('check', first)).toEqual(quiet)
  expect(await cni('check', second)).toMatchObject({ code: 1 })
  expect(await assigned()).toBe(1)
  expect(await inPod(1, '-o', 'link')).not.toContain('eth0')

  for (let times = 0; times < 2; times++) expect(await cni('del', first)).toEqual(quiet)
  expect(await cni('check', first)).toMatchObject({ code: 1 })
  expect(await assigned()).toBe(0)
  const ips = [address, other].map(cidr => cidr.split('/', 1)[0] ?? '')
  expect((await traceOf(node, ips)).filter(line => !line.includes('ewy'))).toEqual([])
  expect(await readdir(join(directory, 'cache', 'results'))).toEqual([])
})

test('a namespace that is gone: del succeeds, and the address is released', async () => {
  const [, second = ''] = pods
  expect(await cni('add', second)).toMatchObject({ code: 0 })
  await deleteNamespace(names[1] ?? '')
  expect(await cni('del', second)).toEqual(quiet)
  expect(await assigned()).toBe(0)
  expect(await cni('add', second)).toMatchObject({ code: 1, stdout: '' })
})
