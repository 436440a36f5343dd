// The describe calls: filters, pages, and a view of the cloud that may be a little old. Ids that do
// not exist are left out of the answer, not refused.
import type { Instance, Nic, SecurityGroup, Subnet } from '#emulator/model/types.ts'
import { nicsSeen } from '#emulator/model/world.ts'
import { type Actions, type CallContext, type Work, ecs } from './action.ts'
import { invalidParameter } from './errors.ts'
import { nicId } from './ids.ts'
import { noteOf, statusOf } from './notes.ts'
import { type PageLimits, pageOf, readPage } from './pages.ts'
import { type Params, hasTags, readTagFilters } from './params.ts'
import {
  describedGroup,
  describedInstance,
  describedNic,
  describedType,
  describedVSwitch,
  instanceStatus,
  nicType,
} from './shapes.ts'
import { familyOf, typeNames } from './types.ts'
import { refuse } from '#emulator/model/refusal.ts'

/** Ids and addresses per call. */
const listMax = 100
/** Instance types per call. */
const typesMax = 10

const usualPages: PageLimits = {
  defaultSize: 10,
  pageSizeMax: 100,
  results: { min: 1, max: 100 },
}
/** "A value less than 10 is taken as 10, one greater than 500 as 500." */
const nicPages: PageLimits = { ...usualPages, results: { min: 10, max: 500 } }
const groupPages: PageLimits = { ...usualPages, pageSizeMax: 50 }
const typePages: PageLimits = { defaultSize: 100, pageSizeMax: 100, results: { min: 1, max: 100 } }
const vSwitchPages: PageLimits = { defaultSize: 10, pageSizeMax: 50, results: undefined }

/** True: the thing passes. */
type Test<T> = (thing: T, context: CallContext) => boolean

const statuses = ['Available', 'Attaching', 'InUse', 'Detaching', 'Deleting']
const nicTypes = ['Primary', 'Secondary', 'Trunk', 'Member']

const describeNetworkInterfaces = ecs('describe', params => {
  const ids = params.list('NetworkInterfaceId', listMax).map(nicId)
  const tests = nicTests(params)
  const page = readPage(params, nicPages, params.listing())
  return context => {
    const { world } = context
    const chosen = nicsSeen(world, 'describe')
      .filter(nic => ids.length === 0 || ids.includes(nic.id))
      .filter(nic => tests.every(test => test(nic, context)))
    const { items, place } = pageOf(chosen, nic => nic.id, page)
    const sets = items.map(nic => describedNic(context, nic))
    return { NetworkInterfaceSets: { NetworkInterfaceSet: sets }, ...place }
  }
})

const nicTests = (params: Params): readonly Test<Nic>[] => {
  const status = oneOf(params, 'Status', statuses)
  const type = oneOf(params, 'Type', nicTypes)
  const tags = readTagFilters(params)
  const secondary = params.list('PrivateIpAddress', listMax)
  const six = params.list('Ipv6Address', listMax)
  return [
    same<Nic>(params, 'InstanceId', nic => [nic.attachment?.instanceId]),
    same<Nic>(params, 'VpcId', nic => [nic.vpcId]),
    same<Nic>(params, 'VSwitchId', nic => [nic.subnetId]),
    same<Nic>(params, 'PrimaryIpAddress', nic => [nic.primaryAddress]),
    same<Nic>(params, 'SecurityGroupId', nic => nic.groupIds),
    same<Nic>(params, 'NetworkInterfaceName', (nic, { notes }) => [noteOf(notes, nic).name]),
    same<Nic>(params, 'ServiceManaged', () => ['false']),
    nic => secondary.length === 0 || nic.addresses.some(address => secondary.includes(address)),
    nic => six.length === 0 || nic.addresses6.some(address => six.includes(address)),
    (nic, { world, notes }) => status === undefined || statusOf(world, notes, nic) === status,
    nic => type === undefined || nicType(nic) === type,
    nic => hasTags(nic.tags, tags),
  ]
}

const describeNetworkInterfaceAttribute = ecs('describe', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  return context => {
    const nic = nicsSeen(context.world, 'describe').find(other => other.id === id)
    if (nic === undefined) throw refuse({ kind: 'notFound', thing: 'nic', ids: [id] })
    return describedNic(context, nic)
  }
})

const describeInstances = ecs('describe', params => {
  const ids = params.jsonList('InstanceIds', listMax)
  const tags = readTagFilters(params)
  const addresses = params.jsonList('PrivateIpAddresses', listMax)
  const tests: readonly Test<Instance>[] = [
    same<Instance>(params, 'VpcId', one => [one.vpcId]),
    same<Instance>(params, 'VSwitchId', one => [one.subnetId]),
    same<Instance>(params, 'ZoneId', one => [one.zone]),
    same<Instance>(params, 'InstanceName', one => [one.name]),
    same<Instance>(params, 'InstanceType', one => [one.type]),
    same<Instance>(params, 'InstanceTypeFamily', one => [familyOf(one.type)]),
    same<Instance>(params, 'InstanceNetworkType', () => ['vpc']),
    same<Instance>(params, 'Status', one => [instanceStatus(one)]),
    // An empty list of ids is a filter that nothing passes.
    one => ids === undefined || ids.includes(one.id),
    one => hasTags(one.tags, tags),
    (one, { world }) => addresses === undefined || addresses.includes(addressOf(world, one)),
  ]
  const page = readPage(params, usualPages, params.listing())
  return context => {
    const chosen = knownInstances(context).filter(one => tests.every(test => test(one, context)))
    const { items, place } = pageOf(chosen, one => one.id, page)
    return { Instances: { Instance: items.map(one => describedInstance(context, one)) }, ...place }
  }
})

const describeInstanceTypes = {
  ...ecs('describe', params => {
    const names = params.list('InstanceTypes', typesMax)
    const family = params.text('InstanceTypeFamily')
    const page = readPage(params, typePages, params.listing())
    return () => {
      const chosen = typeNames
        .filter(name => names.length === 0 || names.includes(name))
        .filter(name => family === undefined || familyOf(name) === family)
      const tokens = page.kind === 'token' ? page : { ...page, kind: 'token' as const, after: '' }
      const { items, place } = pageOf(chosen, name => name, tokens)
      return { InstanceTypes: { InstanceType: items.map(describedType) }, ...place }
    }
  }),
  needsRegion: false,
}

const describeSecurityGroups = ecs('describe', params => {
  const ids = params.jsonList('SecurityGroupIds', listMax)
  const tags = readTagFilters(params)
  const tests: readonly Test<SecurityGroup>[] = [
    same<SecurityGroup>(params, 'SecurityGroupId', group => [group.id]),
    same<SecurityGroup>(params, 'SecurityGroupName', group => [group.name]),
    same<SecurityGroup>(params, 'SecurityGroupType', () => ['normal']),
    same<SecurityGroup>(params, 'NetworkType', () => ['vpc']),
    same<SecurityGroup>(params, 'VpcId', group => [group.vpcId]),
    group => ids === undefined || ids.includes(group.id),
    group => hasTags(group.tags, tags),
  ]
  const page = readPage(params, groupPages, params.listing())
  return context => {
    const all = [...context.world.groups.values()]
    const chosen = all.filter(group => tests.every(test => test(group, context)))
    const { items, place } = pageOf(chosen, group => group.id, page)
    const groups = { SecurityGroup: items.map(describedGroup) }
    return { RegionId: context.region, SecurityGroups: groups, ...place }
  }
})

// "At least one of RegionId and VpcId": and the SDK sends whatever it was given.
const describeVSwitches = {
  kind: 'describe',
  version: '2016-04-28',
  needsRegion: false,
  read: (params: Params): Work => {
    const ids = params.text('VSwitchId')?.split(',')
    const tags = readTagFilters(params)
    const tests: readonly Test<Subnet>[] = [
      same<Subnet>(params, 'VpcId', subnet => [subnet.vpcId]),
      same<Subnet>(params, 'ZoneId', subnet => [subnet.zone]),
      same<Subnet>(params, 'VSwitchName', subnet => [subnet.name]),
      same<Subnet>(params, 'IsDefault', () => ['false']),
      same<Subnet>(params, 'EnableIpv6', subnet => [String(subnet.cidr6 !== undefined)]),
      subnet => ids === undefined || ids.includes(subnet.id),
      subnet => hasTags(subnet.tags, tags),
    ]
    const page = readPage(params, vSwitchPages, params.listing())
    return context => {
      const all = [...context.world.subnets.values()]
      const chosen = all.filter(subnet => tests.every(test => test(subnet, context)))
      const { items, place } = pageOf(chosen, subnet => subnet.id, page)
      const { NextToken: _, ...numbers } = place
      const switches = items.map(subnet => describedVSwitch(context, subnet))
      return { VSwitches: { VSwitch: switches }, ...numbers }
    }
  },
} as const

/** Every describe action by name. */
export const describeActions: Actions = {
  DescribeNetworkInterfaces: describeNetworkInterfaces,
  DescribeNetworkInterfaceAttribute: describeNetworkInterfaceAttribute,
  DescribeInstances: describeInstances,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeSecurityGroups: describeSecurityGroups,
  DescribeVSwitches: describeVSwitches,
}

// A filter that is not given lets everything pass.
const same = <T>(
  params: Params,
  name: string,
  valuesOf: (thing: T, context: CallContext) => readonly (string | undefined)[],
): Test<T> => {
  const wanted = params.text(name)
  return (thing, context) => wanted === undefined || valuesOf(thing, context).includes(wanted)
}

const oneOf = (params: Params, name: string, values: readonly string[]): string | undefined => {
  const value = params.text(name)
  if (value !== undefined && !values.includes(value)) throw invalidParameter(name)
  return value
}

const knownInstances = ({ world }: CallContext): readonly Instance[] =>
  [...world.instances.values()].filter(
    ({ id, state }) => state !== 'terminated' && (world.knownAt.get(id) ?? 0) <= world.clock.now(),
  )

const addressOf = (world: CallContext['world'], { id }: Instance): string =>
  nicsSeen(world, 'describe').find(
    nic => nic.attachment?.instanceId === id && nicType(nic) === 'Primary',
  )?.primaryAddress ?? ''
