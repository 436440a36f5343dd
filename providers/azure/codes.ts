// Which of Azure's error codes means what, and what a user can do about it. Sources: Azure Resource
// Manager "Common deployment errors" and "Throttling", Network and Compute resource providers'
// references, and codes that CNIs, Terraform and the Azure CLI have met in practice.

import type { FailureKind } from '#core/ports.ts'

const codesByKind: Readonly<Record<FailureKind, readonly string[]>> = {
  throttled: [
    'TooManyRequests',
    'SubscriptionRequestsThrottled',
    'TenantRequestsThrottled',
    'ResourceRequestsThrottled',
    'ResourceCollectionRequestsThrottled',
    'OperationGroupRequestsThrottled',
    'RequestsThrottled',
    'Throttled',
  ],
  exhausted: ['SubnetIsFull', 'VnetAddressSpaceFull', 'PrivateIPAddressesExhausted'],
  fragmented: [],
  limit: [
    'QuotaExceeded',
    'ResourceQuotaExceeded',
    'NetworkInterfaceCountExceeded',
    'IPConfigurationsCountExceeded',
    'PrivateIPAddressLimitExceeded',
    'NicHasTooManyIpConfigurations',
    'TooManyNetworkInterfaces',
    'HotPlugUnsupported',
  ],
  conflict: [
    'PreconditionFailed',
    'AnotherOperationInProgress',
    'RetryableErrorDueToAnotherOperation',
    'RetryableError',
    'ReferencedResourceNotProvisioned',
    'OperationNotAllowed',
    'OperationPreempted',
    'OperationCanceled',
    'OperationCancelled',
    'Canceled',
    'CanceledAndSupersededDueToAnotherOperation',
    'Conflict',
    'ConflictError',
    'ConcurrentUpdate',
    'NicInUse',
    'NicReservedForAnotherVm',
    'PrivateIPAddressInUse',
    'PrivateIPAddressIsAllocated',
    'PrivateIPAddressIsBeingAllocated',
    'ResourceGroupBeingDeleted',
  ],
  notFound: [
    'ResourceNotFound',
    'NotFound',
    'ParentResourceNotFound',
    'ResourceGroupNotFound',
    'NetworkInterfaceNotFound',
    'InstanceIdNotFound',
  ],
  denied: [
    'AuthorizationFailed',
    'LinkedAuthorizationFailed',
    'LinkedAccessCheckFailed',
    'InvalidAuthenticationToken',
    'InvalidAuthenticationTokenTenant',
    'InvalidAuthenticationTokenAudience',
    'ExpiredAuthenticationToken',
    'AuthenticationFailed',
    'AuthenticationFailedMissingToken',
    'AuthenticationFailedInvalidHeader',
    'AuthenticationError',
    'AuthenticationRequiredError',
    'AggregateAuthenticationError',
    'CredentialUnavailableError',
    'SubscriptionNotFound',
    'InvalidSubscriptionId',
    'MissingSubscriptionRegistration',
    'SubscriptionNotRegisteredForFeature',
    'NoRegisteredProviderFound',
    'InvalidApiVersionParameter',
    'InvalidResourceReference',
    'InvalidRequestContent',
    'InvalidRequestFormat',
    'InvalidParameter',
    'BadRequest',
    'PropertyChangeNotAllowed',
    'RequestDisallowedByPolicy',
    'ScopeLocked',
    'ReadOnlyDisabledSubscription',
    'SkuNotAvailable',
    'UnknownVmSize',
    'IpConfigDeleteNotSupported',
    'PrivateIPAddressNotInSubnet',
    'PrivateIPAddressNotInAnySubnet',
    'PrivateIPAddressInReservedRange',
    'AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups',
    'VMScaleSetIpConfigurationsOnSameNicCannotUseDifferentSubnets',
    'MetadataForbidden',
    'InsecureEndpoint',
  ],
  transient: [
    'InternalServerError',
    'InternalError',
    'InternalExecutionError',
    'ServerError',
    'ServerTimeout',
    'ServiceUnavailable',
    'GatewayTimeout',
    'OperationTimedOut',
    'OperationFailed',
    'RequestTimeout',
    'NetworkingInternalOperationError',
    'CredentialTrouble',
    'MalformedResponse',
    'Aborted',
  ],
}

/** The kind of every code that is listed. */
export const kindByCode: ReadonlyMap<string, FailureKind> = new Map(
  Object.entries(codesByKind).flatMap(([kind, codes]) =>
    codes.map(code => [code, kind as FailureKind] as const),
  ),
)

/** Codes that no list names, by the habits of Azure's naming; first match. */
export const endings: readonly (readonly [RegExp, FailureKind])[] = [
  [/throttl|^TooManyRequests/i, 'throttled'],
  [/DueToAnotherOperation|InProgress$|NotProvisioned$|Preempted|Superseded/, 'conflict'],
  [/(Limit|Quota|Max\w*)\w*(Exceeded|Reached)$|CountExceeded$|^TooMany/, 'limit'],
  [/(InUse|AlreadyExists|BeingDeleted)$/, 'conflict'],
  [/SubnetIsFull$/, 'exhausted'],
  [/Invalid|NotSupported|Unsupported|NotAllowed|Disallowed|Malformed/, 'denied'],
]

const adviceByKind: Readonly<Record<FailureKind, string>> = {
  throttled:
    'the subscription calls Azure too often in this region: calls are spaced out, find who else ' +
    'calls or lower the warm target',
  exhausted: 'widen the subnet or lower the warm target',
  fragmented: 'the subnet has no free aligned /28, or none may be lent: single addresses are taken',
  limit: 'Azure allows 256 addresses per VM: lower the warm target or use /28 blocks',
  conflict: 'another operation holds it, eniway looks again before the next try',
  notFound: 'it is gone, eniway looks again',
  denied: 'Azure refuses this request as it is, check configuration and version of eniway',
  transient: 'eniway looks again before the next try',
}

const clockAdvice =
  'check the clock of this machine, and that the identity belongs to this tenant and cloud'
const identityAdvice =
  'assign a managed identity to this VM (AZURE_CLIENT_ID chooses one of several), or set ' +
  'AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret, certificate or federated token'

const proxyAdvice =
  'look for a proxy on the way that answers instead of Azure or cuts answers off; eniway looks ' +
  'again before the next try'
const certificateAdvice =
  'a proxy on the way may open TLS: name the certificate of its authority in NODE_EXTRA_CA_CERTS'

const adviceByCode: Readonly<Record<string, string>> = {
  MalformedResponse: proxyAdvice,
  DEPTH_ZERO_SELF_SIGNED_CERT: certificateAdvice,
  SELF_SIGNED_CERT_IN_CHAIN: certificateAdvice,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: certificateAdvice,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: certificateAdvice,
  CERT_NOT_YET_VALID: 'check the clock of this machine',
  CERT_HAS_EXPIRED: `check the clock of this machine; ${certificateAdvice}`,
  InvalidAuthenticationToken: clockAdvice,
  ExpiredAuthenticationToken: clockAdvice,
  InvalidAuthenticationTokenTenant: clockAdvice,
  InvalidAuthenticationTokenAudience:
    'set AZURE_RESOURCE_MANAGER_AUDIENCE to whom this Resource Manager wants tokens to be for',
  CredentialUnavailableError: identityAdvice,
  AuthenticationRequiredError: identityAdvice,
  AggregateAuthenticationError: identityAdvice,
  AuthenticationError: `check secret, certificate and clock; or ${identityAdvice}`,
  SubscriptionNotFound:
    'give the identity of this node a role in the subscription, and check tenant and cloud',
  ScopeLocked: 'remove the read-only lock from the resource group or resource',
  RequestDisallowedByPolicy: 'exempt the NICs of nodes from that Azure policy',
  MissingSubscriptionRegistration: 'register the resource provider in the subscription',
  SubscriptionNotRegisteredForFeature:
    'register the subscription for prefixes on NICs; single addresses are taken meanwhile',
  SkuNotAvailable: 'choose a VM size that the region offers to this subscription',
  UnknownVmSize: 'check that the region offers this VM size, or update eniway',
  MetadataForbidden: 'let eniway reach 169.254.169.254 on the host network, without a proxy',
  InsecureEndpoint: 'give AZURE_RESOURCE_MANAGER_ENDPOINT an https address',
  HotPlugUnsupported:
    'stop (deallocate) the VM, attach the NIC, tag it eniway.io_pods=true and start the VM, or ' +
    'choose a VM size and image that come with it',
  PreconditionFailed:
    'something else keeps changing the NIC: find it in its activity log, eniway tries again',
}

/** What to do, from the code when it is known, else from the kind. */
export const adviceFor = (kind: FailureKind, code: string): string =>
  adviceByCode[code] ?? (isPage(kind, code) ? proxyAdvice : adviceByKind[kind])

// Azure names what it refuses; a bare status is somebody else's, unless it is the front door's.
const isPage = (kind: FailureKind, code: string): boolean =>
  code.startsWith('HTTP ') && kind !== 'throttled'
