// The actions on network interfaces that are resources of their own: get, list, put, tag, delete.
import { baseOf } from '#core/ip.ts'
import type { Tags } from '#emulator/model/types.ts'
import { createNic, deleteNic, forget } from '#emulator/model/nics.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { putNic } from '#emulator/model/world.ts'
import { type Action, type Context, type Reply, replyOf } from './action.ts'
import type { Arm, ArmNic } from './arm.ts'
import { beginChange } from './change.ts'
import { type WantedNic, bodyObject, readNic } from './desired.ts'
import { ArmError, armError, invalidReference, resourceNotFound } from './errors.ts'
import { forestall } from './foreign.ts'
import { inGroup, isCovered, nodeGroup, subnetId, vmId } from './ids.ts'
import { type JsonObject, objectOf, textOf } from './json.ts'
import { beginOperation, operationHeaders, refuseWhileBusy } from './operations.ts'
import { pageOf } from './pages.ts'
import { etagOf, idOfNic, nicByName, plainNics, recordOf, subnetByArmId } from './records.ts'
import { putRecord } from './records.ts'
import { authorizeLinks, linksOf } from './references.ts'
import { nicJson } from './shape-nic.ts'

const type = 'Microsoft.Network/networkInterfaces'

export const readNicAction: Action = {
  name: 'networkInterfaces/read',
  kind: 'describe',
  work: context => {
    const armNic = found(context)
    return replyOf(200, nicJson(context.arm, armNic), { etag: etagOf(context.arm, armNic) })
  },
}

export const listNics: Action = {
  name: 'networkInterfaces/read',
  kind: 'describe',
  work: context => {
    const { arm, group } = context
    return pageOf(context, isCovered(nodeGroup, group) ? plainNics(arm) : [], {
      keyOf: armNic => idOfNic(arm, armNic).toLowerCase(),
      show: armNic => nicJson(arm, armNic),
    })
  },
}

export const writeNic: Action = {
  name: 'networkInterfaces/write',
  kind: 'assign',
  work: context => {
    const { arm, names, group } = context
    const name = names[0] ?? ''
    const body = bodyObject(context.body)
    checkLocation(arm, body, context.id)
    const id = inGroup(arm, group ?? nodeGroup, `${type}/${name}`)
    const wanted = readNic(objectOf(body['properties']), id)
    const write = { action: 'networkInterfaces/write', id } as const
    authorizeLinks(context.principal, write, linksOf(wanted))
    if (context.isForestalled) forestall(arm, nicByName(arm, name))
    const armNic = nicByName(arm, name)
    checkMatch(context, armNic)
    return armNic === undefined
      ? create(context, { name, id, wanted, body })
      : update(context, { armNic, wanted, body })
  },
}

export const tagNic: Action = {
  name: 'networkInterfaces/write',
  kind: 'tag',
  work: context => {
    const { arm } = context
    const { nic } = found(context)
    putNic(arm.world, nic.id, { ...nic, tags: readTags(bodyObject(context.body)['tags']) })
    return replyOf(200, nicJson(arm, found(context)))
  },
}

export const removeNic: Action = {
  name: 'networkInterfaces/delete',
  kind: 'delete',
  work: context => {
    const { arm } = context
    const armNic = nicByName(arm, context.names[0] ?? '')
    if (armNic === undefined) return replyOf(204, undefined)
    const id = idOfNic(arm, armNic)
    checkMatch(context, armNic)
    refuseWhileBusy(arm, id, 'Microsoft.Network')
    const owner = arm.world.instances.get(armNic.nic.attachment?.instanceId ?? '')
    if (owner !== undefined) {
      throw new ArmError(
        'NicInUse',
        `Network Interface ${id} is used by existing resource ${vmId(arm, owner)}. In order to ` +
          'delete the network interface, it must be dissociated from the resource.',
      )
    }
    const operation = beginOperation(arm, {
      provider: 'Microsoft.Network',
      locks: [id],
      failure: failureOf(context),
      succeed: () => deleteNic(arm.world, armNic.nic.id),
      fail: () => undefined,
    })
    return replyOf(202, undefined, operationHeaders(context, operation))
  },
}

/** The NIC of the path, or 404. */
const found = ({ arm, names, group }: Context): ArmNic => {
  const name = names[0] ?? ''
  const armNic = group?.toLowerCase() === nodeGroup ? nicByName(arm, name) : undefined
  if (armNic === undefined) throw resourceNotFound(type, name, group ?? '')
  return armNic
}

/** The error that a fault wants an operation to end with. */
export const failureOf = ({
  operationFailure: code,
}: Context): { readonly code: string; readonly message: string } | undefined =>
  code === undefined ? undefined : { code, message: `${code} (injected fault)` }

/** Tags of a body; other values than texts are left out. */
export const readTags = (value: JsonObject[string]): Tags => {
  const tags = Object.entries(objectOf(value)).flatMap(([key, tag]) => {
    const text = textOf(tag)
    return text === undefined ? [] : [[key, text] as const]
  })
  const reserved = tags.map(([key]) => key).filter(key => /[<>%&\\?/]/.test(key))
  if (reserved.length > 0) {
    throw new ArmError(
      'InvalidTagNameCharacters',
      `The tag names '${reserved.join("','")}' have reserved characters ` +
        "'<,>,%,&,\\\\,?,/' or control characters.",
    )
  }
  if (!(tags.length <= tagsMax)) {
    throw new ArmError(
      'TooManyTags',
      `The resource has ${tags.length} tags; no more than ${tagsMax} are allowed.`,
    )
  }
  return Object.fromEntries(tags)
}

/** Tags of one resource (Azure's limits page). */
const tagsMax = 50

/** Refuses a body without location, or with another one than the resource's. */
export const checkLocation = (arm: Arm, body: JsonObject, id: string): void => {
  const location = textOf(body['location'])
  if (location === undefined) {
    throw new ArmError('LocationRequired', 'The location property is required for this definition.')
  }
  // `East US` and `eastus` are the same.
  if (location.replaceAll(' ', '').toLowerCase() === arm.location.toLowerCase()) return
  throw new ArmError(
    'InvalidResourceLocation',
    `The resource '${id.split('/').at(-1)}' already exists in location '${arm.location}'. A ` +
      `resource with the same name cannot be created in location '${location}'.`,
  )
}

const checkMatch = ({ arm, ifMatch }: Context, armNic: ArmNic | undefined): void => {
  if (ifMatch === undefined) return
  const isMatch =
    armNic !== undefined && (ifMatch === '*' || strip(ifMatch) === strip(etagOf(arm, armNic)))
  if (isMatch) return
  throw new ArmError(
    'PreconditionFailed',
    'Precondition failed. The etag value in the If-Match header does not match the current etag ' +
      'of the resource.',
  )
}

const strip = (etag: string): string => etag.replace(/^W\//, '')

const update = (
  context: Context,
  parts: { readonly armNic: ArmNic; readonly wanted: WantedNic; readonly body: JsonObject },
): Reply => {
  const { arm, granted } = context
  const { armNic, wanted, body } = parts
  const id = idOfNic(arm, armNic)
  checkOwner(arm, armNic, body)
  refuseWhileBusy(arm, id, 'Microsoft.Network')
  const tags = readTags(body['tags'])
  const change = beginChange(arm, { armNic, wanted, granted, tags, isScaleSet: false })
  const operation = beginOperation(arm, {
    provider: 'Microsoft.Network',
    locks: [id],
    failure: failureOf(context) ?? deletionOf(arm, armNic),
    ...change,
  })
  const after = nicByName(arm, armNic.record.name) ?? armNic
  const headers = { ...operationHeaders(context, operation), etag: etagOf(arm, after) }
  return replyOf(200, nicJson(arm, after), headers)
}

// The call succeeds; that the machine is on its way out only the operation tells.
const deletionOf = (arm: Arm, { nic }: ArmNic): ReturnType<typeof failureOf> => {
  const owner = arm.world.instances.get(nic.attachment?.instanceId ?? '')
  if (owner?.state !== 'shutting-down') return undefined
  return {
    code: 'OperationNotAllowed',
    message:
      `Operation 'startTenantUpdate' is not allowed on VM '${owner.name}' since the VM is marked ` +
      'for deletion. You can only retry the Delete operation (or wait for an ongoing one to ' +
      'complete).',
  }
}

// A NIC changes its machine through the machine's own resource, and only while that is stopped.
const checkOwner = (arm: Arm, { nic }: ArmNic, body: JsonObject): void => {
  const machine = textOf(objectOf(objectOf(body['properties'])['virtualMachine'])['id'])
  const owner = arm.world.instances.get(nic.attachment?.instanceId ?? '')
  const own = owner && vmId(arm, owner).toLowerCase()
  if (machine === undefined || machine.toLowerCase() === own) return
  throw new ArmError(
    'OperationNotAllowed',
    `Network interface ${nic.id} cannot be attached to ${machine} by updating the network ` +
      'interface: deallocate the virtual machine and update its network profile.',
  )
}

const create = (
  context: Context,
  parts: {
    readonly name: string
    readonly id: string
    readonly wanted: WantedNic
    readonly body: JsonObject
  },
): Reply => {
  const { arm, granted } = context
  const { name, id, wanted, body } = parts
  const nic = draft(arm, parts)
  putRecord(arm, nic.id, { name, configs: [], state: 'Succeeded', more: {}, leaving: [] })
  const primary = wanted.configs.find(({ isPrimary }) => isPrimary)
  const record = recordOf(arm, nic)
  const configs = record.configs.map(config => ({ ...config, name: primary?.name ?? config.name }))
  putRecord(arm, nic.id, { ...record, configs })
  try {
    const armNic = { nic, record: recordOf(arm, nic) }
    const tags = readTags(body['tags'])
    const change = beginChange(arm, { armNic, wanted, granted, tags, isScaleSet: false })
    const operation = beginOperation(arm, {
      provider: 'Microsoft.Network',
      locks: [id],
      failure: failureOf(context),
      ...change,
    })
    const after = nicByName(arm, name) ?? armNic
    return replyOf(201, nicJson(arm, after), operationHeaders(context, operation))
  } catch (error) {
    forget(arm.world, nic)
    arm.records.delete(nic.id)
    throw error
  }
}

const draft = (
  arm: Arm,
  { id, wanted }: { readonly id: string; readonly wanted: WantedNic },
): ArmNic['nic'] => {
  const primary = wanted.configs.find(({ isPrimary }) => isPrimary)
  const reference = primary?.subnetId ?? ''
  const subnet = subnetByArmId(arm, reference)
  if (subnet === undefined) throw invalidReference(reference, id)
  const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }
  const isStatic = primary?.method === 'Static' && primary.block !== undefined
  try {
    return createNic(arm.world, {
      subnetId: subnet.id,
      description: '',
      groupIds: [],
      primaryAddress: isStatic ? baseOf(primary.block) : undefined,
      lend4: none,
      lend6: none,
      tags: {},
    })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const place = { id: subnetId(arm, subnet), prefix: subnet.cidr }
    throw armError(error.reason, { about: id, count: 1, subnet: place, holderOf: () => undefined })
  }
}
