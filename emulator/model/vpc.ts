// Making the still parts of a cloud: the VPC, its subnets, its security groups.
import { createSpace } from './space.ts'
import type { SecurityGroup, Subnet, Vpc } from './types.ts'
import { type World, newId } from './world.ts'

export const addVpc = (world: World, vpc: Omit<Vpc, 'id'>): Vpc => {
  const made = { ...vpc, id: newId(world, 'vpc') }
  world.vpcs.set(made.id, made)
  return made
}

/** A subnet with all but the cloud's reserved addresses free. */
export const addSubnet = (world: World, subnet: Omit<Subnet, 'id'>): Subnet => {
  const made = { ...subnet, id: newId(world, 'subnet') }
  world.subnets.set(made.id, made)
  const { reserved, reserved6 = reserved } = world.options
  world.spaces.set(made.id, {
    four: createSpace(subnet.cidr, reserved),
    six: subnet.cidr6 === undefined ? undefined : createSpace(subnet.cidr6, reserved6),
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
