// The subnets NICs lie in, and the prefixes of their virtual network. Free counts lag anyway, so a
// subnet is kept for half a minute; a network's prefixes are read when the node is described.

import { LRUCache } from 'lru-cache'
import type { Cidr } from '#core/ip.ts'
import type { SubnetId } from '#core/names.ts'
import type { Subnet } from '#core/ports.ts'
import { cidrFrom, present } from '../common/shapes.ts'
import { read } from './calls.ts'
import type { Arm } from './client.ts'
import { networkPath } from './documents.ts'
import type { Session } from './identity.ts'
import { listOf, shortOf, subnetOf } from './shapes.ts'

export type SubnetSource = (
  session: Session,
  ids: readonly SubnetId[],
  signal: AbortSignal,
) => Promise<ReadonlyMap<SubnetId, Subnet>>

const keptMs = 30_000
/** Eight NICs at most, each in one subnet. */
const subnetsMax = 64

export const createSubnets = (): SubnetSource => {
  const known = new LRUCache<SubnetId, Subnet>({ max: subnetsMax, ttl: keptMs })
  return async ({ arm, identity }, ids, signal) => {
    const reading = [...new Set(ids)].map(async id => {
      const subnet = known.get(id) ?? (await readSubnet(arm, { id, zone: identity.zone }, signal))
      known.set(id, subnet)
      return [id, subnet] as const
    })
    return new Map(await Promise.all(reading))
  }
}

const readSubnet = (
  arm: Arm,
  { id, zone }: { readonly id: SubnetId; readonly zone: string },
  signal: AbortSignal,
): Promise<Subnet> => {
  const call = 'Subnets_Get'
  return read({ call, on: `subnet ${shortOf(id)}` }, signal, async () => {
    const request = { service: 'network', call, method: 'GET', path: networkPath(id) } as const
    const { body } = await arm.send(request, signal)
    return subnetOf(present(body, 'subnet'), zone)
  })
}

/** Prefixes of the network a subnet belongs to; those of peered networks are not among them. */
export const networkPrefixes = (
  arm: Arm,
  subnet: SubnetId,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const network = subnet.replace(/\/subnets\/[^/]+$/i, '')
  const call = 'VirtualNetworks_Get'
  return read({ call, on: `network ${shortOf(network)}` }, signal, async () => {
    const request = { service: 'network', call, method: 'GET', path: networkPath(network) } as const
    const { body } = await arm.send(request, signal)
    const { properties } = present(body, 'network') as RawNetwork
    return listOf(properties?.addressSpace?.addressPrefixes, 'addressPrefixes').map(cidrFrom)
  })
}

type RawNetwork = {
  readonly properties?: {
    readonly addressSpace?: { readonly addressPrefixes?: readonly string[] }
  }
}
