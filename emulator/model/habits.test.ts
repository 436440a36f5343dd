// What the model does differently from cloud to cloud, as the platform's traits say.
import { expect, test } from 'vitest'
import { addressAt, cidr, ip } from '#core/ip.ts'
import { awsTraits } from '#emulator/aws/traits.ts'
import { launch } from '#emulator/description.ts'
import { sampleWorld } from '#emulator/sample.ts'
import { assign, availableCount } from './addresses.ts'
import { startInstance, stopInstance, terminateInstance } from './instances.ts'
import { attachNic, createNic, detachNic } from './nics.ts'
import { addSubnet } from './vpc.ts'
import { instanceOf, nicsOfInstance } from './world.ts'

const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

const setup = (...options: Parameters<typeof sampleWorld>) => {
  const sample = sampleWorld(...options)
  const node = sample.ids.instanceIds['node-a'] ?? ''
  const create = () =>
    createNic(sample.world, {
      subnetId: sample.ids.subnetIds['a'] ?? '',
      description: '',
      groupIds: [],
      primaryAddress: undefined,
      lend4: none,
      lend6: none,
      tags: {},
    })
  const plugged = () =>
    nicsOfInstance(sample.world, node).map(({ attachment }) => attachment?.isPlugged)
  return { ...sample, node, create, plugged }
}

const place = { deviceIndex: 1, cardIndex: 0, deleteOnTermination: true }

const checkFree = (
  reserved: { readonly head: number; readonly tail: number },
  want: { readonly free: number; readonly first: string },
) => {
  const { world, ids } = sampleWorld('none', 1, { reserved })
  const range = cidr('10.0.9.0/29')
  const vpcId = ids.vpcId
  const subnet = { name: 's', vpcId, zone: 'us-east-1a', cidr: range, cidr6: undefined, tags: {} }
  const { id } = addSubnet(world, subnet)
  expect(availableCount(world, id)).toBe(want.free)
  const request = {
    subnetId: id,
    description: '',
    groupIds: [],
    tags: {},
    lend4: none,
    lend6: none,
  }
  const create = (primaryAddress: ReturnType<typeof ip>) =>
    createNic(world, { ...request, primaryAddress })
  expect(create(ip(want.first)).primaryAddress).toBe(want.first)
  expect(() => create(addressAt(range, reserved.head - 1))).toThrow(/addressTaken/)
  expect(() => create(addressAt(range, 8 - reserved.tail))).toThrow(/addressTaken/)
}

test('AWS and Azure keep four addresses and the last', () =>
  checkFree({ head: 4, tail: 1 }, { free: 3, first: '10.0.9.4' }))

test('Alibaba Cloud keeps the first address and the last three', () =>
  checkFree({ head: 1, tail: 3 }, { free: 4, first: '10.0.9.1' }))

test('without hot plug, NICs come and go while the machine is stopped', async () => {
  const { world, clock, node, create, plugged } = setup('none', 1, { hotPlug: false })
  const nicId = create().id
  expect(() => attachNic(world, { nicId, instanceId: node, ...place })).toThrow(
    /hotPlugUnsupported/,
  )
  stopInstance(world, node)
  expect(instanceOf(world, node).state).toBe('stopped')
  const attachment = attachNic(world, { nicId, instanceId: node, ...place })
  await clock.advance(60_000)
  expect(plugged()).toEqual([false, false])
  startInstance(world, node)
  expect(plugged()).toEqual([true, true])
  expect(() => detachNic(world, attachment.id)).toThrow(/hotPlugUnsupported/)
  stopInstance(world, node)
  detachNic(world, attachment.id)
  expect(nicsOfInstance(world, node)).toHaveLength(1)
})

test('a NIC of a subnet that spans its region can go to any zone of it', () => {
  const { world, ids, node, create } = setup()
  const attach = (zone: string) => {
    world.instances.set(node, { ...instanceOf(world, node), zone })
    return () => attachNic(world, { nicId: create().id, instanceId: node, ...place })
  }
  expect(attach('us-east-1b')).toThrow(/zoneDiffers/)
  const subnet = world.subnets.get(ids.subnetIds['a'] ?? '')
  if (subnet !== undefined) world.subnets.set(subnet.id, { ...subnet, zone: 'us-east-1' })
  expect(attach('us-west-1b')).toThrow(/zoneDiffers/)
  expect(attach('us-east-1b')().state).toBe('attaching')
})

test('a machine that stops loses its devices, not its NICs', async () => {
  const { world, clock, node, plugged } = setup('documented')
  stopInstance(world, node)
  expect(instanceOf(world, node).state).toBe('stopping')
  expect(() => startInstance(world, node)).toThrow(/instanceState/)
  await clock.advance(30_000)
  expect([instanceOf(world, node).state, plugged()]).toEqual(['stopped', [false]])
  expect(startInstance(world, node).state).toBe('pending')
  await clock.advance(30_000)
  expect([instanceOf(world, node).state, plugged()]).toEqual(['running', [true]])
})

test('blocks of both families count over all NICs where the cloud counts so', () => {
  const small = { ...awsTraits.typeLimits('m5.large'), slotsPerInstanceMax: 4 }
  const typeLimits = () => small as ReturnType<typeof awsTraits.typeLimits>
  const { world, node, create } = setup('none', 1, { typeLimits })
  const nicId = create().id
  attachNic(world, { nicId, instanceId: node, ...place })
  const lend = (family: 4 | 6) =>
    assign(world, nicId, { ...none, addressCount: 1, family, allowReassignment: false })
  lend(6)
  lend(4)
  expect(() => lend(6)).toThrow(/instanceSlotsExceeded/)
  expect(() => lend(4)).toThrow(/instanceSlotsExceeded/)
  const third = create().id
  const attach = () =>
    attachNic(world, { nicId: third, instanceId: node, ...place, deviceIndex: 2 })
  expect(attach).toThrow(/instanceSlotsExceeded/)
})

test('a machine boots with its secondary NICs, or is not launched at all', () => {
  const { world, ids } = sampleWorld()
  const described = { name: 'node-c', type: 'm5.large', subnet: 'a', groups: ['closed'] }
  const nics = (count: number) => Array.from({ length: count }, () => ({ subnet: 'tiny' }))
  const before = availableCount(world, ids.subnetIds['tiny'] ?? '')
  const boot = (count: number) =>
    launch(world, { ...described, secondaryNics: nics(count) }, { ...ids, isBooted: true })
  expect(() => boot(3)).toThrow(/nicsExceeded/)
  const instance = boot(2)
  const places = nicsOfInstance(world, instance.id).map(({ attachment, subnetId }) => [
    attachment?.deviceIndex,
    attachment?.isPlugged,
    Object.entries(ids.subnetIds).find(([, id]) => id === subnetId)?.[0],
  ])
  expect(places).toEqual([
    [0, true, 'a'],
    [1, true, 'tiny'],
    [2, true, 'tiny'],
  ])
  terminateInstance(world, instance.id)
  expect(availableCount(world, ids.subnetIds['tiny'] ?? '')).toBe(before)
})
