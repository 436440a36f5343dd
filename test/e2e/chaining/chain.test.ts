// Our conflist followed by Debian's portmap, bandwidth, tuning and firewall: what each of them
// promises is seen in packets, for a pod on the primary NIC and one on a secondary NIC, and a DEL
// leaves nothing of it.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Network } from '#cni/runtime/network.ts'
import type { JsonObject } from '#cni/spec/json.ts'
import { ask, openStage, rateOf, twice, type Pod, type Stage } from './stage.ts'

const containerPort = 80
const mac = '02:11:22:33:44:55'
const rates = { ingress: 16_000_000, egress: 8_000_000 } as const
const burst = 800_000

let stage: Stage
let chain: Network
/** On the primary NIC, on a secondary one, and one that only ours has wired. */
let first: Pod
let second: Pod
let plain: Pod

beforeAll(async () => {
  stage = await openStage()
  chain = stage.network('chain', [eniway(), ...after()])
  first = await stage.makePod()
  second = await stage.makePod()
  plain = await stage.makePod()
  await stage.add(chain, first, capabilitiesOf(8081))
  const filling = stage.network('filling', [eniway()])
  // Three pods and no more find place on the primary NIC of this type.
  const fillers = [await stage.makePod(), await stage.makePod()]
  for (const pod of fillers) await stage.add(filling, pod)
  await stage.add(chain, second, capabilitiesOf(8082))
  await stage.add(filling, plain)
  for (const pod of [first, second, plain]) await stage.listen(pod, containerPort)
})

afterAll(async () => {
  expect(await stage?.close()).toEqual([])
})

const eniway = (): JsonObject => ({ type: 'eniway', ...stage.ours })

const after = (): readonly JsonObject[] => [
  { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  { type: 'bandwidth', capabilities: { bandwidth: true } },
  {
    type: 'tuning',
    dataDir: join(stage.directory, 'tuning'),
    sysctl: { 'net.core.somaxconn': '500', 'net.ipv4.conf.eth0.log_martians': '1' },
    mac,
    mtu: 1400,
  },
  { type: 'firewall', backend: 'iptables' },
]

const capabilitiesOf = (hostPort: number): JsonObject => ({
  portMappings: ['tcp', 'udp'].map(protocol => ({ hostPort, containerPort, protocol })),
  bandwidth: {
    ingressRate: rates.ingress,
    ingressBurst: burst,
    egressRate: rates.egress,
    egressBurst: burst,
  },
})

const addressOf = (pod: Pod): string => pod.ips[0] ?? ''
const onNode = (...argv: readonly string[]) => stage.run(stage.near.netns, ...argv)
const inPod = (pod: Pod, ...argv: readonly string[]) => stage.run(pod.netns, ...argv)

const slotOf = async (pod: Pod): Promise<number> => {
  const { pods, nics } = await stage.near.view()
  const held = pods.find(({ addresses }) => addresses.some(ip => pod.ips.includes(ip)))
  return nics.find(({ id }) => id === held?.nic)?.slot ?? 0
}

const ports = () =>
  [
    { pod: first, port: 8081 },
    { pod: second, port: 8082 },
  ] as const

test('the pods are where the tests want them: on the primary NIC and on another', async () => {
  expect(await slotOf(first)).toBe(1)
  expect(await slotOf(second)).toBeGreaterThan(1)
})

test('the whole chain is intact', async () => {
  for (const pod of [first, second]) expect(await stage.check(chain, pod)).toBe('ok')
})

test('portmap: a port of the node leads to the pod, from another node', async () => {
  const { far, near } = stage
  for (const { port } of ports()) {
    expect(await ask(far.netns, near.primaryAddress, port)).toEqual(twice(far.primaryAddress))
  }
})

test('portmap: and from the internet, which the pod of either NIC answers', async () => {
  const { internet, near } = stage
  await stage.letInternetIn()
  for (const { port } of ports()) {
    expect(await ask(internet.netns, near.primaryAddress, port)).toEqual(twice(internet.address))
  }
})

// The other NIC's own address is the node's, too: the answer has to leave by that NIC.
test('portmap: whichever address of the node is asked', async () => {
  const { nics } = await stage.near.view()
  const others = nics.flatMap(nic => (nic.slot === 1 ? [] : nic.primaryAddresses.slice(0, 1)))
  expect(others).not.toEqual([])
  for (const address of others) {
    for (const { port } of ports()) {
      const seen = await ask(stage.far.netns, address, port)
      expect(seen).toEqual(twice(stage.far.primaryAddress))
    }
  }
})

test('portmap: from the node itself, by its address and by 127.0.0.1', async () => {
  const { near } = stage
  for (const { port } of ports()) {
    for (const to of [near.primaryAddress, '127.0.0.1']) {
      expect(await ask(near.netns, to, port)).toEqual(twice(near.primaryAddress))
    }
  }
})

test('portmap: from a pod of the node, and from the pod itself', async () => {
  const { near } = stage
  for (const { pod, port } of ports()) {
    expect(await ask(plain.netns, near.primaryAddress, port)).toEqual(twice(addressOf(plain)))
    expect(await ask(pod.netns, near.primaryAddress, port)).toEqual(twice(near.primaryAddress))
  }
})

const expectRate = (measured: number, limit: number): void => {
  // The burst goes at once; a busy machine makes it slower, never faster.
  expect(measured).toBeLessThan(limit * 1.4)
  expect(measured).toBeGreaterThan(limit / 5)
}

const bytes = 1_000_000

test('bandwidth: what comes in is limited, and what goes out', async () => {
  const { far } = stage
  const outside = { netns: far.netns, address: far.primaryAddress }
  for (const pod of [first, second]) {
    const inside = { netns: pod.netns, address: addressOf(pod) }
    expectRate(await rateOf(far.netns, inside, bytes), rates.ingress)
    expectRate(await rateOf(pod.netns, outside, bytes), rates.egress)
  }
  // Without the plugin it is another matter, so it is the plugin that limits.
  expect(await rateOf(plain.netns, outside, bytes)).toBeGreaterThan(5 * rates.ingress)
})

test('tuning: the settings, the MTU and the MAC are as asked, and the pod is still reached', async () => {
  for (const pod of [first, second]) {
    const value = async (name: string) => (await inPod(pod, 'sysctl', '-n', name)).trim()
    expect(await value('net.core.somaxconn')).toBe('500')
    expect(await value('net.ipv4.conf.eth0.log_martians')).toBe('1')
    expect(await inPod(pod, 'ip', 'link', 'show', 'eth0')).toMatch(
      new RegExp(`mtu 1400 [^]*link/ether ${mac}`),
    )
    const [, podEnd] = pod.result['interfaces'] as readonly JsonObject[]
    expect(podEnd).toMatchObject({ name: 'eth0', mac })
    const { far, near } = stage
    expect(await ask(far.netns, addressOf(pod), containerPort)).toEqual(twice(far.primaryAddress))
    expect(await ask(near.netns, addressOf(pod), containerPort)).toEqual(twice(near.primaryAddress))
    expect(await ask(plain.netns, addressOf(pod), containerPort)).toEqual(twice(addressOf(plain)))
  }
})

test('tuning: a repair of the node undoes none of that', async () => {
  await stage.near.restartDaemon()
  await stage.near.untilReady()
  for (const pod of [first, second]) {
    expect(await inPod(pod, 'ip', 'link', 'show', 'eth0')).toContain(mac)
    expect(await stage.check(chain, pod)).toBe('ok')
    const seen = await ask(stage.far.netns, addressOf(pod), containerPort)
    expect(seen).toEqual(twice(stage.far.primaryAddress))
  }
})

// A node whose administrator forwards nothing: the plugin lets its pods out, and answers in.
test('firewall: its pods may pass where nobody else may, unless the administrator says no', async () => {
  const { far } = stage
  const listening = { netns: far.netns, address: far.primaryAddress }
  const port = 7101
  const listener = { netns: far.netns, ips: [listening.address] }
  await stage.listen(listener, port)
  await onNode('iptables', '-P', 'FORWARD', 'DROP')
  try {
    for (const pod of [first, second]) {
      expect(await ask(pod.netns, listening.address, port)).toEqual(twice(addressOf(pod)))
    }
    expect(await ask(plain.netns, listening.address, port)).toEqual(twice('timeout'))
    await onNode('iptables', '-A', 'CNI-ADMIN', '-s', addressOf(second), '-j', 'DROP')
    expect(await ask(second.netns, listening.address, port)).toEqual(twice('timeout'))
    expect(await ask(first.netns, listening.address, port)).toEqual(twice(addressOf(first)))
  } finally {
    await onNode('iptables', '-F', 'CNI-ADMIN')
    await onNode('iptables', '-P', 'FORWARD', 'ACCEPT')
  }
})

test('CHECK tells what somebody took away, of theirs and of ours', async () => {
  const address = addressOf(second)
  await onNode('iptables', '-D', 'CNI-FORWARD', '-s', `${address}/32`, '-j', 'ACCEPT')
  expect(await stage.check(chain, second)).toMatch(/plugin "firewall" failed CHECK/)
  await onNode('iptables', '-A', 'CNI-FORWARD', '-s', `${address}/32`, '-j', 'ACCEPT')
  expect(await stage.check(chain, second)).toBe('ok')
  await onNode('ip', 'route', 'delete', `${address}/32`, 'table', '200')
  expect(await stage.check(chain, second)).toMatch(/plugin "eniway" failed CHECK: .*route to/)
})

/** What of the node's kernel speaks of a pod or its ports. */
const tracesOf = async (pod: Pod, port: number): Promise<readonly string[]> => {
  const dumps = await Promise.all([
    onNode('iptables-save'),
    onNode('nft', 'list', 'ruleset'),
    onNode('ip', 'route', 'show', 'table', 'all'),
  ])
  const words = [addressOf(pod), pod.containerId, String(port), `chain-${pod.containerId}`]
  const rules = dumps
    .join('\n')
    .split('\n')
    .filter(line => line.split(/[^0-9a-zA-Z.-]+/).some(word => words.includes(word)))
  const shapers = (await onNode('ip', '-o', 'link', 'show', 'type', 'ifb')).trim()
  return [...rules, shapers].filter(line => line !== '')
}

test('DEL of the chain leaves nothing, also when the pod’s namespace is gone, and twice', async () => {
  expect(await tracesOf(first, 8081)).not.toEqual([])
  expect(await stage.del(chain, first)).toBe('ok')
  expect(await stage.del(chain, first)).toBe('ok')
  await stage.removeNamespace(second)
  expect(await stage.del(chain, second)).toBe('ok')
  expect(await tracesOf(first, 8081)).toEqual([])
  // Of a namespace that is gone Debian's tuning forgets to remove what it noted; ours has no part.
  expect(await readdir(join(stage.directory, 'tuning'))).toEqual([
    `${second.containerId}_eth0.json`,
  ])
  expect(await tracesOf(second, 8082)).toEqual([])
  const { near, far } = stage
  expect(await ask(far.netns, near.primaryAddress, 8081)).not.toContain(far.primaryAddress)
})

test('GC of the chain takes down what is not valid any more, and nothing else', async () => {
  const [stays, goes] = [await stage.makePod(), await stage.makePod()]
  await stage.add(chain, stays, capabilitiesOf(8083))
  await stage.add(chain, goes, capabilitiesOf(8084))
  const valid = [{ containerId: stays.containerId, ifName: 'eth0' }]
  expect((await stage.runtime.gc(chain, valid)).kind).toBe('parsed')
  // One shaper is left, of the pod that stays.
  expect(await tracesOf(goes, 8084)).toEqual([expect.stringContaining('bwp')])
  expect(await stage.check(chain, stays)).toBe('ok')
  const { pods } = await stage.near.view()
  expect(
    pods.filter(({ network }) => network === 'chain').map(({ addresses }) => addresses),
  ).toEqual([stays.ips])
  expect(await stage.del(chain, stays)).toBe('ok')
  expect(await tracesOf(stays, 8083)).toEqual([])
})
