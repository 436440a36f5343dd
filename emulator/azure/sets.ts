// The actions on scale sets: their members, which of a uniform set have no resource of their own,
// and those members' NICs, which only the member's own resource changes.
import type { Instance } from '#emulator/model/types.ts'
import { nicsOfInstance } from '#emulator/model/world.ts'
import { type Action, type Context, replyOf } from './action.ts'
import type { AzureAction } from './actions.ts'
import type { Arm, ArmNic } from './arm.ts'
import { type PendingChange, beginChange } from './change.ts'
import { type WantedNic, bodyObject, readNic } from './desired.ts'
import { ArmError, resourceNotFound } from './errors.ts'
import { isCovered, memberAt, membersOf, nodeGroup, vmId } from './ids.ts'
import { type JsonObject, objectOf, objectsOf, textOf } from './json.ts'
import { checkLocation, failureOf } from './nics.ts'
import { beginOperation, operationHeaders, refuseWhileBusy } from './operations.ts'
import { pageOf } from './pages.ts'
import { idOfNic, recordOf } from './records.ts'
import { authorizeLinks, linksOf } from './references.ts'
import { nicJson } from './shape-nic.ts'
import { memberJson, scaleSetJson } from './shape-vm.ts'

const type = 'Microsoft.Compute/virtualMachineScaleSets'

export const readSet: Action = {
  name: 'virtualMachineScaleSets/read',
  kind: 'describe',
  work: context => replyOf(200, scaleSetJson(context.arm, foundSet(context))),
}

export const listSets: Action = {
  name: 'virtualMachineScaleSets/read',
  kind: 'describe',
  work: context => {
    const { arm, group } = context
    const names = [...arm.world.instances.values()].flatMap(({ scaleSet }) => scaleSet?.name ?? [])
    return pageOf(context, isCovered(nodeGroup, group) ? [...new Set(names)] : [], {
      keyOf: name => name.toLowerCase(),
      show: name => scaleSetJson(arm, name),
    })
  },
}

export const readMember: Action = {
  name: 'virtualMachineScaleSets/virtualMachines/read',
  kind: 'describe',
  work: context => {
    const hasView = /instanceview/i.test(context.query.get('$expand') ?? '')
    return replyOf(200, memberJson(context.arm, foundMember(context), hasView))
  },
}

export const listMembers: Action = {
  name: 'virtualMachineScaleSets/virtualMachines/read',
  kind: 'describe',
  work: context => {
    const { arm } = context
    return pageOf(context, uniformMembers(arm, foundSet(context)), {
      keyOf: member => vmId(arm, member).toLowerCase(),
      show: member => memberJson(arm, member, false),
    })
  },
}

export const readMemberNic: Action = {
  name: 'virtualMachineScaleSets/virtualMachines/networkInterfaces/read',
  kind: 'describe',
  work: context => {
    const { arm, names, group } = context
    const name = names[2] ?? ''
    const armNic = nicsOf(arm, foundMember(context)).find(
      ({ record }) => record.name.toLowerCase() === name.toLowerCase(),
    )
    if (armNic === undefined)
      throw resourceNotFound(`${type}/…/networkInterfaces`, name, group ?? '')
    return replyOf(200, nicJson(arm, armNic, knowsPrefixes(context)))
  },
}

export const listMemberNics: Action = {
  name: 'virtualMachineScaleSets/virtualMachines/networkInterfaces/read',
  kind: 'describe',
  work: context => listNicsOf(context, [foundMember(context)]),
}

export const listSetNics: Action = {
  name: 'virtualMachineScaleSets/networkInterfaces/read',
  kind: 'describe',
  work: context => listNicsOf(context, uniformMembers(context.arm, foundSet(context))),
}

/** PUT of a member: its NICs' whole configuration, or none of it when the body has none. */
export const writeMember: Action = {
  name: 'virtualMachineScaleSets/virtualMachines/write',
  kind: 'modify',
  work: context => {
    const { arm, principal } = context
    const member = foundMember(context)
    const id = vmId(arm, member)
    const body = bodyObject(context.body)
    checkLocation(arm, body, id)
    checkMatch(context, member)
    const write = { action: 'virtualMachineScaleSets/virtualMachines/write', id } as const
    checkImage(context, write, body)
    const wanted = wantedNics(arm, member, body)
    for (const { nic } of wanted) authorizeLinks(principal, write, linksOf(nic))
    refuseWhileBusy(arm, id, 'Microsoft.Compute')
    const changes = beginAll(context, member, wanted)
    const operation = beginOperation(arm, {
      provider: 'Microsoft.Compute',
      locks: [id, ...nicsOf(arm, member).map(armNic => idOfNic(arm, armNic))],
      failure: failureOf(context),
      succeed: () => changes.forEach(change => change.succeed()),
      fail: () => changes.forEach(change => change.fail()),
    })
    return replyOf(200, memberJson(arm, member, false), operationHeaders(context, operation))
  },
}

interface WantedOfMember {
  readonly armNic: ArmNic
  readonly nic: WantedNic
}

// One NIC after the other; when one is refused, those before it are given back.
const beginAll = (
  { arm, granted }: Context,
  member: Instance,
  wanted: readonly WantedOfMember[],
): readonly PendingChange[] => {
  const begun: PendingChange[] = []
  const before = nicsOf(arm, member)
  try {
    for (const { armNic, nic } of wanted) {
      const { tags } = armNic.nic
      begun.push(beginChange(arm, { armNic, wanted: nic, granted, tags, isScaleSet: true }))
    }
    return begun
  } catch (error) {
    for (const change of begun) change.fail()
    for (const { nic, record } of before) arm.records.set(nic.id, record)
    throw error
  }
}

const wantedNics = (arm: Arm, member: Instance, body: JsonObject): readonly WantedOfMember[] => {
  const profile = objectOf(objectOf(body['properties'])['networkProfileConfiguration'])
  const configurations = profile['networkInterfaceConfigurations']
  if (configurations === undefined) return []
  const nics = nicsOf(arm, member)
  const wanted = objectsOf(configurations)
  const names = wanted.map(one => (textOf(one['name']) ?? '').toLowerCase())
  const isSame = names.toSorted().join() === nicNames(nics).toSorted().join()
  if (!isSame) {
    throw new ArmError(
      'AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported',
      `Virtual machine ${vmId(arm, member)} must be stop-deallocated before its network ` +
        `interfaces can be added or deleted: it has ${nicNames(nics).join(', ')}.`,
    )
  }
  return nics.flatMap(armNic => {
    const found = wanted[names.indexOf(armNic.record.name.toLowerCase())]
    const properties = withoutAddresses(objectOf(found?.['properties']))
    return [{ armNic, nic: readNic(properties, idOfNic(arm, armNic)) }]
  })
}

// The scale set's model knows neither addresses nor prefixes of a configuration.
const withoutAddresses = (properties: JsonObject): JsonObject => {
  const dropped = new Set(['privateIPAddress', 'privateIPAddressPrefixLength'])
  const strip = (value: JsonObject): JsonObject =>
    Object.fromEntries(
      Object.entries(value).filter(
        ([name]) => !dropped.has(name) && name !== 'privateIPAllocationMethod',
      ),
    )
  return {
    ...properties,
    ipConfigurations: objectsOf(properties['ipConfigurations']).map(config => ({
      ...config,
      properties: strip(objectOf(config['properties'])),
    })),
  }
}

const nicNames = (nics: readonly ArmNic[]): readonly string[] =>
  nics.map(({ record }) => record.name.toLowerCase())

// A body that names the image asks for the right to read it again, which nobody has in a gallery
// of another subscription: clients clear the reference first.
const checkImage = (
  { arm, principal }: Context,
  write: { readonly action: AzureAction; readonly id: string },
  body: JsonObject,
): void => {
  const storage = objectOf(objectOf(body['properties'])['storageProfile'])
  const id = textOf(objectOf(storage['imageReference'])['id'])
  if (id === undefined) return
  const isOwn = id.toLowerCase().startsWith(`/subscriptions/${arm.subscriptionId}/`.toLowerCase())
  const deniedActions = isOwn ? principal.deniedActions : ['images/read']
  authorizeLinks({ ...principal, deniedActions }, write, [{ action: 'images/read', id }])
}

const checkMatch = ({ arm, ifMatch }: Context, member: Instance): void => {
  const etag = memberJson(arm, member, false)['etag']
  if (ifMatch === undefined || ifMatch === '*' || ifMatch === etag) return
  throw new ArmError('PreconditionFailed', 'The condition specified using HTTP header is not met.')
}

const uniformMembers = (arm: Arm, name: string): readonly Instance[] =>
  membersOf(arm.world, name).filter(
    ({ state, scaleSet }) => state !== 'terminated' && scaleSet?.mode === 'uniform',
  )

const foundSet = ({ arm, names, group }: Context): string => {
  const name = names[0] ?? ''
  const [first] = membersOf(arm.world, name)
  if (first === undefined || group?.toLowerCase() !== nodeGroup) {
    throw resourceNotFound(type, name, group ?? '')
  }
  return name
}

const foundMember = (context: Context): Instance => {
  const set = foundSet(context)
  const index = context.names[1] ?? ''
  const member = memberAt(context.arm.world, set, index)
  if (member?.scaleSet?.mode === 'uniform') return member
  throw new ArmError(
    'NotFound',
    `The entity was not found in this Azure location: instance ${index} of scale set ${set}.`,
    { status: 404 },
  )
}

const nicsOf = (arm: Arm, member: Instance): readonly ArmNic[] =>
  nicsOfInstance(arm.world, member.id).map(nic => ({ nic, record: recordOf(arm, nic) }))

const listNicsOf = (context: Context, members: readonly Instance[]) => {
  const { arm } = context
  return pageOf(
    context,
    members.flatMap(member => nicsOf(arm, member)),
    {
      keyOf: armNic => idOfNic(arm, armNic).toLowerCase(),
      show: armNic => nicJson(arm, armNic, knowsPrefixes(context)),
    },
  )
}

// Prefixes on NICs came with 2023-11-01; older versions leave the field out.
const knowsPrefixes = ({ query }: Context): boolean =>
  (query.get('api-version') ?? '') >= '2023-11-01'
