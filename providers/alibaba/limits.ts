// What an instance type allows, as ECS describes it. Types never change, so an answer is kept.

import {
  DescribeInstanceTypesRequest,
  type DescribeInstanceTypesResponseBodyInstanceTypesInstanceType as InstanceType,
} from '@alicloud/ecs20140526'
import { LRUCache } from 'lru-cache'
import type { Limits } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'
import type { Client } from './client.ts'
import { ownFailure } from './failures.ts'

/** Limits of an instance type; rejects with CallFailed. */
export type LimitsSource = (instanceType: string, signal: AbortSignal) => Promise<Limits>

/** A node has one type; the room is for a command that compares several. */
const typesMax = 64
const pageSize = 100
const pagesMax = 50

const name = 'DescribeInstanceTypes'

export const createLimits = (client: Client): LimitsSource => {
  const known = new LRUCache<string, Limits>({ max: typesMax })
  return async (instanceType, signal) => {
    const cached = known.get(instanceType)
    if (cached !== undefined) return cached
    const site = { call: name, on: `instance type ${instanceType}` }
    const found = await read(site, signal, () => find(client, instanceType, signal))
    if (found === undefined) {
      const text = 'ECS does not know this instance type in this region'
      const what = { kind: 'denied', code: 'InvalidInstanceType', text } as const
      throw new CallFailed(ownFailure({ ...site, isRead: true }, what))
    }
    const limits = limitsOf(found)
    known.set(instanceType, limits)
    return limits
  }
}

// An old endpoint that ignores the filter pages through all types there are.
const find = async (
  client: Client,
  instanceType: string,
  signal: AbortSignal,
): Promise<InstanceType | undefined> => {
  let nextToken: string | undefined
  for (let pages = 0; pages < pagesMax; pages++) {
    const body = await client.ecs(name, signal, (ecs, regionId) =>
      ecs.describeInstanceTypes(
        new DescribeInstanceTypesRequest({
          regionId,
          instanceTypes: [instanceType],
          maxResults: pageSize,
          nextToken,
        }),
      ),
    )
    const types = present(body.instanceTypes?.instanceType, 'InstanceTypes')
    const found = types.find(({ instanceTypeId }) => instanceTypeId === instanceType)
    if (found !== undefined || !body.nextToken) return found
    nextToken = body.nextToken
  }
  return undefined
}

/**
 * The IPv4 quantity includes the NIC's own address, which every NIC has; the IPv6 one that of the
 * primary NIC, which alone may have one. A prefix uses the same slot as an address. ECS names no
 * limit for prefixes of its own.
 */
export const limitsOf = (type: InstanceType): Limits => {
  const four = present(type.eniPrivateIpAddressQuantity, 'EniPrivateIpAddressQuantity') - 1
  return {
    nicsMax: present(type.eniQuantity, 'EniQuantity'),
    hotPlug: true,
    blocksPerNicMax: { 4: Math.max(0, four), 6: type.eniIpv6AddressQuantity ?? 0 },
    ownTakesPlaceIn: [6],
    blocksPerNodeMax: undefined,
    prefixes: four > 0,
  }
}
