// Lending addresses and prefixes of a subnet to a NIC and taking them back. All or nothing: a
// request that cannot be met in full changes nothing, as EC2 does.
import { type Cidr, type Ip, baseOf, contains, familyOf, hostCidr, lengthOf } from '#core/ip.ts'
import { found, refuse } from './refusal.ts'
import { type Space, claim, freeCount, release, takeBlock } from './space.ts'
import { type Nic, type TypeLimits, slots6Of, slotsOf } from './types.ts'
import { type World, allNics, nicOf, nicsOfInstance, putNic } from './world.ts'

/** What to lend: explicit blocks, and counts of blocks that the cloud chooses. */
export interface LendRequest {
  readonly addresses: readonly Ip[]
  readonly addressCount: number
  readonly prefixes: readonly Cidr[]
  readonly prefixCount: number
}

/** What was lent by one request. */
export interface Lent {
  readonly addresses: readonly Ip[]
  readonly prefixes: readonly Cidr[]
}

/** Prefix lengths that the cloud lends: /28 and /80 (EC2 user guide, "Prefix delegation"). */
const prefixLength = { 4: 28, 6: 80 } as const

/** The most slots of any type: the bound for NICs that are not attached. */
const unattachedSlotsMax = 50

/** Lends blocks of one family to an existing NIC. */
export const assign = (
  world: World,
  nicId: string,
  request: LendRequest & { readonly family: 4 | 6; readonly allowReassignment: boolean },
): Lent => {
  const nic = nicOf(world, nicId)
  const asked = countOf(request)
  checkSlots(world, nic, { ...request, slots: asked })
  const moved = request.allowReassignment ? heldByOthers(world, nic, request.addresses) : []
  const lent = lend(world, nic.subnetId, { ...request, moved })
  for (const address of moved) takeFromOther(world, nic, address)
  putNic(world, nicId, withLent(nicOf(world, nicId), request.family, lent))
  return lent
}

/** Takes back addresses and prefixes; refuses the primary address and what the NIC has not. */
export const unassign = (world: World, nicId: string, gone: Lent): void => {
  const nic = nicOf(world, nicId)
  if (gone.addresses.includes(nic.primaryAddress)) {
    throw refuse({ kind: 'addressPrimary', address: nic.primaryAddress })
  }
  const held: readonly string[] = [
    ...nic.addresses,
    ...nic.prefixes,
    ...nic.addresses6,
    ...nic.prefixes6,
  ]
  for (const block of [...gone.addresses, ...gone.prefixes]) {
    if (!held.includes(block)) throw refuse({ kind: 'addressMissing', address: block, nicId })
  }
  giveBack(world, nic.subnetId, [...gone.addresses.map(hostCidr), ...gone.prefixes])
  putNic(world, nicId, without(nic, gone))
}

/** Takes blocks out of a subnet, all or nothing; `moved` addresses stay taken, as another NIC's. */
export const lend = (
  world: World,
  subnetId: string,
  request: LendRequest & { readonly family: 4 | 6; readonly moved?: readonly Ip[] },
): Lent => {
  const space = spaceOf(world, subnetId, request.family)
  const before = space.taken
  try {
    for (const address of request.addresses) {
      if (request.moved?.includes(address) !== true) claimAddress(space, subnetId, address)
    }
    for (const prefix of request.prefixes) claimPrefix(space, subnetId, prefix)
    const { condition, pick } = chooser(world, { subnetId, family: request.family })
    // Prefixes first: single addresses drawn before them could break the last aligned block.
    const prefixes = choosePrefixes(space, { ...request, subnetId, pick, condition })
    const addresses = chooseAddresses(space, { ...request, subnetId, pick, condition })
    return {
      addresses: [...request.addresses, ...addresses],
      prefixes: [...request.prefixes, ...prefixes],
    }
  } catch (error) {
    space.taken = before
    throw error
  }
}

/** Returns blocks to their subnet. */
export const giveBack = (world: World, subnetId: string, blocks: readonly Cidr[]): void => {
  for (const block of blocks) release(spaceOf(world, subnetId, familyOf(block)), block)
}

/** What describes report as available: 0 while the subnet is made to be exhausted. */
export const availableCount = (world: World, subnetId: string): number =>
  world.faults.isSet('subnetExhausted', { subnet: subnetId })
    ? 0
    : Number(freeCount(spaceOf(world, subnetId, 4)))

/** Number of slots that a request asks for. */
export const countOf = (request: LendRequest): number =>
  request.addresses.length + request.addressCount + request.prefixes.length + request.prefixCount

/** Refuses more slots than the instance's type (or, unattached, any type) has. */
export const checkSlots = (
  world: World,
  nic: Nic,
  asked: { readonly family: 4 | 6; readonly slots: number } & Partial<LendRequest>,
): void => {
  const limits = limitsOf(world, nic)
  const wantsPrefixes = (asked.prefixes?.length ?? 0) + (asked.prefixCount ?? 0) > 0
  if (wantsPrefixes && limits !== undefined && !limits.value.hasPrefixes) {
    throw refuse({ kind: 'prefixesUnsupported', type: limits.type })
  }
  const isFour = asked.family === 4
  const per = isFour ? limits?.value.slotsPerNic : limits?.value.slots6PerNic
  const slotsMax = per ?? unattachedSlotsMax
  if (!((isFour ? slotsOf(nic) : slots6Of(nic)) + asked.slots <= slotsMax)) {
    throw refuse({ kind: 'slotsExceeded', nicId: nic.id, slotsMax })
  }
  const instanceId = nic.attachment?.instanceId
  if (instanceId !== undefined && limits !== undefined) {
    checkInstanceSlots(world, { instanceId, limits: limits.value, slots: asked.slots })
  }
}

/** Refuses more blocks, of both families, than all NICs of a machine may hold together. */
export const checkInstanceSlots = (
  world: World,
  asked: { readonly instanceId: string; readonly limits: TypeLimits; readonly slots: number },
): void => {
  const { instanceId, limits, slots } = asked
  const { slotsPerInstanceMax: slotsMax } = limits
  if (slotsMax === undefined) return
  const used = nicsOfInstance(world, instanceId).map(nic => slotsOf(nic) + slots6Of(nic))
  if (used.reduce((sum, each) => sum + each, slots) <= slotsMax) return
  throw refuse({ kind: 'instanceSlotsExceeded', instanceId, slotsMax })
}

const limitsOf = (
  world: World,
  nic: Nic,
): { readonly type: string; readonly value: TypeLimits } | undefined => {
  const type = world.instances.get(nic.attachment?.instanceId ?? '')?.type
  if (type === undefined) return undefined
  return { type, value: found(world.options.typeLimits(type), 'type', type) }
}

const spaceOf = (world: World, subnetId: string, family: 4 | 6): Space => {
  const spaces = found(world.spaces.get(subnetId), 'subnet', subnetId)
  if (family === 4) return spaces.four
  if (spaces.six === undefined) throw refuse({ kind: 'familyMissing', subnetId })
  return spaces.six
}

type Trouble = 'exhausted' | 'fragmented' | undefined

interface Choice extends LendRequest {
  readonly family: 4 | 6
  readonly subnetId: string
  readonly condition: Trouble
  readonly pick: (count: bigint) => bigint
}

const chooser = (
  world: World,
  { subnetId, family }: { readonly subnetId: string; readonly family: 4 | 6 },
): Pick<Choice, 'condition' | 'pick'> => {
  const struck = world.faults.strike(['subnetExhausted', 'subnetFragmented'], { subnet: subnetId })
  const isExhausted = struck.some(effect => effect.kind === 'subnetExhausted')
  const trouble = isExhausted ? 'exhausted' : undefined
  const condition = trouble ?? (struck.length > 0 ? 'fragmented' : undefined)
  // EC2 draws addresses from all over the subnet; that is why subnets fragment. Each family draws
  // from its own stream, so that one does not change the other's addresses.
  const stream = family === 4 ? `address/${subnetId}` : `address6/${subnetId}`
  const pick = (count: bigint): bigint => world.chance.below(stream, count)
  return { condition, pick }
}

const choosePrefixes = (space: Space, choice: Choice): readonly Cidr[] => {
  const { subnetId, family, prefixCount } = choice
  if (prefixCount === 0) return []
  const size = family === 4 ? 16n : 1n << 48n
  if (choice.condition === 'exhausted' || freeCount(space) < size * BigInt(prefixCount)) {
    throw refuse({ kind: 'subnetExhausted', subnetId, asked: 'prefix' })
  }
  return Array.from({ length: prefixCount }, () => {
    const isBroken = choice.condition === 'fragmented'
    const block = isBroken ? undefined : takeBlock(space, prefixLength[family], choice.pick)
    if (block === undefined) throw refuse({ kind: 'subnetFragmented', subnetId })
    return block
  })
}

const chooseAddresses = (space: Space, choice: Choice): readonly Ip[] => {
  const { subnetId, addressCount } = choice
  if (addressCount === 0) return []
  const length = choice.family === 4 ? 32 : 128
  if (choice.condition === 'exhausted' || freeCount(space) < BigInt(addressCount)) {
    throw refuse({ kind: 'subnetExhausted', subnetId, asked: 'address' })
  }
  return Array.from({ length: addressCount }, () => {
    const block = takeBlock(space, length, choice.pick)
    if (block === undefined) throw refuse({ kind: 'subnetExhausted', subnetId, asked: 'address' })
    return baseOf(block)
  })
}

const claimAddress = (space: Space, subnetId: string, address: Ip): void => {
  if (!contains(space.cidr, address)) throw refuse({ kind: 'addressOutside', address, subnetId })
  if (!claim(space, hostCidr(address))) throw refuse({ kind: 'addressTaken', address })
}

const claimPrefix = (space: Space, subnetId: string, prefix: Cidr): void => {
  const isInside = contains(space.cidr, prefix)
  if (!isInside || lengthOf(prefix) !== prefixLength[familyOf(prefix)]) {
    throw refuse({ kind: 'addressOutside', address: prefix, subnetId })
  }
  if (!claim(space, prefix)) throw refuse({ kind: 'addressTaken', address: prefix })
}

// Reassignment moves secondary addresses from another NIC, whatever that is attached to.
const heldByOthers = (world: World, nic: Nic, addresses: readonly Ip[]): readonly Ip[] =>
  addresses.filter(address => otherHolder(world, nic, address) !== undefined)

const otherHolder = (world: World, nic: Nic, address: Ip): Nic | undefined =>
  allNics(world).find(other => other.id !== nic.id && other.addresses.includes(address))

const takeFromOther = (world: World, nic: Nic, address: Ip): void => {
  const holder = otherHolder(world, nic, address)
  if (holder === undefined) return
  putNic(world, holder.id, without(holder, { addresses: [address], prefixes: [] }))
}

const withLent = (nic: Nic, family: 4 | 6, lent: Lent): Nic =>
  family === 4
    ? {
        ...nic,
        addresses: [...nic.addresses, ...lent.addresses],
        prefixes: [...nic.prefixes, ...lent.prefixes],
      }
    : {
        ...nic,
        addresses6: [...nic.addresses6, ...lent.addresses],
        prefixes6: [...nic.prefixes6, ...lent.prefixes],
      }

const without = (nic: Nic, gone: Lent): Nic => ({
  ...nic,
  addresses: nic.addresses.filter(address => !gone.addresses.includes(address)),
  prefixes: nic.prefixes.filter(prefix => !gone.prefixes.includes(prefix)),
  addresses6: nic.addresses6.filter(address => !gone.addresses.includes(address)),
  prefixes6: nic.prefixes6.filter(prefix => !gone.prefixes.includes(prefix)),
})
