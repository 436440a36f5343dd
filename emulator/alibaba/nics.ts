// The calls that make, attach, change and remove NICs. Attaching, detaching and deleting answer at
// once and are done later; none of these three knows a ClientToken.
import { parseIp } from '#core/ip.ts'
import * as model from '#emulator/model/nics.ts'
import { type Nic, slots6Of, slotsOf } from '#emulator/model/types.ts'
import {
  type World,
  delay,
  instanceOf,
  later,
  nicOf,
  nicsOfInstance,
  putNic,
} from '#emulator/model/world.ts'
import { limitedLend } from '#emulator/wire/lend.ts'
import { type Actions, ecs } from './action.ts'
import { readLend4, readLend6 } from './addresses.ts'
import {
  ApiError,
  conflictingParameters,
  invalidNicState,
  invalidParameter,
  missingParameter,
} from './errors.ts'
import { idempotent } from './idempotence.ts'
import { instanceId, nicId } from './ids.ts'
import { checkInstance, nicIn, noteOf, statusOf } from './notes.ts'
import { type Params, readTags } from './params.ts'
import { createdNic } from './shapes.ts'

/** Explicit and counted secondary addresses of a new NIC. */
const newListMax = 10
const newCountMax = 49
/** Security groups named in one call; the quota per NIC is lower. */
const groupListMax = 100
/** NICs of one instance that may be on their way at a time. */
const attachingMax = 5

const createNetworkInterface = ecs('create', params => {
  const request = readCreate(params)
  return idempotent(params, request, context => {
    const { world, notes, granted } = context
    const { lend4, lend6, name, deleteOnRelease, ...rest } = request
    const nic = model.createNic(world, {
      ...rest,
      lend4: limitedLend(lend4, granted),
      lend6: limitedLend(lend6, granted),
    })
    notes.nics.set(nic.id, { name, deleteOnRelease, createdAt: world.clock.now() })
    return createdNic(context, nic)
  })
})

const attachNetworkInterface = ecs('attach', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  const onto = instanceId(params.required('InstanceId'))
  refuseGiven(params, 'TrunkNetworkInstanceId', 'This parameter is not yet available.')
  refuseGiven(params, 'NetworkCardIndex', 'The instance type has no network cards.')
  return context => {
    const { world, notes } = context
    const nic = nicIn(context, id, ['Available'])
    const instance = instanceOf(world, onto)
    checkInstance(instance)
    checkPlace(world, nic, instance.type)
    const others = nicsOfInstance(world, onto).map(other => other.attachment)
    if (!(others.filter(other => other?.state === 'attaching').length < attachingMax)) {
      throw conflict(onto)
    }
    const used = new Set(others.map(other => other?.deviceIndex))
    const deviceIndex = [...Array(used.size + 1).keys()].find(index => !used.has(index)) ?? 0
    const attachment = model.attachNic(world, {
      nicId: id,
      instanceId: onto,
      deviceIndex,
      cardIndex: 0,
      deleteOnTermination: noteOf(notes, nic).deleteOnRelease ?? false,
    })
    later(world, giveUpMs(world), () => giveUp(world, id, attachment.id))
    return {}
  }
})

const detachNetworkInterface = ecs('detach', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  const from = instanceId(params.required('InstanceId'))
  refuseGiven(params, 'TrunkNetworkInstanceId', 'This parameter is not yet available.')
  return context => {
    const { world, notes } = context
    const instance = instanceOf(world, from)
    const nic = nicOf(world, id)
    const { attachment } = nic
    const status = statusOf(world, notes, nic)
    if (attachment === undefined || attachment.instanceId !== from)
      throw invalidNicState(id, status)
    if (attachment.deviceIndex !== 0 && !['InUse', 'Detaching'].includes(status)) {
      throw invalidNicState(id, status)
    }
    checkInstance(instance)
    model.detachNic(world, attachment.id)
    return {}
  }
})

const deleteNetworkInterface = ecs('delete', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  return context => {
    const { world, notes } = context
    nicIn(context, id, ['Available', 'Deleting'])
    if (notes.deleting.has(id)) return {}
    notes.deleting.add(id)
    // It goes as it came: after about as long as a new one needs.
    later(world, delay(world, 'pendingMs'), () => {
      const nic = world.nics.get(id)?.at(-1)?.value
      if (nic !== undefined && nic.attachment === undefined) model.forget(world, nic)
    })
    return {}
  }
})

const modifyNetworkInterfaceAttribute = ecs('modify', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  const groupIds = params.list('SecurityGroupId', groupListMax)
  const change = readText(params)
  const sourceDestCheck = params.flag('SourceDestCheck')
  const deleteOnRelease = params.flag('DeleteOnRelease')
  return context => {
    const { world, notes } = context
    const nic = nicIn(context, id, ['Available', 'Attaching', 'InUse', 'Detaching'])
    model.modifyNic(world, id, {
      ...(change.description !== undefined && { description: change.description }),
      ...(sourceDestCheck !== undefined && { sourceDestCheck }),
      ...(groupIds.length > 0 && { groupIds }),
    })
    const note = noteOf(notes, nic)
    notes.nics.set(id, {
      ...note,
      name: change.name ?? note.name,
      deleteOnRelease: deleteOnRelease ?? note.deleteOnRelease,
    })
    if (deleteOnRelease !== undefined && nic.attachment !== undefined) {
      const request = { nicId: id, attachmentId: nic.attachment.id, value: deleteOnRelease }
      model.setDeleteOnTermination(world, request)
    }
    return {}
  }
})

/** The NIC actions by name. */
export const nicActions: Actions = {
  CreateNetworkInterface: createNetworkInterface,
  AttachNetworkInterface: attachNetworkInterface,
  DetachNetworkInterface: detachNetworkInterface,
  DeleteNetworkInterface: deleteNetworkInterface,
  ModifyNetworkInterfaceAttribute: modifyNetworkInterfaceAttribute,
}

interface CreateRequest extends model.CreateNicRequest {
  readonly name: string
  readonly deleteOnRelease: boolean | undefined
  readonly sourceDestCheck: boolean
}

const readCreate = (params: Params): CreateRequest => {
  const kind = params.text('InstanceType') ?? 'Secondary'
  if (kind !== 'Secondary') throw unsupported('InstanceType')
  if ((params.text('NetworkInterfaceTrafficMode') ?? 'Standard') !== 'Standard') {
    throw unsupported('NetworkInterfaceTrafficMode')
  }
  const text = readText(params)
  return {
    subnetId: params.required('VSwitchId'),
    groupIds: readGroups(params),
    description: text.description ?? '',
    name: text.name ?? '',
    primaryAddress: readPrimary(params),
    lend4: readLend4(params, { listMax: newListMax, countMax: newCountMax }),
    lend6: readLend6(params),
    tags: readTags(params),
    deleteOnRelease: params.flag('DeleteOnRelease'),
    // "Default value: false": the reference of CreateNetworkInterface.
    sourceDestCheck: params.flag('SourceDestCheck') ?? false,
  }
}

// "You must set either SecurityGroupId or SecurityGroupIds.N but not both."
const readGroups = (params: Params): readonly string[] => {
  const single = params.text('SecurityGroupId')
  const listed = params.list('SecurityGroupIds', groupListMax)
  if (single !== undefined && listed.length > 0) {
    throw conflictingParameters(['SecurityGroupId', 'SecurityGroupIds'])
  }
  if (single !== undefined) return [single]
  if (listed.length === 0) throw missingParameter('SecurityGroupId')
  return listed
}

const readPrimary = (params: Params): model.CreateNicRequest['primaryAddress'] => {
  const text = params.text('PrimaryIpAddress')
  if (text === undefined) return undefined
  const address = parseIp(text)
  if (address !== undefined && !address.includes(':')) return address
  throw new ApiError('InvalidVSwitchId.IpInvalid', `The specified ip "${text}" is invalid.`)
}

const readText = (
  params: Params,
): { readonly name: string | undefined; readonly description: string | undefined } => {
  const bounded = (name: string, max: number): string | undefined => {
    const text = params.text(name)
    if (text === undefined) return undefined
    const isRight = text.length >= 2 && text.length <= max && !/^https?:\/\//.test(text)
    if (!isRight) throw invalidParameter(name, `It must be 2 to ${max} characters in length.`)
    return text
  }
  return { name: bounded('NetworkInterfaceName', 128), description: bounded('Description', 256) }
}

const refuseGiven = (params: Params, name: string, why: string): void => {
  if (params.text(name) !== undefined) throw invalidParameter(name, why)
}

const unsupported = (name: string): ApiError =>
  new ApiError('UnsupportedParameter', `The parameter ${name} is not supported with this value.`)

const conflict = (instance: string): ApiError =>
  new ApiError(
    'Operation.Conflict',
    `Other eni of "${instance}" are being attached. Try again later.`,
  )

// What the NIC carries must fit the type that it comes to; the model knows one code for both
// families.
const checkPlace = (world: World, nic: Nic, type: string): void => {
  const limits = world.options.typeLimits(type)
  if (limits === undefined) return
  const tooMany = (code: string, used: number, max: number): ApiError =>
    new ApiError(code, `"${nic.id}" has ${used} addresses and ${type} allows ${max}.`)
  const four = slotsOf(nic)
  const six = slots6Of(nic)
  if (!(four <= limits.slotsPerNic)) {
    throw tooMany('InvalidOperation.Ipv4CountExceeded', four, limits.slotsPerNic)
  }
  if (!(six <= limits.slots6PerNic)) {
    throw tooMany('InvalidOperation.Ipv6CountExceeded', six, limits.slots6PerNic)
  }
}

/** ECS ends an attachment that does not come about; nothing says when, so: well after the usual. */
const giveUpMinMs = 30_000

const giveUpMs = (world: World): number => {
  const { max, tail } = world.options.latency.attachingMs
  return Math.max(giveUpMinMs, 4 * Math.max(max, tail?.max ?? 0))
}

// "Available indicates that the ENI failed to be attached": the reference of
// AttachNetworkInterface.
const giveUp = (world: World, id: string, attachmentId: string): void => {
  const nic = world.nics.get(id)?.at(-1)?.value
  if (nic?.attachment?.id !== attachmentId || nic.attachment.state !== 'attaching') return
  putNic(world, id, { ...nic, attachment: undefined })
}
