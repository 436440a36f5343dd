// What containerd does to a plugin in good times and bad: the versions it speaks, arguments in any
// order, keys with capitals, two DELs, a daemon that is away, ends or is replaced, and leftovers.
// The same for the machine's own containerd and for containerd 2.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chosenVersion, conflist, conflistName } from '#cni/conflist.ts'
import { createRuntime, loadNetwork, parseNetwork, type Network } from '#cni/runtime/index.ts'
import type { Parsed } from '#cni/spec/failure.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { createClock } from '#runtime/clock.ts'
import { containerd2 } from '#tools/newer.mjs'
import { shimPath } from '#tools/shim.mjs'
import { root } from '../bad-days/build.ts'
import type { StageNode } from '../bad-days/node.ts'
import { openStage, type Stage } from '../bad-days/stage.ts'
import { run, until } from '../containerd/process.ts'
import { leftOf, startMachine, tell, tellVersions, type Machine } from '../machine.ts'
import { callsOf } from '../recorder.ts'
import {
  askInternet,
  askName,
  deletePod,
  runPod,
  server,
  shell,
  startNode,
  type Running,
} from './place.ts'

const newer = containerd2()

const runtimes = [
  { role: 'own', name: "the machine's own containerd", programs: undefined, reason: undefined },
  {
    role: 'newer',
    name: 'containerd 2',
    programs: newer.kind === 'found' ? newer.directory : undefined,
    reason: newer.kind === 'missing' ? newer.reason : undefined,
  },
] as const

let stage: Stage<'own' | 'newer'>
let base: string

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'ew-run-'))
  const type = 'm5.large'
  stage = await openStage({ seed: 8, roles: { own: { type }, newer: { type } } })
})

afterAll(async () => {
  await stage?.close()
  await rm(base, { recursive: true, force: true })
})

/** Containerd from 2 on speaks 1.1.0; an older one loads such a list and then fails every pod. */
const versionOf = (versions: string): string =>
  Number(/containerd v?(\d+)/.exec(versions)?.[1]) >= 2 ? '1.1.0' : '1.0.0'

const valueOf = <T>(outcome: Parsed<T>): T => {
  if (outcome.kind === 'failed') throw new Error(`${outcome.message} ${outcome.details}`)
  return outcome.value
}

for (const { role, name, programs, reason } of runtimes) {
  // Side by side, because both wait for most of their time; the tests of one follow each other.
  describe.concurrent(name, () => {
    let machine: Machine
    let node: StageNode

    beforeAll(async () => {
      if (reason !== undefined) return
      node = stage.nodes[role]
      // A daemon that does not answer is given up soon, for the sake of this test's time.
      const started = await startNode(node, { cni: { timeoutSeconds: 2 } })
      const options = programs === undefined ? { base } : { base, programs }
      machine = await startMachine(started, options)
    })

    afterAll(() => machine?.containerd.stop())

    const play = (what: string, work: () => Promise<void>) =>
      test.sequential(what, async context => {
        if (reason === undefined) return work()
        tell(`"${what}" cannot run with containerd 2, which this machine lacks: ${reason}`)
        context.skip(reason)
      })

    const namesOfPods = async (): Promise<readonly string[]> =>
      (await node.view()).pods.map(({ pod }) => pod).toSorted()

    const removeAll = async (pods: readonly Running[]): Promise<void> => {
      for (const { sandbox } of pods) await deletePod(machine, sandbox)
      expect(await machine.containerd.cri.listSandboxes()).toEqual([])
      const ips = pods.map(({ ip }) => ip)
      expect(await leftOf(machine, ips)).toEqual([])
    }

    play('pods: version, arguments in any order, the internet, two DELs each', async () => {
      const { containerd, recorder } = machine
      const names = ['one', 'two', 'three', 'four', 'five']
      const pods: Running[] = []
      for (const each of names) pods.push(await runPod(machine, { name: each, command: server }))
      await tellVersions(machine)
      if (role === 'newer' && newer.kind === 'found') tell(`containerd 2 is of ${newer.origin}`)
      const [first, last] = [pods[0], pods.at(-1)]
      if (first === undefined || last === undefined) throw new Error('there are no pods')
      expect(await shell(machine, last, askName(first.ip))).toBe('one')
      const seen = await shell(machine, last, askInternet(stage.emulator))
      expect(JSON.parse(seen)).toMatchObject({ from: node.primaryAddress })

      expect(await namesOfPods()).toEqual(names.map(each => `default/${each}`).toSorted())
      const adds = (await recorder.calls()).filter(({ command }) => command === 'ADD')
      expect(adds).toHaveLength(names.length)
      for (const { request, ifName } of adds) {
        expect([request['cniVersion'], ifName]).toEqual([versionOf(containerd.versions), 'eth0'])
      }
      await removeAll(pods)
      for (const { sandbox } of pods) {
        expect(await callsOf(recorder, sandbox)).toEqual(['ADD netns', 'DEL netns', 'DEL'])
      }
      const calls = await recorder.calls()
      expect(calls.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
      const orders = new Set(calls.map(({ args }) => args.replaceAll(/=[^;]*/g, '')))
      tell(`${containerd.versions}: CNI_ARGS in ${orders.size} orders in ${calls.length} calls`)
      expect(orders.size).toBeGreaterThan(1)
    })

    play('capabilities: keys with capitals are read, what nobody does is refused', async () => {
      const { recorder } = machine
      const capabilities = {
        dns: true,
        portMappings: true,
        'io.kubernetes.cri.pod-annotations': true,
      }
      const name = 'asks'
      const putAway = await useList(machine, conflist({ socket: node.socket, name, capabilities }))
      const dns = { servers: ['10.96.0.10'], searches: ['shop.local'] }
      const pod = await runPod(machine, { name: 'asks', dns, annotations: { team: 'blue' } })
      const add = (await recorder.calls()).findLast(({ command }) => command === 'ADD')
      const Dns = { Servers: dns.servers, Searches: dns.searches }
      expect(add?.request['runtimeConfig']).toMatchObject({ dns: Dns })
      expect(JSON.parse(add?.answer ?? '')).toMatchObject({
        dns: { nameservers: dns.servers, search: dns.searches },
      })
      const ports = [{ containerPort: 80, hostPort: 8080 }]
      await expect(runPod(machine, { name: 'ports', ports })).rejects.toThrow(
        /capability portMappings .*"HostPort":8080.* eniway does not act on; put it on the plugin/,
      )
      await removeRest(machine)
      await putAway()
      expect(await leftOf(machine, [pod.ip])).toEqual([])
    })

    play('a list of one version: every runtime that speaks it uses it, no other', async () => {
      const { containerd, recorder } = machine
      const directory = await mkdtemp(join(base, 'pinned-'))
      for (const version of ['1.0.0', '1.1.0']) {
        const text = await installedList(directory, { version, socket: node.socket })
        const putAway = await useList(machine, text.replace('"name": "eniway"', '"name": "pinned"'))
        const pod = runPod(machine, { name: `v${version.replaceAll('.', '')}` })
        if (version > versionOf(containerd.versions)) {
          // It takes such a list, calls itself ready, and no pod of the node ever starts.
          expect((await containerd.cri.networkReady()).status).toBe(true)
          await expect(pod).rejects.toThrow(/unsupported CNI result version "1\.1\.0"/)
        } else await pod
        const add = (await recorder.calls()).findLast(({ command }) => command === 'ADD')
        expect(add?.request['cniVersion']).toBe(version)
        await removeRest(machine)
        await putAway()
      }
      expect(await leftOf(machine, [])).toEqual([])
    })

    play('a plugin behind ours that speaks no 1.1.0 wants a list that is pinned', async () => {
      const chained = [{ type: 'portmap', capabilities: { portMappings: true } }]
      const understands = await versionsOfPlugin(join(machine.recorder.binDir, 'portmap'))
      for (const choice of ['auto', '1.0.0'] as const) {
        const text = conflist({
          ...chosenVersion(choice),
          socket: node.socket,
          name: `chained-${choice}`,
          chained,
        })
        const putAway = await useList(machine, text)
        const chosen = choice === 'auto' ? versionOf(machine.containerd.versions) : choice
        const pod = runPod(machine, { name: 'chained' })
        if (understands.includes(chosen)) await pod
        else await expect(pod).rejects.toThrow(/plugin type="portmap" failed .*incompatible CNI/)
        await removeRest(machine)
        await putAway()
      }
      // DEL stops at the plugin that fails, before ours: the daemon sees for itself that the pod is
      // gone.
      await node.untilView('the address is back', ({ pools }) => pools[0]?.assigned === 0)
      expect(await leftOf(machine, [])).toEqual([])
    })

    play('gc through cni/runtime takes the stale pod only', async () => {
      const cacheDirectory = await mkdtemp(join(base, 'cache-'))
      const runtime = createRuntime({
        pluginPath: [machine.node.cniBinDir],
        cacheDirectory,
        environment: {},
        clock: createClock(),
      })
      const network = valueOf(await loadNetwork(machine.node.cniConfDir, 'eniway'))
      const other: Network = valueOf(
        parseNetwork(conflist({ socket: node.socket, name: 'other' }), 'the other list'),
      )
      const far = { containerId: 'far', ifName: 'eth0', netns: await stage.makeNetns() }
      valueOf(await runtime.add(other, { ...far, args: [], capabilityArgs: {} }))
      const kept = [
        await runPod(machine, { name: 'kept-server', command: server }),
        await runPod(machine, { name: 'kept-client' }),
      ] as const
      const stale = await runPod(machine, { name: 'stale' })

      const valid = kept.map(({ sandbox }) => ({ containerId: sandbox, ifName: 'eth0' }))
      valueOf(await runtime.gc(network, valid))
      const left = (await node.view()).pods.map(({ sandbox }) => sandbox).toSorted()
      const ids = [far.containerId, ...kept.map(({ sandbox }) => sandbox)]
      expect(left).toEqual(ids.map(id => `${id}/eth0`).toSorted())
      expect(await shell(machine, kept[1], askName(kept[0].ip))).toBe('kept-server')

      valueOf(await runtime.del(other, { ...far, args: [], capabilityArgs: {} }))
      await removeAll([...kept, stale])
    })

    play('daemon away: a sandbox fails with our sentence, deleting succeeds', async () => {
      const { cri } = machine.containerd
      const pods = [
        await runPod(machine, { name: 'stays' }),
        await runPod(machine, { name: 'goes' }),
      ] as const
      process.kill(node.pid(), 'SIGSTOP')
      try {
        await expect(runPod(machine, { name: 'stopped' })).rejects.toThrow(
          /eniway daemon is not answering on \S+: no answer within 2 s; check the eniway DaemonSet/,
        )
      } finally {
        process.kill(node.pid(), 'SIGCONT')
      }
      await node.stop('SIGKILL')
      await expect(runPod(machine, { name: 'refused' })).rejects.toThrow(
        /eniway daemon is not answering on \S+: connection refused; check the eniway DaemonSet/,
      )
      if (versionOf(machine.containerd.versions) === '1.1.0') {
        const { status, message } = await cri.networkReady()
        expect([status, message]).toEqual([false, expect.stringMatching(/is not answering on/)])
      }
      await deletePod(machine, pods[1].sandbox)
      expect(await readdir(node.pendingDirectory)).toContain(`${pods[1].sandbox}:eth0.json`)
      await node.start({ cni: { timeoutSeconds: 2 } })
      await until('kept DELs are done', async () =>
        (await readdir(node.pendingDirectory)).every(file => !file.endsWith('.json')),
      )
      expect(await namesOfPods()).toEqual(['default/stays'])
      expect(await shell(machine, pods[0], askInternet(stage.emulator))).toMatch(/^\{"from":/)
      for (const id of await cri.listSandboxes()) await deletePod(machine, id)
      expect(await leftOf(machine, [pods[0].ip, pods[1].ip])).toEqual([])
    })

    play('daemon restarted and upgraded under pods that talk', async () => {
      const listener = await runPod(machine, { name: 'listener', command: server })
      const talker = await runPod(machine, { name: 'talker' })
      const executable = join(machine.node.cniBinDir, 'eniway')
      const ours = await readFile(shimPath)
      const pings = shell(machine, talker, `ping -q -i 0.1 -c 40 ${listener.ip}`)
      await node.restart('SIGTERM')
      // As one of another version would be: it works, and is not what this version installs.
      await rm(executable)
      await writeFile(executable, Buffer.concat([ours, Buffer.from('older')]), { mode: 0o755 })
      await node.restart('SIGKILL')
      await node.untilReady()
      await until('the executable is replaced', async () =>
        (await readFile(executable)).equals(ours),
      )
      const after = await runPod(machine, { name: 'after' })
      expect(await shell(machine, after, askName(listener.ip))).toBe('listener')
      expect(await pings).toMatch(/40 packets transmitted, 40 packets received, 0% packet loss/)
      expect(await namesOfPods()).toEqual(['default/after', 'default/listener', 'default/talker'])
      await removeAll([listener, talker, after])
    })
  })
}

/** Puts a list before the installed one, waits until it is loaded, and takes it away again. */
const useList = async ({ containerd, node }: Machine, text: string) => {
  const { name } = JSON.parse(text) as { name: string }
  const file = join(node.cniConfDir, '05-first.conflist')
  const isLoaded = async (wanted: boolean) =>
    (await containerd.cri.networkConfig()).includes(`"${name}"`) === wanted
  await writeFile(file, text)
  await until(`the list ${name} is loaded`, () => isLoaded(true))
  return async (): Promise<void> => {
    await rm(file)
    await until('the installed list is loaded again', () => isLoaded(false))
  }
}

const versionsOfPlugin = async (path: string): Promise<readonly string[]> => {
  const text = await run('env', ['CNI_COMMAND=VERSION', path])
  return (JSON.parse(text) as { supportedVersions: readonly string[] }).supportedVersions
}

/** What `eniway install` writes. */
const installedList = async (
  directory: string,
  { version, socket }: { readonly version: string; readonly socket: string },
): Promise<string> => {
  const places = ['--bin-dir', join(directory, 'bin'), '--conf-dir', directory, '--socket', socket]
  const words = ['install', ...places, '--cni-version', version]
  await run(nodeBinary(), [join(root, 'cli', 'main.ts'), ...words])
  return readFile(join(directory, conflistName), 'utf8')
}

// A sandbox whose network failed may stay as a record.
const removeRest = async (machine: Machine): Promise<void> => {
  for (const id of await machine.containerd.cri.listSandboxes()) await deletePod(machine, id)
}
