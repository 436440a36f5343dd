// The Azure provider over the emulator's wire, and what only Azure does: roles, tokens, writers
// beside us, scale sets.

import { describe, expect, test } from 'vitest'
import { familyOf, lengthOf } from '#core/ip.ts'
import type { NicId } from '#core/names.ts'
import type { CloudNic, Outcome } from '#core/ports.ts'
import { defaultAccount } from '#emulator/azure/account.ts'
import { foreignName } from '#emulator/azure/foreign.ts'
import type { Emulator, EmulatorOptions } from '#emulator/emulator.ts'
import { systemClock } from '#emulator/model/clock.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { type Arm, createArm } from '#providers/azure/client.ts'
import { createAzureCloud } from '#providers/azure/cloud.ts'
import { azureEnvironment } from '#providers/azure/config.ts'
import { createCredential } from '#providers/azure/credential.ts'
import { networkPath } from '#providers/azure/documents.ts'
import type { RawNic } from '#providers/azure/shapes.ts'
import type { ProviderCloud } from '#providers/common/options.ts'
import { cloudOf, machine, makeAzure, nicBehind, smallNetwork, startAzure } from './azure.ts'
import { cloudContract } from './contract.ts'
import { addresses, addresses6, expectFailure, never, value } from './steps.ts'

const { none, fast } = latencyProfiles
cloudContract('azure', () => makeAzure(none), { hotPlug: false })
// Writes are operations that take their time.
cloudContract('azure with its delays', () => makeAzure({ ...fast, callMs: none.callMs }), {
  hotPlug: false,
})

type Setting = { readonly cloud: ProviderCloud; readonly emulator: Emulator }

const run = async (
  options: Partial<EmulatorOptions>,
  check: (setting: Setting) => Promise<void>,
): Promise<void> => {
  const emulator = await startAzure({ vpc: smallNetwork([machine('one')]), ...options })
  const cloud = await cloudOf(emulator, 'one')
  try {
    await check({ cloud, emulator })
  } finally {
    cloud.close()
    await emulator.close()
  }
}

const secondOf = async (cloud: ProviderCloud): Promise<CloudNic> => {
  const { nics } = value(await cloud.observe(never))
  return nics.find(({ isPrimary }) => !isPrimary)!
}
const lendTo = (cloud: ProviderCloud, nic: NicId, count = 1) =>
  cloud.lendBlocks({ nic, blocks: addresses(count) }, never)
const sentence = (outcome: Outcome<unknown>): string =>
  outcome.kind === 'failed' ? outcome.failure.message : ''

/** Resource Manager as somebody else's program uses it. */
const armOf = ({ endpoint }: Emulator): Arm =>
  createArm({
    endpoint,
    audience: 'https://management.azure.com',
    subscription: defaultAccount.id,
    createCredential: () => createCredential(azureEnvironment()),
  })
const get = (arm: Arm, nic: NicId) =>
  arm.send({ service: 'network', call: 'Get', method: 'GET', path: networkPath(nic) }, never)

describe('azure: rights and tokens', () => {
  const [application] = defaultAccount.keys
  const accountsWithout = (...deniedActions: readonly string[]) => [
    { ...defaultAccount, keys: [{ ...application, deniedActions }] },
  ]

  test.each([
    ['networkInterfaces/write', 'Microsoft.Network/networkInterfaces/write on /subscriptions/'],
    ['subnets/join', 'Microsoft.Network/virtualNetworks/subnets/join/action on /subscriptions/'],
  ])('a role that lacks %s is told so', (action, want) =>
    run({ accounts: accountsWithout(action) }, async ({ cloud }) => {
      const outcome = await lendTo(cloud, (await secondOf(cloud)).id)
      expectFailure(outcome, 'denied', false)
      expect(sentence(outcome)).toContain(`give the identity of this node a role with ${want}`)
    }),
  )

  test.each([
    ['virtualMachines/read', 'Microsoft.Compute/virtualMachines/read'],
    ['networkInterfaces/read', 'Microsoft.Network/networkInterfaces/read'],
    ['subnets/read', 'Microsoft.Network/virtualNetworks/subnets/read'],
    ['virtualNetworks/read', 'Microsoft.Network/virtualNetworks/read'],
    ['skus/read', 'Microsoft.Compute/skus/read'],
  ])('to describe the node without %s fails with its name', (action, want) =>
    run({ accounts: accountsWithout(action) }, async ({ cloud }) => {
      const outcome = await cloud.describeNode(never)
      expectFailure(outcome, 'denied', false)
      expect(sentence(outcome)).toContain(want)
    }),
  )

  // The one test in this process with it: the identity library remembers the service it found.
  test('a machine’s own identity is enough', () =>
    run({ deniedToRoles: { 'eniway-node': ['networkInterfaces/write'] } }, async ({ emulator }) => {
      for (const name of ['AZURE_CLIENT_ID', 'AZURE_CLIENT_SECRET']) delete process.env[name]
      const cloud = createAzureCloud({
        node: 'one',
        cluster: undefined,
        tags: {},
        subnets: { kind: 'default' },
        securityGroups: [],
      })
      const nic = await secondOf(cloud)
      expect(sentence(await lendTo(cloud, nic.id))).toContain('networkInterfaces/write')
      expect(nicBehind(emulator, nic.id)?.addresses).toEqual([])
      cloud.close()
    }))

  test('a secret that is wrong is said to be, and not repeated in the log', () =>
    run({}, async ({ emulator }) => {
      process.env['AZURE_CLIENT_SECRET'] = 'a-wrong-secret'
      const cloud = createAzureCloud({
        node: 'one',
        cluster: undefined,
        tags: {},
        subnets: { kind: 'default' },
        securityGroups: [],
      })
      const outcome = await cloud.observe(never)
      expectFailure(outcome, 'denied', false)
      expect(sentence(outcome)).toContain('check secret, certificate and clock')
      expect(sentence(outcome)).not.toContain('a-wrong-secret')
      expect(emulator.calls()['virtualMachines/read'] ?? 0).toBe(0)
      cloud.close()
    }))

  test('a token that Azure’s clock finds too old is blamed on the clock, and replaced', () => {
    let ahead = 0
    const clock = { ...systemClock, now: () => systemClock.now() + ahead }
    return run({ clock }, async ({ cloud }) => {
      value(await cloud.observe(never))
      ahead = 2 * 3600_000
      const outcome = await cloud.observe(never)
      expectFailure(outcome, 'denied', false)
      expect(sentence(outcome)).toContain('check the clock of this machine')
      value(await cloud.observe(never))
    })
  })
})

describe('azure: other writers', () => {
  test('what somebody adds between our read and our write stays', () =>
    run({}, async ({ cloud, emulator }) => {
      const { id } = await secondOf(cloud)
      const action = 'networkInterfaces/write'
      emulator.addFault({ action, effect: { kind: 'foreignWrite' }, count: 2 })
      expect(value(await lendTo(cloud, id, 2))).toHaveLength(2)
      const arm = armOf(emulator)
      const nic = (await get(arm, id)).body as RawNic
      const names = nic.properties?.ipConfigurations?.map(({ name }) => name ?? '') ?? []
      expect(names.filter(name => name.startsWith(foreignName))).toHaveLength(2)
      expect(names.filter(name => name.startsWith('eniway-'))).toHaveLength(2)
      expect(nic.tags).toMatchObject({ [foreignName]: 'here', 'eniway.io_pods': 'true' })
      // Theirs are not ours to lend, nor to return.
      const seen = await secondOf(cloud)
      expect(seen.blocks).toHaveLength(2)
      value(await cloud.returnBlocks({ nic: id, blocks: seen.blocks }, never))
      expect(nicBehind(emulator, id)?.addresses).toHaveLength(2)
      arm.close()
    }))

  // As after a restart, while the process before still ends.
  test('two of us on one NIC take nothing from each other', () =>
    run({ latency: 'fast' }, async ({ cloud, emulator }) => {
      const other = await cloudOf(emulator, 'one')
      const { id } = await secondOf(cloud)
      const lendUntil = async (mine: ProviderCloud, blocks: string[]): Promise<void> => {
        for (let tries = 0; blocks.length < 6 && tries < 200; tries++) {
          const outcome = await lendTo(mine, id, 2)
          if (outcome.kind === 'ok') blocks.push(...outcome.value)
          else expect(outcome.failure).toMatchObject({ kind: 'conflict', ambiguous: false })
        }
      }
      const lent: string[][] = [[], []]
      await Promise.all([lendUntil(cloud, lent[0]!), lendUntil(other, lent[1]!)])
      const all = lent.flat()
      expect(new Set(all).size).toBe(12)
      expect(new Set((await secondOf(cloud)).blocks)).toEqual(new Set(all))
      other.close()
    }))

  test('a storm of them ends, certain that nothing was changed', () =>
    run({}, async ({ cloud, emulator }) => {
      const { id } = await secondOf(cloud)
      emulator.addFault({ effect: { kind: 'foreignWrite' } })
      expectFailure(await lendTo(cloud, id), 'conflict', false)
      emulator.faults.clear()
      expect((await secondOf(cloud)).blocks).toEqual([])
    }))

  test('properties nobody here has heard of survive', () =>
    run({}, async ({ cloud, emulator }) => {
      const { id } = await secondOf(cloud)
      const arm = armOf(emulator)
      const before = (await get(arm, id)).body as RawNic
      const future = { mode: 'quantum', levels: [1, 2, null] }
      const path = networkPath(id)
      const body = { ...before, properties: { ...before.properties, futureSettings: future } }
      await arm.send({ service: 'network', call: 'Put', method: 'PUT', path, body }, never)
      const [block] = value(await lendTo(cloud, id))
      value(await cloud.returnBlocks({ nic: id, blocks: [block!] }, never))
      const after = (await get(arm, id)).body
      expect(after).toMatchObject({ properties: { futureSettings: future } })
      arm.close()
    }))
})

describe('azure: operations', () => {
  test('a lock is not throttling, at once or later', () =>
    run({}, async ({ cloud, emulator }) => {
      const { id } = await secondOf(cloud)
      const action = 'networkInterfaces/write'
      const locks = [
        { kind: 'fail', code: 'RetryableErrorDueToAnotherOperation', status: 429 },
        { kind: 'fail', code: 'ReferencedResourceNotProvisioned', status: 429 },
        { kind: 'fail', code: 'AnotherOperationInProgress', status: 409 },
        { kind: 'fail', code: 'OperationNotAllowed', status: 409 },
        { kind: 'operationFail', code: 'AnotherOperationInProgress' },
      ] as const
      for (const effect of locks) {
        emulator.addFault({ action, effect, count: 1 })
        expectFailure(await lendTo(cloud, id), 'conflict', false)
      }
      emulator.addFault({ action, effect: { kind: 'throttle' }, count: 1 })
      const throttled = expectFailure(await lendTo(cloud, id), 'throttled', false)
      expect(throttled.retryAfterMs).toBeGreaterThan(0)
    }))

  test('an operation that fails keeps its code', () =>
    run({}, async ({ cloud, emulator }) => {
      const { id } = await secondOf(cloud)
      const effect = { kind: 'operationFail', code: 'SubnetIsFull' } as const
      emulator.addFault({ action: 'networkInterfaces/write', effect, count: 1 })
      const failure = expectFailure(await lendTo(cloud, id), 'exhausted', false)
      expect(failure.code).toBe('SubnetIsFull')
      expect(value(await lendTo(cloud, id))).toHaveLength(1)
    }))

  test('a VM size that the region does not list is named', () =>
    run({}, async ({ cloud, emulator }) => {
      const one = emulator.world.instances.get(emulator.ids.instanceIds['one'] ?? '')!
      emulator.world.instances.set(one.id, { ...one, type: 'Standard_D4s_v99' })
      const outcome = await cloud.describeNode(never)
      expect(expectFailure(outcome, 'denied', false).code).toBe('UnknownVmSize')
      expect(sentence(outcome)).toContain('eastus lists no VM size Standard_D4s_v99')
    }))
})

describe('azure: scale sets', () => {
  const member = (mode: 'flexible' | 'uniform', tags: Readonly<Record<string, string>> = {}) =>
    smallNetwork([machine('one', { scaleSet: { name: 'set', mode }, tags })])

  test('an instance in flexible mode is a machine like any other', () =>
    run({ vpc: member('flexible') }, async ({ cloud }) => {
      const facts = value(await cloud.describeNode(never))
      expect(facts.instanceId).toMatch(/\/virtualmachines\/one$/)
      expect(facts.limits.prefixes).toBe(true)
      const { id } = await secondOf(cloud)
      expect(value(await lendTo(cloud, id, 2))).toHaveLength(2)
    }))

  // NICs of a uniform scale set have no tags, so those of the instance count.
  test('the second NIC of a tagged instance in uniform mode is for pods', () =>
    run({ vpc: member('uniform', { 'eniway.io_pods': 'true' }) }, async ({ cloud }) => {
      const nic = await secondOf(cloud)
      expect(nic.isManaged).toBe(true)
      const [block] = value(await lendTo(cloud, nic.id))
      expect((await secondOf(cloud)).blocks).toEqual([block])
    }))

  test('an instance in uniform mode lends single addresses through the set', () =>
    run({ vpc: member('uniform') }, async ({ cloud, emulator }) => {
      const facts = value(await cloud.describeNode(never))
      expect(facts.instanceId).toMatch(/\/virtualmachinescalesets\/set\/virtualmachines\/0$/)
      expect(facts.limits).toMatchObject({ prefixes: false, hotPlug: false })
      const primary = value(await cloud.observe(never)).nics.find(({ isPrimary }) => isPrimary)!
      const four = value(await lendTo(cloud, primary.id, 3))
      const six = value(await cloud.lendBlocks({ nic: primary.id, blocks: addresses6(1) }, never))
      expect([...four, ...six].map(familyOf)).toEqual([4, 4, 4, 6])
      expect(four.map(lengthOf)).toEqual([32, 32, 32])
      const seen = async () =>
        value(await cloud.observe(never)).nics.find(({ isPrimary }) => isPrimary)!
      expect(new Set((await seen()).blocks)).toEqual(new Set([...four, ...six]))
      expect(emulator.calls()['networkInterfaces/write'] ?? 0).toBe(0)
      const back = [four[1]!, six[0]!]
      expect(value(await cloud.returnBlocks({ nic: primary.id, blocks: back }, never))).toEqual(
        back,
      )
      expect(new Set((await seen()).blocks)).toEqual(new Set([four[0], four[2]]))
      const prefix = { family: 4, length: 28, count: 1 } as const
      const refused = await cloud.lendBlocks({ nic: primary.id, blocks: prefix }, never)
      expectFailure(refused, 'fragmented', false)
    }))
})
