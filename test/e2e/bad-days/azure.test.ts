// Bad days on Azure: full subnets and machines, missing rights, wrong secrets, locks, throttling,
// operations that fail, fast devices that vanish, and what somebody else does to NICs. Each case
// has a machine, subnets and an application of its own; at the end nothing is leaked.

import { afterAll, beforeAll, describe, test, type ExpectStatic } from 'vitest'
import { maxPodsOf } from '#cli/max-pods/arithmetic.ts'
import { figuresOf } from '#cli/max-pods/figures.ts'
import type { Fault } from '#emulator/model/faults.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { runShim } from '../../kernel/shim.ts'
import { until } from '../containerd/process.ts'
import { createArmAdmin, type ArmAdmin } from './azure-arm.ts'
import { startTraffic } from './helper.ts'
import { httpOverSocket } from './admin.ts'
import { networkConfig, type CniAnswer, type StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const podNic = { subnet: 0, isForPods: true }
const podNicElsewhere = { subnet: 1, isForPods: true }
const smallAndLarge = (n: number) => [`10.${n}.0.0/28`, `10.${n}.16.0/24`]
const uniform = { name: 'set-u', mode: 'uniform' } as const

const roles = {
  spill: { type: 'Standard_D2s_v5', subnets: smallAndLarge(1), moreNics: [podNicElsewhere] },
  untagged: {
    type: 'Standard_D2s_v5',
    subnets: smallAndLarge(2),
    moreNics: [{ subnet: 1, isForPods: false }],
  },
  packed: { type: 'Standard_F16s_v2', moreNics: [podNic] },
  denied: { type: 'Standard_B2s', deniedActions: ['networkInterfaces/write'] },
  unlinked: { type: 'Standard_B2s', deniedActions: ['subnets/join'] },
  secret: { type: 'Standard_B2s', env: { AZURE_CLIENT_SECRET: 'wrong' } },
  managed: { type: 'Standard_B2s', env: { AZURE_CLIENT_ID: '' } },
  locked: { type: 'Standard_B2s' },
  throttled: { type: 'Standard_B2s' },
  failing: { type: 'Standard_D4s_v5' },
  proxy: { type: 'Standard_D4s_v5' },
  removed: { type: 'Standard_D4s_v5', hasIpv6: true },
  detached: { type: 'Standard_D2s_v5', subnets: smallAndLarge(13), moreNics: [podNicElsewhere] },
  fast: { type: 'Standard_D4s_v5', machine: { accelerated: true, renames: true } },
  shared: { type: 'Standard_D16s_v5' },
  member: {
    type: 'Standard_D4s_v5',
    hasIpv6: true,
    moreNics: [podNic],
    machine: { scaleSet: uniform, tags: { 'eniway.io_pods': 'true' } },
  },
  blocks: {
    type: 'Standard_D4s_v5',
    machine: { scaleSet: { name: 'set-f', mode: 'flexible' } },
  },
} as const

/** A /28 has eleven addresses for others than Azure, of which the machine has one. */
const podsOfSmall = 10

let stage: Stage<keyof typeof roles>
let arm: ArmAdmin

beforeAll(async () => {
  stage = await openStage({ cloud: 'azure', seed: 29, roles })
  arm = createArmAdmin(stage)
  await stage.nodes.shared.start({ pool: { warmTarget: 1 } })
})

afterAll(() => stage?.close())

type Pod = {
  readonly container: string
  readonly netns: string
  /** IPv4 first; none when it was refused. */
  readonly addresses: readonly string[]
  readonly answer: CniAnswer | undefined
}

const add = async (node: StageNode, name: string, timeoutSeconds = 30): Promise<Pod> => {
  const pod = { container: `${node.name}-${name}`, netns: await stage.makeNetns() }
  const { answer } = await node.cni('ADD', { ...pod, timeoutSeconds })
  const addresses = (answer?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '')
  return { ...pod, addresses, answer }
}

const addTogether = (node: StageNode, count: number, name = ''): Promise<readonly Pod[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => add(node, `${name}${i}`)))

/** Every one has an address that no other has; returns the first addresses. */
const distinct = (expect: ExpectStatic, pods: readonly Pod[]): readonly string[] => {
  const firsts = pods.map(({ addresses, answer }) => addresses[0] ?? answer?.msg ?? 'nothing')
  expect(pods.filter(({ addresses }) => addresses.length === 0).map(p => p.answer)).toEqual([])
  expect(new Set(firsts).size).toBe(pods.length)
  return firsts
}

// As the runtime does it, with what ADD answered.
const check = async (node: StageNode, { container, netns, answer }: Pod) => {
  const { exitCode, stdout } = await runShim({
    command: 'CHECK',
    env: { CNI_CONTAINERID: container, CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
    stdin: JSON.stringify({ ...networkConfig(node.socket), prevResult: answer }),
  })
  return exitCode === 0 ? 'whole' : (JSON.parse(stdout) as CniAnswer).msg
}

const statusOf = async (node: StageNode) => (await node.cni('STATUS', { container: 'none' })).answer

const errorsOf = async (node: StageNode): Promise<string> =>
  (await node.view()).errors.map(({ text }) => text).join('\n')

const addFault = (node: StageNode, effect: Fault['effect'], more: Partial<Fault> = {}) =>
  stage.admin.addFault({ accessKey: node.env['AZURE_CLIENT_ID'] ?? '', effect, ...more })

const writes = { action: 'networkInterfaces/write' }

// What Azure has under our names is what the daemon holds.
const untilNothingIsLeaked = (node: StageNode, set?: string) =>
  node.untilView('nothing is leaked', async ({ nics }) => {
    const held = nics.flatMap(({ blocks }) => blocks)
    const lent = (await arm.nicsOf(node, set)).flatMap(({ configs }) => configs).filter(arm.isOurs)
    return held.toSorted().join() === lent.map(arm.blockOf).toSorted().join()
  })

const pattern = (parts: readonly string[]): RegExp =>
  new RegExp(parts.map(part => part.replaceAll(/[.()[\]/]/g, String.raw`\$&`)).join('.*'))

describe.concurrent('a bad day on Azure', () => {
  test('a subnet without room for a burst gives all it has, the other NIC the rest', async ({
    expect,
  }) => {
    const node = stage.nodes.spill
    await node.start({ pool: { warmTarget: 0 } })
    const firsts = distinct(expect, await addTogether(node, podsOfSmall + 4))
    // A pod that comes while the first NIC's call is under way gets its address from the other.
    const inSmall = (addresses: readonly (string | undefined)[]): number =>
      addresses.filter(address => address?.startsWith('10.1.0.')).length
    const further: Pod[] = []
    for (let left = podsOfSmall - inSmall(firsts); left >= 0; left--) {
      further.push(await add(node, `further${left}`))
    }
    const all = [...firsts, ...distinct(expect, further)]
    expect([new Set(all).size, inSmall(all)]).toEqual([all.length, podsOfSmall])
    await untilNothingIsLeaked(node)
  })

  test('a NIC that is not tagged for pods serves none', async ({ expect }) => {
    const node = stage.nodes.untagged
    await node.start({ pool: { warmTarget: 0 } })
    const [first, ...others] = await addTogether(node, podsOfSmall)
    distinct(expect, first === undefined ? [] : [first, ...others])
    const waiting = add(node, 'refused', 5)
    // What nobody needs any more is no error, so it is looked for while the pod waits.
    const sentence = pattern(['subnets/untagged-0', '(SubnetIsFull); widen the subnet'])
    await node.untilView('the full subnet is named', ({ errors }) =>
      errors.some(({ text }) => sentence.test(text)),
    )
    expect((await waiting).answer?.msg).toMatch(
      pattern(['shop/untagged-refused', 'untagged-0', 'is ex']),
    )
    await node.cni('DEL', { container: first?.container ?? '' })
    expect((await add(node, 'next')).addresses).toEqual(first?.addresses)
    await untilNothingIsLeaked(node)
  })

  test('all 256 addresses of a machine: as many pods as max-pods says', async ({ expect }) => {
    const node = stage.nodes.packed
    // Somebody else's take their places too, and make the rest quick to fill.
    const taken = 240
    const [nic] = await arm.nicsOf(node)
    await arm.edit(nic?.path ?? '', body => arm.withTheirs(body, taken))
    const figures = figuresOf('azure', roles.packed.type)
    if (figures === undefined) throw new Error('there are no figures of this size')
    const { maxPods } = maxPodsOf({
      cloud: 'azure',
      figures,
      families: ['ipv4'],
      blockSize: 32,
      reserve: { addresses: 0, because: '' },
      hostNetwork: 0,
      nicsMax: 2,
    })
    await node.start({ pool: { warmTarget: 3 } })
    distinct(expect, await addTogether(node, maxPods - taken))
    const { answer } = await add(node, 'more', 3)
    const sentence = pattern([
      roles.packed.type,
      '14 addresses',
      'lower max-pods or use more nodes',
    ])
    expect(answer?.msg).toMatch(sentence)
    expect((await statusOf(node))?.msg).toMatch(sentence)
    await untilNothingIsLeaked(node)
  })

  const denials = [
    ['denied', 'AuthorizationFailed', 'Microsoft.Network/networkInterfaces/write'],
    ['unlinked', 'LinkedAuthorizationFailed', 'Microsoft.Network/virtualNetworks/subnets/join/act'],
  ] as const
  test.for(denials)('%s: the action and its scope are named', async (row, { expect }) => {
    const [name, code, action] = row
    const node = stage.nodes[name]
    await node.start()
    const scope = name === 'denied' ? 'networkinterfaces/nic-' : 'subnets/unlinked-0'
    const sentence = pattern([
      `(${code}); give the identity of this node a role with ${action}`,
      scope,
    ])
    expect((await add(node, 'refused', 5)).answer?.msg).toMatch(sentence)
    const status = await statusOf(node)
    expect([status?.code, status?.msg]).toEqual([50, expect.stringMatching(sentence)])
    await untilNothingIsLeaked(node)
  })

  test('a wrong secret, and a managed identity without any', async ({ expect }) => {
    await Promise.all([stage.nodes.secret.start(), stage.nodes.managed.start()])
    const refused = await add(stage.nodes.secret, 'refused', 15)
    expect(refused.answer?.msg).toMatch(
      pattern(['AADSTS7000215: Invalid client secret', 'check secret, certificate and clock']),
    )
    distinct(expect, [await add(stage.nodes.managed, 'served')])
  })

  const busy = [
    [
      'locked',
      { kind: 'fail', code: 'RetryableErrorDueToAnotherOperation', status: 429 },
      'another',
    ],
    ['throttled', { kind: 'throttle' }, 'calls are spaced out'],
  ] as const
  test.for(busy)('%s: told apart, and served when it is over', async (row, { expect }) => {
    const [name, effect, sentence] = row
    const node = stage.nodes[name]
    await node.start({ pool: { warmTarget: 0 } })
    await node.untilView('the NIC is ready', ({ nics }) => nics[0]?.phase === 'ready')
    const fault = await addFault(node, effect, writes)
    const patient = addTogether(node, 3, 'patient')
    await node.untilView('it says so', async () => (await errorsOf(node)).includes(sentence))
    await stage.admin.removeFault(fault)
    distinct(expect, await patient)
    await untilNothingIsLeaked(node)
    expect(await errorsOf(node)).toBe('')
  })

  test('operations that fail, replies that are lost: served in the end', async ({ expect }) => {
    const node = stage.nodes.failing
    await node.start({ pool: { warmTarget: 0 } })
    await addFault(
      node,
      { kind: 'operationFail', code: 'InternalServerError' },
      { ...writes, count: 1 },
    )
    await addFault(node, { kind: 'loseReply' }, { ...writes, probability: 0.3, count: 3 })
    distinct(expect, await addTogether(node, 8))
    await untilNothingIsLeaked(node)
  })

  test('pages of a proxy and half-written answers: named, and nothing is leaked', async ({
    expect,
  }) => {
    const node = stage.nodes.proxy
    await node.start({ pool: { warmTarget: 0 } })
    await node.untilView('the NIC is ready', ({ nics }) => nics[0]?.phase === 'ready')
    const page = await addFault(node, { kind: 'html', status: 503 }, writes)
    expect((await add(node, 'refused', 4)).answer?.msg).toMatch(
      pattern(['HTTP 503; look for a proxy on the way that answers instead of Azure']),
    )
    await stage.admin.removeFault(page)
    await addFault(node, { kind: 'malformed' }, { probability: 0.3, count: 6 })
    distinct(expect, await addTogether(node, 6))
    await untilNothingIsLeaked(node)
  })

  test('a configuration removed under a pod: told everywhere, never used again', async ({
    expect,
  }) => {
    const node = stage.nodes.removed
    await node.start({ ipFamilies: ['ipv4', 'ipv6'], pool: { warmTarget: 1 } })
    const [victim, other] = [await add(node, 'victim'), await add(node, 'other')]
    const [nic] = await arm.nicsOf(node)
    const [lost = ''] = victim.addresses
    await arm.edit(nic?.path ?? '', body => arm.without(body, lost))
    const sentence = pattern([lost, 'is no longer on', nic?.name ?? '', 'removed-victim'])
    await node.untilView('it is reported', ({ errors }) =>
      errors.some(({ text }) => sentence.test(text)),
    )
    expect(await check(node, victim)).toMatch(pattern([lost]))
    expect(await check(node, other)).toBe('whole')
    expect(await statusOf(node)).toMatchObject({ code: 51 })
    await node.cni('DEL', { container: victim.container })
    const next = await addTogether(node, 4, 'next')
    expect(distinct(expect, next)).not.toContain(lost)
    expect(next.map(({ addresses }) => addresses.length)).toEqual([2, 2, 2, 2])
    await untilNothingIsLeaked(node)
  })

  test('a NIC taken away while the machine was stopped: its pods are named', async ({ expect }) => {
    const node = stage.nodes.detached
    await node.start({ pool: { warmTarget: 0 } })
    const firsts = distinct(expect, await addTogether(node, podsOfSmall + 2))
    await arm.takeSecondNic(node)
    await node.untilView('it is reported', async () =>
      pattern(['nic-', 'no longer attached', 'delete these pods']).test(await errorsOf(node)),
    )
    expect(await statusOf(node)).toMatchObject({ code: 51 })
    const lost = firsts.filter(address => address.startsWith('10.13.16.'))
    expect(lost.length).toBe(2)
    expect((await add(node, 'next', 3)).addresses.filter(one => lost.includes(one))).toEqual([])
  })

  test('the fast device vanishes and comes back, NICs are renamed: pods talk on', async ({
    expect,
  }) => {
    const node = stage.nodes.fast
    const hasFastDevice = async (): Promise<boolean> => {
      const links = await runCommand({ netns: node.netns, argv: ['ip', '-br', 'link'] })
      return /^enP\S+@/m.test(links)
    }
    await node.start()
    await until('the fast device is there', hasFastDevice)
    const [from, to] = [await add(node, 'from'), await add(stage.nodes.shared, 'to')]
    const [address = ''] = to.addresses
    const stop = await startTraffic(from.netns, { netns: to.netns, address })
    const maintenance = { instance: 'fast', ms: 3000 }
    await httpOverSocket(stage.emulator.admin.socket, 'POST /maintenance', maintenance)
    await until('the fast device is gone', async () => !(await hasFastDevice()))
    distinct(expect, [await add(node, 'meanwhile')])
    await node.untilView('the NIC is ready', async ({ nics }) => {
      const [nic] = nics
      return (await hasFastDevice()) && nic?.phase === 'ready' && nic.device === 'ens5'
    })
    const { sent, answered } = await stop()
    expect(sent).toBeGreaterThan(20)
    // Packets on their way while the path changes are lost, in a cloud too.
    expect(sent - answered).toBeLessThan(0.2 * sent)
    expect(await errorsOf(node)).toBe('')
    await untilNothingIsLeaked(node)
  })

  test('somebody else writes to the NIC all the time: nothing of theirs is lost', async ({
    expect,
  }) => {
    const node = stage.nodes.shared
    const [nic] = await arm.nicsOf(node)
    await arm.edit(nic?.path ?? '', body => arm.withUnknown(body))
    await addFault(node, { kind: 'foreignWrite' }, { ...writes, count: 6 })
    await node.untilView('the NIC is ready', ({ nics }) => nics[0]?.phase === 'ready')
    distinct(expect, await addTogether(node, 20))
    const after = await arm.nicsOf(node)
    const theirs = after[0]?.configs.filter(config => !arm.isOurs(config)).map(({ name }) => name)
    expect(theirs?.filter(name => name.startsWith('foreign-')).length).toBeGreaterThan(0)
    expect(after[0]?.body).toMatchObject({
      tags: { theirs: 'kept', foreign: 'here' },
      properties: { nobodyKnows: { this: 1 } },
    })
    await untilNothingIsLeaked(node)
  })

  test('a member of a uniform scale set: a burst of dual-stack pods is few writes', async ({
    expect,
  }) => {
    const node = stage.nodes.member
    const pool = { warmTarget: 0, blockSize: 'auto' }
    await node.start({ ipFamilies: ['ipv4', 'ipv6'], pool })
    await node.untilView('both NICs are ready', ({ nics }) =>
      nics.every(({ phase }) => phase === 'ready'),
    )
    const pods = await addTogether(node, 12)
    distinct(expect, pods)
    expect(pods.every(({ addresses }) => addresses.length === 2)).toBe(true)
    const lends = (await node.log()).filter(
      ({ call, msg }) => String(msg).startsWith('cloud call') && call === 'lendBlocks',
    )
    expect(lends.length).toBeLessThanOrEqual(10)
    expect((await node.view()).nics.map(({ id }) => id.split('/').at(-1))).toEqual(['nic0', 'nic1'])
    await untilNothingIsLeaked(node, uniform.name)
  })

  test('/28 blocks: fragmentation comes, single addresses serve, and a surplus goes back', async ({
    expect,
  }) => {
    const node = stage.nodes.blocks
    const pool = { warmTarget: 1, blockSize: 'auto', releaseAfterSeconds: 1 }
    await node.start({ pool })
    distinct(expect, [await add(node, 'first')])
    const subnet = (await stage.admin.subnetIds())['blocks-0'] ?? ''
    await stage.admin.addFault({ effect: { kind: 'subnetFragmented' }, subnet })
    const pods = await addTogether(node, 18)
    distinct(expect, pods)
    const blocks = (await node.view()).nics.flatMap(nic => nic.blocks)
    const lengths = new Set(blocks.map(block => block.split('/')[1]))
    expect(lengths).toEqual(new Set(['28', '32']))
    for (const { container } of pods) await node.cni('DEL', { container })
    await node.untilView(
      'single addresses went back',
      ({ nics }) => (nics[0]?.blocks.length ?? 9) < 2,
    )
    await untilNothingIsLeaked(node)
  })
})
