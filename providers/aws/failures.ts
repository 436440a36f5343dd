// What EC2's refusals and the network's mishaps mean: one table from the cloud's codes to the kinds
// the core decides on, and one sentence for the user. Codes: EC2 API reference "Error codes", and
// what CNIs have met in practice. The SDK has no error classes for EC2: `name` is the code.

import type { Failure, FailureKind } from '#core/ports.ts'
import type { OwnFailure, Site } from '../common/failures.ts'
import { isBug, isUnsent, kindByStatus, ownFailureOf } from '../common/failures.ts'
import { retryAfterSeconds, sentenceOf } from '../common/failures.ts'

/** Turns whatever a call threw into a value; rethrows what is our own bug. */
export const failureOf = (site: Site, error: unknown): Failure => {
  if (!(error instanceof Error)) throw error
  const seen = error as SdkError
  if (seen.$metadata === undefined && isBug(seen)) throw error
  const code = codeOf(seen)
  const kind = kindOf(site.call, code, seen)
  return {
    kind,
    ambiguous: !site.isRead && isAmbiguous(kind, code, seen),
    call: site.call,
    code,
    message: sentenceOf(site, { code, text: seen.message, advice: adviceOf(site, kind, code) }),
    retryAfterMs: retryAfterMsOf(seen),
  }
}

/** A failure that no single call reported, with the advice of its code. */
export const ownFailure = (site: Site, what: OwnFailure): Failure =>
  ownFailureOf(site, what, adviceOf(site, what.kind, what.code))

// What the SDK's errors carry beside the ordinary members; any of it may be absent.
type SdkError = Error & {
  readonly code?: string
  readonly $fault?: 'client' | 'server'
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> }
}

const codesByKind: Readonly<Record<FailureKind, readonly string[]>> = {
  throttled: [
    'RequestLimitExceeded',
    'Throttling',
    'ThrottlingException',
    'ThrottledException',
    'RequestThrottled',
    'RequestThrottledException',
    'EC2ThrottledException',
    'TooManyRequestsException',
    'BandwidthLimitExceeded',
    'SlowDown',
  ],
  exhausted: ['InsufficientFreeAddressesInSubnet', 'InsufficientAddressCapacity'],
  fragmented: ['InsufficientCidrBlocks'],
  limit: [
    'PrivateIpAddressLimitExceeded',
    'AttachmentLimitExceeded',
    'NetworkInterfaceLimitExceeded',
    'SecurityGroupsPerInterfaceLimitExceeded',
    'SecurityGroupsPerInstanceLimitExceeded',
    'TagLimitExceeded',
  ],
  conflict: [
    'InvalidNetworkInterface.InUse',
    'InvalidIPAddress.InUse',
    'Resource.AlreadyAssigned',
    'Resource.AlreadyAssociated',
    'IdempotentParameterMismatch',
    'IncorrectState',
    'IncorrectInstanceState',
    'DependencyViolation',
  ],
  notFound: [
    'InvalidNetworkInterfaceID.NotFound',
    'InvalidNetworkInterfaceId.NotFound',
    'InvalidAttachmentID.NotFound',
    'InvalidNetworkInterfaceAttachmentID.NotFound',
    'InvalidNetworkInterfaceAttachmentId.Malformed',
    'InvalidSubnetID.NotFound',
    'InvalidSecurityGroupID.NotFound',
    'InvalidGroup.NotFound',
    'InvalidInstanceID.NotFound',
    'InvalidVpcID.NotFound',
  ],
  denied: [
    'UnauthorizedOperation',
    'AccessDenied',
    'AccessDeniedException',
    'AuthFailure',
    'SignatureDoesNotMatch',
    'IncompleteSignature',
    'MissingAuthenticationToken',
    'InvalidClientTokenId',
    'UnrecognizedClientException',
    'ExpiredToken',
    'ExpiredTokenException',
    'RequestExpired',
    'CredentialsProviderError',
    'TokenProviderError',
    'Blocked',
    'OptInRequired',
    'PendingVerification',
    'OperationNotPermitted',
    'UnsupportedOperation',
    'DryRunOperation',
    'InvalidParameter',
    'InvalidParameterValue',
    'InvalidParameterCombination',
    'InvalidInstanceType',
    'InvalidAction',
    'InvalidNextToken',
    'InvalidMaxResults',
    'MissingAction',
    'MissingParameter',
    'UnknownParameter',
    'UnknownOperation',
    'MetadataForbidden',
    'NoSubnet',
  ],
  transient: [
    'InternalError',
    'InternalFailure',
    'InternalServerError',
    'Unavailable',
    'ServiceUnavailable',
    'RequestTimeout',
    'PriorRequestNotComplete',
    'MalformedResponse',
    'Aborted',
  ],
}

const kindByCode: ReadonlyMap<string, FailureKind> = new Map(
  Object.entries(codesByKind).flatMap(([kind, codes]) =>
    codes.map(code => [code, kind as FailureKind] as const),
  ),
)

// The same code means different things in different calls; only the text tells. Texts: public logs
// of CNIs and Terraform (vpc-cni issue 3105, cilium pull request 31016, k8s-vpcnet issue 71).
const exceptions: readonly {
  readonly calls: readonly string[]
  readonly code: string
  readonly text: RegExp
  readonly kind: FailureKind
}[] = [
  // Fewer free addresses than a prefix needs: single addresses may still be had.
  {
    calls: ['CreateNetworkInterface', 'AssignPrivateIpAddresses'],
    code: 'InvalidParameterValue',
    text: /(sufficient|enough) free/i,
    kind: 'fragmented',
  },
  {
    calls: ['AttachNetworkInterface'],
    code: 'InvalidParameterValue',
    text: /already has an interface attached|in use/i,
    kind: 'conflict',
  },
  // Delete before the detachment has finished: the same call succeeds a moment later.
  {
    calls: ['DeleteNetworkInterface'],
    code: 'InvalidNetworkInterface.InUse',
    text: /./,
    kind: 'transient',
  },
  {
    calls: ['DeleteNetworkInterface'],
    code: 'InvalidParameterValue',
    text: /in use/i,
    kind: 'transient',
  },
]

// Codes that no list names, by the habits of EC2's naming.
const endings: readonly (readonly [RegExp, FailureKind])[] = [
  [/NotFound$/, 'notFound'],
  [/LimitExceeded$/, 'limit'],
  [/(InUse|AlreadyExists|\.Duplicate)$/, 'conflict'],
  [/throttl/i, 'throttled'],
  [/(Malformed|NotSupported|Unsupported)$/, 'denied'],
]

const codeOf = (error: SdkError): string => {
  const status = error.$metadata?.httpStatusCode
  if (error.name === 'AbortError') return 'Aborted'
  // A reset is called TimeoutError too, but has its own code.
  if (error.code !== undefined) return error.code
  if (error.name === 'TimeoutError') return 'ETIMEDOUT'
  // An error page of something between us and EC2 has no code.
  if (error.name === 'Unknown') return `HTTP ${status ?? 'error'}`
  // A plain Error after an answer: the SDK could not read what came.
  if (error.name === 'Error') return status === undefined ? 'Error' : 'MalformedResponse'
  return error.name
}

const kindOf = (call: string, code: string, error: SdkError): FailureKind => {
  const exception = exceptions.find(
    row => row.calls.includes(call) && row.code === code && row.text.test(error.message),
  )
  if (exception !== undefined) return exception.kind
  const listed = kindByCode.get(code) ?? endings.find(([pattern]) => pattern.test(code))?.[1]
  return listed ?? kindByStatus(error.$metadata?.httpStatusCode)
}

// A refusal is certain. What broke on the way, or inside EC2, may have happened all the same;
// only a connection that was never made cannot.
const isAmbiguous = (kind: FailureKind, code: string, error: SdkError): boolean => {
  if (kind !== 'transient') return false
  const status = error.$metadata?.httpStatusCode
  if (status !== undefined) return status >= 500 || status < 400
  return !isUnsent(error, code)
}

const adviceByKind: Readonly<Record<FailureKind, string>> = {
  throttled:
    'the account calls EC2 too often: calls are spaced out, raise the API limit or lower the warm ' +
    'target',
  exhausted: 'add a subnet or lower the warm target',
  fragmented: 'the subnet has no free aligned /28: reserve a prefix range in it or add a subnet',
  limit: 'raise the quota, choose a larger instance type or lower the warm target',
  conflict: 'somebody else changed it, eniway looks again before the next try',
  notFound: 'it is gone, or too new to be seen everywhere; eniway looks again',
  denied: 'EC2 refuses this request as it is, check configuration and version of eniway',
  transient: 'eniway looks again before the next try',
}

const clockAdvice = 'check the clock of this machine and its credentials'
const adviceByCode: Readonly<Record<string, string>> = {
  AuthFailure: clockAdvice,
  SignatureDoesNotMatch: clockAdvice,
  RequestExpired: clockAdvice,
  ExpiredToken: clockAdvice,
  ExpiredTokenException: clockAdvice,
  CredentialsProviderError: 'give the instance an IAM role or set AWS credentials',
  NoSubnet: 'tag a subnet of this zone or correct the subnets in the configuration',
  MetadataForbidden:
    'enable instance metadata (IMDSv2), with a hop limit of 2 unless on the host network',
  SecurityGroupsPerInterfaceLimitExceeded: 'configure fewer security groups',
  TagLimitExceeded: 'configure fewer tags',
}

const adviceOf = (site: Site, kind: FailureKind, code: string): string => {
  if (code === 'UnauthorizedOperation' || code.startsWith('AccessDenied')) {
    return `allow ec2:${site.call} in the IAM policy of this node's role`
  }
  return adviceByCode[code] ?? adviceByKind[kind]
}

// `x-amz-retry-after` counts milliseconds, `retry-after` seconds.
const retryAfterMsOf = (error: SdkError): number | undefined => {
  const headers = error.$response?.headers ?? {}
  const ms = Number(headers['x-amz-retry-after'] ?? Number.NaN)
  return ms >= 0 ? ms : retryAfterSeconds(headers['retry-after'])
}
