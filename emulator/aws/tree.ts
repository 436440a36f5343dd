// What the metadata service knows of one instance, as a tree of names: directories are objects,
// files are text, and what does not exist is undefined (a missing list is 404, not empty).
import type { Instance, Nic, Subnet, Vpc } from '#emulator/model/types.ts'
import { type World, nicsSeen } from '#emulator/model/world.ts'
import type { MetadataOptions } from './metadata.ts'
import { isoTime } from './shapes.ts'

export interface Tree {
  readonly [name: string]: Tree | string | undefined
}

/** The whole service of one instance, from the root `/`. */
export const metadataTree = (options: MetadataOptions, instanceId: string): Tree => {
  const { world } = options
  const instance = world.instances.get(instanceId)
  if (instance === undefined) return {}
  const nics = attachedSeen(world, instanceId)
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
        iam: iamTree(options, instance),
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

// A NIC appears when the service learns of its attachment; the primary one is always there.
const attachedSeen = (world: World, instanceId: string): readonly Nic[] =>
  nicsSeen(world, 'metadata').filter(
    nic => nic.attachment?.instanceId === instanceId && nic.attachment.state === 'attached',
  )

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

type Blocks = Pick<Nic, 'addresses' | 'prefixes' | 'addresses6' | 'prefixes6'>

const noBlocks: Blocks = { addresses: [], prefixes: [], addresses6: [], prefixes6: [] }

// Before the service learns the further addresses of a new attachment it shows only the primary one
// (log in amazon-vpc-cni-k8s issue 1872).
const blocksSeen = (world: World, nic: Nic): Blocks => {
  const seen = nicsSeen(world, 'metadataBlocks').find(other => other.id === nic.id)
  return seen?.attachment?.state === 'attached' ? seen : noBlocks
}

const iamTree = (options: MetadataOptions, instance: Instance): Tree | undefined => {
  const { role } = instance
  if (role === undefined) return undefined
  return { 'security-credentials': { [role]: credentials(options, instance, role) } }
}

const credentials = (options: MetadataOptions, instance: Instance, role: string): string => {
  const now = options.world.clock.now()
  const { ownerId: accountId, deniedToRoles } = options
  const deniedActions = deniedToRoles[role] ?? []
  const request = { instanceId: instance.id, role, accountId, deniedActions, now }
  const key = options.keys.roleKey(request)
  const document = {
    Code: 'Success',
    LastUpdated: isoTime(key.issuedAt),
    Type: 'AWS-HMAC',
    AccessKeyId: key.accessKeyId,
    SecretAccessKey: key.secretAccessKey,
    Token: key.sessionToken,
    Expiration: isoTime(key.expiresAt),
  }
  return JSON.stringify(document, undefined, 2)
}

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
