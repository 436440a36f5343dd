// ECS's error codes, statuses and messages: one table from the model's reasons to the wire. Codes
// and statuses: ECS API reference, 2014-05-26, "Error codes" of each action; messages as public
// logs show.
import type { Reason, ThingKind } from '#emulator/model/refusal.ts'

/** What a failed call answers. */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  /** Who lacks which permission; only of a Forbidden answer. */
  readonly accessDenied: Readonly<Record<string, string>> | undefined
  /** `status` overrides the one that belongs to the code. */
  constructor(
    code: string,
    message: string,
    more: {
      readonly status?: number | undefined
      readonly accessDenied?: Record<string, string>
    } = {},
  ) {
    super(message)
    this.name = code
    this.code = code
    this.status = more.status ?? statusOf(code)
    this.accessDenied = more.accessDenied
  }
}

/** Codes whose HTTP status is not 400. */
const statuses: Readonly<Record<string, number>> = {
  'InvalidAccessKeyId.NotFound': 404,
  'InvalidAction.NotFound': 404,
  'InvalidRegionId.NotFound': 404,
  'InvalidEniId.NotFound': 404,
  'InvalidEcsId.NotFound': 404,
  'InvalidInstanceId.NotFound': 404,
  'InvalidVSwitchId.NotFound': 404,
  'InvalidSecurityGroupId.NotFound': 404,
  'InvalidResourceId.NotFound': 404,
  'Forbidden.RAM': 403,
  MaxEniCountExceeded: 403,
  EniPerInstanceLimitExceeded: 403,
  MaxEniPrivateIpsCountExceeded: 403,
  MaxEniIpv6IpsCountExceeded: 403,
  SecurityGroupInstanceLimitExceed: 403,
  'InvalidOperation.AvailabilityZoneMismatch': 403,
  'InvalidOperation.VpcMismatch': 403,
  'InvalidOperation.InvalidEniType': 403,
  'InvalidOperation.Ipv4CountExceeded': 403,
  'InvalidOperation.Ipv6CountExceeded': 403,
  'InvalidOperation.Ipv6NotSupport': 403,
  'InvalidVSwitch.Ipv6NotTurnOn': 403,
  'InvalidVSwitchId.IpNotEnough': 403,
  'InvalidVSwitchId.IpInvalid': 403,
  'QuotaExceeded.PrivateIpAddress': 403,
  'InvalidIp.IpAssigned': 403,
  'InvalidIp.IpUnassigned': 403,
  'InvalidIp.IpRepeated': 403,
  'InvalidIp.Address': 403,
  'Operation.Conflict': 403,
  'QuotaExceed.Tags': 403,
  InternalError: 500,
  ServiceUnavailable: 503,
}

const statusOf = (code: string): number =>
  Object.hasOwn(statuses, code) ? (statuses[code] ?? 400) : 400

/** What a refusal's code depends on beside its reason. */
export interface Failed {
  readonly action: string
  /** True: the NIC that was named hangs on an instance, whose type sets the limits. */
  readonly isAttached: boolean
}

/** The error for a refusal of the model. */
export const apiError = (reason: Reason, failed: Failed): ApiError => {
  const render = table[reason.kind] as (reason: Reason, failed: Failed) => Rendered
  const [code, message] = render(reason, failed)
  return new ApiError(code, message)
}

/** The error for a missing parameter. */
export const missingParameter = (name: string): ApiError =>
  new ApiError(
    'MissingParameter',
    `The input parameter "${name}" that is mandatory for processing this request is not supplied.`,
  )

/** The error for a value that cannot be right. */
export const invalidParameter = (name: string, why = ''): ApiError =>
  new ApiError(
    'InvalidParameter',
    `The specified parameter "${name}" is not valid.${why === '' ? '' : ` ${why}`}`,
  )

/** The error for parameters that exclude each other. */
export const conflictingParameters = (names: readonly string[]): ApiError =>
  new ApiError(
    'InvalidParameter.Conflict',
    `The parameters ${names.join(' and ')} cannot be used together.`,
  )

/** The error for a NIC whose state does not allow what was asked. */
export const invalidNicState = (nicId: string, status: string): ApiError =>
  new ApiError(
    'InvalidOperation.InvalidEniState',
    `The operation is not allowed in the current eni state: "${nicId}" is ${status}.`,
  )

type Rendered = readonly [code: string, message: string]

const missing: Readonly<Record<ThingKind, readonly [code: string, word: string]>> = {
  nic: ['InvalidEniId.NotFound', 'NetworkInterfaceId'],
  instance: ['InvalidEcsId.NotFound', 'InstanceId'],
  subnet: ['InvalidVSwitchId.NotFound', 'VSwitchId'],
  vpc: ['InvalidVpcId.NotFound', 'VpcId'],
  group: ['InvalidSecurityGroupId.NotFound', 'SecurityGroupId'],
  attachment: ['InvalidOperation.InvalidEniState', 'attachment'],
  type: ['InvalidInstanceType.NotSupported', 'InstanceType'],
}

const noAddresses = (subnetId: string): Rendered => [
  'InvalidVSwitchId.IpNotEnough',
  `The specified VSwitch "${subnetId}" has not enough IpAddress.`,
]

const inUse = ({ nicId }: { readonly nicId: string }): Rendered => [
  'InvalidOperation.InvalidEniState',
  `The operation is not allowed in the current eni state: "${nicId}".`,
]

const tooMany = (slotsMax: number, { action, isAttached }: Failed): Rendered => {
  const isSix = action.includes('Ipv6')
  const word = isSix ? 'IPv6' : 'IPv4'
  const message = `The number of ${word} addresses of the eni exceeds the limit of ${slotsMax}.`
  if (isAttached) return [`InvalidOperation.Ipv${isSix ? 6 : 4}CountExceeded`, message]
  return [isSix ? 'MaxEniIpv6IpsCountExceeded' : 'MaxEniPrivateIpsCountExceeded', message]
}

// A free address range that is not aligned is as bad as none: ECS has one code for both.
const table: {
  readonly [K in Reason['kind']]: (
    reason: Extract<Reason, { readonly kind: K }>,
    failed: Failed,
  ) => Rendered
} = {
  notFound: ({ thing, ids }) => {
    const [code, word] = missing[thing]
    return [code, `The specified ${word} "${ids.join('", "')}" is not found.`]
  },
  subnetExhausted: ({ subnetId }) => noAddresses(subnetId),
  subnetFragmented: ({ subnetId }) => noAddresses(subnetId),
  slotsExceeded: ({ slotsMax }, failed) => tooMany(slotsMax, failed),
  instanceSlotsExceeded: ({ slotsMax }, failed) => tooMany(slotsMax, failed),
  nicsExceeded: ({ type }) => [
    'EniPerInstanceLimitExceeded',
    `The number of ENI exceeds the limit for the type of instance: ${type}.`,
  ],
  nicQuotaExceeded: ({ nicsMax }) => [
    'MaxEniCountExceeded',
    `The maximum number of eni in the region is exceeded: ${nicsMax}.`,
  ],
  groupsExceeded: ({ groupsMax }) => [
    'JoinedGroupLimitExceed',
    `The specified resource has reached its maximum number of security groups: ${groupsMax}.`,
  ],
  tagsExceeded: ({ tagsMax }) => ['QuotaExceed.Tags', `The maximum number of tags is ${tagsMax}.`],
  addressTaken: ({ address }, { action }) =>
    action === 'CreateNetworkInterface'
      ? ['InvalidPrivateIpAddress.Duplicated', 'Specified private IP address is duplicated.']
      : ['InvalidIp.IpAssigned', `The specified ip "${address}" is assigned already.`],
  addressOutside: ({ address, subnetId }) =>
    address.includes(':')
      ? ['InvalidIp.Address', `The specified IPv6 address "${address}" is not in "${subnetId}".`]
      : ['InvalidVSwitchId.IpInvalid', `The specified ip "${address}" is not in "${subnetId}".`],
  addressMissing: ({ address, nicId }) => [
    'InvalidIp.IpUnassigned',
    `The specified ip "${address}" is not assigned to "${nicId}".`,
  ],
  addressPrimary: ({ address }) => [
    'InvalidParameter',
    `The specified parameter "PrivateIpAddress" is not valid: "${address}" is the primary ip.`,
  ],
  familyMissing: ({ subnetId }) => [
    'InvalidVSwitch.Ipv6NotTurnOn',
    `The specified VSwitch "${subnetId}" has not turned on IPv6.`,
  ],
  prefixesUnsupported: ({ type }) => [
    'InvalidInstanceType.NotSupported',
    `The instance type ${type} does not support ip prefixes.`,
  ],
  nicAttached: inUse,
  nicBusy: inUse,
  hotPlugUnsupported: ({ instanceId }) => [
    'InvalidOperation.InvalidEcsState',
    `The operation is not allowed in the current ecs state: "${instanceId}" must be Stopped.`,
  ],
  // Only a race between two attachments can choose the same index.
  deviceIndexTaken: ({ instanceId }) => [
    'Operation.Conflict',
    `Another operation on "${instanceId}" is in progress. Try again later.`,
  ],
  cardMissing: ({ cardIndex, type }) => [
    'InvalidParameter',
    `The specified parameter "NetworkCardIndex" is not valid: ${type} has no card ${cardIndex}.`,
  ],
  zoneDiffers: ({ nicId, instanceId }) => [
    'InvalidOperation.AvailabilityZoneMismatch',
    `The eni "${nicId}" and the instance "${instanceId}" are not in the same zone.`,
  ],
  vpcDiffers: ({ id, vpcId }) => [
    'InvalidOperation.VpcMismatch',
    `The specified resource "${id}" is not in the vpc "${vpcId}".`,
  ],
  instanceState: ({ instanceId, state }) => [
    'InvalidOperation.InvalidEcsState',
    `The operation is not allowed in the current ecs state: "${instanceId}" is ${state}.`,
  ],
  primaryNic: ({ nicId }) => [
    'InvalidOperation.DetachPrimaryEniNotAllowed',
    `Detaching primary ENI from ECS instance is not allowed: "${nicId}".`,
  ],
}
