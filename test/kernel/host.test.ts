// The Host against a real kernel: what it makes for a pod, how it takes that away, and that neither
// grows with the number of pods where packets would feel it. Judged by ip(8) and nft(8).

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ip } from '#core/ip.ts'
import type { PodWiring } from '#core/wiring.ts'
import { until } from '../e2e/containerd/process.ts'
import {
  desired,
  dumpNode,
  makeLab,
  makeMany,
  podOn,
  startHost,
  type HostProcess,
  type Lab,
} from './host-lab.ts'
import { ipJson, makeNamespace, prepare, runIn, type Namespace } from './netlink-lab.ts'

let lab: Lab
let host: HostProcess

beforeAll(async () => {
  prepare(['ip', 'nft'])
  lab = makeLab()
  host = startHost(lab)
  // The first look brings the NICs up and makes their tables.
  const report = await host.reconcile(desired([]))
  expect(report.failures).toEqual([])
  expect(report.wiredSlots).toEqual([1, 2])
  // Carriers come up by and by.
  let last = ''
  await until('nothing changes any more', async () => last === (last = dumpNode(lab)))
})

afterAll(() => host?.end())

let pod: PodWiring
let inside: Namespace

let number = 0
beforeEach(() => {
  inside = makeNamespace()
  pod = podOn(2, ++number, inside.path)
})

const ok = { kind: 'ok' }

const untilGone = (link: number) =>
  until('the link is deleted', async () => (await host.gone()).includes(link))

const linksIn = (namespace: Namespace): readonly unknown[] =>
  ipJson(namespace, 'link').map(({ ifname }) => ifname)

describe('a pod is wired', () => {
  test('inside: address, default route, permanent neighbour, all up', async () => {
    expect(await host.wire(pod)).toEqual([ok])
    const shown = runIn(inside, 'ip', '-o', 'address', 'show', 'dev', 'eth0')
    expect(shown).toContain(`inet ${pod.ips[0]}/32 `)
    expect(runIn(inside, 'ip', 'route')).toBe(
      `default via 169.254.1.1 dev eth0 proto 226 src ${pod.ips[0]} onlink \n` +
        '169.254.1.1 dev eth0 proto 226 scope link \n',
    )
    expect(runIn(inside, 'ip', 'neighbour', 'show', 'nud', 'permanent')).toBe(
      `169.254.1.1 dev eth0 lladdr ${pod.hostMac} PERMANENT \n`,
    )
    const [lo, eth0] = ipJson(inside, 'link')
    expect(lo?.['flags']).toContain('UP')
    expect(eth0).toMatchObject({ ifname: 'eth0', address: pod.podMac, mtu: pod.mtu })
    expect(eth0?.['flags']).toEqual(expect.arrayContaining(['UP', 'LOWER_UP']))
    await host.unwire(pod)
    await untilGone(pod.hostIfindex)
  })

  test('outside: link, one route, one neighbour, one map element', async () => {
    const before = dumpNode(lab).split('\n')
    await host.wire(pod)
    const more = dumpNode(lab).split('\n')
    const made = more.filter(
      line => !before.includes(line) && !line.startsWith(`${pod.hostIfindex}`),
    )
    const [address] = pod.ips
    expect(made).toEqual([
      `${address} dev ${pod.hostName} lladdr ${pod.podMac} extern_learn`,
      `${address} dev ${pod.hostName} table 200 proto 226 scope link src 10.0.0.10`,
      `element "${pod.hostName}" . ${address} : goto pod_2`,
    ])
    const [link] = ipJson(lab.node, 'link', 'show', pod.hostName)
    expect(link).toMatchObject({
      ifindex: pod.hostIfindex,
      address: pod.hostMac,
      mtu: pod.mtu,
      group: '57879',
      num_tx_queues: 1,
      num_rx_queues: 1,
      linkinfo: { info_kind: 'veth' },
    })
    await host.unwire(pod)
    await untilGone(pod.hostIfindex)
    expect(dumpNode(lab).split('\n')).toEqual(before)
  })

  test('the MTU is the one that was asked for', async () => {
    const small = { ...pod, mtu: 1400 }
    expect(await host.wire(small)).toEqual([ok])
    expect(ipJson(inside, 'link', 'show', 'eth0')[0]?.['mtu']).toBe(1400)
    expect(ipJson(lab.node, 'link', 'show', pod.hostName)[0]?.['mtu']).toBe(1400)
    await host.unwire(small)
    await untilGone(pod.hostIfindex)
  })

  test('again, after an attachment of the same name was never undone: it is replaced', async () => {
    await host.wire(pod)
    // The pod's namespace went, and with it the old link; a new one has the same names.
    const other = makeNamespace()
    const again = { ...pod, netns: other.path, hostIfindex: pod.hostIfindex + 4096 }
    expect(await host.wire(again)).toEqual([ok])
    expect(linksIn(inside)).toEqual(['lo'])
    expect(linksIn(other)).toEqual(['lo', 'eth0'])
    await host.unwire(again)
    await untilGone(again.hostIfindex)
    // The element of the link that was replaced is found by the next look.
    await host.reconcile(desired([]))
    expect(dumpNode(lab)).not.toContain(`. ${pod.ips[0]} :`)
  })
})

describe('a pod is unwired', () => {
  test('twice, and when it never was: both succeed', async () => {
    const before = dumpNode(lab)
    expect(await host.unwire(pod)).toEqual([ok])
    await host.wire(pod)
    expect(await host.unwire(pod, pod)).toEqual([ok, ok])
    await untilGone(pod.hostIfindex)
    expect(dumpNode(lab)).toBe(before)
    expect(linksIn(inside)).toEqual(['lo'])
  })

  test('the answer does not wait for the link, but nothing leads to it any more', async () => {
    await host.wire(pod)
    await host.unwire(pod)
    const dump = dumpNode(lab)
    expect(dump).not.toContain(`${pod.ips[0]} `)
    await untilGone(pod.hostIfindex)
  })
})

describe('wiring fails', () => {
  const cases: readonly (readonly [string, (pod: PodWiring) => PodWiring, object])[] = [
    [
      'namespace is gone',
      pod => ({ ...pod, netns: '/run/netns/ew-no-such' }),
      {
        code: 'ENOENT',
        message: 'cannot open the network namespace /run/netns/ew-no-such: it does not exist',
        isTemporary: false,
      },
    ],
    [
      'path is no namespace',
      pod => ({ ...pod, netns: '/etc/hostname' }),
      { message: expect.stringContaining('/etc/hostname is not a network namespace') },
    ],
    [
      'name is taken in the pod',
      pod => ({ ...pod, ifName: 'lo' }),
      {
        code: 'EEXIST',
        message: expect.stringMatching(/^interface lo already exists in .*; use another interface/),
        isTemporary: false,
      },
    ],
    [
      'MTU is refused by the kernel',
      pod => ({ ...pod, mtu: 1 }),
      { code: 'EINVAL', message: expect.stringContaining('the kernel refused the wiring of eth0') },
    ],
    [
      'its NIC has no chain, so the last step fails',
      pod => ({ ...pod, slot: 9 }),
      { code: 'ENOENT', message: expect.stringContaining('the kernel refused the wiring of eth0') },
    ],
    [
      'the same address twice, so a step in the middle fails',
      pod => ({ ...pod, ips: [ip('10.0.2.200'), ip('10.0.2.200')] }),
      { code: 'EEXIST', message: expect.stringContaining('the kernel refused the wiring of eth0') },
    ],
  ]
  test.for(cases)('%s: nothing is left', async ([, change, failure]) => {
    const before = dumpNode(lab)
    expect(await host.wire(change(pod))).toEqual([
      { kind: 'failed', failure: expect.objectContaining(failure) },
    ])
    await until('it is undone', async () => dumpNode(lab) === before)
    expect(linksIn(inside)).toEqual(['lo'])
    expect(runIn(inside, 'ip', 'route')).toBe('')
  })

  test('a link number that is taken on the node is left to its owner', async () => {
    const other = podOn(1, 250, makeNamespace().path)
    await host.wire(other)
    const before = dumpNode(lab)
    const [outcome] = await host.wire({ ...pod, hostIfindex: other.hostIfindex })
    expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'EEXIST' } })
    expect(dumpNode(lab)).toBe(before)
    await host.unwire(other)
    await untilGone(other.hostIfindex)
  })
})

describe('two hundred pods', () => {
  const count = 200
  let many: ReturnType<typeof makeMany>

  beforeAll(() => {
    many = makeMany(count)
  })
  afterAll(() => many.remove())

  const rulesOf = () =>
    runIn(lab.node, 'nft', 'list', 'table', 'inet', 'eniway')
      .replaceAll(/elements = \{[^}]*\}/g, '')
      .replaceAll(/\s+/g, ' ')

  test('add routes and elements, but no rule anywhere', async () => {
    const [ipRules, nftRules] = [runIn(lab.node, 'ip', 'rule'), rulesOf()]
    const pods = many.paths.map((path, i) => podOn(i % 2 === 0 ? 1 : 2, 20 + i, path))
    expect(await host.wire(...pods)).toEqual(pods.map(() => ok))
    expect(runIn(lab.node, 'ip', 'rule')).toBe(ipRules)
    expect(ipRules.trim().split('\n')).toHaveLength(3 + 1 + 2)
    expect(rulesOf()).toBe(nftRules)
    expect(ipJson(lab.node, 'route', 'show', 'table', '200')).toHaveLength(count)

    // All of them are wanted: nothing is changed, also by a process that knows nothing yet.
    const before = dumpNode(lab, { handles: true })
    const report = await host.reconcile(desired(pods))
    expect([report.repaired, report.failures, report.strays]).toEqual([[], [], []])
    expect(report.podLinks).toHaveLength(count)
    expect(dumpNode(lab, { handles: true })).toBe(before)

    expect(await host.unwire(...pods)).toEqual(pods.map(() => ok))
    await until('all links are deleted', async () => {
      const gone = new Set(await host.gone())
      return pods.every(({ hostIfindex }) => gone.has(hostIfindex))
    })
  })
})

test('a namespace that is gone is told, one that is there is not', async () => {
  const lost = podOn(1, 251, '/run/netns/ew-no-such')
  const bare = podOn(1, 252, inside.path)
  const report = await host.reconcile(desired([lost, bare]))
  expect(report.goneNamespaces).toEqual([lost.sandbox])
})
