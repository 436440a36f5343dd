// Subnets of the instance's zone, and which of them new NICs may lie in. Free counts change all the
// time and lag anyway, so a list is kept for half a minute: long enough to spare the account's
// budget, short enough for the choice between subnets.

import { type EC2Client, paginateDescribeSubnets } from '@aws-sdk/client-ec2'
import { LRUCache } from 'lru-cache'
import type { SubnetId } from '#core/names.ts'
import type { Subnet } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import type { SubnetSelection } from '../common/options.ts'
import { type TaggedSubnet, choose, withoutTags, wordsOf } from '../common/selection.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'
import { ownFailure } from './failures.ts'
import { subnetOf } from './shapes.ts'

export type Place = { readonly vpc: string; readonly zone: string }
export type SubnetSource = (
  place: Place,
  signal: AbortSignal,
) => Promise<ReadonlyMap<SubnetId, TaggedSubnet>>

const keptMs = 30_000
const pageSize = 200

export const createSubnets = (client: EC2Client): SubnetSource => {
  const known = new LRUCache<string, ReadonlyMap<SubnetId, TaggedSubnet>>({ max: 4, ttl: keptMs })
  return async (place, signal) => {
    const key = `${place.vpc}/${place.zone}`
    const cached = known.get(key)
    if (cached !== undefined) return cached
    const site = { call: 'DescribeSubnets', on: `zone ${place.zone} of ${place.vpc}` }
    const subnets = await read(site, signal, () => describe(client, place, signal))
    known.set(key, subnets)
    return subnets
  }
}

const describe = async (client: EC2Client, place: Place, signal: AbortSignal) => {
  const input = {
    Filters: [
      { Name: 'vpc-id', Values: [place.vpc] },
      { Name: 'availability-zone', Values: [place.zone] },
    ],
  }
  const subnets = new Map<SubnetId, TaggedSubnet>()
  const pages = paginateDescribeSubnets({ client, pageSize }, input, { abortSignal: signal })
  for await (const page of pages) {
    for (const subnet of present(page.Subnets, 'Subnets').map(subnetOf)) {
      subnets.set(subnet.id, subnet)
    }
  }
  return subnets
}

/** Subnets new NICs may lie in, best first; none when somebody took the last tag away. */
export const chosenSubnets = (
  all: ReadonlyMap<SubnetId, TaggedSubnet>,
  selection: SubnetSelection,
  primary: SubnetId,
): readonly Subnet[] => choose([...all.values()], selection, primary).map(withoutTags)

/** The same at start, where none is a mistake in the configuration: throws CallFailed. */
export const selectSubnets = (
  all: ReadonlyMap<SubnetId, TaggedSubnet>,
  selection: SubnetSelection,
  primary: SubnetId,
): readonly Subnet[] => {
  const chosen = chosenSubnets(all, selection, primary)
  if (chosen.length > 0) return chosen
  const text = `none of the ${all.size} subnets in this zone is ${wordsOf(selection)}`
  const site = { call: 'DescribeSubnets', on: 'the subnets for pods', isRead: true }
  throw new CallFailed(ownFailure(site, { kind: 'denied', code: 'NoSubnet', text }))
}
