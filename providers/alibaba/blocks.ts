// Lending and returning blocks of a NIC. One call lends at most ten, so a larger wish is several
// calls; what the first ones lent is a result when a later one is refused. Lending carries no
// token: each call is sent once, and an uncertain end is reported as such.

import {
  AssignIpv6AddressesRequest,
  AssignPrivateIpAddressesRequest,
  UnassignIpv6AddressesRequest,
  UnassignPrivateIpAddressesRequest,
} from '@alicloud/ecs20140526'
import { type Cidr, type Family, baseOf, bitsOf, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import type { NicId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import { staleCode, stalePatience } from '../common/retry.ts'
import { canonical, cidrFrom, ipFrom, present } from '../common/shapes.ts'
import { mutate, mutation, patiently } from './calls.ts'
import type { Client } from './client.ts'
import { findNic } from './describe.ts'
import { type Surroundings, cloudNicOf } from './shapes.ts'

type LendRequest = { readonly nic: NicId; readonly blocks: BlockRequest }
type ReturnRequest = { readonly nic: NicId; readonly blocks: readonly Cidr[] }

/** Blocks that one call lends or takes back (ECS API reference). */
const blocksPerCallMax = 10

/** Only what this call added, in canonical order. */
export const lendBlocks = async (
  client: Client,
  { nic, blocks }: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const lent: Cidr[] = []
  while (lent.length < blocks.count) {
    const count = Math.min(blocks.count - lent.length, blocksPerCallMax)
    try {
      const granted = await assign(client, { nic, blocks: { ...blocks, count } }, signal)
      lent.push(...granted)
      if (granted.length < count) break
    } catch (error) {
      const isCertain = error instanceof CallFailed && !error.failure.ambiguous
      // After an uncertain end only an observation can tell what the NIC holds.
      if (!isCertain || lent.length === 0) throw error
      break
    }
  }
  return canonical(lent)
}

/** A vSwitch that cannot give a prefix may have single addresses all the same. */
export const asFragmented = (error: unknown): unknown =>
  error instanceof CallFailed && error.failure.kind === 'exhausted'
    ? new CallFailed({ ...error.failure, kind: 'fragmented' }, error.cause)
    : error

const assign = async (
  client: Client,
  { nic, blocks }: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const isSingle = blocks.length === bitsOf(blocks.family)
  const assigning = blocks.family === 4 ? assignIpv4 : assignIpv6
  const name = blocks.family === 4 ? 'AssignPrivateIpAddresses' : 'AssignIpv6Addresses'
  const site = mutation(name, `NIC ${nic}`)
  try {
    return await mutate(site, signal, () => assigning(client, { nic, blocks }, signal))
  } catch (error) {
    throw isSingle ? error : asFragmented(error)
  }
}

const assignIpv4 = async (
  client: Client,
  { nic, blocks: { length, count } }: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const counts =
    length === 32 ? { secondaryPrivateIpAddressCount: count } : { ipv4PrefixCount: count }
  const body = await client.ecs('AssignPrivateIpAddresses', signal, (ecs, regionId) =>
    ecs.assignPrivateIpAddresses(
      new AssignPrivateIpAddressesRequest({ regionId, networkInterfaceId: nic, ...counts }),
    ),
  )
  const assigned = present(body.assignedPrivateIpAddressesSet, 'AssignedPrivateIpAddressesSet')
  return length === 32
    ? (assigned.privateIpSet?.privateIpAddress ?? []).map(text => hostCidr(ipFrom(text)))
    : (assigned.ipv4PrefixSet?.ipv4Prefixes ?? []).map(cidrFrom)
}

const assignIpv6 = async (
  client: Client,
  { nic, blocks: { length, count } }: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const counts = length === 128 ? { ipv6AddressCount: count } : { ipv6PrefixCount: count }
  const body = await client.ecs('AssignIpv6Addresses', signal, (ecs, regionId) =>
    ecs.assignIpv6Addresses(
      new AssignIpv6AddressesRequest({ regionId, networkInterfaceId: nic, ...counts }),
    ),
  )
  return length === 128
    ? present(body.ipv6Sets?.ipv6Address, 'Ipv6Sets').map(text => hostCidr(ipFrom(text)))
    : present(body.ipv6PrefixSets?.ipv6Prefix, 'Ipv6PrefixSets').map(cidrFrom)
}

/** The blocks that are no longer on the NIC; fails only when none could be returned. */
export const returnBlocks = async (
  client: Client,
  { request, around }: { readonly request: ReturnRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const returned: Cidr[] = []
  let failure: CallFailed | undefined
  for (const blocks of partsOf(request.blocks)) {
    try {
      const part = { nic: request.nic, blocks }
      returned.push(...(await returnPart(client, { part, around }, signal)))
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      failure = error
    }
  }
  if (failure !== undefined && returned.length === 0) throw failure
  return canonical(returned)
}

// One family and one kind of block a call, and no more than it takes.
const partsOf = (blocks: readonly Cidr[]): readonly (readonly Cidr[])[] => {
  const kinds = Map.groupBy(blocks, block => `${familyOf(block)}/${lengthOf(block)}`)
  return [...kinds.values()].flatMap(kind =>
    Array.from({ length: Math.ceil(kind.length / blocksPerCallMax) }, (_, index) =>
      kind.slice(index * blocksPerCallMax, (index + 1) * blocksPerCallMax),
    ),
  )
}

type PartReturn = { readonly part: ReturnRequest; readonly around: Surroundings }

// Codes that find fault with the blocks themselves, most of all InvalidIp.IpUnassigned.
const aboutBlocks = /^Invalid(Ip|Parameter|PrivateIp)/

// A refusal because of one block says nothing of the others, and a NIC's own address is refused
// like one that is gone. So after it the NIC is looked at, and what is still there is sent once
// more. A NIC that is gone holds nothing.
const returnPart = async (
  client: Client,
  given: PartReturn,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { blocks } = given.part
  try {
    await unassign(client, given.part, signal)
    return blocks
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error
    if (error.failure.kind === 'notFound') return blocks
    if (!aboutBlocks.test(error.failure.code)) throw error
    const { gone, left } = await sorted(client, { ...given, refusal: error }, signal)
    if (left.length === 0 && gone.length === 0) throw error
    if (left.length === 0) return gone
    return unassign(client, { ...given.part, blocks: left }, signal).then(
      () => [...gone, ...left],
      (again: unknown) => {
        if (again instanceof CallFailed) return gone
        throw again
      },
    )
  }
}

type Sorted = { readonly gone: readonly Cidr[]; readonly left: readonly Cidr[] }

// What is gone, and what may be sent once more: not the NIC's own address, which is neither. The
// refusal says that some block is at fault; a description that shows none is older than that, so
// it is asked again for a moment, after which the refusal stands.
const sorted = (
  client: Client,
  { part, around, refusal }: PartReturn & { readonly refusal: CallFailed },
  signal: AbortSignal,
): Promise<Sorted> => {
  const site = mutation(refusal.failure.call, `NIC ${part.nic}`)
  const looking = patiently({ site, patience: stalePatience }, signal, async () => {
    const seen = await findNic(client, part.nic, signal)
    const nic = seen && cloudNicOf(seen, around)
    const held = new Set(nic?.blocks)
    const fixed = new Set(nic?.fixedBlocks)
    const left = part.blocks.filter(block => held.has(block) && !fixed.has(block))
    const gone = part.blocks.filter(block => !held.has(block))
    if (left.length < part.blocks.length) return { gone, left }
    throw new CallFailed({ ...refusal.failure, code: staleCode })
  })
  return looking.catch((error: unknown) => {
    throw error instanceof CallFailed && error.failure.code === staleCode ? refusal : error
  })
}

const unassign = async (
  client: Client,
  { nic, blocks }: ReturnRequest,
  signal: AbortSignal,
): Promise<void> => {
  const [first] = blocks
  const family: Family = first === undefined ? 4 : familyOf(first)
  const isSingle = first !== undefined && lengthOf(first) === bitsOf(family)
  const name = family === 4 ? 'UnassignPrivateIpAddresses' : 'UnassignIpv6Addresses'
  await mutate(mutation(name, `NIC ${nic}`), signal, () =>
    client.ecs(name, signal, async (ecs, regionId) => {
      const on = { regionId, networkInterfaceId: nic }
      if (family === 4) {
        const listed = isSingle
          ? { privateIpAddress: blocks.map(baseOf) }
          : { ipv4Prefix: [...blocks] }
        const request = new UnassignPrivateIpAddressesRequest({ ...on, ...listed })
        return ecs.unassignPrivateIpAddresses(request)
      }
      const listed = isSingle ? { ipv6Address: blocks.map(baseOf) } : { ipv6Prefix: [...blocks] }
      return ecs.unassignIpv6Addresses(new UnassignIpv6AddressesRequest({ ...on, ...listed }))
    }),
  )
}
