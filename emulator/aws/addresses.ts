// The calls that lend addresses and prefixes to a network interface and take them back. None has a
// ClientToken: asking twice by count lends twice.
import * as model from '#emulator/model/addresses.ts'
import { limitedLend } from '#emulator/wire/lend.ts'
import type { Action, Actions } from './action.ts'
import { Ec2Error } from './errors.ts'
import { countParameter, onlyOne } from './nics.ts'
import { type Params, addresses, missingParameter, nicId, prefixes } from './params.ts'
import { el, list } from './xml.ts'

const assignPrivateIpAddresses: Action = {
  kind: 'assign',
  hasDryRun: false,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const allowReassignment = params.flag('AllowReassignment') ?? false
    const request = readLend4(params)
    return ({ world, granted }) => {
      const lend = limitedLend(request, granted)
      const lent = model.assign(world, id, { ...lend, family: 4, allowReassignment })
      return [
        el('networkInterfaceId', id),
        list('assignedPrivateIpAddressesSet', lent.addresses, one => [el('privateIpAddress', one)]),
        list('assignedIpv4PrefixSet', lent.prefixes, one => [el('ipv4Prefix', one)]),
        el('return', true),
      ]
    }
  },
}

const unassignPrivateIpAddresses: Action = {
  kind: 'unassign',
  hasDryRun: false,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const gone = {
      addresses: addresses('PrivateIpAddress', params.list('PrivateIpAddress'), 4),
      prefixes: prefixes('Ipv4Prefix', params.list('Ipv4Prefix')),
    }
    refuseNothing(gone, 'PrivateIpAddresses')
    return ({ world }) => {
      model.unassign(world, id, gone)
      return [el('return', true)]
    }
  },
}

const assignIpv6Addresses: Action = {
  kind: 'assign',
  hasDryRun: false,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const request = {
      addresses: addresses('Ipv6Addresses', params.list('Ipv6Addresses'), 6),
      addressCount: countParameter(params, 'Ipv6AddressCount'),
      prefixes: prefixes('Ipv6Prefix', params.list('Ipv6Prefix')),
      prefixCount: countParameter(params, 'Ipv6PrefixCount'),
    }
    checkLend(request, {
      addresses: 'Ipv6Addresses',
      count: 'Ipv6AddressCount',
      prefix: 'Ipv6Prefix',
    })
    return ({ world, granted }) => {
      const lend = limitedLend(request, granted)
      const lent = model.assign(world, id, { ...lend, family: 6, allowReassignment: false })
      return [
        el('networkInterfaceId', id),
        list('assignedIpv6Addresses', lent.addresses, one => [one]),
        list('assignedIpv6PrefixSet', lent.prefixes, one => [one]),
      ]
    }
  },
}

const unassignIpv6Addresses: Action = {
  kind: 'unassign',
  hasDryRun: false,
  read: params => {
    const id = nicId(params.required('NetworkInterfaceId'))
    const gone = {
      addresses: addresses('Ipv6Addresses', params.list('Ipv6Addresses'), 6),
      prefixes: prefixes('Ipv6Prefix', params.list('Ipv6Prefix')),
    }
    refuseNothing(gone, 'Ipv6Addresses')
    return ({ world }) => {
      model.unassign(world, id, gone)
      return [
        el('networkInterfaceId', id),
        list('unassignedIpv6Addresses', gone.addresses, one => [one]),
        list('unassignedIpv6PrefixSet', gone.prefixes, one => [one]),
      ]
    }
  },
}

/** The address actions by name. */
export const addressActions: Actions = {
  AssignPrivateIpAddresses: assignPrivateIpAddresses,
  UnassignPrivateIpAddresses: unassignPrivateIpAddresses,
  AssignIpv6Addresses: assignIpv6Addresses,
  UnassignIpv6Addresses: unassignIpv6Addresses,
}

const readLend4 = (params: Params): model.LendRequest => {
  const request = {
    addresses: addresses('PrivateIpAddress', params.list('PrivateIpAddress'), 4),
    addressCount: countParameter(params, 'SecondaryPrivateIpAddressCount'),
    prefixes: prefixes('Ipv4Prefix', params.list('Ipv4Prefix')),
    prefixCount: countParameter(params, 'Ipv4PrefixCount'),
  }
  const names = { addresses: 'PrivateIpAddresses', count: 'SecondaryPrivateIpAddressCount' }
  checkLend(request, { ...names, prefix: 'Ipv4Prefix' })
  return request
}

const checkLend = (
  request: model.LendRequest,
  names: { readonly addresses: string; readonly count: string; readonly prefix: string },
): void => {
  onlyOne(
    [names.addresses, request.addresses.length > 0],
    [names.count, request.addressCount > 0],
    [names.prefix, request.prefixes.length > 0],
    [`${names.prefix}Count`, request.prefixCount > 0],
  )
  if (model.countOf(request) === 0) throw missingParameter(names.count)
}

const refuseNothing = (gone: model.Lent, name: string): void => {
  const blocks = [...gone.addresses, ...gone.prefixes]
  if (blocks.length === 0) throw missingParameter(name)
  if (new Set(blocks).size < blocks.length) {
    throw new Ec2Error('InvalidParameterValue', `The parameter ${name} names an address twice`)
  }
}
