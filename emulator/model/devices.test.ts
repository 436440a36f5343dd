// What becomes of devices after they have appeared: judged by what the fabric would be told.
import { expect, test } from 'vitest'
import { launch } from '#emulator/description.ts'
import type { DescribedInstance } from '#emulator/description.ts'
import { sampleWorld } from '#emulator/sample.ts'
import { maintain } from './devices.ts'
import { startInstance, stopInstance } from './instances.ts'
import { attachNic, createNic, detachNic } from './nics.ts'
import { nicsOfInstance } from './world.ts'

const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

const setup = (instance: Partial<DescribedInstance>) => {
  const sample = sampleWorld('documented')
  const described = { name: 'node-c', type: 'm5.large', subnet: 'a', ...instance }
  const { id } = launch(sample.world, described, { ...sample.ids, isBooted: true })
  const attach = () => {
    const subnetId = sample.ids.subnetIds['a'] ?? ''
    const common = { subnetId, description: '', groupIds: [], tags: {}, lend4: none, lend6: none }
    const nic = createNic(sample.world, { ...common, primaryAddress: undefined })
    sample.world.knownAt.set(nic.id, 0)
    const place = { deviceIndex: 1, cardIndex: 0, deleteOnTermination: true }
    return attachNic(sample.world, { nicId: nic.id, instanceId: id, ...place })
  }
  const shown = () =>
    nicsOfInstance(sample.world, id).map(({ attachment }) => {
      if (attachment?.isPlugged !== true) return 'unplugged'
      return `${attachment.deviceName ?? 'plain'}${attachment.isSlow ? ' slow' : ''}`
    })
  return { ...sample, id, attach, shown }
}

test('devices are renamed some time after they appear, at each boot anew', async () => {
  const { world, clock, id, attach, shown } = setup({ renames: true })
  attach()
  expect(shown()).toEqual(['plain', 'unplugged'])
  await clock.advance(20_000)
  expect(shown()).toEqual(['ens5', 'ens6'])
  stopInstance(world, id)
  await clock.advance(20_000)
  startInstance(world, id)
  expect(shown()).toEqual(['plain', 'plain'])
  await clock.advance(20_000)
  expect(shown()).toEqual(['ens5', 'ens6'])
})

test('a fault renames one device of a machine that renames none', async () => {
  const { world, clock, attach, shown } = setup({})
  world.faults.add({ effect: { kind: 'deviceRenamed' }, instance: 'node-c', count: 1 })
  attach()
  await clock.advance(20_000)
  expect(shown()).toEqual(['plain', 'ens6'])
})

test('a device that is gone before its new name comes stays gone', async () => {
  const { world, clock, attach, shown } = setup({ renames: true })
  const attachment = attach()
  while (shown()[1] === 'unplugged') await clock.advance(10)
  detachNic(world, attachment.id)
  await clock.advance(30_000)
  expect(shown()).toEqual(['ens5'])
})

test('maintenance takes the fast path of an accelerated machine for its time', async () => {
  const { world, clock, id, shown } = setup({ accelerated: true, secondaryNics: [{ subnet: 'a' }] })
  maintain(world, id, 5000)
  expect(shown()).toEqual(['plain slow', 'plain slow'])
  await clock.advance(4999)
  expect(shown()).toEqual(['plain slow', 'plain slow'])
  await clock.advance(1)
  expect(shown()).toEqual(['plain', 'plain'])
})

test('a machine without a fast path has none to lose', () => {
  const { world, id } = setup({})
  expect(() => maintain(world, id, 5000)).toThrow(/instanceState/)
})
