// Two nodes on Alibaba Cloud whose pods have addresses of both families: daemons are killed with
// SIGKILL while pods come and go. Pods go on reaching each other across nodes, no address has two
// holders, and kernel, daemon and ECS agree at the end.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '#runtime/random.ts'
import { leakOf } from './estate.ts'
import { startTraffic } from './helper.ts'
import { addressesIn, podTraces } from './kernel.ts'
import type { StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const roles = {
  a: { type: 'ecs.g7.large', hasIpv6: true },
  b: { type: 'ecs.c7.xlarge', hasIpv6: true },
} as const

const kills = 6
const podsMin = 60
const workers = 4

/** Datagrams that may go unanswered, of several thousand: the machine is shared and busy. */
const lostMax = 3

const seed = 4111

let stage: Stage<keyof typeof roles>

beforeAll(async () => {
  stage = await openStage({ cloud: 'alibaba', seed, roles })
})

afterAll(() => stage?.close())

type Pod = {
  readonly node: StageNode
  readonly container: string
  readonly netns: string
  /** IPv4 first. */
  readonly addresses: readonly string[]
}

let serial = 0
let refusals = 0

const addPod = async (node: StageNode): Promise<Pod> => {
  for (;;) {
    const container = `${node.name}-${++serial}`
    const netns = await stage.makeNetns()
    const { answer } = await node.cni('ADD', { container, netns })
    const addresses = answer?.ips?.map(({ address }) => address.split('/')[0] ?? '')
    if (addresses !== undefined) return { node, container, netns, addresses }
    // There are more addresses than workers, so only a daemon that is dead may refuse.
    expect(answer?.msg).toMatch(/^eniway daemon is not answering/)
    expect(await node.death()).toBeUndefined()
    refusals++
    await deletePod({ node, container, netns })
    await sleep(50)
  }
}

const deletePod = async ({ node, container, netns }: Omit<Pod, 'addresses'>): Promise<void> => {
  const { exitCode, answer } = await node.cni('DEL', { container, netns })
  expect(exitCode, answer?.msg).toBe(0)
  await stage.removeNetns(netns)
}

const isOnPrimary = async ({ node, addresses }: Pod): Promise<boolean> =>
  (await node.view()).nics.some(
    nic => nic.primary && addresses.some(address => nic.addresses.includes(address)),
  )

/** A pod on a secondary NIC; those that fill the primary one are deleted again. */
const addPodOnSecondary = async (node: StageNode): Promise<Pod> => {
  const fillers: Pod[] = []
  let pod = await addPod(node)
  while (await isOnPrimary(pod)) {
    fillers.push(pod)
    pod = await addPod(node)
  }
  for (const filler of fillers) await deletePod(filler)
  return pod
}

// Both ways and in both families: each sees requests and answers of the other.
const startAllTraffic = (first: Pod, second: Pod) =>
  Promise.all(
    [first, second].flatMap((from, index) => {
      const to = index === 0 ? second : first
      return to.addresses.map((address, family) =>
        startTraffic(from.netns, { netns: to.netns, address }, 7007 + family),
      )
    }),
  )

test('daemons killed under churn of dual-stack pods leak nothing and disturb no pod', async () => {
  const random = createRandom(String(seed))
  const { a, b } = stage.nodes
  const config = { ipFamilies: ['ipv4', 'ipv6'], pool: { warmTarget: 3 } }
  await Promise.all([a, b].map(node => node.start(config)))
  const first = await addPod(b)
  const second = await addPodOnSecondary(a)
  const endTraffic = await startAllTraffic(first, second)

  const living = new Map(
    [first, second].flatMap(pod => pod.addresses.map(ip => [ip, pod.container])),
  )
  let left = podsMin
  const killing = { isOver: false }
  const churn = async (node: StageNode): Promise<void> => {
    while (left-- > 0 || !killing.isOver) {
      const pod = await addPod(node)
      for (const address of pod.addresses) {
        expect(living.get(address), `holder of ${address} beside ${pod.container}`).toBeUndefined()
        living.set(address, pod.container)
      }
      expect(await addressesIn(nameOf(pod.netns))).toEqual(pod.addresses)
      await sleep(random.fraction() * 200)
      for (const address of pod.addresses) living.delete(address)
      await deletePod(pod)
    }
  }
  const kill = async (): Promise<void> => {
    for (let i = 0; i < kills; i++) {
      await sleep(random.fraction() * 700)
      await (i % 2 === 0 ? a : b).restart('SIGKILL')
    }
    killing.isOver = true
  }
  const churning = Array.from({ length: workers }, (_, i) => churn(i % 2 === 0 ? a : b))
  await Promise.all([kill(), ...churning])

  expect(refusals).toBeGreaterThan(0)
  for (const { sent, answered } of await Promise.all(endTraffic.map(end => end()))) {
    expect(sent).toBeGreaterThan(100)
    expect(sent - answered).toBeLessThanOrEqual(lostMax)
  }
  for (const pod of [first, second]) await expectOnly(pod)
})

const nameOf = (path: string): string => path.split('/').at(-1) ?? ''

// Kernel, daemon and cloud agree that the node has this one pod.
const expectOnly = async ({ node, container, netns, addresses }: Pod): Promise<void> => {
  const view = await node.untilView(
    'one pod is left and nothing rests',
    async ({ pods, pools }) => {
      const isQuiet = pools.every(({ cooling, waiting }) => cooling + waiting === 0)
      const { links } = await podTraces(node.netns)
      return pods.length === 1 && isQuiet && links.length === 1
    },
  )
  expect(view.pods.map(({ sandbox, addresses: held }) => [sandbox, held])).toEqual([
    [`${container}/eth0`, addresses],
  ])
  const { links, routes, elements } = await podTraces(node.netns)
  expect(routes).toEqual(addresses.map(address => `${address} ${links[0]}`).sort())
  expect(elements).toEqual(addresses.toSorted())
  expect(await addressesIn(nameOf(netns))).toEqual(addresses)
  await node.untilView('nothing is leaked', async () => (await leakOf(stage, node)) === '')
}
