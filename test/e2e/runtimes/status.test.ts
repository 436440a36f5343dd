// STATUS as containerd 2 uses it: the node's network is not ready while no address can be had, or
// while pods have lost theirs, and ready again afterwards.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { containerd2 } from '#tools/newer.mjs'
import { runShim } from '../../kernel/shim.ts'
import { networkConfig, type StageNode } from '../bad-days/node.ts'
import { openStage, type Stage } from '../bad-days/stage.ts'
import type { NetworkCondition } from '../containerd/cri.ts'
import { until } from '../containerd/process.ts'
import { leftOf, startMachine, tell, tellVersions, type Machine } from '../machine.ts'
import { deletePod, runPod, startNode, type Running } from './place.ts'

const newer = containerd2()
const roles = { dry: { type: 'm5.large' }, detached: { type: 't3.small' } } as const

/** t3.small: four addresses on a NIC, of which pods get three. */
const podsOfPrimary = 3

/** The specification gives no number; a runtime asks every few seconds, and waits. */
const statusMsMax = 50

let stage: Stage<keyof typeof roles> | undefined
let base: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ew-status-'))
  if (newer.kind === 'found') stage = await openStage({ seed: 9, roles })
})

afterAll(async () => {
  await stage?.close()
  await rm(base, { recursive: true, force: true })
})

type Scene = {
  readonly stage: Stage<keyof typeof roles>
  readonly node: StageNode
  readonly machine: Machine
}

const play = (
  what: string,
  { role, config }: { readonly role: keyof typeof roles; readonly config: object },
  work: (scene: Scene) => Promise<void>,
) =>
  test.concurrent(what, async context => {
    if (newer.kind === 'missing' || stage === undefined) {
      const reason = newer.kind === 'missing' ? newer.reason : 'there is no stage'
      tell(`"${what}" cannot run with containerd 2, which this machine lacks: ${reason}`)
      return context.skip(reason)
    }
    const node = stage.nodes[role]
    const { directory: programs } = newer
    const machine = await startMachine(await startNode(node, config), { base, programs })
    try {
      await work({ stage, node, machine })
    } finally {
      await machine.containerd.stop()
    }
  })

const untilNetwork = (
  { containerd }: Machine,
  what: string,
  isSo: (condition: NetworkCondition) => boolean,
): Promise<NetworkCondition> =>
  until(what, async () => {
    const condition = await containerd.cri.networkReady()
    return isSo(condition) ? condition : undefined
  })

const isReady = ({ status }: NetworkCondition): boolean => status

/** The codes that STATUS was answered with, one of each, in order; 0 is success. */
const statusCodes = async ({ recorder }: Machine): Promise<readonly number[]> => {
  const answers = (await recorder.calls()).filter(({ command }) => command === 'STATUS')
  const codes = answers.map(({ exitCode, answer }) =>
    exitCode === 0 ? 0 : (JSON.parse(answer) as { code: number }).code,
  )
  return codes.filter((code, i) => code !== codes[i - 1])
}

const timesOfStatus = async (node: StageNode): Promise<readonly number[]> => {
  const stdin = JSON.stringify(networkConfig(node.socket))
  const times: number[] = []
  for (let i = 0; i < 21; i++) {
    const startedMs = performance.now()
    await runShim({ command: 'STATUS', stdin })
    times.push(performance.now() - startedMs)
  }
  return times.toSorted((a, b) => a - b)
}

const dry = { pool: { warmTarget: 1, maximum: 2 }, cni: { timeoutSeconds: 2 } }

play('pool dry: 50, and ready again', { role: 'dry', config: dry }, async scene => {
  const { node, machine } = scene
  const { cri, cgroupParent } = machine.containerd
  await untilNetwork(machine, 'ready at first', isReady)
  const pods = [
    await runPod(machine, { name: 'first' }),
    await runPod(machine, { name: 'second' }),
  ] as const
  await tellVersions(machine)
  const why = 'pool default holds its maximum of 2 addresses; raise pool.maximum or lower max-pods'
  const unready = await untilNetwork(machine, 'not ready', condition => !isReady(condition))
  expect(unready).toEqual({
    status: false,
    reason: 'NetworkPluginNotReady',
    message:
      'Network plugin returns error: ' +
      `this node has no address for a new pod: ${why}; PoolMaximum`,
  })

  // Whoever asks for a pod all the same waits, and STATUS does not wait with it.
  const third = cri.runSandbox({ name: 'third', uid: 'uid-third', cgroupParent })
  const refused = expect(third).rejects.toThrow(
    `cannot assign an address to pod default/third: ${why}`,
  )
  await node.untilView('the third waits', ({ waiting }) => waiting.length === 1)
  const times = await timesOfStatus(node)
  const medianMs = times[Math.floor(times.length / 2)] ?? Infinity
  tell(`STATUS of a dry pool: median ${medianMs.toFixed(1)} ms, max ${times.at(-1)?.toFixed(1)} ms`)
  expect(medianMs).toBeLessThan(statusMsMax)
  await refused
  for (const id of await cri.listSandboxes()) {
    if (!pods.some(({ sandbox }) => sandbox === id)) await deletePod(machine, id)
  }

  await deletePod(machine, pods[0].sandbox)
  await untilNetwork(machine, 'ready again', isReady)
  const next = await runPod(machine, { name: 'next' })
  await untilNetwork(machine, 'dry again', condition => !isReady(condition))
  for (const { sandbox } of [pods[1], next]) await deletePod(machine, sandbox)
  await untilNetwork(machine, 'ready at last', isReady)
  expect(await leftOf(machine, [...pods, next].map(ipOf))).toEqual([])
  expect(await statusCodes(machine)).toEqual([0, 50, 0, 50, 0])
})

const ipOf = ({ ip }: Running): string => ip

const sparse = { pool: { warmTarget: 1 } }

play(
  'NIC detached by hand: 51, and ready again',
  { role: 'detached', config: sparse },
  async on => {
    const { stage, node, machine } = on
    const pods: Running[] = []
    for (let i = 0; i < podsOfPrimary; i++) {
      pods.push(await runPod(machine, { name: `primary-${i}` }))
    }
    const victim = await runPod(machine, { name: 'victim' })
    await tellVersions(machine)
    await untilNetwork(machine, 'ready at first', isReady)
    const { nic } = (await node.view()).pods.find(({ pod }) => pod === 'default/victim') ?? {}
    expect((await node.view()).nics.find(({ id }) => id === nic)).toMatchObject({ primary: false })
    const attachment = (await stage.admin.nics()).find(({ id }) => id === nic)?.attachment
    await stage.administer('DetachNetworkInterface', { AttachmentId: attachment?.id, Force: true })

    const { message } = await untilNetwork(machine, 'not ready', condition => !isReady(condition))
    expect(message).toBe(
      `Network plugin returns error: ${nic} is no longer attached to this instance although pods ` +
        `use it; somebody detached it, delete these pods: ${victim.sandbox}/eth0; Lost`,
    )
    // It keeps serving all the same.
    const next = await runPod(machine, { name: 'next' })
    expect(next.ip).not.toBe(victim.ip)
    await deletePod(machine, victim.sandbox)
    await untilNetwork(machine, 'ready again', isReady)
    expect(await statusCodes(machine)).toEqual([0, 51, 0])
    for (const { sandbox } of [...pods, next]) await deletePod(machine, sandbox)
    expect(await leftOf(machine, [...pods, victim, next].map(ipOf))).toEqual([])
  },
)
