// Proves the laboratory with Debian's own plugins: when a test of ours fails, this one tells
// whether the plugin or the surroundings are to blame.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startContainerd, type Containerd } from './containerd.ts'
import type { Pod } from './cri.ts'
import { shellImage } from './image.ts'
import { addNamespace, deleteNamespace } from './namespaces.ts'

let base: string
let name: string
let containerd: Containerd

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'ew-ctr-'))
  name = basename(base)
  await writeConflist(join(base, 'conf'), join(base, 'leases'))
  containerd = await startContainerd({
    netns: await addNamespace(name),
    dir: join(base, `run-${name}`),
    cniBinDir: '/usr/lib/cni',
    cniConfDir: join(base, 'conf'),
  })
})

afterEach(async () => {
  await containerd?.stop()
  await deleteNamespace(name).catch(() => undefined)
  await rm(base, { recursive: true, force: true })
})

const writeConflist = async (directory: string, dataDir: string): Promise<void> => {
  await mkdir(directory)
  const ipam = {
    type: 'host-local',
    dataDir,
    ranges: [[{ subnet: '10.217.0.0/24' }]],
    routes: [{ dst: '0.0.0.0/0' }],
  }
  const plugins = [{ type: 'ptp', ipam }]
  const list = { cniVersion: '1.0.0', name: 'lab', plugins }
  await writeFile(join(directory, '10-lab.conflist'), JSON.stringify(list))
}

const podOf = (podName: string): Pod => ({
  name: podName,
  uid: `uid-${podName}`,
  cgroupParent: containerd.cgroupParent,
})

test('two sandboxes with ptp reach each other and leave nothing', async () => {
  const { cri } = containerd
  expect((await cri.networkReady()).status).toBe(true)
  const [server, client] = [podOf('server'), podOf('client')]
  const serverId = await cri.runSandbox(server)
  const clientId = await cri.runSandbox(client)
  const command = ['nc', '-ll', '-p', '7777', '-e', 'hostname']
  await cri.startContainer(serverId, { pod: server, image: shellImage, command })
  const idle = ['sleep', '1000']
  const shell = await cri.startContainer(clientId, {
    pod: client,
    image: shellImage,
    command: idle,
  })
  const { ip, netns } = await cri.sandboxNetwork(serverId)
  expect(await containerd.podNamespaces()).toContain(netns)

  const reached = await cri.execute(shell, ['sh', '-c', `nc -w 3 ${ip} 7777 </dev/null`])
  expect(reached).toEqual({ exitCode: 0, stdout: 'server\n', stderr: '' })

  for (const id of [serverId, clientId]) {
    await cri.stopSandbox(id)
    await cri.removeSandbox(id)
  }
  expect(await cri.listSandboxes()).toEqual([])
  expect(await containerd.podNamespaces()).toEqual([])
  expect(await containerd.shims()).toEqual([])
  await containerd.stop()
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(base)
})
