// podman 4 with its CNI back-end: it asks for VERSION with made-up variables, knows nothing of
// Kubernetes, and deletes once. Its containers reach each other and the internet, and leave
// nothing.

import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest'
import { openStage, type Stage } from '../bad-days/stage.ts'
import { shellImage } from '../containerd/image.ts'
import { leftOnNode, tell } from '../machine.ts'
import type { Node } from '../nodes.ts'
import { callsOf, makeRecorder, versionSpoken, type Recorder } from '../recorder.ts'
import { askInternet, askName, server, startNode } from './place.ts'
import { podmanProblem, startPodman, type Podman } from './podman.ts'

let stage: Stage<'podman'> | undefined
let base: string
let problem: string | undefined
let scene: { node: Node; recorder: Recorder; podman: Podman; namespaces: readonly string[] }

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ew-podman-'))
  problem = await podmanProblem()
  if (problem !== undefined) return
  stage = await openStage({ seed: 10, roles: { podman: { type: 'm5.large' } } })
  const node = await startNode(stage.nodes.podman, { cni: { timeoutSeconds: 2 } })
  const recorder = await makeRecorder(base, node.cniBinDir)
  const { netns, cniConfDir } = node
  const dir = join(base, `run-${stage.run}`)
  const podman = await startPodman({ netns, dir, cniBinDir: recorder.binDir, cniConfDir })
  scene = { node, recorder, podman, namespaces: await namespacesHere() }
})

afterAll(async () => {
  await scene?.podman.stop()
  await stage?.close()
  await rm(base, { recursive: true, force: true })
})

const namespacesHere = async (): Promise<readonly string[]> =>
  (await readdir('/run/netns')).filter(name => !name.startsWith('ew-'))

const play = (what: string, work: () => Promise<void>) =>
  test(what, async (context: TestContext) => {
    if (problem === undefined) return work()
    tell(`"${what}" cannot run here: ${problem}`)
    context.skip(problem)
  })

type Container = { readonly id: string; readonly name: string; readonly ip: string }

const start = async (name: string, [program = '', ...words]: readonly string[]) => {
  const { podman } = scene
  const names = ['--name', name, '--hostname', name, '--cgroup-parent', podman.cgroupParent]
  // The image starts a shell otherwise, with the command as its script.
  const options = [...names, '--entrypoint', program]
  const id = await podman.run('run', '--detach', ...options, shellImage, ...words)
  return { id, name, ip: await addressOf(name) }
}

const addressOf = async (name: string): Promise<string> => {
  const path = '{{(index .NetworkSettings.Networks "eniway").IPAddress}}'
  return scene.podman.run('inspect', '--format', path, name)
}

const shell = (name: string, script: string): Promise<string> =>
  scene.podman.run('exec', name, 'sh', '-c', script)

// Everything a container could leave: in the node, in the daemon, on the machine.
const left = async (containers: readonly Container[]): Promise<readonly string[]> => [
  ...(await leftOnNode(
    scene.node,
    containers.map(({ ip }) => ip),
  )),
  ...(await namespacesHere()).filter(name => !scene.namespaces.includes(name)),
  ...(await scene.podman.processes()),
  ...(await readdir('/var/lib/cni/results').catch(() => [])).filter(name =>
    containers.some(({ id }) => name.includes(id)),
  ),
]

play('containers reach each other and the internet, and leave nothing', async () => {
  const { podman, recorder } = scene
  const asked = await start('asked', server)
  const asking = await start('asking', ['sleep', '1000'])
  tell(`ran with ${podman.versions}, CNI ${await versionSpoken(recorder)}`)
  expect(await shell('asking', askName(asked.ip))).toBe('asked')
  if (stage === undefined) throw new Error('there is no stage')
  const seen = await shell('asking', askInternet(stage.emulator))
  expect(JSON.parse(seen)).toMatchObject({ from: stage.nodes.podman.primaryAddress })
  expect((await scene.node.view()).pods).toMatchObject([
    { pod: '', addresses: [asked.ip], network: 'eniway' },
    { pod: '', addresses: [asking.ip], network: 'eniway' },
  ])

  await podman.run('rm', '--force', '--time', '0', 'asked', 'asking')
  for (const { id } of [asked, asking]) {
    expect(await callsOf(recorder, id)).toEqual(['ADD netns', 'DEL netns'])
  }
  expect(await left([asked, asking])).toEqual([])
})

play('VERSION with made-up variables, and a name but no namespace of the pod', async () => {
  const calls = await scene.recorder.calls()
  const versions = calls.filter(({ command }) => command === 'VERSION')
  expect(versions.length).toBeGreaterThan(0)
  for (const { netns, ifName, exitCode, answer } of versions) {
    expect([netns, ifName, exitCode]).toEqual(['dummy', 'dummy', 0])
    expect((JSON.parse(answer) as { supportedVersions: unknown }).supportedVersions).toContain(
      '1.1.0',
    )
  }
  const adds = calls.filter(({ command }) => command === 'ADD')
  expect(adds.map(({ args }) => args)).toEqual(
    ['asked', 'asking'].map(name => `IgnoreUnknown=1;K8S_POD_NAME=${name}`),
  )
  expect(adds.map(({ request }) => request['cniVersion'])).toEqual(['1.0.0', '1.0.0'])
})

play('a container that is stopped and started again keeps its id, not its namespace', async () => {
  const { podman, recorder } = scene
  const first = await start('again', ['sleep', '1000'])
  await podman.run('stop', '--time', '0', 'again')
  await podman.run('start', 'again')
  const second = { ...first, ip: await addressOf('again') }
  expect(second.ip).not.toBe(first.ip)
  if (stage === undefined) throw new Error('there is no stage')
  expect(await shell('again', askInternet(stage.emulator))).toMatch(/^\{"from":/)
  await podman.run('rm', '--force', '--time', '0', 'again')
  const life = ['ADD netns', 'DEL netns']
  expect(await callsOf(recorder, first.id)).toEqual([...life, ...life])
  expect(await left([first, second])).toEqual([])
})

play('daemon away: podman shows our sentence, and rm succeeds', async () => {
  const node = stage?.nodes.podman
  if (node === undefined) throw new Error('there is no stage')
  const stays = await start('stays', ['sleep', '1000'])
  await node.stop('SIGKILL')
  await expect(start('refused', ['sleep', '1000'])).rejects.toThrow(
    /eniway daemon is not answering on \S+: connection refused; check the eniway DaemonSet pod/,
  )
  await scene.podman.run('rm', '--force', '--time', '0', 'stays', 'refused')
  expect(await readdir(node.pendingDirectory)).toContain(`${stays.id}:eth0.json`)
  await node.start()
  await node.untilView('the container is forgotten', ({ pods }) => pods.length === 0)
  expect(await left([stays])).toEqual([])
})
