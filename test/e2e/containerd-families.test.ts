// Pods of two families, and of IPv6 alone, as Kubernetes makes them: the runtime reports each
// address, pods reach each other by all of them, and two DELs leave nothing of either family.

import { mkdtemp, rm } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Pod } from './containerd/cri.ts'
import { shellImage } from './containerd/image.ts'
import { leftOf, startMachine, tellVersions, type Machine } from './machine.ts'
import { startNodes } from './nodes.ts'
import { callsOf } from './recorder.ts'

const serverPort = '7777'

type Running = { readonly id: string; readonly shell: string; readonly ips: readonly string[] }

const runPod = async (
  { containerd }: Machine,
  { name, command }: { readonly name: string; readonly command: readonly string[] },
): Promise<Running> => {
  const { cri, cgroupParent } = containerd
  const pod: Pod = { name, uid: `uid-${name}`, cgroupParent }
  const id = await cri.runSandbox(pod)
  const { ip, more } = await cri.sandboxNetwork(id)
  const shell = await cri.startContainer(id, { pod, image: shellImage, command })
  return { id, shell, ips: [ip, ...more] }
}

const check = async (machine: Machine, families: readonly ('ipv4' | 'ipv6')[]): Promise<void> => {
  const { cri } = machine.containerd
  const listen = ['nc', '-ll', '-p', serverPort, '-e', 'hostname']
  const server = await runPod(machine, { name: 'server', command: listen })
  await tellVersions(machine)
  const client = await runPod(machine, { name: 'client', command: ['sleep', '1000'] })
  for (const { ips } of [server, client]) {
    expect(ips.map(ip => (isIPv6(ip) ? 'ipv6' : 'ipv4'))).toEqual(families)
  }
  for (const ip of server.ips) {
    const script = `ping -c 1 -W 5 ${ip} >/dev/null && nc -w 5 ${ip} ${serverPort} </dev/null`
    const reached = await cri.execute(client.shell, ['sh', '-c', script])
    expect(reached).toEqual({ exitCode: 0, stdout: 'server\n', stderr: '' })
  }
  for (const { id } of [server, client]) {
    await cri.stopSandbox(id)
    await cri.removeSandbox(id)
    expect(await callsOf(machine.recorder, id)).toEqual(['ADD netns', 'DEL netns', 'DEL'])
  }
  expect(await leftOf(machine, [...server.ips, ...client.ips])).toEqual([])
}

test.each([[['ipv4', 'ipv6'] as const], [['ipv6'] as const]])(
  'sandboxes of %s reach each other and leave nothing',
  async ipFamilies => {
    const base = await mkdtemp(join(tmpdir(), 'ew-fam-'))
    const nodes = await startNodes({ seed: 2, count: 1, ipFamilies })
    let machine: Machine | undefined
    let left: readonly string[] = []
    try {
      const [node] = nodes.nodes
      if (node === undefined) throw new Error('there is no node')
      machine = await startMachine(node, { base })
      await check(machine, ipFamilies)
    } finally {
      await machine?.containerd.stop()
      left = await nodes.stop()
      await rm(base, { recursive: true, force: true })
    }
    expect(left).toEqual([])
  },
)
