// What the packet plane is told: judged on a fabric that only remembers its present state.
import { expect, test } from 'vitest'
import { ip } from '#core/ip.ts'
import { launch } from './description.ts'
import { assign, unassign } from './model/addresses.ts'
import { maintain } from './model/devices.ts'
import { startInstance, stopInstance, terminateInstance } from './model/instances.ts'
import { attachNic, createNic, detachNic } from './model/nics.ts'
import { nicOf, nicsOfInstance } from './model/world.ts'
import type { Fabric, FabricNic } from './ports.ts'
import { sampleWorld } from './sample.ts'
import { connectFabric } from './wires.ts'

/** A fabric in memory that refuses what the port forbids. */
const memoryFabric = () => {
  const instances = new Set<string>()
  const nics = new Map<string, FabricNic>()
  const owners = (nic: FabricNic): readonly FabricNic[] =>
    [...nics.values()].filter(
      other => other.id !== nic.id && other.blocks.some(block => nic.blocks.includes(block)),
    )
  const put = (nic: FabricNic): void => {
    if (!instances.has(nic.instanceId)) throw new Error(`${nic.instanceId} was not added`)
    if (owners(nic).length > 0) throw new Error(`a block of ${nic.id} has another owner`)
    nics.set(nic.id, nic)
  }
  const fabric: Fabric = {
    addInstance: async instance => void instances.add(instance.id),
    removeInstance: async id => {
      if ([...nics.values()].some(nic => nic.instanceId === id)) throw new Error(`${id} has NICs`)
      instances.delete(id)
    },
    plug: async nic => put(nic),
    update: async nic => put(nic),
    unplug: async id => void nics.delete(id),
    close: async () => undefined,
  }
  return { fabric, instances, nics }
}

const lend = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

const connected = (...options: Parameters<typeof sampleWorld>) => {
  const sample = sampleWorld(...options)
  const memory = memoryFabric()
  const errors: unknown[] = []
  const wires = connectFabric(sample.world, memory.fabric, error => errors.push(error))
  const node = sample.ids.instanceIds['node-a'] ?? ''
  const subnetId = sample.ids.subnetIds['a'] ?? ''
  const create = () =>
    createNic(sample.world, {
      subnetId,
      description: '',
      groupIds: [],
      primaryAddress: undefined,
      lend4: lend,
      lend6: lend,
      tags: {},
    })
  return { ...sample, ...memory, wires, errors, node, create }
}

const place = { deviceIndex: 1, cardIndex: 0, deleteOnTermination: true }

test('primary NICs are plugged with all that the data plane needs', async () => {
  const { wires, nics, world, node } = connected()
  await wires.idle()
  const id = nicsOfInstance(world, node)[0]?.id ?? ''
  expect(nics.size).toBe(2)
  expect(nics.get(id)).toMatchObject({
    primary: true,
    deviceIndex: 0,
    subnet: '10.0.0.0/24',
    gateway: '10.0.0.1',
    primaryAddress: '10.0.0.10',
    blocks: ['10.0.0.10/32'],
    sourceDestCheck: true,
    mtu: 9001,
  })
  const [group] = nics.get(id)?.securityGroups ?? []
  expect(group?.ingress).toEqual([
    { protocol: 'all', ports: undefined, peer: { kind: 'group', id: group?.id } },
  ])
})

test('a device appears after the attachment, packets obey a change after the call', async () => {
  const { wires, nics, world, clock, node, create, errors } = connected('documented')
  const nic = create()
  await clock.advance(2000)
  const { id } = attachNic(world, { nicId: nic.id, instanceId: node, ...place })
  await wires.idle()
  expect(nics.has(nic.id)).toBe(false)
  await clock.advance(8500)
  await wires.idle()
  expect(nics.has(nic.id)).toBe(true)
  assign(world, nic.id, { ...lend, prefixCount: 1, family: 4, allowReassignment: false })
  await wires.idle()
  expect(nics.get(nic.id)?.blocks).toHaveLength(1)
  await clock.advance(1500)
  await wires.idle()
  expect(nics.get(nic.id)?.blocks).toEqual([
    `${nic.primaryAddress}/32`,
    ...nicOf(world, nic.id).prefixes,
  ])
  detachNic(world, id)
  await wires.idle()
  expect(nics.has(nic.id)).toBe(false)
  expect(errors).toEqual([])
})

// Taken back from one NIC and lent to another at once, with lags that could overtake each other.
test('an address never has two owners in the fabric', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { wires, nics, world, clock, node, create, errors } = connected('documented', seed)
    const other = create()
    const primary = nicsOfInstance(world, node)[0]?.id ?? ''
    await clock.advance(2000)
    attachNic(world, { nicId: other.id, instanceId: node, ...place })
    const request = { ...lend, family: 4 as const, allowReassignment: false }
    const { addresses } = assign(world, primary, { ...request, addressCount: 3 })
    await clock.advance(12_000)
    unassign(world, primary, { addresses, prefixes: [] })
    assign(world, other.id, { ...request, addresses })
    await clock.advance(5000)
    await wires.idle()
    expect(errors).toEqual([])
    expect(nics.get(other.id)?.blocks).toHaveLength(4)
    expect(nics.get(primary)?.blocks).toHaveLength(1)
  }
})

test('a terminated instance leaves the fabric after its NICs', async () => {
  const { wires, nics, instances, world, node, create, errors } = connected()
  attachNic(world, { nicId: create().id, instanceId: node, ...place })
  await wires.idle()
  expect([nics.size, instances.size]).toEqual([3, 2])
  terminateInstance(world, node)
  await wires.idle()
  expect([nics.size, instances.size]).toEqual([1, 1])
  expect(errors).toEqual([])
})

test('the fabric knows the cloud and the machine of a NIC', async () => {
  const traits = { mtu: 1500, gateway: () => ip('fe80::1234:5678:9abc') }
  const { wires, nics, world, ids } = connected('none', 1, traits)
  const described = { name: 'node-c', type: 'm5.large', subnet: 'a', addressCount6: 1 }
  const place = { ...ids, isBooted: true }
  const { id } = launch(world, { ...described, accelerated: true, renames: true }, place)
  await wires.idle()
  const [nic] = [...nics.values()].filter(({ instanceId }) => instanceId === id)
  expect(nic).toMatchObject({
    mtu: 1500,
    gateway6: 'fe80::1234:5678:9abc',
    deviceName: 'ens5',
    fastPath: 'plugged',
  })
  expect(nic?.blocks[1]).toMatch(/^2600:1f18:0:100:.*\/128$/)
  maintain(world, id, 1000)
  await wires.idle()
  expect(nics.get(nic?.id ?? '')?.fastPath).toBe('gone')
})

test('a machine that stops loses its devices and finds them again', async () => {
  const { wires, nics, instances, world, node } = connected()
  await wires.idle()
  const before = [...nics.keys()]
  stopInstance(world, node)
  await wires.idle()
  expect([...nics.values()].filter(({ instanceId }) => instanceId === node)).toEqual([])
  expect(instances.has(node)).toBe(true)
  startInstance(world, node)
  await wires.idle()
  expect([...nics.keys()].toSorted()).toEqual(before.toSorted())
})
