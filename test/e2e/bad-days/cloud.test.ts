// Bad days of the cloud: full subnets, limits, throttling, missing permissions, late metadata and
// NICs that come late or never. Each case has a node, a zone and an access key of its own; each
// shows the one sentence its user gets, and that nothing is leaked or lost.

import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Fault } from '#emulator/model/faults.ts'
import { openStage, type Stage } from './stage.ts'
import type { StageNode } from './node.ts'

const roles = {
  full: { type: 'm5.large', subnets: ['10.1.0.0/28'] },
  spill: { type: 'm5.large', subnets: ['10.2.0.0/28', '10.2.16.0/24'] },
  limit: { type: 't3.nano' },
  throttled: { type: 'm5.large' },
  denied: { type: 'm5.large', deniedActions: ['AssignPrivateIpAddresses'] },
  deaf: { type: 'm5.large' },
  late: { type: 't3.small' },
  never: { type: 't3.small' },
  stuck: { type: 't3.small' },
  fragmented: { type: 'm5.large' },
} as const

/** t3.small: four addresses on a NIC, of which pods get three. */
const podsOfPrimary = 3

let stage: Stage<keyof typeof roles>

beforeAll(async () => {
  stage = await openStage({ seed: 7, roles })
})

afterAll(() => stage?.close())

const add = async (node: StageNode, name: string, timeoutSeconds = 30): Promise<string> => {
  const netns = await stage.makeNetns()
  const container = `${node.name}-${name}`
  const { answer } = await node.cni('ADD', { container, netns, timeoutSeconds })
  if (answer?.ips === undefined) return `${answer?.code}: ${answer?.msg}`
  return answer.ips.map(({ address }) => address).join(' ')
}

const addMany = async (node: StageNode, count: number): Promise<readonly string[]> => {
  const added = []
  for (let i = 0; i < count; i++) added.push(await add(node, String(i)))
  return added
}

const errorsOf = async (node: StageNode): Promise<string> =>
  (await node.view()).errors.map(({ text }) => text).join('\n')

const addFault = (node: StageNode, fault: Fault) =>
  stage.admin.addFault({ accessKey: node.env['AWS_ACCESS_KEY_ID'] ?? '', ...fault })

const subnetOf = async (node: StageNode, number: number): Promise<string> =>
  (await stage.admin.subnetIds())[`${node.name}-${number}`] ?? ''

// The NICs the cloud has for this node, attached or not, are exactly those the daemon knows; and
// what the cloud lends to them is what the daemon holds.
const untilNothingIsLeaked = (node: StageNode) =>
  node.untilView('the cloud has what the daemon knows', async view => {
    const nics = (await stage.admin.nics()).filter(
      ({ tags, attachment }) =>
        tags['eniway.io/node-instance'] === node.instanceId ||
        attachment?.instanceId === node.instanceId,
    )
    const lent = nics.map(nic => [nic.id, ...nic.addresses.map(ip => `${ip}/32`), ...nic.prefixes])
    const held = view.nics.map(nic => [nic.id, ...nic.blocks])
    const text = (lists: readonly (readonly string[])[]) =>
      lists
        .map(list => list.toSorted().join(' '))
        .toSorted()
        .join('\n')
    return text(lent) === text(held) && nics.every(nic => nic.attachment?.state === 'attached')
  })

const pattern = (parts: readonly string[]): RegExp =>
  new RegExp(parts.map(part => part.replaceAll(/[.()[\]/]/g, String.raw`\$&`)).join('.*'))

describe.concurrent('a bad day of the cloud', () => {
  test('subnet full, and no other: the pod is refused with the subnet’s name', async ({
    expect,
  }) => {
    const node = stage.nodes.full
    await node.start({ pool: { warmTarget: 1 } })
    // Eleven usable addresses: the NIC's own and nine of its ten slots, then no NIC fits any more.
    const added = await addMany(node, 9)
    expect(new Set(added).size).toBe(9)
    expect(added.every(answer => answer.startsWith('10.1.0.'))).toBe(true)
    const subnet = await subnetOf(node, 0)
    expect(await add(node, 'refused', 3)).toMatch(
      pattern([
        '11: ',
        'pod shop/full-refused',
        `subnet ${subnet} (zone us-east-1a) is exhausted`,
        'add a subnet',
      ]),
    )
    expect(await errorsOf(node)).toMatch(
      pattern([subnet, 'InsufficientFreeAddressesInSubnet', 'add a subnet']),
    )
    // What one pod gives back, the next one gets, although the subnet still is full.
    await node.cni('DEL', { container: 'full-0' })
    expect(await add(node, 'next')).toBe(added[0])
    await untilNothingIsLeaked(node)
  })

  test('subnet full, and another one in the zone: pods get addresses there', async ({ expect }) => {
    const node = stage.nodes.spill
    await node.start({ pool: { warmTarget: 1 } })
    const added = await addMany(node, 14)
    const inSubnet = (prefix: string) => added.filter(answer => answer.startsWith(prefix)).length
    expect([new Set(added).size, inSubnet('10.2.0.'), inSubnet('10.2.16.')]).toEqual([14, 9, 5])
    await untilNothingIsLeaked(node)
  })

  test('NIC limit of the type reached: the sentence names the type', async ({ expect }) => {
    const node = stage.nodes.limit
    await node.start()
    // Two NICs with two addresses each, of which one is the NIC's own.
    expect(new Set(await addMany(node, 2)).size).toBe(2)
    expect(await add(node, 'refused', 3)).toMatch(
      pattern([
        '11: ',
        'pod shop/limit-refused',
        'instance type t3.nano has all its NICs',
        'larger type',
      ]),
    )
    await untilNothingIsLeaked(node)
  })

  test('throttled for a while: who can wait is served, who cannot is told', async ({ expect }) => {
    const node = stage.nodes.throttled
    await node.start({ pool: { warmTarget: 0 } })
    await node.untilView('the primary NIC is ready', ({ nics }) => nics[0]?.phase === 'ready')
    const actions = ['AssignPrivateIpAddresses', 'CreateNetworkInterface']
    const faults = await Promise.all(
      actions.map(action => addFault(node, { effect: { kind: 'throttle' }, action })),
    )
    const patient = add(node, 'patient', 120)
    const sentence = pattern(['lend', 'eni-', 'RequestLimitExceeded', 'raise the API limit'])
    expect(await add(node, 'hasty', 3)).toMatch(
      new RegExp(`^11: .*pod shop/throttled-hasty.*${sentence.source}`),
    )
    expect(await errorsOf(node)).toMatch(sentence)
    for (const fault of faults) await stage.admin.removeFault(fault)
    expect(await patient).toMatch(/^10\.4\./)
    await untilNothingIsLeaked(node)
    expect(await errorsOf(node)).toBe('')
  })

  test('denied: the sentence names the action to allow', async ({ expect }) => {
    const node = stage.nodes.denied
    await node.start()
    const sentence = pattern([
      'AssignPrivateIpAddresses',
      'UnauthorizedOperation',
      'allow ec2:AssignPrivateIpAddresses in',
    ])
    expect(await add(node, 'refused', 3)).toMatch(
      new RegExp(`^11: .*pod shop/denied-refused.*${sentence.source}`),
    )
    expect(await errorsOf(node)).toMatch(sentence)
    const status = await node.cni('STATUS', { container: 'none' })
    expect([status.answer?.code, status.answer?.msg]).toEqual([50, expect.stringMatching(sentence)])
    await untilNothingIsLeaked(node)
  })

  test('instance metadata late at start: pods wait, and are served when it is there', async ({
    expect,
  }) => {
    const node = stage.nodes.deaf
    const effect = { kind: 'metadataFail', status: 503 } as const
    const fault = await stage.admin.addFault({ effect, instance: node.name })
    await node.start()
    expect(await add(node, 'early', 2)).toMatch(
      /^11: .*pod shop\/deaf-early: the cloud has not answered yet/,
    )
    const patient = add(node, 'patient', 120)
    await node.untilView('it gives the reason', ({ errors }) => errors.length > 0, 60_000)
    const sentence = pattern(['describe this instance', 'metadata', '503'])
    expect(await errorsOf(node)).toMatch(sentence)
    expect(await add(node, 'late', 2)).toMatch(
      new RegExp(`^11: .*shop/deaf-late.*${sentence.source}`),
    )
    await stage.admin.removeFault(fault)
    expect(await patient).toMatch(/^10\.6\./)
    expect(await errorsOf(node)).toBe('')
  })

  test('NIC appears late: pods that can wait are served by it', async ({ expect }) => {
    const node = stage.nodes.late
    await addFault(node, { effect: { kind: 'delay', ms: 6000 }, action: 'AttachNetworkInterface' })
    await node.start({ pool: { warmTarget: 0 } })
    await addMany(node, podsOfPrimary)
    const [hasty, patient] = await Promise.all([add(node, 'hasty', 3), add(node, 'patient')])
    // Which of the two it is depends on how fast the machine creates the NIC.
    expect(hasty).toMatch(
      /^11: .*late-hasty: (eni-\w+ is being attached|a new NIC is being created); the pod is tried/,
    )
    expect(patient).toMatch(/^10\.7\./)
    await untilNothingIsLeaked(node)
  })

  const givenUp = [
    ['never', 'NIC attached, device never appears', { kind: 'deviceMissing' }],
    ['stuck', 'NIC never attached', { kind: 'attachStuck' }],
  ] as const
  test.for(givenUp)(
    '%s: %s: given up by name, deleted, replaced',
    async ([name, , effect], { expect }) => {
      const node = stage.nodes[name]
      await stage.admin.addFault({ effect, instance: name, count: 1 })
      await node.start({ pool: { warmTarget: 0 }, intervals: { appearWithinSeconds: 5 } })
      await addMany(node, podsOfPrimary)
      const hasty = await add(node, 'hasty', 3)
      const patient = add(node, 'patient', 60)
      expect(hasty).toMatch(/: eni-\w+ is being attached; the pod is tried again/)
      const nic = /eni-\w+/.exec(hasty)?.[0] ?? ''
      expect(await patient).toMatch(/^10\./)
      const sentence = pattern([nic, 'did not appear within 5 s'])
      await node.untilView('it is given up by name', ({ errors }) =>
        errors.some(({ text }) => sentence.test(text)),
      )
      await untilNothingIsLeaked(node)
      expect((await node.view()).nics.map(({ id }) => id)).not.toContain(nic)
    },
  )

  test('subnet fragmented, blockSize auto: single addresses are taken', async ({ expect }) => {
    const node = stage.nodes.fragmented
    const effect = { kind: 'subnetFragmented' } as const
    await stage.admin.addFault({ effect, subnet: await subnetOf(node, 0) })
    await node.start({ pool: { blockSize: 'auto' } })
    expect(await add(node, 'a')).toMatch(/^10\.10\./)
    const [nic] = (await node.view()).nics
    expect(nic?.blocks.every(block => block.endsWith('/32'))).toBe(true)
    const refused = (await node.log()).find(({ msg }) => msg === 'cloud call failed')
    expect(JSON.stringify(refused)).toMatch(
      pattern(['fragmented', nic?.id ?? '', 'free .*/28|prefix']),
    )
    await untilNothingIsLeaked(node)
  })
})
