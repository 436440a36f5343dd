// Our runtime with plugins of another project, Debian's containernetworking-plugins, in two
// namespaces of their own, a pod's and a node's: what they write is read, and what we ask them is
// understood.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Parsed } from '#cni/spec/failure.ts'
import { parseNetwork, type Network } from '#cni/runtime/network.ts'
import { createRuntime, type Runtime } from '#cni/runtime/runtime.ts'
import { createClock } from '#runtime/clock.ts'

const installed = '/usr/lib/cni'

let directory = ''
let netns = ''
let node = ''
let runtime: Runtime

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ew-runtime-'))
  netns = `ew-runtime-${process.pid}`
  node = `${netns}-node`
  for (const name of [netns, node]) execFileSync('ip', ['netns', 'add', name])
  runtime = createRuntime({
    pluginPath: [onNode('loopback', 'ptp', 'tuning'), installed],
    cacheDirectory: directory,
    environment: { PATH: process.env['PATH'] },
    clock: createClock(),
    timeoutMs: 30_000,
  })
})

afterEach(() => {
  for (const name of [netns, node]) execFileSync('ip', ['netns', 'delete', name])
  rmSync(directory, { recursive: true })
})

// A plugin works on the namespace it is started in: this machine's own stays as it is.
const onNode = (...types: readonly string[]): string => {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  for (const type of types) {
    const text = `#!/bin/sh\nexec ip netns exec ${node} ${installed}/${type}\n`
    writeFileSync(join(bin, type), text, { mode: 0o755 })
  }
  return bin
}

const networkOf = (cniVersion: string, ...plugins: readonly object[]): Network => {
  const text = JSON.stringify({ cniVersion, name: 'ew-net', plugins })
  const network = parseNetwork(text, 'the test')
  if (network.kind === 'failed') throw new Error(network.message)
  return network.value
}

const attachment = (ifName: string) => ({
  containerId: 'ew-c1',
  ifName,
  netns: `/run/netns/${netns}`,
  args: [],
  capabilityArgs: {},
})

const valueOf = async <T>(work: Promise<Parsed<T>>): Promise<T> => {
  const outcome = await work
  if (outcome.kind === 'failed') throw new Error(`${outcome.code} ${outcome.message}`)
  return outcome.value
}

const inside = (...words: readonly string[]): string =>
  execFileSync('ip', ['-n', netns, ...words], { encoding: 'utf8' })

test.each(['0.2.0', '0.3.1', '0.4.0', '1.0.0'])('loopback in CNI %s', async cniVersion => {
  const network = networkOf(cniVersion, { type: 'loopback' })
  const result = await valueOf(runtime.add(network, attachment('lo')))
  expect(result['cniVersion']).toBe(cniVersion)
  expect(JSON.stringify(result)).toContain('127.0.0.1/8')
  expect(inside('link', 'show', 'lo')).toContain('LOOPBACK,UP')
  if (cniVersion >= '0.4.0') await valueOf(runtime.check(network, attachment('lo')))
  await valueOf(runtime.del(network, attachment('lo')))
  await valueOf(runtime.del(network, attachment('lo')))
  expect(readdirSync(join(directory, 'results'))).toEqual([])
})

test('ptp with host-local and a chained tuning, and a DEL after the namespace is gone', async () => {
  const ipam = { type: 'host-local', subnet: '10.231.0.0/24', dataDir: join(directory, 'ipam') }
  const tuning = { type: 'tuning', mtu: 1400, dataDir: join(directory, 'tuning') }
  const network = networkOf('1.0.0', { type: 'ptp', ipam }, tuning)
  const result = await valueOf(runtime.add(network, attachment('eth0')))
  expect(result['ips']).toMatchObject([{ address: '10.231.0.2/24' }])
  expect(inside('link', 'show', 'eth0')).toContain('mtu 1400')
  await valueOf(runtime.check(network, attachment('eth0')))
  // The plugin refuses a name that is taken; what was there stays.
  expect(await runtime.add(network, attachment('eth0'))).toMatchObject({ kind: 'failed' })
  expect(inside('link', 'show', 'eth0')).toContain('mtu 1400')
  inside('link', 'delete', 'eth0')
  expect(await runtime.check(network, attachment('eth0'))).toMatchObject({ kind: 'failed' })
  await valueOf(runtime.del(network, { ...attachment('eth0'), netns: '' }))
  expect(
    readdirSync(join(directory, 'ipam', 'ew-net')).filter(name => name.startsWith('10.')),
  ).toEqual([])
})

test('what Debian’s plugins support', async () => {
  const support = await valueOf(runtime.versions(networkOf('1.0.0', { type: 'loopback' })))
  expect(support.agreed).toBe('1.0.0')
})
