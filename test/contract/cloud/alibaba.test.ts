// The Alibaba provider over the emulator's wire: the official SDK, redirected by its environment.

import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cidr, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import { subnetId, token } from '#core/names.ts'
import type { CloudNic, Outcome } from '#core/ports.ts'
import type { Description } from '#emulator/description.ts'
import { type Emulator, startEmulator } from '#emulator/emulator.ts'
import { systemClock } from '#emulator/model/clock.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { createAlibabaCloud } from '#providers/alibaba/cloud.ts'
import { shaken } from '#tools/shaken.mjs'
import { type Create, cloudOf, cloudOptions, makeAlibaba, smallVpc } from './alibaba.ts'
import { cloudContract } from './contract.ts'
import { addresses, addresses6, never, value } from './steps.ts'

const { none, fast } = latencyProfiles
cloudContract('alibaba', () => makeAlibaba(none))
// New ids are unknown for a while, describes are stale, attaching and detaching take time.
cloudContract('alibaba with its delays', () => makeAlibaba({ ...fast, callMs: none.callMs }))

// Calls that nobody makes are left out of the bundle by name; none of those may be missed.
describe('alibaba from its bundle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eniway-bundle-'))
  const outfile = join(folder, 'provider.cjs')
  const root = join(import.meta.dirname, '..', '..', '..')
  beforeAll(async () => {
    await build({
      entryPoints: [join(root, 'providers', 'alibaba', 'cloud.ts')],
      outfile,
      bundle: true,
      minify: true,
      platform: 'node',
      format: 'cjs',
      mainFields: ['module', 'main'],
      logOverride: { 'empty-import-meta': 'silent' },
      plugins: [shaken(join(root, 'providers', 'alibaba'))],
    })
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  type Bundle = { readonly createAlibabaCloud: Create }
  const create: Create = options =>
    (createRequire(import.meta.url)(outfile) as Bundle).createAlibabaCloud(options)
  cloudContract('alibaba from its bundle', () => makeAlibaba(none, create))
})

describe('alibaba beyond the port', () => {
  const keyless = [
    'ALIBABA_CLOUD_REGION_ID',
    'ALIBABA_CLOUD_ACCESS_KEY_ID',
    'ALIBABA_CLOUD_ACCESS_KEY_SECRET',
  ]
  /** The cloud as instance `one` sees it, without keys and region in the environment. */
  const run = async (
    options: Partial<Parameters<typeof startEmulator>[0]>,
    check: (cloud: ReturnType<Create>, emulator: Emulator) => Promise<void>,
  ): Promise<void> => {
    const given = { platform: 'alibaba', seed: 1, latency: 'none', vpc: smallVpc } as const
    const emulator = await startEmulator({ ...given, ...options })
    const create: Create = cloudOptions => {
      for (const name of keyless) delete process.env[name]
      return createAlibabaCloud(cloudOptions)
    }
    const cloud = await cloudOf(emulator, 'one', create)
    try {
      await check(cloud, emulator)
    } finally {
      cloud.close()
      await emulator.close()
    }
  }
  const sentence = (outcome: Outcome<unknown>): string => {
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind: 'denied', ambiguous: false } })
    return outcome.kind === 'failed' ? outcome.failure.message : ''
  }
  const requestOf = (emulator: Emulator, blocks = [addresses(1)]) => ({
    token: token('t'),
    subnet: subnetId(emulator.ids.subnetIds['a'] ?? ''),
    securityGroups: [],
    blocks,
  })
  const attachedTo = async (
    cloud: ReturnType<Create>,
    request: ReturnType<typeof requestOf>,
  ): Promise<CloudNic> => {
    const { id: nic } = value(await cloud.createNic(request, never))
    return value(await cloud.attachNic({ nic, deviceIndex: 1 }, never))
  }

  test('region and credentials come from metadata when the environment has none', () =>
    run({}, async cloud => {
      const facts = value(await cloud.describeNode(never))
      expect(facts).toMatchObject({ instanceType: 'ecs.g7.large', zone: 'cn-hangzhou-i' })
      // The instance has no IPv6 address yet, so metadata names no such prefix, but vSwitches do.
      expect(facts.vpc).toEqual(['10.0.0.0/16', '2001:db8:0:100::/64'])
      expect(facts.securityGroups).toHaveLength(1)
      expect(facts.limits).toMatchObject({ nicsMax: 3, blocksPerNicMax: { 4: 5, 6: 6 } })
    }))

  test('a right the role lacks is named, with the role', () =>
    run(
      { deniedToRoles: { 'eniway-node': ['CreateNetworkInterface'] } },
      async (cloud, emulator) => {
        const outcome = await cloud.createNic(requestOf(emulator), never)
        expect(sentence(outcome)).toMatch(
          /; allow ecs:CreateNetworkInterface in the RAM policy of RAM role eniway-node$/,
        )
      },
    ))

  test('a right of the other product is named as such', () =>
    run({ deniedToRoles: { 'eniway-node': ['DescribeVSwitches'] } }, async cloud =>
      expect(sentence(await cloud.describeNode(never))).toContain('allow vpc:DescribeVSwitches in'),
    ))

  test('an instance without a role is told to have one', () => {
    const [one, two] = smallVpc.instances ?? []
    const vpc: Description = { ...smallVpc, instances: [{ ...one!, role: '' }, two!] }
    return run({ vpc }, async cloud =>
      expect(sentence(await cloud.observe(never))).toMatch(/no RAM role .*give the instance a RAM/),
    )
  })

  test('keys that are wrong are told apart from a wrong clock', async () => {
    await run({}, async (_, emulator) => {
      const wrong: Create = options => {
        process.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] = 'another'
        return createAlibabaCloud(options)
      }
      const cloud = await cloudOf(emulator, 'one', wrong)
      expect(sentence(await cloud.observe(never))).toContain('SignatureDoesNotMatch')
      process.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] = 'LTAINOBODY'
      const stranger = createAlibabaCloud({ ...cloudOptions, node: 'one' })
      expect(sentence(await stranger.observe(never))).toContain('check the AccessKey pair')
    })
    const clock = { ...systemClock, now: () => systemClock.now() + 20 * 60_000 }
    await run({ clock }, async cloud =>
      expect(sentence(await cloud.observe(never))).toMatch(
        /InvalidTimeStamp.Expired\); check the clock of this machine/,
      ),
    )
  })

  // Metadata trails the boot of an instance; a daemon that starts with it must not give up.
  test('late metadata is waited for', () =>
    run({}, async (cloud, emulator) => {
      emulator.addFault({ effect: { kind: 'metadataFail', status: 503 }, count: 3 })
      value(await cloud.observe(never))
    }))

  test('vSwitches of another zone are refused in one sentence that names the zone', () => {
    const [a] = smallVpc.subnets
    const far = { ...a!, name: 'far', zone: 'cn-hangzhou-k', cidr: cidr('10.0.16.0/20') }
    const vpc = { ...smallVpc, subnets: [a!, { ...far, cidr6: cidr('2001:db8:0:101::/64') }] }
    return run({ vpc }, async (_, emulator) => {
      const id = subnetId(emulator.ids.subnetIds['far'] ?? '')
      const subnets = { kind: 'ids', ids: [id] } as const
      const cloud = await cloudOf(emulator, 'one', options =>
        createAlibabaCloud({ ...options, subnets }),
      )
      expect(sentence(await cloud.describeNode(never))).toContain(`${id} is in zone cn-hangzhou-k`)
    })
  })

  describe('a secondary NIC', () => {
    test('lends its own address and never returns it', () =>
      run({}, async (cloud, emulator) => {
        const nic = await attachedTo(cloud, requestOf(emulator))
        const model = emulator.state().nics.find(({ id }) => id === nic.id)
        const own = hostCidr(model!.primaryAddress)
        expect(nic).toMatchObject({ primaryAddresses: [], fixedBlocks: [own] })
        expect(nic.blocks).toContain(own)
        expect(nic.blocks).toHaveLength(2)
        const returned = value(await cloud.returnBlocks({ nic: nic.id, blocks: nic.blocks }, never))
        expect(returned).toEqual(nic.blocks.filter(block => block !== own))
        expect((await cloud.returnBlocks({ nic: nic.id, blocks: [own] }, never)).kind).toBe(
          'failed',
        )
        const seen = value(await cloud.observe(never)).nics.find(({ id }) => id === nic.id)
        expect(seen?.blocks).toEqual([own])
      }))

    test('has the routers of its vSwitch for both families', () =>
      run({}, async (cloud, emulator) => {
        const nic = await attachedTo(cloud, requestOf(emulator, [addresses(1), addresses6(1)]))
        const gateways = ['10.0.15.253', '2001:db8:0:100:ffff:ffff:ffff:fff7']
        expect(nic.gateways).toEqual(gateways)
        const { nics } = value(await cloud.observe(never))
        for (const seen of nics) expect(seen.gateways).toEqual(gateways)
      }))

    test('keeps nothing when it is made with more than a call grants', () =>
      run({}, async (cloud, emulator) => {
        const request = requestOf(emulator, [addresses6(30)])
        const nic = value(await cloud.createNic(request, never))
        expect(nic.blocks.filter(block => familyOf(block) === 6)).toHaveLength(10)
      }))
  })

  const large: Description = {
    ...smallVpc,
    instances: [{ name: 'one', type: 'ecs.g7.8xlarge', subnet: 'a' }],
  }

  test('more blocks than one call lends are lent and returned by several', () =>
    run({ vpc: large }, async (cloud, emulator) => {
      const { id: nic } = await attachedTo(cloud, requestOf(emulator, []))
      const lent = value(await cloud.lendBlocks({ nic, blocks: addresses(25) }, never))
      expect(new Set(lent).size).toBe(25)
      expect(emulator.calls()['AssignPrivateIpAddresses']).toBe(3)
      const prefixes = { family: 4, length: 28, count: 2 } as const
      const wide = value(await cloud.lendBlocks({ nic, blocks: prefixes }, never))
      const all = [...lent, ...wide]
      const returned = value(await cloud.returnBlocks({ nic, blocks: all }, never))
      expect(new Set(returned)).toEqual(new Set(all))
    }))

  test('what the first calls lent is a result when a later one is refused', () =>
    run({ vpc: large }, async (cloud, emulator) => {
      const { id: nic } = await attachedTo(cloud, requestOf(emulator, []))
      expect(value(await cloud.lendBlocks({ nic, blocks: addresses(35) }, never))).toHaveLength(20)
    }))

  test('what the first calls lent is uncertain when a later one is', () =>
    run({ vpc: large }, async (cloud, emulator) => {
      const { id: nic } = await attachedTo(cloud, requestOf(emulator, []))
      const action = 'AssignPrivateIpAddresses'
      const lending = cloud.lendBlocks({ nic, blocks: addresses(25) }, never)
      while (!(action in emulator.calls())) await systemClock.sleep(1)
      emulator.addFault({ action, effect: { kind: 'loseReply' }, count: 1 })
      expect(await lending).toMatchObject({ failure: { kind: 'transient', ambiguous: true } })
    }))

  test('IPv6 addresses and prefixes are lent to the primary NIC and returned', () =>
    run({}, async cloud => {
      const [primary] = value(await cloud.observe(never)).nics
      const nic = primary!.id
      const lend = async (length: number) =>
        value(await cloud.lendBlocks({ nic, blocks: { family: 6, length, count: 1 } }, never))
      const blocks = (await Promise.all([lend(128), lend(80)])).flat()
      expect(blocks.map(lengthOf).toSorted((a, b) => a - b)).toEqual([80, 128])
      expect(value(await cloud.returnBlocks({ nic, blocks }, never))).toHaveLength(2)
    }))

  test('NICs of other software are left alone', () =>
    run({}, async (cloud, emulator) => {
      const nic = await attachedTo(cloud, requestOf(emulator))
      const tagged = createAlibabaCloud({
        ...cloudOptions,
        node: 'one',
        tags: { creator: 'terway' },
      })
      const other = value(
        await tagged.createNic({ ...requestOf(emulator), token: token('u') }, never),
      )
      const managed = value(await cloud.observe(never)).nics.map(
        ({ id, isManaged }) => [id, isManaged] as const,
      )
      expect(new Map(managed).get(nic.id)).toBe(true)
      expect(new Map(managed).get(other.id)).toBe(false)
    }))
})
