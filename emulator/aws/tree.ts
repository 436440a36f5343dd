// What the metadata service knows of one instance, name by name as the user guide lists them.
import type { Instance, Nic, Subnet, Vpc } from '#emulator/model/types.ts'
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
      'meta-data': {
        'instance-id': instance.id,
        'instance-type': instance.type,
        'local-ipv4': primary?.primaryAddress,
        'local-hostname': hostName(options, primary),
        hostname: hostName(options, primary),
        mac: primary?.mac,
        ipv6: primary?.addresses6[0],
        'ami-id': 'ami-0123456789abcdef0',
        iam: credentialsTree(options, instance, roleDocument),
        network: {
          interfaces: {
            macs: Object.fromEntries(nics.map(nic => [nic.mac, nicTree(options, nic)])),
          },
        },
        placement: { 'availability-zone': instance.zone, region: options.region },
        services: { domain: 'amazonaws.com', partition: 'aws' },
      },
      dynamic: {
        'instance-identity': { document: identityDocument(options, instance, primary) },
      },
    },
  }
}

const nicTree = (options: MetadataOptions, nic: Nic): Tree => {
  const { world, ownerId } = options
  const subnet = world.subnets.get(nic.subnetId)
  const vpc = world.vpcs.get(nic.vpcId)
  const blocks = blocksSeen(world, nic)
  const cardIndex = nic.attachment?.cardIndex ?? 0
  return {
    'device-number': String(nic.attachment?.deviceIndex ?? 0),
    'interface-id': nic.id,
    'network-card': cardIndex === 0 ? undefined : String(cardIndex),
    'ipv4-prefix': lines(blocks.prefixes),
    'ipv6-prefix': lines(blocks.prefixes6),
    ipv6s: lines(blocks.addresses6),
    'local-hostname': hostName(options, nic),
    'local-ipv4s': lines([nic.primaryAddress, ...blocks.addresses]),
    mac: nic.mac,
    'owner-id': ownerId,
    'security-group-ids': lines(nic.groupIds),
    'security-groups': lines(nic.groupIds.map(id => world.groups.get(id)?.name ?? id)),
    'subnet-id': nic.subnetId,
    'vpc-id': nic.vpcId,
    ...rangesTree(subnet, vpc),
  }
}

const rangesTree = (subnet: Subnet | undefined, vpc: Vpc | undefined): Tree => ({
  'subnet-ipv4-cidr-block': subnet?.cidr,
  'subnet-ipv6-cidr-blocks': subnet?.cidr6,
  'vpc-ipv4-cidr-block': vpc?.cidrs[0],
  'vpc-ipv4-cidr-blocks': lines(vpc?.cidrs ?? []),
  'vpc-ipv6-cidr-blocks': lines(vpc?.cidrs6 ?? []),
})

const roleDocument = (key: RoleKey) => ({
  Code: 'Success',
  LastUpdated: isoTime(key.issuedAt),
  Type: 'AWS-HMAC',
  AccessKeyId: key.accessKeyId,
  SecretAccessKey: key.secret,
  Token: key.sessionToken,
  Expiration: isoTime(key.expiresAt),
})

const identityDocument = (
  options: MetadataOptions,
  instance: Instance,
  primary: Nic | undefined,
): string => {
  const document = {
    accountId: options.ownerId,
    architecture: 'x86_64',
    availabilityZone: instance.zone,
    imageId: 'ami-0123456789abcdef0',
    instanceId: instance.id,
    instanceType: instance.type,
    pendingTime: isoTime(instance.launchedAt),
    privateIp: primary?.primaryAddress,
    region: options.region,
    version: '2017-09-30',
  }
  return JSON.stringify(document, undefined, 2)
}

const hostName = (options: MetadataOptions, nic: Nic | undefined): string | undefined =>
  nic && `ip-${nic.primaryAddress.replaceAll('.', '-')}.${options.region}.compute.internal`

const lines = (values: readonly string[]): string | undefined =>
  values.length === 0 ? undefined : values.join('\n')
