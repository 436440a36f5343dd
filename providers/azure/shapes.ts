// Azure's JSON made into the core's values. Only what is read is typed; everything else in a NIC is
// carried along untouched, because it goes back with the next write.

import { type Cidr, type Ip, addressAt, baseOf, cidrOf, contains, familyOf } from '#core/ip.ts'
import { bitsOf, hostCidr, ip, lengthOf, sizeOf } from '#core/ip.ts'
import {
  type InstanceId,
  type NicId,
  type SubnetId,
  nicId,
  parseMac,
  subnetId,
} from '#core/names.ts'
import { securityGroupId } from '#core/names.ts'
import type { CloudNic, Subnet } from '#core/ports.ts'
import { MalformedError } from '../common/failures.ts'
import { tagNames } from '../common/options.ts'
import { canonical, cidrFrom, ipFrom, present } from '../common/shapes.ts'

type Reference = { readonly id?: string }

/** One ipConfiguration, of a NIC or of a scale set instance's model. */
export type RawConfig = {
  readonly id?: string
  readonly name?: string
  readonly properties?: {
    readonly primary?: boolean
    /** An address, or a prefix where the length is given too. */
    readonly privateIPAddress?: string
    readonly privateIPAddressPrefixLength?: number
    readonly privateIPAddressVersion?: string
    readonly provisioningState?: string
    readonly subnet?: Reference
    readonly applicationSecurityGroups?: readonly Reference[]
  }
}

export type RawNic = {
  readonly id?: string
  readonly name?: string
  readonly etag?: string
  readonly tags?: Readonly<Record<string, string>>
  readonly properties?: {
    readonly macAddress?: string
    readonly primary?: boolean
    readonly provisioningState?: string
    readonly ipConfigurations?: readonly RawConfig[]
    readonly networkSecurityGroup?: Reference
  }
}

export type RawSubnet = {
  readonly id?: string
  readonly properties?: {
    readonly addressPrefix?: string
    readonly addressPrefixes?: readonly string[]
    readonly ipConfigurations?: readonly unknown[] | null
  }
}

/** Ids are compared without regard to case, and answers differ in it: one form inside. */
export const nicIdOf = (nic: RawNic): NicId => nicId(present(nic.id, 'NIC id').toLowerCase())

/** A resource as a user knows it; its whole id would fill the sentence. */
export const shortOf = (id: string): string => id.slice(id.lastIndexOf('/') + 1)

export const configsOf = (nic: RawNic): readonly RawConfig[] =>
  listOf(nic.properties?.ipConfigurations, 'ipConfigurations')

/** A list in an answer; anything else in its place is malformed. */
export const listOf = <Value>(
  value: readonly Value[] | null | undefined,
  what: string,
): readonly Value[] => {
  const list: unknown = present(value, what)
  if (!Array.isArray(list) || list.includes(null)) throw new MalformedError(`${what} is no list`)
  return list
}

const namePattern = /^eniway-(\d{1,12})$/i

/** Only these are lent and returned; every other configuration belongs to somebody else. */
export const isOurs = ({ name }: RawConfig): boolean => namePattern.test(name ?? '')

/** The number in a name of ours; 0 for names of others. */
export const serialOf = ({ name }: RawConfig): number =>
  Number(namePattern.exec(name ?? '')?.[1] ?? 0)

export const nameOf = (serial: number): string => `eniway-${serial}`

/** What a configuration holds; undefined while Azure has not chosen yet. */
export const blockOf = ({ properties }: RawConfig): Cidr | undefined => {
  const text = properties?.privateIPAddress
  if (text === undefined || text === '') return undefined
  // A NIC shows `10.0.0.16/28`, a scale set's model the bare address (Cilium's tests).
  if (text.includes('/')) return cidrFrom(text)
  const address = ipFrom(text)
  const length = properties?.privateIPAddressPrefixLength
  return length === undefined ? hostCidr(address) : cidrOf(address, length)
}

export const stateOf = ({ properties }: RawConfig): string =>
  properties?.provisioningState ?? 'Succeeded'

/** Names of our configurations that have been seen to succeed; undefined at the first look. */
export type Known = ReadonlySet<string> | undefined

/** Blocks of ours by name, of those configurations that hold one and count. */
export const ownBlocks = (nic: RawNic, known: Known): ReadonlyMap<string, Cidr> => {
  const blocks = new Map<string, Cidr>()
  const isFailed = nic.properties?.provisioningState === 'Failed'
  for (const config of configsOf(nic)) {
    const block = blockOf(config)
    const name = present(config.name, 'name of an ipConfiguration')
    const seen = { isKnown: known?.has(name), isFailed }
    if (block !== undefined && isOurs(config) && isUsable(config, seen)) blocks.set(name, block)
  }
  return blocks
}

// Every write shows old configurations as Updating for a moment, and one that failed may leave them
// all Failed: what was good stays. What is new counts once it has succeeded. At the first look
// nobody knows which is which, and dropping what pods use would be the greater harm.
const isUsable = (
  config: RawConfig,
  seen: { readonly isKnown: boolean | undefined; readonly isFailed: boolean },
): boolean => {
  const state = stateOf(config)
  if (state === 'Succeeded') return true
  if (seen.isKnown === false || state === 'Deleting') return false
  return seen.isKnown === true || state !== 'Failed' || seen.isFailed
}

export type Surroundings = {
  readonly instance: InstanceId
  readonly deviceIndex: number
  readonly subnets: ReadonlyMap<SubnetId, Subnet>
  readonly known: Known
}

export const cloudNicOf = (nic: RawNic, around: Surroundings): CloudNic => {
  const { instance, deviceIndex } = around
  const own = ownConfigsOf(nic)
  const subnet = subnetIdOf(nic)
  const primaryAddresses = own.map(config => baseOf(present(blockOf(config), 'own address')))
  const group = nic.properties?.networkSecurityGroup?.id
  return {
    id: nicIdOf(nic),
    mac: present(parseMac((nic.properties?.macAddress ?? '').replaceAll('-', ':')), 'macAddress'),
    subnet,
    securityGroups: group === undefined ? [] : [securityGroupId(group.toLowerCase())],
    // A NIC is let go by its machine's deletion alone.
    attachment: { kind: 'attached', instance, deviceIndex, isProtected: true },
    isPrimary: deviceIndex === 0,
    isManaged: isManaged(nic, deviceIndex === 0),
    token: undefined,
    primaryAddresses,
    gateways: gatewaysOf(around.subnets.get(subnet), primaryAddresses),
    blocks: canonical([...ownBlocks(nic, around.known).values()]),
    fixedBlocks: [],
  }
}

/** All configurations of a NIC lie in the same subnet (Network resource provider). */
export const subnetIdOf = (nic: RawNic): SubnetId =>
  subnetId(present(primaryConfigOf(nic).properties?.subnet?.id, 'subnet').toLowerCase())

/** The configuration every other one must resemble in subnet and security groups. */
export const primaryConfigOf = (nic: RawNic): RawConfig => {
  const configs = configsOf(nic)
  const primary = configs.find(({ properties }) => properties?.primary === true)
  return present(primary ?? configs[0], 'primary ipConfiguration')
}

// The primary configuration, which is IPv4, and the first IPv6 one that is not ours.
const ownConfigsOf = (nic: RawNic): readonly RawConfig[] => {
  const primary = primaryConfigOf(nic)
  const other = configsOf(nic).find(config => {
    const block = config === primary || isOurs(config) ? undefined : blockOf(config)
    return block !== undefined && familyOf(block) === 6 && lengthOf(block) === bitsOf(6)
  })
  return other === undefined ? [primary] : [primary, other]
}

/** Configurations that are not ours to lend: they take their places among the machine's 256. */
export const foreignCountOf = (nic: RawNic): number =>
  configsOf(nic).filter(config => !isOurs(config)).length

// Azure takes no slash in a tag's name and is indifferent to its case.
const tagOf = (nic: RawNic, name: string): string | undefined => {
  const plain = (text: string): string => text.toLowerCase().replaceAll('/', '_')
  const found = Object.entries(nic.tags ?? {}).find(([key]) => plain(key) === plain(name))
  return found?.[1]
}

// Whoever runs the machine attached it; only a tag tells for what.
export const isManaged = (nic: RawNic, isPrimary: boolean): boolean => {
  if ((tagOf(nic, tagNames.unmanaged) ?? 'false') !== 'false') return false
  return isPrimary || tagOf(nic, tagNames.pods) === 'true'
}

// Virtual network FAQ: the base plus one of each IPv4 prefix, and one address for all of IPv6.
const gatewaysOf = (subnet: Subnet | undefined, own: readonly Ip[]): readonly Ip[] => {
  const cidrs = subnet?.cidrs ?? []
  const prefixes = cidrs.filter(block => familyOf(block) === 4)
  const home = prefixes.find(block => own.some(address => contains(block, address)))
  const chosen = home ?? prefixes[0]
  const hasIpv6 = cidrs.some(block => familyOf(block) === 6)
  return [...(chosen === undefined ? [] : [addressAt(chosen, 1)]), ...(hasIpv6 ? [ipv6Router] : [])]
}

const ipv6Router = ip('fe80::1234:5678:9abc')

/** The first four addresses and the last one of every prefix are Azure's. */
const reservedPerPrefix = 5

export const subnetOf = (subnet: RawSubnet, zone: string): Subnet => {
  const {
    addressPrefix,
    addressPrefixes = [],
    ipConfigurations,
  } = present(subnet.properties, 'properties of a subnet')
  const texts = addressPrefixes.length > 0 ? addressPrefixes : [present(addressPrefix, 'prefix')]
  const cidrs = texts.map(cidrFrom)
  const sizes = cidrs
    .filter(block => familyOf(block) === 4)
    .map(block => Math.max(0, sizeOf(block) - reservedPerPrefix))
  const capacity = sizes.reduce((sum, size) => sum + size, 0)
  // The list is left out when it is long, and then says nothing (Cilium pull request 36379).
  const used = ipConfigurations?.length ?? 0
  return {
    id: subnetId(present(subnet.id, 'subnet id').toLowerCase()),
    zone,
    cidrs,
    available: Math.max(0, capacity - used),
  }
}
