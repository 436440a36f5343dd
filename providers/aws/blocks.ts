// Lending and returning blocks of a NIC. Assigning by count has no idempotency token, so it is sent
// once and an uncertain end is reported as such.

import {
  AssignIpv6AddressesCommand,
  AssignPrivateIpAddressesCommand,
  type EC2Client,
  UnassignIpv6AddressesCommand,
  UnassignPrivateIpAddressesCommand,
} from '@aws-sdk/client-ec2'
import { type Cidr, type Family, baseOf, bitsOf, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import type { NicId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import { staleCode, stalePatience } from '../common/retry.ts'
import { canonical, cidrFrom, ipFrom, present } from '../common/shapes.ts'
import { call, patiently } from './calls.ts'
import { cloudNicOf, type Surroundings } from './shapes.ts'
import { describeNic } from './describe.ts'

type LendRequest = { readonly nic: NicId; readonly blocks: BlockRequest }
type ReturnRequest = { readonly nic: NicId; readonly blocks: readonly Cidr[] }

/**
 * Only what this call added, in canonical order. EC2 lends all or nothing: of what the subnet does
 * not have, half is asked for, and half of that, so that its last addresses are lent too.
 */
export const lendBlocks = async (
  client: EC2Client,
  request: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { nic, blocks } = request
  if (blocks.count === 0) return []
  try {
    return await lendAll(client, request, signal)
  } catch (error) {
    if (!(error instanceof CallFailed) || blocks.count === 1 || !isShort(error)) throw error
    const half = { ...blocks, count: Math.floor(blocks.count / 2) }
    return lendBlocks(client, { nic, blocks: half }, signal)
  }
}

const isShort = ({ failure: { kind } }: CallFailed): boolean =>
  kind === 'exhausted' || kind === 'fragmented'

const lendAll = async (
  client: EC2Client,
  { nic, blocks }: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const assign = blocks.family === 4 ? assignIpv4 : assignIpv6
  const name = blocks.family === 4 ? 'AssignPrivateIpAddresses' : 'AssignIpv6Addresses'
  const site = { call: name, on: `NIC ${nic}`, isRead: false }
  return canonical(
    await call(site, signal, () => assign(client, { nic, blocks }, { abortSignal: signal })),
  )
}

type SendOptions = { readonly abortSignal: AbortSignal }

const assignIpv4 = async (
  client: EC2Client,
  { nic, blocks: { length, count } }: LendRequest,
  options: SendOptions,
): Promise<readonly Cidr[]> => {
  const isSingle = length === 32
  const counts = isSingle ? { SecondaryPrivateIpAddressCount: count } : { Ipv4PrefixCount: count }
  const command = new AssignPrivateIpAddressesCommand({ NetworkInterfaceId: nic, ...counts })
  const answer = await client.send(command, options)
  return isSingle
    ? present(answer.AssignedPrivateIpAddresses, 'AssignedPrivateIpAddresses')
        .flatMap(({ PrivateIpAddress: text }) => text ?? [])
        .map(text => hostCidr(ipFrom(text)))
    : present(answer.AssignedIpv4Prefixes, 'AssignedIpv4Prefixes')
        .flatMap(({ Ipv4Prefix: text }) => text ?? [])
        .map(cidrFrom)
}

const assignIpv6 = async (
  client: EC2Client,
  { nic, blocks: { length, count } }: LendRequest,
  options: SendOptions,
): Promise<readonly Cidr[]> => {
  const isSingle = length === 128
  const counts = isSingle ? { Ipv6AddressCount: count } : { Ipv6PrefixCount: count }
  const command = new AssignIpv6AddressesCommand({ NetworkInterfaceId: nic, ...counts })
  const answer = await client.send(command, options)
  return isSingle
    ? present(answer.AssignedIpv6Addresses, 'AssignedIpv6Addresses').map(text =>
        hostCidr(ipFrom(text)),
      )
    : present(answer.AssignedIpv6Prefixes, 'AssignedIpv6Prefixes').map(cidrFrom)
}

/** The blocks that are no longer on the NIC; fails only when none could be returned. */
export const returnBlocks = async (
  client: EC2Client,
  { request, around }: { readonly request: ReturnRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const returned: Cidr[] = []
  let failure: CallFailed | undefined
  for (const family of [4, 6] as const) {
    const blocks = request.blocks.filter(block => familyOf(block) === family)
    if (blocks.length === 0) continue
    try {
      const part = { nic: request.nic, blocks }
      returned.push(...(await returnFamily(client, { family, part, around }, signal)))
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      failure = error
    }
  }
  if (failure !== undefined && returned.length === 0) throw failure
  return canonical(returned)
}

type FamilyReturn = {
  readonly family: Family
  readonly part: ReturnRequest
  readonly around: Surroundings
}

// EC2 refuses the whole list when one block of it is not on the NIC. So after a refusal the NIC
// is looked at, and what is still there is sent once more. A NIC that is gone holds nothing.
const returnFamily = async (
  client: EC2Client,
  given: FamilyReturn,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { blocks } = given.part
  try {
    await unassign(client, given, signal)
    return blocks
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error
    if (error.failure.kind === 'notFound') return blocks
    if (error.failure.code !== 'InvalidParameterValue') throw error
    const left = await stillHeld(client, { ...given, refusal: error }, signal)
    const held = new Set(left)
    const gone = blocks.filter(block => !held.has(block))
    if (left.length === 0) return gone
    const part = { ...given.part, blocks: left }
    return unassign(client, { ...given, part }, signal).then(
      () => blocks,
      (again: unknown) => {
        if (again instanceof CallFailed) return gone
        throw again
      },
    )
  }
}

// The refusal says that some block is not there. A description that shows all of them is older
// than that, so it is asked again for a moment; after that the refusal stands.
const stillHeld = (
  client: EC2Client,
  given: FamilyReturn & { readonly refusal: CallFailed },
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { part, around, refusal } = given
  const site = { call: refusal.failure.call, on: `NIC ${part.nic}`, isRead: false }
  const looking = patiently({ site, patience: stalePatience }, signal, async () => {
    const held = await heldBlocks(client, { nic: part.nic, around }, signal)
    const left = part.blocks.filter(block => held.has(block))
    if (left.length < part.blocks.length) return left
    throw new CallFailed({ ...refusal.failure, code: staleCode })
  })
  return looking.catch((error: unknown) => {
    throw error instanceof CallFailed && error.failure.code === staleCode ? refusal : error
  })
}

const heldBlocks = async (
  client: EC2Client,
  { nic, around }: { readonly nic: NicId; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<ReadonlySet<Cidr>> => {
  try {
    const seen = await describeNic(client, nic, { signal })
    return new Set(cloudNicOf(seen, around).blocks)
  } catch (error) {
    if (error instanceof CallFailed && error.failure.kind === 'notFound') return new Set()
    throw error
  }
}

const unassign = (
  client: EC2Client,
  { family, part }: FamilyReturn,
  signal: AbortSignal,
): Promise<void> => {
  const { nic, blocks } = part
  const isSingle = (block: Cidr): boolean => lengthOf(block) === bitsOf(family)
  const addresses = blocks.filter(isSingle).map(baseOf)
  const prefixes = blocks.filter(block => !isSingle(block))
  const name = family === 4 ? 'UnassignPrivateIpAddresses' : 'UnassignIpv6Addresses'
  const site: Site = { call: name, on: `NIC ${nic}`, isRead: false }
  const options = { abortSignal: signal }
  return call(site, signal, async () => {
    if (family === 4) {
      const input = { ...some('PrivateIpAddresses', addresses), ...some('Ipv4Prefixes', prefixes) }
      const command = new UnassignPrivateIpAddressesCommand({ NetworkInterfaceId: nic, ...input })
      await client.send(command, options)
    } else {
      const input = { ...some('Ipv6Addresses', addresses), ...some('Ipv6Prefixes', prefixes) }
      const command = new UnassignIpv6AddressesCommand({ NetworkInterfaceId: nic, ...input })
      await client.send(command, options)
    }
  })
}

const some = <Name extends string>(name: Name, values: readonly string[]) =>
  (values.length > 0 ? { [name]: [...values] } : {}) as Partial<Record<Name, string[]>>
