// Ours behind another plugin: what that one said is passed on in its place and in every version,
// ours comes after it, and its CHECK and DEL are not disturbed.

import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { versions } from '#cni/spec/versions.ts'
import type { JsonObject } from '#cni/spec/json.ts'
import { ask, openStage, twice, type Stage } from './stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(async () => {
  expect(await stage?.close()).toEqual([])
})

const isOld = (version: string): boolean => version < '0.3.0'
const hasFamilies = (version: string): boolean => version >= '0.3.0' && version < '1.0.0'

/** What the plugin before ours says, in the shape of that version. */
const earlierResult = (cniVersion: string, sandbox: string): JsonObject => {
  const dns = { nameservers: ['192.0.2.53'], search: ['example'] }
  const route = { dst: '198.51.100.0/24', gw: '192.0.2.1' }
  if (isOld(cniVersion)) {
    return { cniVersion, ip4: { ip: '192.0.2.77/24', gateway: '192.0.2.1', routes: [route] }, dns }
  }
  return {
    cniVersion,
    interfaces: [
      { name: 'earlier0', mac: '02:00:00:00:00:07' },
      { name: 'net7', mac: '02:00:00:00:00:08', sandbox },
    ],
    ips: [
      {
        ...(hasFamilies(cniVersion) ? { version: '4' } : {}),
        interface: 1,
        address: '192.0.2.77/24',
        gateway: '192.0.2.1',
      },
    ],
    routes: [route],
    dns,
  }
}

const listOf = (result: JsonObject, key: string): readonly JsonObject[] =>
  (result[key] ?? []) as readonly JsonObject[]

test.each(versions)('a result of %s is passed on, and ours added to it', async version => {
  const pod = await stage.makePod()
  const earlier = earlierResult(version, `/run/netns/${pod.netns}`)
  await stage.addPlugin(
    'earlier',
    `[ "$CNI_COMMAND" = ADD ] && echo '${JSON.stringify(earlier)}'; :`,
  )
  const plugins = [{ type: 'earlier' }, { type: 'eniway', ...stage.ours }]
  const network = stage.network('behind', plugins, version)
  const result = await stage.add(network, pod)
  expect(result['cniVersion']).toBe(version)
  expect(result['dns']).toEqual(earlier['dns'])
  if (isOld(version)) {
    // There is room for one address of a family, and the first one stays.
    expect(result['ip4']).toMatchObject({ ip: '192.0.2.77/24', gateway: '192.0.2.1' })
  } else {
    for (const key of ['interfaces', 'ips', 'routes'] as const) {
      const before = listOf(earlier, key)
      expect(listOf(result, key).slice(0, before.length)).toEqual(before)
    }
    const [, , host, end] = listOf(result, 'interfaces')
    expect([host?.['name'], end?.['name']]).toEqual([expect.stringMatching(/^ewy/), 'eth0'])
    const own = listOf(result, 'ips')[1]
    expect(own).toMatchObject({ interface: 3, gateway: '169.254.1.1' })
    const address = String(own?.['address']).replace('/32', '')
    await stage.listen({ netns: pod.netns, ips: [address] }, 80)
    const { primaryAddress, netns } = stage.far
    expect(await ask(netns, address, 80)).toEqual(twice(primaryAddress))
  }
  if (version >= '0.4.0') expect(await stage.check(network, pod)).toBe('ok')
  expect(await stage.del(network, pod)).toBe('ok')
  expect((await stage.near.view()).pods).toEqual([])
  await stage.removeNamespace(pod)
})

test('behind loopback and before tuning', async () => {
  const pod = await stage.makePod()
  const tuning = { type: 'tuning', mtu: 1400, dataDir: join(stage.directory, 'tuning') }
  const plugins = [{ type: 'loopback' }, { type: 'eniway', ...stage.ours }, tuning]
  const network = stage.network('between', plugins)
  const result = await stage.add(network, pod)
  expect(listOf(result, 'interfaces').map(({ name }) => name)).toEqual([
    'lo',
    expect.stringMatching(/^ewy/),
    'eth0',
  ])
  expect(listOf(result, 'ips').map(entry => entry['interface'])).toEqual([0, 0, 2])
  expect(await stage.check(network, pod)).toBe('ok')
  expect(await stage.del(network, pod)).toBe('ok')
})
