// EC2's error codes, statuses and messages: one table from the model's reasons to the wire.
// Codes: EC2 API reference, "Error codes"; messages as seen in public logs of CNIs.
import type { Reason, ThingKind } from '#emulator/model/refusal.ts'

/** What a failed call answers. */
export class Ec2Error extends Error {
  readonly code: string
  readonly status: number
  /** `status` overrides the one that belongs to the code. */
  constructor(code: string, message: string, status?: number) {
    super(message)
    this.name = code
    this.code = code
    this.status = status ?? statuses[code] ?? 400
  }
}

/** Codes whose HTTP status is not 400. */
const statuses: Readonly<Record<string, number>> = {
  AuthFailure: 401,
  UnauthorizedOperation: 403,
  SignatureDoesNotMatch: 403,
  DryRunOperation: 412,
  RequestLimitExceeded: 503,
  InternalError: 500,
  InternalFailure: 500,
  Unavailable: 503,
  ServiceUnavailable: 503,
}

/** The EC2 error for a refusal of the model. */
export const ec2Error = (reason: Reason): Ec2Error => {
  const render = table[reason.kind] as (reason: Reason) => readonly [code: string, message: string]
  const [code, message] = render(reason)
  return new Ec2Error(code, message)
}

const missingCodes: Readonly<Record<ThingKind, readonly [code: string, word: string]>> = {
  nic: ['InvalidNetworkInterfaceID.NotFound', 'networkInterface'],
  instance: ['InvalidInstanceID.NotFound', 'instance'],
  subnet: ['InvalidSubnetID.NotFound', 'subnet'],
  vpc: ['InvalidVpcID.NotFound', 'vpc'],
  group: ['InvalidGroup.NotFound', 'security group'],
  attachment: ['InvalidAttachmentID.NotFound', 'attachment'],
  type: ['InvalidInstanceType', 'instance type'],
}

const missing = (thing: ThingKind, ids: readonly string[]): readonly [string, string] => {
  const [code, word] = missingCodes[thing]
  if (thing === 'type')
    return [code, `The following supplied instance types do not exist: [${ids.join(', ')}]`]
  const names = ids.length === 1 ? `ID '${ids[0]}' does` : `IDs '${ids.join(', ')}' do`
  return [code, `The ${word} ${names} not exist`]
}

// Too few addresses for a prefix is InvalidParameterValue, no aligned block InsufficientCidrBlocks:
// AWS support's answer in cilium pull request 31016, and a log in amazon-vpc-cni-k8s issue 3105.
const table: {
  readonly [K in Reason['kind']]: (
    reason: Extract<Reason, { readonly kind: K }>,
  ) => readonly [code: string, message: string]
} = {
  notFound: ({ thing, ids }) => missing(thing, ids),
  subnetExhausted: ({ asked }) =>
    asked === 'prefix'
      ? ['InvalidParameterValue', "There aren't sufficient free Ipv4 addresses or prefixes"]
      : [
          'InsufficientFreeAddressesInSubnet',
          'The specified subnet does not have enough free addresses to satisfy the request.',
        ],
  subnetFragmented: () => [
    'InsufficientCidrBlocks',
    'The specified subnet does not have enough free cidr blocks to satisfy the request.',
  ],
  slotsExceeded: () => [
    'PrivateIpAddressLimitExceeded',
    'Number of private addresses will exceed limit.',
  ],
  nicsExceeded: ({ count, type }) => [
    'AttachmentLimitExceeded',
    `Interface count ${count} exceeds the limit for ${type}`,
  ],
  nicQuotaExceeded: ({ nicsMax }) => [
    'NetworkInterfaceLimitExceeded',
    `The maximum number of network interfaces has been reached (${nicsMax}).`,
  ],
  groupsExceeded: ({ groupsMax }) => [
    'SecurityGroupsPerInterfaceLimitExceeded',
    `The maximum number of security groups per interface has been reached (${groupsMax}).`,
  ],
  tagsExceeded: ({ tagsMax }) => ['TagLimitExceeded', `More than ${tagsMax} tags were specified.`],
  addressTaken: ({ address }) => ['InvalidIPAddress.InUse', `Address ${address} is in use.`],
  addressOutside: ({ address }) => [
    'InvalidParameterValue',
    `Address ${address} does not fall within the subnet's address range`,
  ],
  addressMissing: ({ address, nicId }) => [
    'InvalidParameterValue',
    `Some of [${address}] are not assigned to interface ${nicId}`,
  ],
  addressPrimary: ({ address }) => [
    'InvalidParameterValue',
    `${address} is the primary address of the interface`,
  ],
  familyMissing: ({ subnetId }) => [
    'InvalidParameterValue',
    `The subnet '${subnetId}' does not have an associated IPv6 CIDR block`,
  ],
  prefixesUnsupported: ({ type }) => [
    'UnsupportedOperation',
    `Instance type ${type} does not support prefixes on network interfaces.`,
  ],
  // Two spellings are seen in the wild for a NIC that is attached; clients must know both.
  nicAttached: ({ nicId, isDetaching }) =>
    isDetaching
      ? ['InvalidNetworkInterface.InUse', `Interface: [${nicId}] in use.`]
      : ['InvalidParameterValue', `Network interface '${nicId}' is currently in use.`],
  nicBusy: ({ nicId }) => ['InvalidNetworkInterface.InUse', `Interface: [${nicId}] in use.`],
  deviceIndexTaken: ({ instanceId, deviceIndex }) => [
    'InvalidParameterValue',
    `Instance '${instanceId}' already has an interface attached at device index '${deviceIndex}'.`,
  ],
  cardMissing: ({ type, cardIndex }) => [
    'InvalidParameterValue',
    `Network card index ${cardIndex} exceeds the limit for ${type}`,
  ],
  zoneDiffers: ({ nicId, instanceId }) => [
    'InvalidParameterCombination',
    'You may not attach a network interface to an instance if they are not in the same ' +
      `availability zone (${nicId}, ${instanceId})`,
  ],
  vpcDiffers: ({ id }) => [
    'InvalidParameter',
    `You have specified two resources that belong to different networks (${id}).`,
  ],
  instanceState: ({ instanceId, state }) => [
    'IncorrectState',
    `The instance '${instanceId}' is not in a state from which it can be attached to (${state}).`,
  ],
  primaryNic: () => [
    'OperationNotPermitted',
    'The network interface at device index 0 and networkCard index 0 cannot be detached.',
  ],
  // EC2 knows neither of these limits; the model refuses nothing here for such a reason.
  hotPlugUnsupported: ({ nicId }) => ['IncorrectState', `Interface: [${nicId}] cannot be moved.`],
  instanceSlotsExceeded: () => [
    'PrivateIpAddressLimitExceeded',
    'Number of private addresses will exceed limit.',
  ],
}
