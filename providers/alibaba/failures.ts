// What the refusals of ECS and VPC and the network's mishaps mean: one table from the cloud's codes
// to the kinds the core decides on, and one sentence for the user. Codes: the API references of
// 2014-05-26 and 2016-04-28, and what Terway has met. The same code has many suffixes, so families
// of codes are matched by their beginnings and endings.

import type { Failure, FailureKind } from '#core/ports.ts'
import { isBug, isUnsent, kindByStatus, ownFailureOf, sentenceOf } from '../common/failures.ts'
import type { OwnFailure, Site } from '../common/failures.ts'

/** Turns whatever a call threw into a value; rethrows what is our own bug. */
export const failureOf = (site: Site, error: unknown): Failure => {
  if (!(error instanceof Error) || isBug(error)) throw error
  const seen = error as SdkError
  const code = codeOf(seen)
  const kind = kindOf(site.call, code, seen)
  const advice = adviceOf(site, { kind, code }, seen)
  return {
    kind,
    ambiguous: !site.isRead && isAmbiguous(kind, code, seen),
    call: site.call,
    code,
    message: sentenceOf(site, { code, text: textOf(seen), advice }),
    retryAfterMs: retryAfterMsOf(seen),
  }
}

/** A failure that no single call reported: a wait that took too long, a state that does not fit. */
export const ownFailure = (site: Site, what: OwnFailure): Failure =>
  ownFailureOf(site, what, adviceOf(site, what, undefined))

/** Codes of a refusal because of the state that a NIC is in. */
export const invalidStateCode = 'InvalidOperation.InvalidEniState'

/** What the SDK's errors carry beside the ordinary members; any of it may be absent. */
export type SdkError = Error & {
  readonly code?: string
  readonly statusCode?: number
  /** Of `x-acs-retry-after`, in milliseconds. */
  readonly retryAfter?: number
  /** The whole answer. */
  readonly data?: { readonly Message?: unknown }
  readonly accessDeniedDetail?: { readonly AuthAction?: unknown } | null
  /** Put there by our client: whose credentials signed the call. */
  principal?: string
}

const codesByKind: Readonly<Record<FailureKind, readonly string[]>> = {
  throttled: ['Throttling', 'ServiceUnavailable.Throttling', 'FlowLimit', 'RequestLimitExceeded'],
  exhausted: ['InvalidVSwitchId.IpNotEnough', 'InvalidVSwitch.IpNotEnough'],
  fragmented: [],
  limit: [
    'EniPerInstanceLimitExceeded',
    'MaxEniCountExceeded',
    'MaxEniIpv6IpsCountExceeded',
    'InvalidOperation.Ipv4CountExceeded',
    'InvalidOperation.Ipv6CountExceeded',
    'SecurityGroupInstanceLimitExceed',
  ],
  conflict: [
    invalidStateCode,
    'InvalidOperation.InvalidEcsState',
    'IncorrectInstanceStatus',
    'InvalidIp.IpAssigned',
    'InvalidIp.IpUnassigned',
    'InvalidPrivateIpAddress.Duplicated',
    'IdempotentParameterMismatch',
    'IdempotentFailed',
    'Operation.Conflict',
    'OperationConflict',
    'TaskConflict',
  ],
  notFound: [],
  denied: [
    'Forbidden',
    'Forbidden.RAM',
    'NoPermission',
    'ImplicitDeny',
    'ExplicitDeny',
    'InvalidAccessKeyId',
    'InvalidAccessKeyId.NotFound',
    'InvalidAccessKeyId.Inactive',
    'Abs.InvalidAccount.NotFound',
    'InvalidAction.NotFound',
    'InvalidApi.NotFound',
    'InvalidVersion',
    'SignatureDoesNotMatch',
    'IncompleteSignature',
    'IllegalTimestamp',
    'InvalidTimeStamp.Expired',
    'InvalidTimeStamp.Format',
    'InvalidSecurityToken.Expired',
    'InvalidSecurityToken.Malformed',
    'InvalidSecurityToken.MismatchWithAccessKey',
    'MissingSecurityToken',
    'MissingParameter',
    'InvalidParameter',
    'UnsupportedParameter',
    'InvalidOperation.DetachPrimaryEniNotAllowed',
    'InvalidOperation.AvailabilityZoneMismatch',
    'InvalidOperation.VpcMismatch',
    'InvalidOperation.InvalidEniType',
    'InvalidOperation.EniServiceManaged',
    'InvalidInstanceType',
    'NoCredentials',
    'NoSubnet',
    'MetadataForbidden',
  ],
  transient: [
    'InternalError',
    'ServiceUnavailable',
    'RequestTimeout',
    'SystemBusy',
    'UnknownError',
    'LastTokenProcessing',
    'OperationFailed.LastTokenProcessing',
    'SignatureNonceUsed',
    'MalformedResponse',
    'Aborted',
  ],
}

const kindByCode: ReadonlyMap<string, FailureKind> = new Map(
  Object.entries(codesByKind).flatMap(([kind, codes]) =>
    codes.map(code => [code, kind as FailureKind] as const),
  ),
)

// The suffixes are many and new ones come: Throttling.User, Throttling.Api, QuotaExceeded.Eni.
const families: readonly (readonly [RegExp, FailureKind])[] = [
  [/^Throttling/, 'throttled'],
  [/^QuotaExceed/, 'limit'],
  [/(Count|Limit)Exceed(ed)?$/, 'limit'],
  [/^Forbidden\b|^NoPermission|^InvalidAccessKeyId/, 'denied'],
  [/IpNotEnough$/, 'exhausted'],
  [/NotFound$/, 'notFound'],
  [/(InUse|AlreadyExist|Duplicated?)$/, 'conflict'],
]

// The same code means different things in different calls.
const exceptions: readonly {
  readonly call: string
  readonly code: string
  readonly kind: FailureKind
}[] = [
  // Not yet detached, or already being deleted: the same call succeeds a moment later.
  { call: 'DeleteNetworkInterface', code: invalidStateCode, kind: 'transient' },
]

const codeOf = (error: SdkError): string => {
  if (error.name === 'AbortError') return 'Aborted'
  // The SDK's name for its own time limits; its errors have neither code nor status.
  if (error.name.startsWith('RequestTimeout')) return 'ETIMEDOUT'
  // A proxy's page, or half an answer: the SDK loses the status on the way.
  if (error instanceof SyntaxError || error.name === 'MalformedResponse') return 'MalformedResponse'
  if (error.code !== undefined && error.code !== '' && error.code !== 'undefined') {
    return error.code
  }
  return error.statusCode === undefined ? error.name : `HTTP ${error.statusCode}`
}

const kindOf = (call: string, code: string, error: SdkError): FailureKind => {
  const exception = exceptions.find(row => row.call === call && row.code === code)
  if (exception !== undefined) return exception.kind
  const listed = kindByCode.get(code) ?? families.find(([pattern]) => pattern.test(code))?.[1]
  return listed ?? kindByStatus(error.statusCode)
}

// A refusal is certain. What broke on the way, or inside the cloud, may have happened all the same;
// only a connection that was never made cannot. A nonce that was used says that this very request
// has come before: something between us and the cloud sent it twice.
const isAmbiguous = (kind: FailureKind, code: string, error: SdkError): boolean => {
  if (kind !== 'transient') return false
  if (code === 'SignatureNonceUsed') return true
  if (error.statusCode !== undefined) return error.statusCode >= 500 || error.statusCode < 400
  return !isUnsent(error, code)
}

// The SDK writes status and request id around the cloud's words; the URL of a broken connection
// holds the whole query, and follows the reason without a space. Of a page that is not JSON the
// parser quotes what it tripped over.
const textOf = (error: SdkError): string => {
  const said = error.data?.Message
  if (typeof said === 'string') return said
  if (error instanceof SyntaxError) return `the answer is no JSON: ${error.message}`
  return error.message.replace(/[:\s]*(POST |Connect )?https?:\/\/\S*( failed\.?)?/, '')
}

const adviceByKind: Readonly<Record<FailureKind, string>> = {
  throttled:
    'the account calls this API too often in this region: calls are spaced out, raise the API ' +
    'limit or lower the warm target',
  exhausted: 'add a vSwitch or lower the warm target',
  fragmented: 'the vSwitch has no free aligned /28: reserve a CIDR block in it or add a vSwitch',
  limit: 'raise the quota, choose a larger instance type or lower the warm target',
  conflict: 'somebody else changed it, eniway looks again before the next try',
  notFound: 'it is gone, or too new to be seen everywhere; eniway looks again',
  denied: 'ECS refuses this request as it is, check configuration and version of eniway',
  transient: 'eniway looks again before the next try',
}

const clockAdvice = 'check the clock of this machine and its credentials'
const keyAdvice = 'check the AccessKey pair, or give the instance a RAM role'
const proxyAdvice =
  'look for a proxy on the way that answers instead of ECS or cuts answers off; eniway looks ' +
  'again before the next try'
const adviceByCode: Readonly<Record<string, string>> = {
  'InvalidTimeStamp.Expired': clockAdvice,
  IllegalTimestamp: clockAdvice,
  SignatureDoesNotMatch: clockAdvice,
  'InvalidSecurityToken.Expired': clockAdvice,
  'InvalidSecurityToken.MismatchWithAccessKey': clockAdvice,
  'InvalidAccessKeyId.NotFound': keyAdvice,
  'InvalidAccessKeyId.Inactive': keyAdvice,
  NoCredentials: keyAdvice,
  MalformedResponse: proxyAdvice,
  NoSubnet: 'tag a vSwitch of this zone or correct the subnets in the configuration',
  MetadataForbidden: 'enable instance metadata (security-hardened mode) on this instance',
  'InvalidOperation.AvailabilityZoneMismatch': 'configure vSwitches in the zone of this instance',
  'QuotaExceed.Tags': 'configure fewer tags',
  SecurityGroupInstanceLimitExceed: 'configure another security group, or an enterprise one',
  'InvalidVSwitch.Ipv6NotTurnOn': 'enable IPv6 on the vSwitch, or configure IPv4 alone',
  'InvalidOperation.Ipv6NotSupport': 'choose an instance type with IPv6, or configure IPv4 alone',
  JoinedGroupLimitExceed: 'configure fewer security groups',
  'InvalidVSwitchId.NotFound': 'correct the vSwitches in the configuration',
  'InvalidSecurityGroupId.NotFound': 'correct the security groups in the configuration',
}

const rightCodes = /^(Forbidden(\.RAM|\.SubUser)?|NoPermission.*|ImplicitDeny|ExplicitDeny)$/

const adviceOf = (
  site: Site,
  { kind, code }: Pick<OwnFailure, 'kind' | 'code'>,
  error: SdkError | undefined,
): string => {
  if (!rightCodes.test(code)) {
    const advice = adviceByCode[code] ?? adviceByKind[kind]
    return advice === keyAdvice && error?.principal !== undefined
      ? `${keyAdvice}: this was ${error.principal}`
      : advice
  }
  const named = error?.accessDeniedDetail?.AuthAction
  const product = site.call === 'DescribeVSwitches' ? 'vpc' : 'ecs'
  const action = typeof named === 'string' ? named : `${product}:${site.call}`
  return `allow ${action} in the RAM policy of ${error?.principal ?? 'these credentials'}`
}

const retryAfterMsOf = ({ retryAfter }: SdkError): number | undefined =>
  retryAfter !== undefined && retryAfter >= 0 ? retryAfter : undefined
