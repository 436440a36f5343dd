// What the metadata service knows of one instance, name by name as the user guide lists them.
import { type Cidr, ipFromBytes, lengthOf } from '#core/ip.ts'
import type { Instance, Nic } from '#emulator/model/types.ts'
import type { World } from '#emulator/model/world.ts'
import type { RoleKey } from '#emulator/wire/keys.ts'
import { attachedSeen, blocksSeen } from '#emulator/wire/seen.ts'
import { type MetadataOptions, credentialsTree } from '#emulator/wire/session-metadata.ts'
import type { Tree } from '#emulator/wire/tree.ts'
import { isoTime } from './shapes.ts'

/** The whole service of one instance, from the root `/`. */
export const metadataTree = (options: MetadataOptions, instance: Instance): Tree => {
  const nics = attachedSeen(options.world, instance.id)
  const primary = nics.find(nic => nic.attachment?.deviceIndex === 0)
  return {
    latest: {
      'meta-data': metaData(options, { instance, nics, primary }),
      dynamic: { 'instance-identity': { document: identityDocument(options, instance, primary) } },
    },
  }
}

interface Seen {
  readonly instance: Instance
  readonly nics: readonly Nic[]
  readonly primary: Nic | undefined
}

const metaData = (options: MetadataOptions, { instance, nics, primary }: Seen): Tree => {
  const { world, region, ownerId } = options
  const subnet = world.subnets.get(instance.subnetId)
  return {
    hostname: instance.name,
    'instance-id': instance.id,
    instance: { 'instance-type': instance.type, 'instance-name': instance.name },
    mac: primary?.mac,
    network: {
      interfaces: {
        macs: Object.fromEntries(nics.map(nic => [nic.mac, nicTree(world, nic)])),
      },
    },
    'network-type': 'vpc',
    'owner-account-id': ownerId,
    'private-ipv4': primary?.primaryAddress,
    ram: credentialsTree(options, instance, roleDocument),
    'region-id': region,
    'serial-number': instance.id,
    'vpc-cidr-block': world.vpcs.get(instance.vpcId)?.cidrs[0],
    'vpc-id': instance.vpcId,
    'vswitch-cidr-block': subnet?.cidr,
    'vswitch-id': instance.subnetId,
    'zone-id': instance.zone,
  }
}

const nicTree = (world: World, nic: Nic): Tree => {
  const subnet = world.subnets.get(nic.subnetId)
  const blocks = blocksSeen(world, nic)
  const { gateway } = world.options
  const vpc = world.vpcs.get(nic.vpcId)
  // IPv6 has entries only where it is configured, which a vSwitch alone is not.
  const hasSix = blocks.addresses6.length + blocks.prefixes6.length > 0
  const cidr6 = hasSix ? subnet?.cidr6 : undefined
  return {
    gateway: subnet && gateway(subnet.cidr),
    'ipv4-prefixes': listed(blocks.prefixes),
    'ipv6-gateway': cidr6 && gateway(cidr6),
    'ipv6-prefixes': listed(blocks.prefixes6),
    ipv6s: listed(blocks.addresses6),
    netmask: subnet && netmask(subnet.cidr),
    'network-interface-id': nic.id,
    'primary-ip-address': nic.primaryAddress,
    'private-ipv4s': JSON.stringify([nic.primaryAddress, ...blocks.addresses]),
    'vpc-cidr-block': vpc?.cidrs[0],
    'vpc-id': nic.vpcId,
    'vpc-ipv6-cidr-blocks': hasSix ? listed(vpc?.cidrs6 ?? []) : undefined,
    'vswitch-cidr-block': subnet?.cidr,
    'vswitch-id': nic.subnetId,
    'vswitch-ipv6-cidr-block': cidr6,
  }
}

// In brackets and without quotes, unlike private-ipv4s.
const listed = (blocks: readonly string[]): string | undefined =>
  blocks.length === 0 ? undefined : `[${blocks.join(',')}]`

const netmask = (subnet: Cidr): string => {
  const bits = (2 ** 32 - 2 ** (32 - lengthOf(subnet))) >>> 0
  return ipFromBytes(Uint8Array.from([24, 16, 8, 0], shift => (bits >>> shift) & 0xff))
}

const roleDocument = (key: RoleKey) => ({
  AccessKeyId: key.accessKeyId,
  AccessKeySecret: key.secret,
  Expiration: isoTime(key.expiresAt),
  SecurityToken: key.sessionToken,
  LastUpdated: isoTime(key.issuedAt),
  Code: 'Success',
})

const identityDocument = (
  options: MetadataOptions,
  instance: Instance,
  primary: Nic | undefined,
): string =>
  JSON.stringify({
    'owner-account-id': options.ownerId,
    'instance-id': instance.id,
    'instance-type': instance.type,
    mac: primary?.mac,
    'private-ipv4': primary?.primaryAddress,
    'region-id': options.region,
    'serial-number': instance.id,
    'zone-id': instance.zone,
  })
