// Every cloud as its nodes meet it: router, MTU, reserved addresses, metadata and API at their real
// places, both families to the internet, NICs that arrive bare; and Azure's devices as a whole.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cidr, contains, familyOf } from '#core/ip.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { probe } from '#emulator/fabric/node.ts'
import type { Description } from '#emulator/description.ts'
import { type LaunchedEmulator, launchEmulator } from '#emulator/launch.ts'
import { defaultLayout, instanceTypes } from '#emulator/launch-layout.ts'
import type { Platform } from '#emulator/platform.ts'
import { loadPlatform, platformNames } from '#emulator/platforms.ts'
import { httpOverSocket } from '#test/e2e/bad-days/admin.ts'
import { newRun } from '#test/kernel/support/fabric.ts'
import { evaluate } from '#test/kernel/support/guest.ts'

interface Shown {
  readonly ifname: string
  readonly ifindex: number
  readonly address: string
  readonly master?: string
  readonly mtu: number
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly scope: string }[]
}

const devices = async (netns: string): Promise<readonly Shown[]> => {
  const argv = ['ip', '-j', 'address', 'show']
  const shown = JSON.parse(await runCommand({ netns, argv })) as readonly Shown[]
  return shown.filter(({ ifname }) => ifname !== 'lo')
}

describe.each(platformNames)('a node of %s', cloud => {
  let platform: Platform
  let emulator: LaunchedEmulator

  beforeAll(async () => {
    platform = await loadPlatform(cloud)
    emulator = await launchEmulator({ cloud, run: newRun(), nodes: 2, nics: 2, latency: 'none' })
  })

  afterAll(async () => {
    expect(await emulator?.close()).toEqual([])
  })

  const node = () => {
    const [found] = emulator.nodes
    if (found === undefined) throw new Error('no node')
    return found
  }

  const subnetOf = (family: 4 | 6): Cidr => {
    const { subnets } = defaultLayout({ cloud, nodes: 2, instanceType: instanceTypes[cloud] })
    const [subnet] = subnets.flatMap(({ cidr, cidr6 }) => (family === 4 ? cidr : (cidr6 ?? [])))
    if (subnet === undefined) throw new Error(`no subnet of family ${family}`)
    return subnet
  }

  test('has its cloud’s MTU on every device, and nothing on the second one', async () => {
    const [first, second, ...more] = await devices(node().netns)
    expect([first?.mtu, second?.mtu, more]).toEqual([platform.traits.mtu, platform.traits.mtu, []])
    expect(second).toMatchObject({ ifname: 'eth1', addr_info: [] })
    expect(second?.flags).not.toContain('UP')
    const own = first?.addr_info.filter(({ scope }) => scope === 'global') ?? []
    const families = own.map(({ local }) => (local.includes(':') ? 'IPv6' : 'IPv4'))
    expect(families.toSorted()).toEqual(['IPv4', 'IPv6'])
  })

  test.each([4, 6] as const)('leaves by its cloud’s router, IPv%s', async family => {
    const { netns } = node()
    const gateway = platform.traits.gateway(subnetOf(family))
    const argv = ['ip', `-${family}`, 'route', 'show', 'default']
    expect(await runCommand({ netns, argv })).toContain(`default via ${gateway} dev eth0`)
    const isLocal = gateway.startsWith('fe80')
    expect(isLocal || contains(subnetOf(family), gateway)).toBe(true)
    const to = isLocal ? `${gateway}%eth0` : gateway
    // A refused connection is an answer of the router.
    const result = await probe({ netns, protocol: 'tcp', to, port: 9, ms: 3000 })
    expect(result).toEqual({ ok: false, error: 'ECONNREFUSED' })
    expect(familyOf(gateway)).toBe(family)
  })

  test('reaches the internet with its own address of either family', async () => {
    const { netns } = node()
    const { address, address6, tcpPort: port } = emulator.internet ?? expect.fail('no internet')
    for (const to of [address, address6]) {
      const result = await probe({ netns, protocol: 'tcp', to, port, ms: 3000 })
      const from = result.ok ? result.reply.from : result.error
      const [first] = await devices(netns)
      expect(first?.addr_info.map(({ local }) => local)).toContain(from)
    }
  })

  test('finds metadata and API where its environment and its cloud say', async () => {
    const { netns, env, metadataEndpoint } = node()
    expect(metadataEndpoint).toBe(`http://${platform.traits.metadataHost}`)
    const script = (url: string) => `
      const { status } = await fetch('${url}').catch(error => ({ status: String(error.cause) }))
      console.log(JSON.stringify(status))`
    for (const url of [metadataEndpoint, emulator.endpoint]) {
      expect(await evaluate(netns, env, script(url))).toEqual(expect.any(Number))
    }
  })
})

describe('devices that change', () => {
  let emulator: LaunchedEmulator
  const [first] = defaultLayout({ nodes: 1, instanceType: instanceTypes.aws }).instances
  const layout: Description = {
    ...defaultLayout({ nodes: 0, instanceType: instanceTypes.aws }),
    instances: first === undefined ? [] : [{ ...first, accelerated: true, renames: true }],
  }

  beforeAll(async () => {
    emulator = await launchEmulator({ run: newRun(), layout, latency: 'fast' })
  })

  afterAll(async () => {
    expect(await emulator?.close()).toEqual([])
  })

  const names = async () =>
    (await devices(emulator.nodes[0]?.netns ?? ''))
      .map(({ ifname, master = '-' }) => `${ifname} ${master}`)
      .sort()

  test('are renamed, and lose the fast one while the host is maintained', async () => {
    const wanted = ['enP1s1 ens5', 'ens5 -']
    await expect.poll(names, { timeout: 5000 }).toEqual(wanted)
    const before = await devices(emulator.nodes[0]?.netns ?? '')
    const asked = { instance: 'node-a', ms: 2000 }
    const { status } = await httpOverSocket(emulator.admin.socket, 'POST /maintenance', asked)
    expect(status).toBe(200)
    await expect.poll(names, { timeout: 5000 }).toEqual(['ens5 -', 'slow0 ens5'])
    await expect.poll(names, { timeout: 5000 }).toEqual(wanted)
    const after = await devices(emulator.nodes[0]?.netns ?? '')
    const indexOf = (shown: readonly Shown[], name: string) =>
      shown.find(({ ifname }) => ifname === name)?.ifindex
    expect(indexOf(after, 'ens5')).toBe(indexOf(before, 'ens5'))
    expect(indexOf(after, 'enP1s1')).not.toBe(indexOf(before, 'enP1s1'))
  })
})
