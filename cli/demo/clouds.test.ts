import { expect, test } from 'vitest'
import { cidr, contains } from '#core/ip.ts'
import { nodesMax } from '#emulator/launch-layout.ts'
import { layoutOf } from './clouds.ts'

const room = { nics: 2, onPrimary: 10, total: 254 }
const instanceType = 'Standard_D4s_v5'

test('clouds with hot plug have the layout of the emulator', () =>
  expect(layoutOf('aws', { nodes: 2, instanceType: 'm5.large', room })).toBeUndefined())

test('on Azure every node has a small subnet of its own and a second NIC for pods', () => {
  const layout = layoutOf('azure', { nodes: nodesMax, instanceType, room })
  const subnets = layout?.subnets ?? []
  expect(subnets.length).toBe(nodesMax + 2)
  const all = subnets.flatMap(subnet => [subnet.cidr, ...(subnet.cidr6 ? [subnet.cidr6] : [])])
  expect(new Set(all).size).toBe(all.length)
  const overlapping = all.flatMap(a => all.filter(b => a !== b && contains(a, b)))
  expect(overlapping).toEqual([])
  const networks = [cidr('10.0.0.0/16'), cidr('2001:db8:0:100::/56')]
  expect(all.filter(block => !networks.some(network => contains(network, block)))).toEqual([])
  for (const { subnet, secondaryNics } of layout?.instances ?? []) {
    expect(subnets.find(({ name }) => name === subnet)?.cidr).toMatch(/\/28$/)
    expect(secondaryNics).toMatchObject([{ tags: { 'eniway.io_pods': 'true' } }])
  }
})
