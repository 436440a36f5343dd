// The plugin of the walk-through as the executable it is, run by our runtime behind another one.

import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakePlugins, stillClock, type FakePlugins } from '../runtime/fake.ts'
import { parseNetwork, type Network } from '../runtime/network.ts'
import { createRuntime, type Runtime } from '../runtime/runtime.ts'

const source = join(import.meta.dirname, 'plugin.ts')

let place: FakePlugins
let runtime: Runtime

beforeEach(() => {
  place = fakePlugins('bridge')
  // Node looks at where a link leads: the name needs no ending, and imports are found.
  symlinkSync(source, join(place.bin, 'pod-addresses'))
  runtime = createRuntime({
    pluginPath: [place.bin],
    cacheDirectory: place.cacheDirectory,
    environment: { PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
    clock: stillClock().clock,
  })
})

afterEach(() => place.remove())

const directory = () => join(place.directory, 'addresses')

const networkOf = (...types: readonly string[]): Network => {
  const plugins = types.map(type => ({ type, directory: directory() }))
  const text = JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins })
  const network = parseNetwork(text, 'the test')
  if (network.kind === 'failed') throw new Error(network.message)
  return network.value
}

const attachment = {
  containerId: 'c1',
  ifName: 'eth0',
  netns: '/run/netns/ew-none',
  args: [['K8S_POD_NAME', 'web']] as const,
  capabilityArgs: {},
}

const done = { kind: 'parsed' }
const file = () => join(directory(), 'net', 'c1@eth0')

test('it has no more than 40 lines of code', () => {
  const lines = readFileSync(source, 'utf8').split('\n')
  const code = lines.filter(line => !/^\s*(?:\/\/|#!|$)/.test(line))
  expect(code.length).toBeLessThanOrEqual(40)
})

test('add, check, del: one file per attachment, and the result passes through', async () => {
  const network = networkOf('bridge', 'pod-addresses')
  expect(await runtime.add(network, attachment)).toEqual({
    kind: 'parsed',
    value: { cniVersion: '1.1.0', ips: [{ address: '10.0.0.5/24' }] },
  })
  expect(readFileSync(file(), 'utf8')).toBe('web 10.0.0.5\n')
  expect(await runtime.check(network, attachment)).toMatchObject(done)
  expect(await runtime.del(network, attachment)).toMatchObject(done)
  expect(await runtime.del(network, attachment)).toMatchObject(done)
  expect(existsSync(file())).toBe(false)
})

test('gc leaves what is valid; check fails without its file, add as the first', async () => {
  const network = networkOf('bridge', 'pod-addresses')
  await runtime.add(network, attachment)
  writeFileSync(join(directory(), 'net', 'c2@eth0'), '')
  expect(await runtime.gc(network, [{ containerId: 'c1', ifName: 'eth0' }])).toMatchObject(done)
  expect(readdirSync(join(directory(), 'net'))).toEqual(['c1@eth0'])
  expect(await runtime.status(network)).toMatchObject(done)
  const moved = { ...network, plugins: network.plugins.map(elsewhere) }
  expect(await runtime.check(moved, attachment)).toMatchObject({
    code: 101,
    message: 'plugin "pod-addresses" failed CHECK: my file is gone',
  })
  expect(
    await runtime.add(networkOf('pod-addresses'), { ...attachment, containerId: 'c3' }),
  ).toMatchObject({
    code: 7,
    message: 'plugin "pod-addresses" failed ADD: put me behind another plugin',
  })
})

const elsewhere = (plugin: Network['plugins'][number]) => ({
  ...plugin,
  raw: { ...plugin.raw, directory: join(place.directory, 'elsewhere') },
})

test('status says when it could not write', async () => {
  writeFileSync(directory(), '')
  expect(await runtime.status(networkOf('bridge', 'pod-addresses'))).toMatchObject({ code: 50 })
})

test('it answers VERSION', async () =>
  expect(await runtime.versions(networkOf('pod-addresses'))).toMatchObject({
    value: { agreed: '1.1.0' },
  }))
