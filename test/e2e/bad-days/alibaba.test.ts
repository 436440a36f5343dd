// Bad days on Alibaba Cloud: full vSwitches, wrong keys and rights, pages of a proxy, lost and
// half-written answers, and what somebody else does to NICs by hand. Each case has a node, a zone
// and an access key of its own; at the end nothing is leaked.

import { afterAll, beforeAll, describe, test, type ExpectStatic } from 'vitest'
import { maxPodsOf } from '#cli/max-pods/arithmetic.ts'
import { figuresOf } from '#cli/max-pods/figures.ts'
import type { Fault } from '#emulator/model/faults.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { runShim } from '../../kernel/shim.ts'
import { leakOf, nicsOf } from './estate.ts'
import { networkConfig, type CniAnswer, type StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const roles = {
  spill: { type: 'ecs.g7.large', subnets: ['10.1.0.0/28', '10.1.16.0/24'] },
  full: { type: 'ecs.g6.large', hasIpv6: true },
  denied: { type: 'ecs.g6.large', deniedActions: ['CreateNetworkInterface'] },
  nobody: { type: 'ecs.g6.large' },
  elsewhere: { type: 'ecs.g6.large' },
  proxy: { type: 'ecs.c7.xlarge' },
  lost: { type: 'ecs.g7.large' },
  fragmented: { type: 'ecs.g7.large', subnets: ['10.8.0.0/24', '10.8.16.0/24'] },
  detached: { type: 'ecs.g6.large' },
  unassigned: { type: 'ecs.g7.large', hasIpv6: true },
  foreign: { type: 'ecs.g7.large' },
} as const

/** Both types: six addresses on a NIC, of which the primary one keeps its own. */
const podsOfPrimary = 5

let stage: Stage<keyof typeof roles>

beforeAll(async () => {
  stage = await openStage({ cloud: 'alibaba', seed: 23, roles })
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

const addMany = async (node: StageNode, names: readonly number[]): Promise<readonly Pod[]> => {
  const pods = []
  for (const name of names) pods.push(await add(node, String(name)))
  return pods
}

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

/** Every one has an address that no other has; returns the first addresses. */
const distinct = (expect: ExpectStatic, pods: readonly Pod[]): readonly string[] => {
  const firsts = pods.map(({ addresses, answer }) => addresses[0] ?? answer?.msg ?? 'nothing')
  expect(pods.filter(({ addresses }) => addresses.length === 0).map(p => p.answer)).toEqual([])
  expect(new Set(firsts).size).toBe(pods.length)
  return firsts
}

const deleteAll = async (node: StageNode, pods: readonly Pod[]): Promise<void> => {
  for (const { container, netns } of pods) {
    await node.cni('DEL', { container, netns })
    await stage.removeNetns(netns)
  }
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

const errorsOf = async (node: StageNode): Promise<string> =>
  (await node.view()).errors.map(({ text }) => text).join('\n')

const addFault = (node: StageNode, fault: Fault) =>
  stage.admin.addFault({ accessKey: node.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '', ...fault })

const vSwitchOf = async (node: StageNode, number = 0): Promise<string> =>
  (await stage.admin.subnetIds())[`${node.name}-${number}`] ?? ''

const untilNothingIsLeaked = (node: StageNode) =>
  node.untilView('nothing is leaked', async () => (await leakOf(stage, node)) === '')

const pattern = (parts: readonly string[]): RegExp =>
  new RegExp(parts.map(part => part.replaceAll(/[.()[\]/]/g, String.raw`\$&`)).join('.*'))

describe.concurrent('a bad day on Alibaba Cloud', () => {
  test('vSwitch full, and another one in the zone: pods get addresses there', async ({
    expect,
  }) => {
    const node = stage.nodes.spill
    await node.start({ pool: { warmTarget: 1 } })
    const firsts = distinct(expect, await addMany(node, upTo(17)))
    // Twelve usable addresses, of which the node has one; its NIC carries five more.
    expect(firsts.filter(address => address.startsWith('10.1.0.')).length).toBe(podsOfPrimary)
    expect((await add(node, 'more', 3)).answer?.msg).toMatch(
      pattern(['pod shop/spill-more', 'ecs.g7.large has all its NICs', 'larger type']),
    )
    await untilNothingIsLeaked(node)
  })

  test('as many pods fit as max-pods says, in each family', async ({ expect }) => {
    const node = stage.nodes.full
    const cases = [
      [['ipv4'], 11],
      [['ipv4', 'ipv6'], 1],
      [['ipv6'], 1],
    ] as const
    for (const [families, want] of cases) {
      const figures = figuresOf('alibaba', roles.full.type)
      if (figures === undefined) throw new Error('there are no figures of this type')
      const question = { cloud: 'alibaba', figures, families, blockSize: 32 } as const
      const spare = { reserve: { addresses: 0, because: '' }, hostNetwork: 0, nicsMax: undefined }
      expect(maxPodsOf({ ...question, ...spare }).maxPods).toBe(want)
      await node.start({ ipFamilies: families, pool: { warmTarget: 1 } })
      const pods = await addMany(node, upTo(want))
      distinct(expect, pods)
      expect(pods.map(({ addresses }) => addresses.length)).toEqual(pods.map(() => families.length))
      const { answer } = await add(node, 'more', 3)
      expect(answer?.msg).toMatch(pattern(['ecs.g6.large has all its NICs', 'larger type']))
      expect(await errorsOf(node)).toBe('')
      await untilNothingIsLeaked(node)
      await deleteAll(node, pods)
      await node.stop('SIGKILL')
    }
  })

  test('a right is missing: the sentence names action and key', async ({ expect }) => {
    const node = stage.nodes.denied
    await node.start({ pool: { warmTarget: 1 } })
    distinct(expect, await addMany(node, upTo(podsOfPrimary)))
    const sentence = pattern([
      'CreateNetworkInterface on vSwitch vsw-',
      'Forbidden.RAM',
      'allow ecs:CreateNetworkInterface in the RAM policy of the owner of AccessKey LTAIDENIED',
    ])
    expect((await add(node, 'refused', 3)).answer?.msg).toMatch(sentence)
    expect(await errorsOf(node)).toMatch(sentence)
    const status = await node.cni('STATUS', { container: 'none' })
    expect([status.answer?.code, status.answer?.msg]).toEqual([50, expect.stringMatching(sentence)])
  })

  const unusable = [
    [
      'nobody',
      'AccessKey unknown',
      async () => ({}),
      ['InvalidAccessKeyId.NotFound', 'check the AccessKey pair', 'AccessKey LTAISTRANGER'],
    ],
    [
      'elsewhere',
      'vSwitch of another zone',
      async () => ({ alibaba: { subnets: [await vSwitchOf(stage.nodes.nobody)] } }),
      ['none of the 1 vSwitches in zone cn-hangzhou-', 'is in zone cn-hangzhou-', 'configuration'],
    ],
  ] as const
  test.for(unusable)('%s: %s: said in one sentence', async ([name, , more, parts], { expect }) => {
    const node = stage.nodes[name]
    const env = name === 'nobody' ? { ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAISTRANGER' } : {}
    await node.start(await more(), env)
    await node.untilView('it says why', ({ errors }) => errors.length > 0)
    expect(await errorsOf(node)).toMatch(pattern(['cannot describe this instance', ...parts]))
    expect((await add(node, 'refused', 2)).answer?.msg).toMatch(pattern(parts))
  })

  test('a proxy answers for a while: said, and served when it is gone', async ({ expect }) => {
    const node = stage.nodes.proxy
    await node.start({ pool: { warmTarget: 0 } })
    await node.untilView('the primary NIC is ready', ({ nics }) => nics[0]?.phase === 'ready')
    const effect = { kind: 'html', status: 502 } as const
    const fault = await addFault(node, { effect, action: 'AssignPrivateIpAddresses' })
    const patient = add(node, 'patient', 60)
    const sentence = pattern(['AssignPrivateIpAddresses', 'no JSON', 'look for a proxy'])
    expect((await add(node, 'hasty', 3)).answer?.msg).toMatch(sentence)
    await stage.admin.removeFault(fault)
    distinct(expect, [await patient, ...(await addMany(node, upTo(20)))])
    await untilNothingIsLeaked(node)
    expect(await errorsOf(node)).toBe('')
  })

  test('answers lost, or cut in the middle: nothing is made twice or leaked', async ({
    expect,
  }) => {
    const node = stage.nodes.lost
    const verbs = ['Create', 'Attach', 'Detach', 'Delete']
    const actions = verbs.map(verb => `${verb}NetworkInterface`)
    for (const action of [...actions, 'AssignPrivateIpAddresses', 'UnassignPrivateIpAddresses']) {
      await addFault(node, { effect: { kind: 'loseReply' }, action, count: 1 })
      await addFault(node, { effect: { kind: 'malformed' }, action, count: 1 })
    }
    await node.start({ pool: { warmTarget: 1, releaseAfterSeconds: 2 } })
    const pods = await addMany(node, upTo(17))
    distinct(expect, pods)
    await untilNothingIsLeaked(node)
    await deleteAll(node, pods)
    await node.untilView('the surplus is returned', ({ nics, pools }) => {
      const held = nics.flatMap(({ blocks }) => blocks).length
      return nics.length === 1 && held === 1 && pools[0]?.warm === 1
    })
    await untilNothingIsLeaked(node)
  })

  test('fragmented vSwitch: single addresses there, blocks in the next one', async ({ expect }) => {
    const node = stage.nodes.fragmented
    const effect = { kind: 'subnetFragmented' } as const
    const fault = await stage.admin.addFault({ effect, subnet: await vSwitchOf(node) })
    await node.start({ pool: { blockSize: 'auto', warmTarget: 1 } })
    distinct(expect, await addMany(node, upTo(podsOfPrimary + 3)))
    const blocks = async (subnet: string) =>
      (await node.view()).nics.filter(nic => nic.subnet === subnet).flatMap(nic => nic.blocks)
    const [first, second] = [await vSwitchOf(node), await vSwitchOf(node, 1)]
    expect((await blocks(first)).filter(block => !block.endsWith('/32'))).toEqual([])
    expect((await blocks(second)).filter(block => block.endsWith('/28')).length).toBe(1)
    await stage.admin.removeFault(fault)
    await untilNothingIsLeaked(node)
  })

  test('NIC detached by hand: reported, its pods told, nothing of it given again', async ({
    expect,
  }) => {
    const node = stage.nodes.detached
    await node.start({ pool: { warmTarget: 1 } })
    const pods = await addMany(node, upTo(podsOfPrimary + 3))
    const nic = (await node.view()).nics.find(({ primary }) => !primary)
    const hit = pods.filter(({ addresses }) => nic?.addresses.includes(addresses[0] ?? ''))
    expect(hit.length).toBe(3)
    const { instanceId } = node
    await stage.administer('DetachNetworkInterface', { networkInterfaceId: nic?.id, instanceId })
    const sentence = pattern([
      `${nic?.id} is no longer attached to this instance`,
      hit.map(({ container }) => `${container}/eth0`).join(', '),
    ])
    await node.untilView('it is reported', ({ errors }) =>
      errors.some(({ text }) => sentence.test(text)),
    )
    for (const pod of pods) {
      const want = hit.includes(pod) ? expect.stringMatching(sentence) : 'whole'
      expect(await check(node, pod)).toEqual(want)
    }
    const status = await node.cni('STATUS', { container: 'none' })
    expect([status.answer?.code, status.answer?.msg]).toEqual([51, expect.stringMatching(sentence)])
    const firsts = distinct(expect, await addMany(node, [100, 101, 102]))
    const hitAddresses = hit.flatMap(({ addresses }) => addresses)
    expect(firsts.filter(address => hitAddresses.includes(address))).toEqual([])
    await deleteAll(node, hit)
    await node.untilView('all is well again', async ({ errors }) => errors.length === 0)
    await untilNothingIsLeaked(node)
    expect((await node.cni('STATUS', { container: 'none' })).exitCode).toBe(0)
  })

  test('address unassigned by hand: the pod that has it is named, no other is', async ({
    expect,
  }) => {
    const node = stage.nodes.unassigned
    await node.start({ ipFamilies: ['ipv4', 'ipv6'], pool: { warmTarget: 1 } })
    const [first, hit, last] = await addMany(node, upTo(3))
    if (first === undefined || hit === undefined || last === undefined) throw new Error('no pods')
    const networkInterfaceId = (await node.view()).nics[0]?.id
    const ipv6Address = [hit.addresses[1]]
    await stage.administer('UnassignIpv6Addresses', { networkInterfaceId, ipv6Address })
    const sentence = pattern([`${hit.addresses[1]}/128 is no longer on`, hit.container])
    await node.untilView('it is reported', ({ errors }) =>
      errors.some(({ text }) => sentence.test(text)),
    )
    expect([await check(node, first), await check(node, last)]).toEqual(['whole', 'whole'])
    expect(await check(node, hit)).toMatch(sentence)
    await deleteAll(node, [hit])
    await node.untilView('all is well again', ({ errors }) => errors.length === 0)
    await untilNothingIsLeaked(node)
  })

  test('NIC of other software: it counts as a place, and stays as it is', async ({ expect }) => {
    const node = stage.nodes.foreign
    const { instanceId } = node
    const [own] = await nicsOf(stage, node)
    const made = await stage.administer('CreateNetworkInterface', {
      vSwitchId: await vSwitchOf(node),
      securityGroupId: own?.groupIds[0],
      tag: [{ key: 'creator', value: 'terway' }],
      secondaryPrivateIpAddressCount: 2,
    })
    const id = String(made['networkInterfaceId'])
    await stage.administer('AttachNetworkInterface', { networkInterfaceId: id, instanceId })
    await node.start({ pool: { warmTarget: 1, releaseAfterSeconds: 1 } })
    await node.untilView('it is seen', ({ nics }) => nics.some(nic => nic.id === id))
    const theirs = async () => ({
      nic: (await nicsOf(stage, node)).find(nic => nic.id === id),
      device: await runCommand({ netns: node.netns, argv: ['ip', 'address', 'show', 'eth1'] }),
    })
    const before = await theirs()
    const pods = await addMany(node, upTo(11))
    distinct(expect, pods)
    expect((await add(node, 'more', 3)).answer?.msg).toMatch(/ecs\.g7\.large has all its NICs/)
    await deleteAll(node, pods)
    await node.untilView('ours are returned', ({ nics }) => nics.length === 2)
    expect(await theirs()).toEqual(before)
  })
})
