// From a path of Azure's resource tree to the action behind it. Paths mean the same whatever their
// case, and every resource type has api-versions of its own.
import type { Action } from './action.ts'
import { listSkus, listUsages } from './catalogue.ts'
import { ArmError } from './errors.ts'
import { deallocateVm, listVms, readVm, readVmView, startVm, writeVm } from './machines.ts'
import { listAsgs, listNsgs, listSubnets, listVnets, readAsg, readNsg } from './networks.ts'
import { readSubnet, readVnet } from './networks.ts'
import { listNics, readNicAction, removeNic, tagNic, writeNic } from './nics.ts'
import { readOperation } from './operations.ts'
import { listMemberNics, listMembers, listSetNics, listSets, readMember } from './sets.ts'
import { readMemberNic, readSet, writeMember } from './sets.ts'

/** Where a request leads. */
export interface Route {
  readonly method: string
  readonly subscriptionId: string
  readonly group: string | undefined
  readonly provider: 'Microsoft.Network' | 'Microsoft.Compute'
  /** `virtualNetworks/subnets`, as the client wrote it. */
  readonly type: string
  readonly names: readonly string[]
  /** The path without its query. */
  readonly id: string
  readonly action: Action
}

/** A path taken apart; `key` tells resource types and collections from each other. */
interface Path {
  readonly subscriptionId: string
  readonly group: string | undefined
  readonly provider: string
  readonly types: readonly string[]
  readonly names: readonly string[]
  readonly id: string
}

/** Finds the action of a request, or refuses as Azure does. */
export const routeOf = (method: string, pathname: string): Route => {
  const path = parse(pathname)
  const provider = providers.find(one => one.toLowerCase() === path.provider.toLowerCase())
  if (provider === undefined) {
    throw new ArmError(
      'InvalidResourceNamespace',
      `The resource namespace '${path.provider}' is invalid.`,
    )
  }
  const type = path.types.join('/')
  const isList = path.types.length > path.names.length
  const key = `${provider}/${type}${isList ? '' : '/*'}`.toLowerCase()
  const methods = table.get(key)
  if (methods === undefined) {
    throw new ArmError(
      'InvalidResourceType',
      `The resource type '${type}' could not be found in the namespace '${provider}'.`,
    )
  }
  const action = methods[method]
  if (action === undefined) {
    throw new ArmError(
      'MethodNotAllowed',
      `The requested resource does not support http method '${method}'.`,
    )
  }
  const { subscriptionId, group, names, id } = path
  return { method, subscriptionId, group, provider, type, names, id, action }
}

/** Refuses a missing, malformed or unknown api-version. */
export const checkVersion = (route: Route, location: string, version: string | null): void => {
  if (version === null || version === '') {
    throw new ArmError(
      'MissingApiVersionParameter',
      'The api-version query parameter (?api-version=) is required for all requests.',
    )
  }
  const supported = versionsOf(route)
  if (supported.includes(version)) return
  const isDate = /^\d{4}-\d{2}-\d{2}(-preview)?$/.test(version)
  throw isDate
    ? new ArmError(
        'NoRegisteredProviderFound',
        `No registered resource provider found for location '${location}' and API version ` +
          `'${version}' for type '${route.type}'. The supported api-versions are ` +
          `'${supported.join(', ')}'.`,
      )
    : new ArmError(
        'InvalidApiVersionParameter',
        `The api-version '${version}' is invalid. The supported versions are ` +
          `'${supported.join(',')}'.`,
      )
}

const providers = ['Microsoft.Network', 'Microsoft.Compute'] as const

const parse = (pathname: string): Path => {
  const parts = pathname.split('/').filter(part => part !== '')
  const at = (index: number): string => decode(parts[index] ?? '')
  const isGrouped = at(2).toLowerCase() === 'resourcegroups'
  const start = isGrouped ? 4 : 2
  const isPath = at(0).toLowerCase() === 'subscriptions' && at(start).toLowerCase() === 'providers'
  if (!isPath || parts.length < start + 3) {
    throw new ArmError(
      'InvalidRequestUri',
      `The request URI ${pathname} is invalid: it does not lead to a resource.`,
      { status: 404 },
    )
  }
  const rest = parts.slice(start + 2).map(decode)
  return {
    subscriptionId: at(1),
    group: isGrouped ? at(3) : undefined,
    provider: at(start + 1),
    types: rest.filter((_, i) => i % 2 === 0),
    names: rest.filter((_, i) => i % 2 === 1),
    id: pathname,
  }
}

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

type Methods = Readonly<Record<string, Action>>

const actions: Readonly<Record<string, Methods>> = {
  'Microsoft.Network/networkInterfaces': { GET: listNics },
  'Microsoft.Network/networkInterfaces/*': {
    GET: readNicAction,
    PUT: writeNic,
    PATCH: tagNic,
    DELETE: removeNic,
  },
  'Microsoft.Network/virtualNetworks': { GET: listVnets },
  'Microsoft.Network/virtualNetworks/*': { GET: readVnet },
  'Microsoft.Network/virtualNetworks/subnets': { GET: listSubnets },
  'Microsoft.Network/virtualNetworks/subnets/*': { GET: readSubnet },
  'Microsoft.Network/networkSecurityGroups': { GET: listNsgs },
  'Microsoft.Network/networkSecurityGroups/*': { GET: readNsg },
  'Microsoft.Network/applicationSecurityGroups': { GET: listAsgs },
  'Microsoft.Network/applicationSecurityGroups/*': { GET: readAsg },
  'Microsoft.Network/locations/operations/*': { GET: readOperation },
  'Microsoft.Network/locations/usages': { GET: listUsages },
  'Microsoft.Compute/skus': { GET: listSkus },
  'Microsoft.Compute/locations/operations/*': { GET: readOperation },
  'Microsoft.Compute/virtualMachines': { GET: listVms },
  'Microsoft.Compute/virtualMachines/*': { GET: readVm, PUT: writeVm, PATCH: writeVm },
  'Microsoft.Compute/virtualMachines/instanceView': { GET: readVmView },
  'Microsoft.Compute/virtualMachines/deallocate': { POST: deallocateVm },
  'Microsoft.Compute/virtualMachines/start': { POST: startVm },
  'Microsoft.Compute/virtualMachineScaleSets': { GET: listSets },
  'Microsoft.Compute/virtualMachineScaleSets/*': { GET: readSet },
  'Microsoft.Compute/virtualMachineScaleSets/networkInterfaces': { GET: listSetNics },
  'Microsoft.Compute/virtualMachineScaleSets/virtualMachines': { GET: listMembers },
  'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/*': {
    GET: readMember,
    PUT: writeMember,
  },
  'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces': {
    GET: listMemberNics,
  },
  'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/*': {
    GET: readMemberNic,
  },
}

const table = new Map(Object.entries(actions).map(([key, value]) => [key.toLowerCase(), value]))

const networkVersions = [
  '2026-01-01',
  '2025-05-01',
  '2025-03-01',
  '2025-01-01',
  '2024-10-01',
  '2024-07-01',
  '2024-05-01',
  '2024-03-01',
  '2024-01-01',
  '2023-11-01',
  '2023-09-01',
  '2022-07-01',
  '2021-08-01',
  '2020-11-01',
  '2018-10-01',
]

const computeVersions = [
  '2026-04-01',
  '2026-03-01',
  '2025-11-01',
  '2025-04-01',
  '2024-11-01',
  '2024-07-01',
  '2024-03-01',
  '2023-09-01',
  '2023-07-01',
  '2022-08-01',
  '2021-07-01',
]

// NICs of scale sets are the network provider's, on the compute provider's path.
const versionsOf = ({ provider, type }: Route): readonly string[] => {
  if (/networkinterfaces$/i.test(type) && provider === 'Microsoft.Compute') {
    return ['2018-10-01', '2017-03-30']
  }
  return provider === 'Microsoft.Network' ? networkVersions : computeVersions
}
