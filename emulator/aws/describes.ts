// The describe calls: ids or filters, pages, and a view of the VPC that may be a little old.
import { type Instance, type Nic, nicStatus } from '#emulator/model/types.ts'
import type { SecurityGroup, Subnet, Tags, Vpc } from '#emulator/model/types.ts'
import { refuse } from '#emulator/model/refusal.ts'
import type { ThingKind } from '#emulator/model/refusal.ts'
import { type World, nicsSeen } from '#emulator/model/world.ts'
import { availableCount } from '#emulator/model/addresses.ts'
import type { Action, Actions, CallContext } from './action.ts'
import { type Fields, type Filter, applyFilters, checkFilters, readFilters } from './filters.ts'
import { pageOf, readPage, refuseIdsWithPages } from './pages.ts'
import { checkId } from './params.ts'
import { groupMembers, instanceMembers, nicMembers, subnetMembers, vpcMembers } from './shapes.ts'
import { typeMembers } from './shapes.ts'
import { typeLimits, typeNames } from './types.ts'
import { type Element, el, list, maybe } from './xml.ts'

interface Described<T> {
  /** `NetworkInterfaceId` of `NetworkInterfaceId.N`. */
  readonly idParameter: string
  readonly thing: ThingKind
  readonly checkId: (id: string) => string
  readonly pageMin: number
  readonly pageMax: number
  readonly mayPageIds: boolean
  readonly idOf: (thing: T) => string
  readonly all: (context: CallContext) => readonly T[]
  readonly fields: (context: CallContext | undefined) => Fields<T>
  /** Name of the response's list. */
  readonly set: string
  readonly render: (context: CallContext, thing: T) => readonly (Element | undefined)[]
}

const describe = <T extends { readonly tags?: Tags }>(kind: Described<T>): Action => ({
  kind: 'describe',
  hasDryRun: true,
  read: params => {
    const ids = params.list(kind.idParameter).map(kind.checkId)
    const filters = readFilters(params)
    checkFilters(filters, kind.fields(undefined))
    if (!kind.mayPageIds) refuseIdsWithPages(ids, params, `${kind.idParameter}s`)
    const listing = JSON.stringify([kind.set, ids, filters])
    const page = readPage(params, { min: kind.pageMin, max: kind.pageMax }, listing)
    return context => {
      const chosen = choose(kind, context, { ids, filters })
      const { items, nextToken } = pageOf(chosen, kind.idOf, page)
      const rendered = list(kind.set, items, item => kind.render(context, item))
      return [rendered, maybe('nextToken', nextToken)]
    }
  },
})

// One unknown id refuses the whole call; ids and filters together must both match.
const choose = <T extends { readonly tags?: Tags }>(
  kind: Described<T>,
  context: CallContext,
  { ids, filters }: { readonly ids: readonly string[]; readonly filters: readonly Filter[] },
): readonly T[] => {
  const all = kind.all(context)
  const known = new Set(all.map(kind.idOf))
  const missing = ids.filter(id => !known.has(id))
  if (missing.length > 0) throw refuse({ kind: 'notFound', thing: kind.thing, ids: missing })
  const named = ids.length === 0 ? all : all.filter(thing => ids.includes(kind.idOf(thing)))
  return applyFilters(named, filters, kind.fields(context))
}

const usual = { pageMin: 5, pageMax: 1000, mayPageIds: false } as const

const nicFields = (context: CallContext | undefined): Fields<Nic> => ({
  'network-interface-id': nic => [nic.id],
  'subnet-id': nic => [nic.subnetId],
  'vpc-id': nic => [nic.vpcId],
  'availability-zone': nic => [nic.zone],
  description: nic => [nic.description],
  'group-id': nic => nic.groupIds,
  'interface-type': () => ['interface'],
  'mac-address': nic => [nic.mac],
  'owner-id': () => [context?.ownerId],
  'private-ip-address': nic => [nic.primaryAddress],
  'addresses.private-ip-address': nic => [nic.primaryAddress, ...nic.addresses],
  'addresses.primary': nic => ['true', ...nic.addresses.map(() => 'false')],
  'ipv6-addresses.ipv6-address': nic => nic.addresses6,
  'requester-managed': () => ['false'],
  'source-dest-check': nic => [String(nic.sourceDestCheck)],
  status: nic => [nicStatus(nic, context?.world.clock.now() ?? 0)],
  'attachment.attachment-id': nic => [nic.attachment?.id],
  'attachment.delete-on-termination': nic => [text(nic.attachment?.deleteOnTermination)],
  'attachment.device-index': nic => [text(nic.attachment?.deviceIndex)],
  'attachment.instance-id': nic => [nic.attachment?.instanceId],
  'attachment.instance-owner-id': nic => [nic.attachment && context?.ownerId],
  'attachment.status': nic => [nic.attachment?.state],
})

const instanceFields = (context: CallContext | undefined): Fields<Instance> => ({
  'instance-id': instance => [instance.id],
  'instance-type': instance => [instance.type],
  'instance-state-name': instance => [instance.state],
  'availability-zone': instance => [instance.zone],
  'subnet-id': instance => [instance.subnetId],
  'vpc-id': instance => [instance.vpcId],
  'network-interface.network-interface-id': instance =>
    context === undefined ? [] : seenOn(context.world, instance.id).map(nic => nic.id),
  'private-ip-address': instance =>
    context === undefined ? [] : [seenOn(context.world, instance.id)[0]?.primaryAddress],
})

const seenOn = (world: World, instanceId: string): readonly Nic[] =>
  nicsSeen(world, 'describe').filter(nic => nic.attachment?.instanceId === instanceId)

const subnetFields = (context: CallContext | undefined): Fields<Subnet> => ({
  'subnet-id': subnet => [subnet.id],
  'vpc-id': subnet => [subnet.vpcId],
  'availability-zone': subnet => [subnet.zone],
  'cidr-block': subnet => [subnet.cidr],
  state: () => ['available'],
  'available-ip-address-count': subnet => [
    context && String(availableCount(context.world, subnet.id)),
  ],
})

const text = (value: boolean | number | undefined): string | undefined =>
  value === undefined ? undefined : String(value)

const knownInstances = ({ world }: CallContext): readonly Instance[] =>
  [...world.instances.values()].filter(
    instance => (world.knownAt.get(instance.id) ?? 0) <= world.clock.now(),
  )

/** Every describe action by name. */
export const describeActions: Actions = {
  DescribeNetworkInterfaces: describe<Nic>({
    ...usual,
    idParameter: 'NetworkInterfaceId',
    thing: 'nic',
    checkId: id => checkId(id, 'eni', 'InvalidNetworkInterfaceID.Malformed'),
    idOf: nic => nic.id,
    all: ({ world }) => nicsSeen(world, 'describe'),
    fields: nicFields,
    set: 'networkInterfaceSet',
    render: ({ world, ownerId }, nic) => nicMembers(world, ownerId, nic),
  }),
  DescribeInstances: describe<Instance>({
    ...usual,
    idParameter: 'InstanceId',
    thing: 'instance',
    checkId: id => checkId(id, 'i', 'InvalidInstanceID.Malformed'),
    idOf: instance => instance.id,
    all: knownInstances,
    fields: instanceFields,
    set: 'reservationSet',
    render: ({ world, ownerId }, instance) => [
      el('reservationId', instance.id.replace('i-', 'r-')),
      el('ownerId', ownerId),
      list('instancesSet', [instance], one => instanceMembers(world, ownerId, one)),
    ],
  }),
  DescribeInstanceTypes: describe<{ readonly name: string; readonly tags?: Tags }>({
    idParameter: 'InstanceType',
    thing: 'type',
    checkId: id => id,
    pageMin: 5,
    pageMax: 100,
    mayPageIds: true,
    idOf: type => type.name,
    all: () => typeNames.map(name => ({ name })),
    fields: () => ({
      'instance-type': type => [type.name],
      'bare-metal': type => [text(typeLimits(type.name)?.isBareMetal)],
    }),
    set: 'instanceTypeSet',
    render: (_, type) => typeMembers(type.name) ?? [],
  }),
  DescribeSubnets: describe<Subnet>({
    ...usual,
    idParameter: 'SubnetId',
    thing: 'subnet',
    checkId: id => id,
    idOf: subnet => subnet.id,
    all: ({ world }) => [...world.subnets.values()],
    fields: subnetFields,
    set: 'subnetSet',
    render: ({ world, ownerId }, subnet) => subnetMembers(world, ownerId, subnet),
  }),
  DescribeVpcs: describe<Vpc>({
    ...usual,
    idParameter: 'VpcId',
    thing: 'vpc',
    checkId: id => id,
    idOf: vpc => vpc.id,
    all: ({ world }) => [...world.vpcs.values()],
    fields: () => ({
      'vpc-id': vpc => [vpc.id],
      cidr: vpc => [vpc.cidrs[0]],
      'cidr-block-association.cidr-block': vpc => vpc.cidrs,
      state: () => ['available'],
    }),
    set: 'vpcSet',
    render: ({ ownerId }, vpc) => vpcMembers(ownerId, vpc),
  }),
  DescribeSecurityGroups: describe<SecurityGroup>({
    ...usual,
    idParameter: 'GroupId',
    thing: 'group',
    checkId: id => id,
    idOf: group => group.id,
    all: ({ world }) => [...world.groups.values()],
    fields: () => ({
      'group-id': group => [group.id],
      'group-name': group => [group.name],
      'vpc-id': group => [group.vpcId],
      description: group => [group.description],
    }),
    set: 'securityGroupInfo',
    render: ({ ownerId }, group) => groupMembers(ownerId, group),
  }),
}
