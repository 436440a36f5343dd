// What kind of cloud and pods a day has: how its clouds differ in limits and habits, and which
// families every pod gets. Everything else about a day is scenario.ts's business.

import { baseOf, type Cidr, type Family, ip, type Ip } from '#core/ip.ts'
import type { Limits } from '#core/ports.ts'
import type { Chance } from './chance.ts'

/**
 * `plug`: NICs come and go, each with its own address for the node (AWS). `fixed`: NICs are there
 * from birth and addresses are counted over all of them (Azure). `gift`: a secondary NIC's own
 * address is given to pods (Alibaba).
 */
export const habits = ['plug', 'fixed', 'gift'] as const
export type Habit = (typeof habits)[number]

export type Shape = { readonly habit: Habit; readonly families: readonly Family[] }

export const sampleShape = (chance: Chance): Shape => ({
  habit: chance.pick(habits),
  families: chance.pick([[4], [6], [4, 6]] as const),
})

/** What the instance allows, of the figures drawn for any cloud. */
export const limitsFor = (habit: Habit, drawn: Limits, chance: Chance): Limits => {
  if (habit !== 'fixed') return drawn
  const blocksPerNodeMax = chance.scaled(4, 256)
  return {
    ...drawn,
    hotPlug: false,
    blocksPerNodeMax,
    blocksPerNicMax: { 4: blocksPerNodeMax, 6: blocksPerNodeMax },
  }
}

/** Next hop for IPv6 in a subnet, as each cloud has it. */
export const gateway6 = (habit: Habit, subnet: Cidr): Ip => {
  switch (habit) {
    case 'plug':
      return ip('fe80:ec2::1')
    case 'fixed':
      return ip('fe80::1234:5678:9abc')
    case 'gift':
      return ip(baseOf(subnet).replace(/::$/, ':ffff:ffff:ffff:fff7'))
  }
}
