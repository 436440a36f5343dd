// Making the still parts of a cloud: the VPC, its subnets, its security groups.
import type { Cidr } from '#core/ip.ts'
import { createSpace } from './space.ts'
import type { SecurityGroup, Subnet, Vpc } from './types.ts'
import { type World, newId } from './world.ts'

/** AWS keeps the first four addresses and the last one (VPC user guide, "Subnet sizing"). */
const reserved = { head: 4, tail: 1 }

export const addVpc = (world: World, vpc: Omit<Vpc, 'id'>): Vpc => {
  const made = { ...vpc, id: newId(world, 'vpc') }
  world.vpcs.set(made.id, made)
  return made
}

/** A subnet with all but the reserved addresses free. */
export const addSubnet = (world: World, subnet: Omit<Subnet, 'id'>): Subnet => {
  const made = { ...subnet, id: newId(world, 'subnet') }
  world.subnets.set(made.id, made)
  const spaceOf = (cidr: Cidr): ReturnType<typeof createSpace> => createSpace(cidr, reserved)
  world.spaces.set(made.id, {
    four: spaceOf(subnet.cidr),
    six: subnet.cidr6 === undefined ? undefined : spaceOf(subnet.cidr6),
  })
  return made
}

/** A group whose rules may name the group itself through the id that is passed to them. */
export const addGroup = (
  world: World,
  group: Omit<SecurityGroup, 'id' | 'ingress' | 'egress'> & {
    readonly rules: (id: string) => Pick<SecurityGroup, 'ingress' | 'egress'>
  },
): SecurityGroup => {
  const id = newId(world, 'group')
  const { rules, ...rest } = group
  const made = { ...rest, id, ...rules(id) }
  world.groups.set(id, made)
  return made
}
