// What is different about each cloud in the demonstration: words, machine types, how many pods
// their NICs carry, and the network that is emulated. The play itself is the same on all.

import { cidr } from '#core/ip.ts'
import type { Description } from '#emulator/description.ts'
import { defaultLayout, instanceTypes } from '#emulator/launch-layout.ts'
import { maxPodsOf } from '../max-pods/arithmetic.ts'
import type { CloudName, Figures } from '../max-pods/figures.ts'
import type { FamilyName } from '../max-pods/question.ts'

/** How a cloud is spoken of. */
export type Words = {
  /** `AWS VPC`. */
  readonly network: string
  /** What the calls are named after: `EC2`. */
  readonly api: string
  /** How NICs come to a node. */
  readonly nics: string
}

const plugged = (api: string): string => `whose NICs come and go as ${api}'s do`

export const wordsOf: Readonly<Record<CloudName, Words>> = {
  aws: { network: 'AWS VPC', api: 'EC2', nics: plugged('EC2') },
  azure: {
    network: 'Azure virtual network',
    api: 'Azure',
    nics: 'with two NICs, because Azure attaches NICs to stopped machines only',
  },
  alibaba: { network: 'Alibaba Cloud VPC', api: 'ECS', nics: plugged('ECS') },
}

/** The machine type of nodes when nobody chose one. */
export const defaultTypeOf = (cloud: CloudName): string => instanceTypes[cloud]

/** Addresses for pods on a node. */
export type Room = {
  readonly nics: number
  /** On the primary NIC. */
  readonly onPrimary: number
  /** On all NICs together: the daemon's pool can hold so many. */
  readonly total: number
}

/** NICs that an Azure node boots with: its own, and one in the subnet of the pods. */
const azureNics = 2

/**
 * What a node of the type has room for; throws CountError when it takes no IPv6 addresses. On Azure
 * the primary NIC lies in a small subnet, which is full before the NIC is.
 */
export const roomOf = (
  cloud: CloudName,
  { figures, families }: { readonly figures: Figures; readonly families: readonly FamilyName[] },
): Room => {
  const podsOn = (nics: number): number =>
    maxPodsOf({
      cloud,
      figures,
      families,
      blockSize: 32,
      reserve: { addresses: 0, because: '' },
      hostNetwork: 0,
      nicsMax: nics,
    }).maxPods
  const nics = cloud === 'azure' ? Math.min(azureNics, figures.nics) : figures.nics
  const isSmall = cloud === 'azure' && nics > 1 && families.includes('ipv4')
  const onPrimary = isSmall ? smallSubnetRoom : podsOn(1)
  return { nics, onPrimary, total: podsOn(nics) }
}

// A /28 has 16 addresses; Azure keeps five, and the node has one.
const smallSubnetLength = 28
const smallSubnetRoom = 10

/** The emulated network; undefined: the emulator's own, two subnets with the nodes in turn. */
export const layoutOf = (
  cloud: CloudName,
  options: { readonly nodes: number; readonly instanceType: string; readonly room: Room },
): Description | undefined => {
  const { nodes, instanceType, room } = options
  if (cloud !== 'azure' || room.nics < azureNics) return undefined
  const { subnets, instances, ...rest } = defaultLayout({ cloud, nodes, instanceType })
  const own = instances.map(({ name }, index) => ({
    name: `only-${name}`,
    zone: subnets[0]?.zone ?? '',
    cidr: cidr(`10.0.${224 + Math.floor(index / 16)}.${(index % 16) * 16}/${smallSubnetLength}`),
    cidr6: cidr(`2001:db8:0:${(0x180 + index).toString(16)}::/64`),
  }))
  return {
    ...rest,
    subnets: [...subnets, ...own],
    instances: instances.map(instance => ({
      ...instance,
      subnet: `only-${instance.name}`,
      // Azure takes no slash in the name of a tag.
      secondaryNics: [{ subnet: instance.subnet, tags: { 'eniway.io_pods': 'true' } }],
    })),
  }
}
