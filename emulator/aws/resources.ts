// Tags of anything, and the few calls that a demonstration needs to make instances and subnets.
import { type Cidr, contains, lengthOf, overlaps, parseCidr } from '#core/ip.ts'
import { addSubnet } from '#emulator/model/vpc.ts'
import { runInstance, terminateInstance } from '#emulator/model/instances.ts'
import { checkTags } from '#emulator/model/nics.ts'
import { found, refuse } from '#emulator/model/refusal.ts'
import type { Instance, Tags } from '#emulator/model/types.ts'
import { type World, instanceOf, nicOf, putInstance, putNic } from '#emulator/model/world.ts'
import type { Action, Actions, CallContext } from './action.ts'
import { Ec2Error } from './errors.ts'
import { instanceId, readTagSpecifications } from './nics.ts'
import { addresses, invalidValue, missingParameter, tags } from './params.ts'
import { instanceMembers, stateElement, subnetMembers } from './shapes.ts'
import { type Element, el, list } from './xml.ts'

const createTags: Action = {
  kind: 'tag',
  hasDryRun: true,
  read: params => {
    const ids = params.list('ResourceId')
    const added = tags(params.structures('Tag'))
    if (ids.length === 0) throw missingParameter('resourceIdSet')
    if (Object.keys(added).length === 0) throw missingParameter('tagSet')
    return ({ world }) => {
      const changes = ids.map(id => retag(world, id, old => ({ ...old, ...added })))
      for (const change of changes) change()
      return [el('return', true)]
    }
  },
}

const deleteTags: Action = {
  kind: 'tag',
  hasDryRun: true,
  read: params => {
    const ids = params.list('ResourceId')
    const gone = params
      .structures('Tag')
      .map(tag => [tag.required('Key'), tag.text('Value')] as const)
    if (ids.length === 0) throw missingParameter('resourceIdSet')
    const isGone = ([key, value]: readonly [string, string]): boolean =>
      gone.length === 0 || gone.some(([k, v]) => k === key && (v === undefined || v === value))
    return ({ world }) => {
      const change = (old: Tags): Tags =>
        Object.fromEntries(Object.entries(old).filter(pair => !isGone(pair)))
      const changes = ids.map(id => retag(world, id, change))
      for (const apply of changes) apply()
      return [el('return', true)]
    }
  },
}

const createSubnet: Action = {
  kind: 'create',
  hasDryRun: true,
  read: params => {
    const vpcId = params.required('VpcId')
    const cidrText = params.required('CidrBlock')
    const cidr = parseCidr(cidrText)
    if (cidr === undefined)
      throw invalidValue('cidrBlock', cidrText, 'This is not a valid CIDR block.')
    const zone = params.required('AvailabilityZone')
    const cidr6 = parseCidr(params.text('Ipv6CidrBlock') ?? '')
    const added = readTagSpecifications(params, 'subnet')
    return ({ world, ownerId }) => {
      checkSubnet(world, vpcId, cidr)
      const subnet = addSubnet(world, { name: cidr, vpcId, zone, cidr, cidr6, tags: added })
      return [el('subnet', ...subnetMembers(world, ownerId, subnet))]
    }
  },
}

// The emulator launches one machine per call that matters; more would need names for each.
const runInstances: Action = {
  kind: 'run',
  hasDryRun: true,
  read: params => {
    const count = params.integer('MaxCount')
    if (count === undefined || params.integer('MinCount') === undefined) {
      throw missingParameter('MinCount')
    }
    params.text('ImageId')
    params.text('ClientToken')
    const type = params.required('InstanceType')
    const subnetId = params.required('SubnetId')
    const groupIds = params.list('SecurityGroupId')
    const [primaryAddress] = addresses(
      'PrivateIpAddress',
      listOf(params.text('PrivateIpAddress')),
      4,
    )
    const added = readTagSpecifications(params, 'instance')
    const hops = params.integer('MetadataOptions.HttpPutResponseHopLimit') ?? 1
    params.text('MetadataOptions.HttpTokens')
    const role = params.text('IamInstanceProfile.Name')
    if (!(count >= 1 && count <= 100)) throw invalidValue('MaxCount', String(count))
    return context => {
      const { world, requestId } = context
      const instances = Array.from({ length: count }, (_, index) => {
        const base = added['Name'] ?? `vm-${requestId.slice(0, 8)}`
        const name = count > 1 ? `${base}-${index}` : base
        const netns = context.netnsOf(name)
        const place = { name, netns, type, subnetId, groupIds, primaryAddress, role }
        return runInstance(world, { ...place, metadataHops: hops, tags: added, isBooted: false })
      })
      return launched(context, instances)
    }
  },
}

const terminateInstances: Action = {
  kind: 'terminate',
  hasDryRun: true,
  read: params => {
    const ids = params.list('InstanceId').map(instanceId)
    if (ids.length === 0) throw missingParameter('InstanceId')
    return ({ world }) => {
      const before = ids.map(id => instanceOf(world, id))
      const after = ids.map(id => terminateInstance(world, id))
      const items = list('instancesSet', after, instance => [
        el('instanceId', instance.id),
        stateElement('currentState', instance),
        stateElement('previousState', before.find(one => one.id === instance.id) ?? instance),
      ])
      return [items]
    }
  },
}

/** The remaining actions by name. */
export const resourceActions: Actions = {
  CreateTags: createTags,
  DeleteTags: deleteTags,
  CreateSubnet: createSubnet,
  RunInstances: runInstances,
  TerminateInstances: terminateInstances,
}

const listOf = (value: string | undefined): readonly string[] =>
  value === undefined ? [] : [value]

const launched = (context: CallContext, instances: readonly Instance[]): readonly Element[] => [
  el('reservationId', `r-${context.requestId.replaceAll('-', '').slice(0, 17)}`),
  el('ownerId', context.ownerId),
  list('instancesSet', instances, one => instanceMembers(context.world, context.ownerId, one)),
]

// Checks first and returns the change, so that one bad id of several changes nothing.
const retag = (world: World, id: string, change: (old: Tags) => Tags): (() => void) => {
  const checked = (old: Tags): Tags => {
    const value = change(old)
    checkTags(world, value)
    return value
  }
  if (id.startsWith('eni-')) {
    const nic = nicOf(world, id)
    const value = checked(nic.tags)
    return () => putNic(world, id, { ...nic, tags: value })
  }
  if (id.startsWith('i-')) {
    const instance = instanceOf(world, id)
    const value = checked(instance.tags)
    return () => putInstance(world, { ...instance, tags: value })
  }
  return retagPlain(world, id, checked)
}

const retagPlain = (world: World, id: string, checked: (old: Tags) => Tags): (() => void) => {
  const change = <T extends { readonly tags: Tags }>(
    things: Map<string, T>,
    old: T,
  ): (() => void) => {
    const value = { ...old, tags: checked(old.tags) }
    return () => void things.set(id, value)
  }
  const vpc = world.vpcs.get(id)
  if (vpc !== undefined) return change(world.vpcs, vpc)
  const group = world.groups.get(id)
  if (group !== undefined) return change(world.groups, group)
  if (id.startsWith('subnet-'))
    return change(world.subnets, found(world.subnets.get(id), 'subnet', id))
  if (id.startsWith('vpc-')) throw refuse({ kind: 'notFound', thing: 'vpc', ids: [id] })
  if (id.startsWith('sg-')) throw refuse({ kind: 'notFound', thing: 'group', ids: [id] })
  throw new Ec2Error('InvalidID', `The ID '${id}' is not valid`)
}

const checkSubnet = (world: World, vpcId: string, cidr: Cidr): void => {
  const vpc = found(world.vpcs.get(vpcId), 'vpc', vpcId)
  const length = lengthOf(cidr)
  const isInside = vpc.cidrs.some(range => contains(range, cidr))
  if (!isInside || length < 16 || length > 28) {
    throw new Ec2Error('InvalidSubnet.Range', `The CIDR '${cidr}' is invalid.`)
  }
  const siblings = [...world.subnets.values()].filter(subnet => subnet.vpcId === vpcId)
  if (siblings.some(subnet => overlaps(subnet.cidr, cidr))) {
    throw new Ec2Error('InvalidSubnet.Conflict', `The CIDR '${cidr}' conflicts with another subnet`)
  }
}
