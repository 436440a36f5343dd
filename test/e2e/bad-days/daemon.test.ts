// Bad days of the daemon: it is down, its ledger is damaged, a NIC is taken away behind its back,
// its configuration changes. Each case has a node of its own.

import { readFile, readdir, writeFile, appendFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { startTraffic } from './helper.ts'
import { podTraces } from './kernel.ts'
import type { StageNode } from './node.ts'
import { openStage, type Stage } from './stage.ts'

const roles = {
  down: { type: 'm5.large' },
  reload: { type: 'm5.large' },
  corrupt: { type: 'm5.large' },
  forgotten: { type: 'm5.large' },
  detached: { type: 't3.small' },
} as const

/** t3.small: four addresses on a NIC, of which pods get three. */
const podsOfPrimary = 3

let stage: Stage<keyof typeof roles>

beforeAll(async () => {
  stage = await openStage({ seed: 11, roles })
})

afterAll(() => stage?.close())

type Pod = { readonly container: string; readonly netns: string; readonly address: string }

const tryAdd = async (node: StageNode, name: string, timeoutSeconds = 20) => {
  const pod = { container: `${node.name}-${name}`, netns: await stage.makeNetns() }
  const { answer } = await node.cni('ADD', { ...pod, timeoutSeconds })
  return { ...pod, answer, address: answer?.ips?.[0]?.address.split('/')[0] }
}

const add = async (node: StageNode, name: string): Promise<Pod> => {
  const { answer, address, ...pod } = await tryAdd(node, name)
  if (address === undefined) throw new Error(`ADD ${pod.container} failed: ${answer?.msg}`)
  return { ...pod, address }
}

const addMany = async (node: StageNode, count: number): Promise<readonly Pod[]> => {
  const pods = []
  for (let i = 0; i < count; i++) pods.push(await add(node, String(i)))
  return pods
}

const errorsOf = async (node: StageNode): Promise<string> =>
  (await node.view()).errors.map(({ text }) => text).join('\n')

const sentencesOf = async (node: StageNode, message: string): Promise<readonly unknown[]> =>
  (await node.log()).filter(({ msg }) => msg === message).map(({ problem }) => problem)

const at = (pods: readonly Pod[], index: number): Pod => {
  const pod = pods[index]
  if (pod === undefined) throw new Error(`there is no pod ${index}`)
  return pod
}

// A record of the ledger is one line with a checksum; one flipped bit makes it worthless.
const damageRecordsOf = async (node: StageNode, pods: readonly Pod[]): Promise<void> => {
  const bytes = await readFile(node.ledger)
  for (const { container } of pods) {
    for (let at = bytes.indexOf(container); at >= 0; at = bytes.indexOf(container, at + 1)) {
      bytes[at] = (bytes[at] ?? 0) ^ 1
    }
  }
  await writeFile(node.ledger, bytes)
}

describe.concurrent('a bad day of the daemon', () => {
  test('down: ADD says why, DEL is kept and done when it is back', async ({ expect }) => {
    const node = stage.nodes.down
    await node.start()
    const pod = await add(node, 'pod')
    await node.stop('SIGKILL')

    const refused = await tryAdd(node, 'refused')
    expect(refused.answer?.code).toBe(11)
    expect(refused.answer?.msg).toMatch(
      /^eniway daemon is not answering on \S+: connection refused; check the eniway DaemonSet pod/,
    )
    const status = await node.cni('STATUS', pod)
    expect([status.exitCode, status.answer?.code]).toEqual([1, 50])
    // Also for the pod whose ADD failed, as runtimes do.
    for (const { container, netns } of [pod, refused]) {
      expect(await node.cni('DEL', { container, netns })).toEqual({
        exitCode: 0,
        answer: undefined,
        stderr: '',
      })
      await stage.removeNetns(netns)
    }
    expect((await readdir(node.pendingDirectory)).sort()).toEqual([
      'down-pod:eth0.json',
      'down-refused:eth0.json',
    ])

    await node.start()
    await node.untilView('the kept DELs are done', async ({ pods, pools }) => {
      const isRested = pools.every(({ cooling, assigned }) => cooling + assigned === 0)
      return pods.length === 0 && isRested && (await readdir(node.pendingDirectory)).length === 0
    })
    expect(await podTraces(node.netns)).toEqual({ links: [], routes: [], elements: [] })
    await add(node, 'after')
  })

  test('reload: the pool follows the file; a bad file is ignored with a sentence', async ({
    expect,
  }) => {
    const node = stage.nodes.reload
    await node.start({ pool: { warmTarget: 1 } })
    const warm = (count: number) => (view: Awaited<ReturnType<StageNode['view']>>) =>
      view.pools[0]?.warm === count
    await node.untilView('one warm address', warm(1))
    await node.configure({ pool: { warmTarget: 4, releaseAfterSeconds: 1 } })
    await node.untilView('four warm addresses', warm(4))

    const bad = [
      [{ pool: { warmTarget: 'many' } }, 'pool.warmTarget is "many", but'],
      [{ pool: { warmTaget: 9 } }, 'unknown key pool.warmTaget; see docs/configuration.md'],
    ] as const
    for (const [config, reason] of bad) {
      await node.configure(config)
      await node.untilView('it says why', async () =>
        (await sentencesOf(node, 'configuration ignored')).some(
          sentence =>
            typeof sentence === 'string' &&
            sentence.startsWith(`cannot use the configuration ${node.configFile}: ${reason}`),
        ),
      )
    }
    expect((await node.view()).pools[0]).toMatchObject({ warmTarget: 4, warm: 4 })

    await node.configure({ pool: { warmTarget: 2, releaseAfterSeconds: 1 } })
    await node.untilView('two warm addresses', warm(2))
  })

  test('ledger damaged in the middle and torn at the end: lost pods keep all they have', async ({
    expect,
  }) => {
    const node = stage.nodes.corrupt
    const pool = { warmTarget: 2, maximum: 9 }
    await node.start({ pool })
    const pods = await addMany(node, 6)
    const lost = [at(pods, 1), at(pods, 3)]
    const endTraffic = await startTraffic(at(lost, 0).netns, at(lost, 1))
    await node.stop('SIGKILL')
    await damageRecordsOf(node, lost)
    await appendFile(node.ledger, '99999 0badc0de 77 [["sandbox/torn')

    await node.start({ pool })
    const [sentence] = await sentencesOf(node, 'ledger problem')
    expect(sentence).toMatch(/^the ledger \S+ is damaged: \d+ unreadable bytes at offset \d+/)
    expect(sentence).toMatch(/; all \d+ saves with a valid checksum are kept and the damaged /)
    expect(sentence).toMatch(/ file lies in \S+\.corrupt-1; check the disk, and delete that file /)
    const rests = ({ address }: Pod) =>
      `${address} is used by link \\d+ of a pod this daemon does not know; the address rests`
    await node.untilView('both are reported', ({ errors }) =>
      lost.every(pod => errors.some(({ text }) => new RegExp(rests(pod)).test(text))),
    )

    // Everything there is, is given out: seven more addresses make nine, of which two rest.
    const taken = new Set(pods.map(({ address }) => address))
    for (let i = 0; i < 3; i++) {
      const { address } = await add(node, `new-${i}`)
      expect(taken).not.toContain(address)
      taken.add(address)
    }
    const refused = await tryAdd(node, 'refused', 3)
    expect(refused.answer?.code).toBe(11)
    const { sent, answered } = await endTraffic()
    expect([sent > 20, sent - answered]).toEqual([true, 0])

    // Their links go with their namespaces; then other pods may have the addresses.
    for (const { netns } of lost) await stage.removeNetns(netns)
    const freed = [await add(node, 'freed-0'), await add(node, 'freed-1')]
    const addresses = (list: readonly Pod[]) => list.map(({ address }) => address).sort()
    expect(addresses(freed)).toEqual(addresses(lost))
    expect(await errorsOf(node)).not.toMatch(/does not know/)
  })

  test('ledger gone: running pods keep their network, and are deleted as usual', async ({
    expect,
  }) => {
    const node = stage.nodes.forgotten
    await node.start()
    const pods = await addMany(node, 4)
    const endTraffic = await startTraffic(at(pods, 0).netns, at(pods, 1))
    await node.stop('SIGKILL')
    await writeFile(node.ledger, 'this is no ledger\n')
    await node.start()
    expect(await sentencesOf(node, 'ledger problem')).toEqual([
      expect.stringMatching(/^the ledger \S+ is damaged: 18 unreadable bytes at offset 0/),
    ])
    const fresh = await Promise.all(['x', 'y', 'z'].map(name => add(node, name)))
    const all = [...pods, ...fresh].map(({ address }) => address)
    expect(new Set(all).size).toBe(all.length)
    const { sent, answered } = await endTraffic()
    expect([sent > 20, sent - answered]).toEqual([true, 0])

    for (const { container, netns } of [...pods, ...fresh]) {
      expect((await node.cni('DEL', { container, netns })).exitCode).toBe(0)
      await stage.removeNetns(netns)
    }
    await node.untilView('nothing is left of any', async ({ pools }) => {
      const { links, routes, elements } = await podTraces(node.netns)
      const isRested = pools.every(({ cooling, assigned }) => cooling + assigned === 0)
      return isRested && links.length + routes.length + elements.length === 0
    })
  })

  test('NIC detached by hand: reported with its pods, its addresses not given again', async ({
    expect,
  }) => {
    const node = stage.nodes.detached
    await node.start({ pool: { warmTarget: 1 } })
    await addMany(node, podsOfPrimary)
    const pod = await add(node, 'victim')
    const nic = (await node.view()).nics.find(({ primary }) => !primary)
    const attachment = (await stage.admin.nics()).find(({ id }) => id === nic?.id)?.attachment
    await stage.administer('DetachNetworkInterface', { AttachmentId: attachment?.id, Force: true })

    const sentence = new RegExp(
      `^${nic?.id} is no longer attached to this instance although pods use it; ` +
        `somebody detached it, delete these pods: ${pod.container}/eth0$`,
    )
    await node.untilView('it is reported', ({ errors }) =>
      errors.some(({ text }) => sentence.test(text)),
    )
    const status = await node.cni('STATUS', pod)
    expect([status.answer?.code, status.answer?.msg]).toEqual([51, expect.stringMatching(sentence)])
    const next = await add(node, 'next')
    expect(next.address).not.toBe(pod.address)

    // The pod is deleted, as the sentence says: then the NIC is used again or given back.
    await node.cni('DEL', pod)
    await node.untilView('all is well again', async ({ nics, errors }) => {
      const ours = (await stage.admin.nics()).filter(
        ({ tags }) => tags['eniway.io/node-instance'] === node.instanceId,
      )
      const known = new Set(nics.filter(({ phase }) => phase === 'ready').map(({ id }) => id))
      return errors.length === 0 && ours.every(({ id }) => known.has(id as never))
    })
    expect((await node.cni('STATUS', pod)).exitCode).toBe(0)
  })
})
