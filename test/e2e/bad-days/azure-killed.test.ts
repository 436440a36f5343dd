// A machine and a member of a uniform scale set whose daemons are killed with SIGKILL while pods
// come and go, answers of writes are lost and somebody else writes to the same NICs. Pods go on
// reaching each other, no address has two holders, nothing is leaked; nor when the ledger is lost.

import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '#runtime/random.ts'
import { createArmAdmin, type ArmAdmin } from './azure-arm.ts'
import { startTraffic } from './helper.ts'
import { podTraces } from './kernel.ts'
import type { StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const set = 'killed'
const roles = {
  machine: { type: 'Standard_D8s_v5', moreNics: [{ subnet: 0, isForPods: true }] },
  member: { type: 'Standard_D2s_v5', machine: { scaleSet: { name: set, mode: 'uniform' } } },
} as const

const kills = 4
const podsMin = 40
const workers = 4

/** Datagrams that may go unanswered, of several hundred: the machine is shared and busy. */
const lostMax = 3

const seed = 8101

let stage: Stage<keyof typeof roles>
let arm: ArmAdmin

beforeAll(async () => {
  stage = await openStage({ cloud: 'azure', seed, roles })
  arm = createArmAdmin(stage)
})

afterAll(() => stage?.close())

type Pod = { readonly container: string; readonly netns: string; readonly address: string }

let serial = 0

// A runtime deletes what it could not add, and tries again under another name.
const addPod = async (node: StageNode): Promise<Pod> => {
  for (;;) {
    const container = `${node.name}-${++serial}`
    const netns = await stage.makeNetns()
    const { answer } = await node.cni('ADD', { container, netns })
    const [address] = answer?.ips?.map(ip => ip.address.split('/')[0] ?? '') ?? []
    if (address !== undefined) return { container, netns, address }
    expect(answer?.msg).toMatch(/^eniway daemon is not answering/)
    await deletePod(node, { container, netns })
    await sleep(50)
  }
}

const deletePod = async (node: StageNode, pod: Omit<Pod, 'address'>): Promise<void> => {
  const { exitCode, answer } = await node.cni('DEL', pod)
  expect(exitCode, answer?.msg).toBe(0)
  await stage.removeNetns(pod.netns)
}

const untilNothingIsLeaked = (node: StageNode) =>
  node.untilView('nothing is leaked', async ({ nics, pools }) => {
    const nicsOfCloud = await arm.nicsOf(node, node.name === 'member' ? set : undefined)
    const lent = nicsOfCloud.flatMap(({ configs }) => configs).filter(arm.isOurs)
    const held = nics.flatMap(({ blocks }) => blocks).toSorted()
    const isQuiet = pools.every(({ cooling, waiting }) => cooling + waiting === 0)
    return isQuiet && held.join() === lent.map(arm.blockOf).toSorted().join()
  })

test('daemons killed under churn and lost answers leak nothing and disturb no pod', async () => {
  const random = createRandom(String(seed))
  const { machine, member } = stage.nodes
  const nodes = [machine, member]
  await Promise.all(
    nodes.map(node => node.start({ pool: { warmTarget: 1, releaseAfterSeconds: 1 } })),
  )
  const [first, second] = [await addPod(machine), await addPod(member)]
  const end = await startTraffic(first.netns, second)
  await stage.admin.addFault({ effect: { kind: 'loseReply' }, probability: 0.1, count: 8 })
  await stage.admin.addFault({ effect: { kind: 'foreignWrite' }, instance: 'machine', count: 4 })

  const living = new Map([first, second].map(({ address, container }) => [address, container]))
  let left = podsMin
  const killing = { isOver: false }
  const churn = async (node: StageNode): Promise<void> => {
    while (left-- > 0 || !killing.isOver) {
      const pod = await addPod(node)
      const { address, container } = pod
      expect(living.get(address), `holder of ${address} beside ${container}`).toBeUndefined()
      living.set(address, container)
      await sleep(random.fraction() * 500)
      living.delete(address)
      await deletePod(node, pod)
    }
  }
  const kill = async (): Promise<void> => {
    for (let i = 0; i < kills; i++) {
      await sleep(random.fraction() * 1000)
      await nodes[i % 2]?.restart('SIGKILL')
    }
    killing.isOver = true
  }
  const churning = Array.from({ length: workers }, (_, i) => churn(nodes[i % 2] ?? machine))
  await Promise.all([kill(), ...churning])

  for (const node of nodes) await untilNothingIsLeaked(node)
  expect((await podTraces(machine.netns)).routes.map(route => route.split(' ')[0])).toEqual([
    first.address,
  ])

  // The ledger is lost: what a pod still uses is given to nobody.
  await machine.stop('SIGKILL')
  await rm(machine.ledger)
  await machine.start({ pool: { warmTarget: 1 } })
  const next = [await addPod(machine), await addPod(machine)]
  expect(next.map(({ address }) => address)).not.toContain(first.address)
  const { sent, answered } = await end()
  expect(sent).toBeGreaterThan(100)
  expect(sent - answered).toBeLessThanOrEqual(lostMax)
})
