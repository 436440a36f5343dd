// Pods as Kubernetes makes them: containerd in each emulated node's namespace, our conflist and
// executable, 15 sandboxes per node. The runtime deletes each attachment twice; nothing may stay.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Pod } from './containerd/cri.ts'
import { shellImage } from './containerd/image.ts'
import { leftOf, startMachine, tellVersions, type Machine } from './machine.ts'
import { startNodes, type Nodes } from './nodes.ts'
import { callsOf } from './recorder.ts'

const podsPerNode = 15
const serverPort = '7777'

type Sandbox = { readonly id: string; readonly pod: Pod; readonly ip: string }
type Shell = { readonly machine: Machine; readonly containerId: string }

let base: string
let nodes: Nodes | undefined
let machines: Machine[] = []

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ew-e2e-'))
  nodes = await startNodes({ seed: 1, count: 2 })
  for (const node of nodes.nodes) machines.push(await startMachine(node, { base }))
})

afterAll(async () => {
  for (const { containerd } of machines) await containerd.stop()
  const left = await nodes?.stop()
  await rm(base, { recursive: true, force: true })
  expect(left ?? []).toEqual([])
})

const runPods = async ({ node, containerd }: Machine): Promise<readonly Sandbox[]> => {
  const sandboxes: Sandbox[] = []
  for (let i = 0; i < podsPerNode; i++) {
    const name = `${node.name}-pod-${i}`
    const pod: Pod = { name, uid: `uid-${name}`, cgroupParent: containerd.cgroupParent }
    const id = await containerd.cri.runSandbox(pod)
    sandboxes.push({ id, pod, ip: (await containerd.cri.sandboxNetwork(id)).ip })
  }
  return sandboxes
}

const startIn = (
  { containerd }: Machine,
  { id, pod }: Sandbox,
  command: readonly string[],
): Promise<string> =>
  containerd.cri.startContainer(id, { pod, image: shellImage, command: [...command] })

const ask = async ({ machine, containerId }: Shell, ip: string): Promise<string> => {
  const script = `nc -w 5 ${ip} ${serverPort} </dev/null`
  const { stdout, stderr, exitCode } = await machine.containerd.cri.execute(containerId, [
    'sh',
    '-c',
    script,
  ])
  return exitCode === 0 ? stdout.trim() : `exit ${exitCode}: ${stderr}`
}

const deletePods = async (machine: Machine, sandboxes: readonly Sandbox[]): Promise<void> => {
  for (const { id } of sandboxes) {
    await machine.containerd.cri.stopSandbox(id)
    await machine.containerd.cri.removeSandbox(id)
  }
}

test('30 sandboxes over two nodes reach each other and leave nothing', async () => {
  const pods = await Promise.all(machines.map(runPods))
  for (const machine of machines) await tellVersions(machine)
  const ips = pods.flat().map(({ ip }) => ip)
  expect(new Set(ips).size).toBe(2 * podsPerNode)

  // The first pod of each node answers with its name, the last one asks.
  const shells: Shell[] = []
  for (const [i, machine] of machines.entries()) {
    const [server, client] = [pods[i]?.at(0), pods[i]?.at(-1)]
    if (server === undefined || client === undefined) throw new Error('a node has no pods')
    await startIn(machine, server, ['nc', '-ll', '-p', serverPort, '-e', 'hostname'])
    shells.push({ machine, containerId: await startIn(machine, client, ['sleep', '1000']) })
  }
  for (const shell of shells) {
    for (const server of pods.map(list => list[0])) {
      expect(await ask(shell, server?.ip ?? '')).toBe(server?.pod.name)
    }
  }

  await Promise.all(machines.map((machine, i) => deletePods(machine, pods[i] ?? [])))
  for (const [i, machine] of machines.entries()) {
    expect(await machine.containerd.cri.listSandboxes()).toEqual([])
    for (const { id } of pods[i] ?? []) {
      expect(await callsOf(machine.recorder, id)).toEqual(['ADD netns', 'DEL netns', 'DEL'])
    }
    expect(await leftOf(machine, ips)).toEqual([])
  }
})
