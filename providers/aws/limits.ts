// What an instance type allows, as EC2 describes it. Types never change, so an answer is kept.

import {
  DescribeInstanceTypesCommand,
  type EC2Client,
  type InstanceTypeInfo,
} from '@aws-sdk/client-ec2'
import { LRUCache } from 'lru-cache'
import type { Limits } from '#core/ports.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'

/** Limits of an instance type; rejects with CallFailed. */
export type LimitsSource = (instanceType: string, signal: AbortSignal) => Promise<Limits>

/** A node has one type; the room is for a command that compares several. */
const typesMax = 64

export const createLimits = (client: EC2Client): LimitsSource => {
  const known = new LRUCache<string, Limits>({ max: typesMax })
  return async (instanceType, signal) => {
    const cached = known.get(instanceType)
    if (cached !== undefined) return cached
    const site = { call: 'DescribeInstanceTypes', on: `instance type ${instanceType}` }
    const limits = await read(site, signal, async () => {
      const input = { InstanceTypes: [instanceType as InstanceTypeInfo['InstanceType'] & string] }
      const command = new DescribeInstanceTypesCommand(input)
      const answer = await client.send(command, { abortSignal: signal })
      return limitsOf(present(answer.InstanceTypes?.[0], `instance type ${instanceType}`))
    })
    known.set(instanceType, limits)
    return limits
  }
}

/**
 * The default network card alone counts: MaximumNetworkInterfaces sums all cards, and NICs on the
 * others serve special purposes. An address limit includes the NIC's own address; a prefix uses the
 * same slot as an address. Prefixes need the Nitro system (EC2 user guide).
 */
export const limitsOf = (type: InstanceTypeInfo): Limits => {
  const network = present(type.NetworkInfo, 'NetworkInfo')
  const cardIndex = network.DefaultNetworkCardIndex ?? 0
  const card = network.NetworkCards?.find(({ NetworkCardIndex: index }) => index === cardIndex)
  const nicsMax = card?.MaximumNetworkInterfaces ?? network.MaximumNetworkInterfaces
  const ipv6 = network.Ipv6Supported === true ? (network.Ipv6AddressesPerInterface ?? 0) : 0
  return {
    nicsMax: present(nicsMax, 'MaximumNetworkInterfaces'),
    hotPlug: true,
    blocksPerNodeMax: undefined,
    blocksPerNicMax: {
      4: present(network.Ipv4AddressesPerInterface, 'Ipv4AddressesPerInterface') - 1,
      6: Math.max(0, ipv6 - 1),
    },
    prefixes: type.Hypervisor === 'nitro' || type.BareMetal === true,
  }
}
