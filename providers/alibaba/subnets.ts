// vSwitches of the VPC, and which of them new NICs may lie in. Free counts change all the time and
// lag anyway, so a list is kept for half a minute: long enough to spare the account's budget, short
// enough for the choice between vSwitches.

import { DescribeVSwitchesRequest } from '@alicloud/vpc20160428'
import { LRUCache } from 'lru-cache'
import type { SubnetId } from '#core/names.ts'
import type { Subnet } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import type { SubnetSelection } from '../common/options.ts'
import { type TaggedSubnet, choose, withoutTags, wordsOf } from '../common/selection.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'
import type { Client } from './client.ts'
import { ownFailure } from './failures.ts'
import { subnetOf } from './shapes.ts'

/** All vSwitches of a VPC, whatever their zone. */
export type SubnetSource = (
  vpc: string,
  signal: AbortSignal,
) => Promise<ReadonlyMap<SubnetId, TaggedSubnet>>

const keptMs = 30_000
/** The most this call grants. */
const pageSize = 50
const pagesMax = 100
const name = 'DescribeVSwitches'

export const createSubnets = (client: Client): SubnetSource => {
  const known = new LRUCache<string, ReadonlyMap<SubnetId, TaggedSubnet>>({ max: 4, ttl: keptMs })
  return async (vpc, signal) => {
    const cached = known.get(vpc)
    if (cached !== undefined) return cached
    const subnets = await read({ call: name, on: vpc }, signal, () => describe(client, vpc, signal))
    known.set(vpc, subnets)
    return subnets
  }
}

const describe = async (client: Client, vpcId: string, signal: AbortSignal) => {
  const subnets = new Map<SubnetId, TaggedSubnet>()
  for (let pageNumber = 1; pageNumber <= pagesMax; pageNumber++) {
    const body = await client.vpc(name, signal, (vpc, regionId) =>
      vpc.describeVSwitches(
        new DescribeVSwitchesRequest({ regionId, vpcId, pageNumber, pageSize }),
      ),
    )
    const page = present(body.vSwitches?.vSwitch, 'VSwitches').map(subnetOf)
    for (const subnet of page) subnets.set(subnet.id, subnet)
    if (page.length < pageSize || !(subnets.size < (body.totalCount ?? 0))) break
  }
  return subnets
}

/** Where NICs of an instance may lie, and what its primary NIC lies in. */
export type Place = { readonly zone: string; readonly primary: SubnetId }

type Subnets = ReadonlyMap<SubnetId, TaggedSubnet>

/** vSwitches new NICs may lie in, best first; none when somebody took the last tag away. */
export const chosenSubnets = (
  all: Subnets,
  selection: SubnetSelection,
  { zone, primary }: Place,
): readonly Subnet[] => {
  const near = [...all.values()].filter(subnet => subnet.zone === zone)
  return choose(near, selection, primary).map(withoutTags)
}

/** The same at start, where none is a mistake in the configuration: throws CallFailed. */
export const selectSubnets = (
  all: Subnets,
  selection: SubnetSelection,
  place: Place,
): readonly Subnet[] => {
  const chosen = chosenSubnets(all, selection, place)
  if (chosen.length > 0) return chosen
  const near = [...all.values()].filter(({ zone }) => zone === place.zone).length
  const text =
    `none of the ${near} vSwitches in zone ${place.zone} of this VPC is ${wordsOf(selection)}` +
    elsewhere(all, selection, place)
  const site = { call: name, on: 'the vSwitches for pods', isRead: true }
  throw new CallFailed(ownFailure(site, { kind: 'denied', code: 'NoSubnet', text }))
}

// A vSwitch of another zone is the commonest mistake, so it is named with its zone.
const elsewhere = (all: Subnets, selection: SubnetSelection, { primary }: Place): string => {
  const others = choose([...all.values()], selection, primary)
  if (others.length === 0) return ''
  return ` (${others.map(({ id, zone }) => `${id} is in zone ${zone}`).join(', ')})`
}
