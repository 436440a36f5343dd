// The calls that lend addresses and prefixes to a NIC and take them back. The assign calls know a
// ClientToken; the unassign calls do not, and need none.
import {
  type LendRequest,
  type Lent,
  assign,
  countOf,
  unassign,
} from '#emulator/model/addresses.ts'
import { type Nic, slots6Of } from '#emulator/model/types.ts'
import { instanceOf } from '#emulator/model/world.ts'
import { limitedLend } from '#emulator/wire/lend.ts'
import { type Action, type Actions, type CallContext, ecs } from './action.ts'
import { ApiError, conflictingParameters, missingParameter } from './errors.ts'
import { idempotent } from './idempotence.ts'
import { checkInstance, nicIn } from './notes.ts'
import { type Params, addresses, prefixes } from './params.ts'
import { lentSets, lentSets6 } from './shapes.ts'
import { nicId } from './ids.ts'

/** Explicit secondary addresses per call: by number while Available, by type's limit beyond. */
const listMax = 32
/** Prefixes, and IPv6 addresses, per call. */
const perCallMax = 10
/** More than any type has; the type's limit is what really binds. */
const countMax = 999
/** IPv6 addresses of a NIC that is not attached. */
const availableSlots6Max = 10

const usable = ['Available', 'InUse'] as const

const assignPrivateIpAddresses = ecs('assign', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  const request = readLend4(params, { listMax, countMax })
  if (countOf(request) === 0) throw missingParameter('SecondaryPrivateIpAddressCount')
  return idempotent(params, { id, request }, context => {
    usableNic(context, id)
    const lend = limitedLend(request, context.granted)
    const lent = assign(context.world, id, { ...lend, family: 4, allowReassignment: false })
    return lentSets(id, lent)
  })
})

const assignIpv6Addresses = ecs('assign', params => {
  const id = nicId(params.required('NetworkInterfaceId'))
  const request = readLend6(params)
  if (countOf(request) === 0) throw missingParameter('Ipv6AddressCount')
  return idempotent(params, { id, request }, context => {
    const nic = usableNic(context, id)
    const lend = limitedLend(request, context.granted)
    checkAvailable6(nic, countOf(lend))
    const lent = assign(context.world, id, { ...lend, family: 6, allowReassignment: false })
    return lentSets6(id, lent)
  })
})

const unassignPrivateIpAddresses = unassignAction(params => ({
  addresses: addresses('PrivateIpAddress', params.list('PrivateIpAddress', countMax), 4),
  prefixes: prefixes('Ipv4Prefix', params.list('Ipv4Prefix', perCallMax)),
}))

const unassignIpv6Addresses = unassignAction(params => ({
  addresses: addresses('Ipv6Address', params.list('Ipv6Address', perCallMax), 6),
  prefixes: prefixes('Ipv6Prefix', params.list('Ipv6Prefix', perCallMax)),
}))

/** The address actions by name. */
export const addressActions: Actions = {
  AssignPrivateIpAddresses: assignPrivateIpAddresses,
  UnassignPrivateIpAddresses: unassignPrivateIpAddresses,
  AssignIpv6Addresses: assignIpv6Addresses,
  UnassignIpv6Addresses: unassignIpv6Addresses,
}

/** IPv4 blocks that a call asks for in one of four ways. */
export const readLend4 = (
  params: Params,
  limits: { readonly listMax: number; readonly countMax: number },
): LendRequest => {
  const request = {
    addresses: addresses('PrivateIpAddress', params.list('PrivateIpAddress', limits.listMax), 4),
    addressCount: params.count('SecondaryPrivateIpAddressCount', limits.countMax),
    prefixes: prefixes('Ipv4Prefix', params.list('Ipv4Prefix', perCallMax)),
    prefixCount: params.count('Ipv4PrefixCount', perCallMax),
  }
  onlyOne({
    PrivateIpAddress: request.addresses.length,
    SecondaryPrivateIpAddressCount: request.addressCount,
    Ipv4Prefix: request.prefixes.length,
    Ipv4PrefixCount: request.prefixCount,
  })
  return request
}

/** The same for IPv6. */
export const readLend6 = (params: Params): LendRequest => {
  const request = {
    addresses: addresses('Ipv6Address', params.list('Ipv6Address', perCallMax), 6),
    addressCount: params.count('Ipv6AddressCount', perCallMax),
    prefixes: prefixes('Ipv6Prefix', params.list('Ipv6Prefix', perCallMax)),
    prefixCount: params.count('Ipv6PrefixCount', perCallMax),
  }
  onlyOne({
    Ipv6Address: request.addresses.length,
    Ipv6AddressCount: request.addressCount,
    Ipv6Prefix: request.prefixes.length,
    Ipv6PrefixCount: request.prefixCount,
  })
  return request
}

const onlyOne = (counts: Readonly<Record<string, number>>): void => {
  const given = Object.entries(counts).filter(([, count]) => count > 0)
  if (given.length > 1) throw conflictingParameters(given.map(([name]) => name))
}

// The primary NIC's instance must stand still or run; others only have to be attached or not.
const usableNic = (context: CallContext, id: string): Nic => {
  const nic = nicIn(context, id, usable)
  if (nic.attachment?.deviceIndex === 0) {
    checkInstance(instanceOf(context.world, nic.attachment.instanceId))
  }
  return nic
}

const checkAvailable6 = (nic: Nic, asked: number): void => {
  if (nic.attachment !== undefined || slots6Of(nic) + asked <= availableSlots6Max) return
  throw new ApiError(
    'MaxEniIpv6IpsCountExceeded',
    `An Available eni has at most ${availableSlots6Max} IPv6 addresses.`,
  )
}

function unassignAction(read: (params: Params) => Lent): Action {
  return ecs('unassign', params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const gone = read(params)
    if (gone.addresses.length + gone.prefixes.length === 0) {
      throw missingParameter('PrivateIpAddress')
    }
    return context => {
      usableNic(context, id)
      unassign(context.world, id, gone)
      return {}
    }
  })
}
