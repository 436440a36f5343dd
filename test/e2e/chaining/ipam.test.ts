// As the IPAM plugin of Debian's ptp, bridge and macvlan: packets flow as far as their links lead,
// a pod's address leaves through its own NIC, and the daemon keeps such addresses as it keeps
// others, over restarts too, without taking their links for its own.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Network } from '#cni/runtime/network.ts'
import type { JsonObject } from '#cni/spec/json.ts'
import { ask, openStage, twice, type Pod, type Stage } from './stage.ts'

const port = 80

let stage: Stage
/** Fills the primary NIC, so that further pods are on others. */
let own: Pod[] = []

beforeAll(async () => {
  stage = await openStage()
  const network = stage.network('own', [{ type: 'eniway', ...stage.ours }])
  own = [await stage.makePod(), await stage.makePod()]
  for (const pod of own) await stage.add(network, pod)
  await listenAll(own)
})

afterAll(async () => {
  expect(await stage?.close()).toEqual([])
})

const delegating = (name: string, plugin: JsonObject, ...after: readonly JsonObject[]): Network =>
  stage.network(name, [{ ...plugin, ipam: { type: 'eniway', ...stage.ours } }, ...after])

const addressOf = (pod: Pod | undefined): string => pod?.ips[0] ?? ''
const listenAll = async (pods: readonly Pod[]): Promise<void> => {
  for (const pod of pods) await stage.listen(pod, port)
}

const addPods = async (network: Network, count: number): Promise<readonly Pod[]> => {
  const pods: Pod[] = []
  for (let i = 0; i < count; i++) {
    const pod = await stage.makePod()
    await stage.add(network, pod)
    pods.push(pod)
  }
  await listenAll(pods)
  return pods
}

const deleteAll = async (network: Network, pods: readonly Pod[]): Promise<void> => {
  for (const pod of pods) {
    expect(await stage.del(network, pod)).toBe('ok')
    expect(await stage.del(network, pod)).toBe('ok')
    await stage.removeNamespace(pod)
  }
}

const view = () => stage.near.view()
const onNode = (...argv: readonly string[]) => stage.run(stage.near.netns, ...argv)

const slotOf = async (pod: Pod | undefined): Promise<number> => {
  const { pods, nics } = await view()
  const held = pods.find(({ addresses }) => addresses.some(ip => ip === addressOf(pod)))
  return nics.find(({ id }) => id === held?.nic)?.slot ?? 0
}

/** Whoever may talk to the pod, and it to them: another node, this node, pods, the world. */
const expectConnected = async (pod: Pod, peers: readonly Pod[]): Promise<void> => {
  const { far, near } = stage
  const [far4, near4, self] = [far.primaryAddress, near.primaryAddress, addressOf(pod)]
  expect(await ask(far.netns, self, port), 'from another node').toEqual(twice(far4))
  const fromNode = await ask(near.netns, self, port)
  expect(fromNode, 'from the node').not.toContain('timeout')
  for (const peer of peers) {
    expect(await ask(peer.netns, self, port), 'from a pod').toEqual(twice(addressOf(peer)))
    expect(await ask(pod.netns, addressOf(peer), port), 'to a pod').toEqual(twice(self))
  }
  const { address, tcpPort } = stage.internet
  expect(await ask(pod.netns, address, tcpPort), 'to the world').toEqual(twice(near4))
}

/** What of the node's kernel and of the daemon speaks of these addresses. */
const tracesOf = async (addresses: readonly string[]): Promise<readonly string[]> => {
  const dumps = [
    await onNode('ip', 'route', 'show', 'table', 'all'),
    await onNode('nft', 'list', 'ruleset'),
  ]
  const { pods } = await view()
  const lines = [...dumps.join('\n').split('\n'), ...pods.map(pod => JSON.stringify(pod))]
  return lines.filter(line => line.split(/[^0-9.]+/).some(word => addresses.includes(word)))
}

// The kernel takes down the links of a namespace after its name.
const expectNoTraces = (addresses: readonly string[]) =>
  expect.poll(() => tracesOf(addresses), { timeout: 10_000 }).toEqual([])

test('ptp: pods on every NIC are connected as our own are', async () => {
  const network = delegating('ptp', { type: 'ptp' })
  const pods = await addPods(network, 3)
  const slots = await Promise.all(pods.map(slotOf))
  expect(slots).toContain(1)
  expect(Math.max(...slots)).toBeGreaterThan(1)
  for (const pod of pods) {
    await expectConnected(pod, [own[0] ?? pod, ...pods.filter(other => other !== pod)].slice(0, 2))
    expect(await stage.check(network, pod)).toBe('ok')
  }
  await deleteAll(network, pods)
  await expectNoTraces(pods.map(addressOf))
})

test('ptp with portmap behind it: a port of the node leads to a pod on another NIC', async () => {
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true }
  const network = delegating('ports', { type: 'ptp' }, portmap)
  const pods: Pod[] = []
  for (const hostPort of [8091, 8092]) {
    const pod = await stage.makePod()
    const mapping = { hostPort, containerPort: port }
    const portMappings = ['tcp', 'udp'].map(protocol => ({ ...mapping, protocol }))
    await stage.add(network, pod, { portMappings })
    pods.push(pod)
  }
  await listenAll(pods)
  expect(await slotOf(pods[1])).toBeGreaterThan(1)
  const { far, near } = stage
  for (const hostPort of [8091, 8092]) {
    const seen = await ask(far.netns, near.primaryAddress, hostPort)
    expect(seen).toEqual(twice(far.primaryAddress))
    // Translated to the address that ptp gave the node's end.
    const [seenAs = '', ...others] = new Set(await ask(near.netns, '127.0.0.1', hostPort))
    expect(others).toEqual([])
    const { nics } = await view()
    expect(nics.flatMap(({ primaryAddresses }) => primaryAddresses)).toContain(seenAs)
  }
  await deleteAll(network, pods)
})

test('bridge: its pods are connected too, the node being the gateway', async () => {
  // With a MAC of its own: else it takes those of its ports in turn, and the CHECK of Debian's
  // plugin fails for the pods before.
  const fixed = ['address', '02:00:00:00:0b:01', 'type', 'bridge']
  await onNode('ip', 'link', 'add', 'ew-br0', ...fixed)
  const network = delegating('bridge', { type: 'bridge', bridge: 'ew-br0' })
  const pods = await addPods(network, 3)
  expect(Math.max(...(await Promise.all(pods.map(slotOf))))).toBeGreaterThan(1)
  for (const pod of pods) {
    await expectConnected(pod, [own[0] ?? pod, ...pods.filter(other => other !== pod)].slice(0, 2))
  }
  for (const pod of pods) expect(await stage.check(network, pod)).toBe('ok')
  await deleteAll(network, pods)
  await expectNoTraces(pods.map(addressOf))
  await onNode('ip', 'link', 'delete', 'ew-br0')
})

test('bridge: as a gateway it would take the subnet from the node, and is refused', async () => {
  const network = delegating('gateway', { type: 'bridge', bridge: 'ew-br1', isGateway: true })
  const pod = await stage.makePod()
  await expect(stage.add(network, pod)).rejects.toThrow(/a bridge that is a gateway needs a subnet/)
  expect(await stage.del(network, pod)).toBe('ok')
  await stage.removeNamespace(pod)
  await onNode('ip', 'link', 'delete', 'ew-br1')
})

// A cloud delivers frames to the MAC of the NIC alone, so macvlan's pods have only each other.
test('macvlan: addresses of its master’s NIC, with the subnet’s gateway', async () => {
  const network = delegating('macvlan', { type: 'macvlan', master: 'eth1' })
  const pods = await addPods(network, 2)
  const [one, two] = pods
  for (const pod of pods) {
    expect(await slotOf(pod)).toBe(2)
    const routes = await stage.run(pod.netns, 'ip', 'route', 'show', 'default')
    expect(routes).toContain('via 10.0.0.1 dev eth0')
    expect(await stage.check(network, pod)).toBe('ok')
  }
  expect(await ask(one?.netns ?? '', addressOf(two), port)).toEqual(twice(addressOf(one)))
  expect(await ask(two?.netns ?? '', addressOf(one), port)).toEqual(twice(addressOf(two)))
  await deleteAll(network, pods)
})

test('macvlan: on a device that is no NIC of ours it is refused, with those that are', async () => {
  await onNode('ip', 'link', 'add', 'ew-br2', 'type', 'bridge')
  const network = delegating('wrong', { type: 'macvlan', master: 'ew-br2' })
  const pod = await stage.makePod()
  await expect(stage.add(network, pod)).rejects.toThrow(
    /ew-br2 is no NIC that gives addresses; use one of: eth0, /,
  )
  await onNode('ip', 'link', 'delete', 'ew-br2')
})

test('the daemon restarts, dies, and is away: what it gave stays, and nobody gets it twice', async () => {
  const network = delegating('restart', { type: 'ptp' })
  const [pod] = await addPods(network, 1)
  if (pod === undefined) throw new Error('there is no pod')
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await stage.near.restartDaemon(signal)
    await stage.near.untilReady()
    expect(await stage.check(network, pod)).toBe('ok')
    expect(await ask(stage.far.netns, addressOf(pod), port)).not.toContain('timeout')
  }
  const { errors, pods } = await view()
  expect(errors).toEqual([])
  expect(pods.filter(({ network: name }) => name === 'restart')).toHaveLength(1)
  // What somebody removes is put back; the pod's link is none of the daemon's business.
  await onNode('nft', 'flush', 'map', 'inet', 'eniway', 'delegated4')
  expect(await stage.check(network, pod)).toMatch(/does not let .* out through its NIC/)
  await stage.near.restartDaemon()
  await stage.near.untilReady()
  expect(await stage.check(network, pod)).toBe('ok')
  const others = await addPods(network, 2)
  expect(others.map(addressOf)).not.toContain(addressOf(pod))
  await deleteAll(network, others)
  // Nobody is there to take the DEL, and the namespace is gone: it is done later.
  process.kill(stage.near.daemonPid, 'SIGKILL')
  await stage.removeNamespace(pod)
  expect(await stage.del(network, pod)).toBe('ok')
  expect(await onNode('nft', 'list', 'map', 'inet', 'eniway', 'delegated4')).toContain(
    addressOf(pod),
  )
  await stage.near.restartDaemon()
  await stage.near.untilReady()
  await expectNoTraces([addressOf(pod)])
})

test('GC gives back what is not valid, of its network only', async () => {
  const network = stage.network('gc', [{ type: 'ptp', ipam: { type: 'eniway', ...stage.ours } }])
  const [stays, goes] = await addPods(network, 2)
  if (stays === undefined || goes === undefined) throw new Error('there are no pods')
  const valid = [{ containerID: stays.containerId, ifname: 'eth0' }]
  // Debian's ptp knows no GC: ours is asked as a newer one would.
  const answer = await stage.callIpam('GC', network, { 'cni.dev/valid-attachments': valid })
  expect(answer).toEqual({ exitCode: 0, stdout: '' })
  const { pods } = await view()
  expect(pods.map(({ addresses }) => addresses[0])).toEqual(
    expect.arrayContaining([...own, stays].map(addressOf)),
  )
  expect(pods.map(({ addresses }) => addresses[0])).not.toContain(addressOf(goes))
  await deleteAll(network, [stays, goes])
})

test('STATUS and VERSION answer a delegating plugin', async () => {
  const network = delegating('status', { type: 'ptp' })
  expect(await stage.callIpam('STATUS', network)).toEqual({ exitCode: 0, stdout: '' })
  const { stdout } = await stage.callIpam('VERSION', network)
  expect(JSON.parse(stdout)).toMatchObject({ supportedVersions: expect.arrayContaining(['1.1.0']) })
})
