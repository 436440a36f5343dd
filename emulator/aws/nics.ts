// The calls that make, attach, change and remove network interfaces.
import { createHash } from 'node:crypto'
import type { Ip } from '#core/ip.ts'
import type { LendRequest } from '#emulator/model/addresses.ts'
import * as model from '#emulator/model/nics.ts'
import { nicOf } from '#emulator/model/world.ts'
import { limitedLend } from '#emulator/wire/lend.ts'
import type { Action, Actions, CallContext } from './action.ts'
import { Ec2Error } from './errors.ts'
import { type Params, addresses, checkId, invalidValue, missingParameter, nicId } from './params.ts'
import { prefixes, tags } from './params.ts'
import { nicMembers } from './shapes.ts'
import { el, maybe } from './xml.ts'

const createNetworkInterface: Action = {
  kind: 'create',
  hasDryRun: true,
  read: params => {
    const token = params.text('ClientToken')
    const request = readCreate(params)
    const fingerprint = createHash('sha256').update(JSON.stringify(request)).digest('hex')
    return context => {
      const remembered = recall(context, token, fingerprint)
      const nic = remembered ?? model.createNic(context.world, limited(request, context.granted))
      if (token !== undefined)
        context.tokens.set(tokenKey(context, token), { fingerprint, id: nic.id })
      const { world, ownerId } = context
      return [
        el('networkInterface', ...nicMembers(world, ownerId, nic)),
        maybe('clientToken', token),
      ]
    }
  },
}

const attachNetworkInterface: Action = {
  kind: 'attach',
  hasDryRun: true,
  read: params => {
    const request = {
      nicId: nicId(params.required('NetworkInterfaceId')),
      instanceId: instanceId(params.required('InstanceId')),
      deviceIndex: wanted('DeviceIndex', params.integer('DeviceIndex')),
      cardIndex: params.integer('NetworkCardIndex') ?? 0,
      // An interface attached by hand outlives its instance (EC2 user guide).
      deleteOnTermination: false,
    }
    if (request.deviceIndex < 0) throw invalidValue('DeviceIndex', String(request.deviceIndex))
    return ({ world }) => {
      const attachment = model.attachNic(world, request)
      return [el('attachmentId', attachment.id), el('networkCardIndex', attachment.cardIndex)]
    }
  },
}

const detachNetworkInterface: Action = {
  kind: 'detach',
  hasDryRun: true,
  read: params => {
    const id = attachmentId(params.required('AttachmentId'))
    params.flag('Force')
    return ({ world }) => {
      model.detachNic(world, id)
      return [el('return', true)]
    }
  },
}

const deleteNetworkInterface: Action = {
  kind: 'delete',
  hasDryRun: true,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    return ({ world }) => {
      model.deleteNic(world, id)
      return [el('return', true)]
    }
  },
}

const modifyNetworkInterfaceAttribute: Action = {
  kind: 'modify',
  hasDryRun: true,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const change = readChange(params)
    return ({ world }) => {
      if (change.kind === 'attribute') model.modifyNic(world, id, change.value)
      else model.setDeleteOnTermination(world, { ...change, nicId: id })
      return [el('return', true)]
    }
  },
}

/** The network interface actions by name. */
export const nicActions: Actions = {
  CreateNetworkInterface: createNetworkInterface,
  AttachNetworkInterface: attachNetworkInterface,
  DetachNetworkInterface: detachNetworkInterface,
  DeleteNetworkInterface: deleteNetworkInterface,
  ModifyNetworkInterfaceAttribute: modifyNetworkInterfaceAttribute,
}

/** Refuses two ways of asking at once; EC2 takes one of them per call. */
export const onlyOne = (...given: readonly (readonly [name: string, isGiven: boolean])[]): void => {
  const names = given.filter(([, isGiven]) => isGiven).map(([name]) => name)
  if (names.length <= 1) return
  throw new Ec2Error(
    'InvalidParameterCombination',
    `The parameters ${names.join(' and ')} cannot be used together`,
  )
}

/** A count parameter: at least 1 when given. */
export const countParameter = (params: Params, name: string): number => {
  const value = params.integer(name)
  if (value !== undefined && !(value >= 1)) throw invalidValue(name, String(value))
  return value ?? 0
}

/** An `i-…` id. */
export const instanceId = (id: string): string => checkId(id, 'i', 'InvalidInstanceID.Malformed')

const attachmentId = (id: string): string =>
  checkId(id, 'eni-attach', 'InvalidNetworkInterfaceAttachmentId.Malformed')

const wanted = <T>(name: string, value: T | undefined): T => {
  if (value === undefined) throw missingParameter(name)
  return value
}

const readCreate = (params: Params): model.CreateNicRequest => {
  const explicit = readAddresses(params)
  const prefixes4 = params.structures('Ipv4Prefix').map(one => one.required('Ipv4Prefix'))
  const prefixes6 = params.structures('Ipv6Prefix').map(one => one.required('Ipv6Prefix'))
  const addresses6 = params.structures('Ipv6Addresses').map(one => one.required('Ipv6Address'))
  const lend4 = {
    addresses: explicit.secondary,
    addressCount: countParameter(params, 'SecondaryPrivateIpAddressCount'),
    prefixes: prefixes('Ipv4Prefix', prefixes4),
    prefixCount: countParameter(params, 'Ipv4PrefixCount'),
  }
  const lend6 = {
    addresses: addresses('Ipv6Addresses', addresses6, 6),
    addressCount: countParameter(params, 'Ipv6AddressCount'),
    prefixes: prefixes('Ipv6Prefix', prefixes6),
    prefixCount: countParameter(params, 'Ipv6PrefixCount'),
  }
  checkCombination(lend4, lend6)
  return {
    subnetId: params.required('SubnetId'),
    description: params.text('Description') ?? '',
    groupIds: params.list('SecurityGroupId'),
    primaryAddress: explicit.primary,
    lend4,
    lend6,
    tags: readTagSpecifications(params, 'network-interface'),
  }
}

// "You can't specify a count of secondary addresses if you've specified … prefixes" and its
// siblings: CreateNetworkInterface in the EC2 API reference.
const checkCombination = (lend4: LendRequest, lend6: LendRequest): void => {
  onlyOne(
    ['PrivateIpAddresses', lend4.addresses.length > 0],
    ['SecondaryPrivateIpAddressCount', lend4.addressCount > 0],
    ['Ipv4Prefix', lend4.prefixes.length > 0],
    ['Ipv4PrefixCount', lend4.prefixCount > 0],
  )
  onlyOne(
    ['Ipv6Addresses', lend6.addresses.length > 0],
    ['Ipv6AddressCount', lend6.addressCount > 0],
    ['Ipv6Prefix', lend6.prefixes.length > 0],
    ['Ipv6PrefixCount', lend6.prefixCount > 0],
  )
}

const readAddresses = (
  params: Params,
): { readonly primary: Ip | undefined; readonly secondary: readonly Ip[] } => {
  const single = params.text('PrivateIpAddress')
  const listed = params.structures('PrivateIpAddresses').map(one => ({
    address: one.required('PrivateIpAddress'),
    isPrimary: one.flag('Primary') ?? false,
  }))
  const primaries = listed.filter(one => one.isPrimary).map(one => one.address)
  if (primaries.length + (single === undefined ? 0 : 1) > 1) {
    throw new Ec2Error('InvalidParameterCombination', 'Only one primary private IP address')
  }
  const secondary = listed.filter(one => !one.isPrimary).map(one => one.address)
  const parse = (values: readonly string[]): readonly Ip[] =>
    addresses('PrivateIpAddresses', values, 4)
  return {
    primary: parse(single === undefined ? primaries : [single])[0],
    secondary: parse(secondary),
  }
}

/** Tags of the specifications for one kind of resource; other kinds are refused. */
export const readTagSpecifications = (params: Params, resource: string): Record<string, string> => {
  const specifications = params.structures('TagSpecification').map(specification => {
    const type = specification.required('ResourceType')
    if (type !== resource) throw invalidValue('TagSpecification.ResourceType', type)
    return tags(specification.structures('Tag'))
  })
  return Object.assign({}, ...specifications) as Record<string, string>
}

const limited = (
  request: model.CreateNicRequest,
  granted: number | undefined,
): model.CreateNicRequest => ({
  ...request,
  lend4: limitedLend(request.lend4, granted),
  lend6: limitedLend(request.lend6, granted),
})

const tokenKey = (context: CallContext, token: string): string =>
  `${context.accountId}/CreateNetworkInterface/${token}`

const recall = (context: CallContext, token: string | undefined, fingerprint: string) => {
  const use = token === undefined ? undefined : context.tokens.get(tokenKey(context, token))
  if (use === undefined) return undefined
  if (use.fingerprint !== fingerprint) {
    throw new Ec2Error(
      'IdempotentParameterMismatch',
      'The client token is already used by a request with different parameters.',
    )
  }
  // A retry is answered even while the new id is not yet known to other calls.
  const known = context.world.nics.get(use.id)?.at(-1)?.value
  return known ?? nicOf(context.world, use.id)
}

type AttributeChange =
  | { readonly kind: 'attribute'; readonly value: Parameters<typeof model.modifyNic>[2] }
  | { readonly kind: 'termination'; readonly attachmentId: string; readonly value: boolean }

const readChange = (params: Params): AttributeChange => {
  const description = params.text('Description.Value')
  const sourceDestCheck = params.flag('SourceDestCheck.Value')
  const groupIds = params.list('SecurityGroupId')
  const attachment = params.text('Attachment.AttachmentId')
  const value = params.flag('Attachment.DeleteOnTermination')
  const given = [description, sourceDestCheck, groupIds[0], attachment]
  const count = given.filter(one => one !== undefined).length
  if (count === 0) throw missingParameter('Attribute')
  if (count > 1) {
    throw new Ec2Error(
      'InvalidParameterCombination',
      'Fields for multiple attribute types specified: only one attribute can be modified per call',
    )
  }
  if (attachment !== undefined) {
    const id = attachmentId(attachment)
    return {
      kind: 'termination',
      attachmentId: id,
      value: wanted('Attachment.DeleteOnTermination', value),
    }
  }
  return {
    kind: 'attribute',
    value: {
      ...(description !== undefined && { description }),
      ...(sourceDestCheck !== undefined && { sourceDestCheck }),
      ...(groupIds.length > 0 && { groupIds }),
    },
  }
}
