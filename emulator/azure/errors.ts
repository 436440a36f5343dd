// ARM's error codes, statuses and messages, and the table from the model's reasons to them. Codes
// and sentences as in Azure's "common deployment errors" page and in public logs; those that no
// public text shows are marked.
import type { Reason, ThingKind } from '#emulator/model/refusal.ts'
import type { JsonObject } from './json.ts'

/** What a failed call answers. */
export class ArmError extends Error {
  readonly code: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly details: readonly JsonObject[]
  /** `status` overrides the one that belongs to the code. */
  constructor(code: string, message: string, more: ArmErrorOptions = {}) {
    super(message)
    this.name = code
    this.code = code
    this.status = more.status ?? statusOf(code)
    this.headers = more.headers ?? {}
    this.details = more.details ?? []
  }
}

interface ArmErrorOptions {
  readonly status?: number | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly details?: readonly JsonObject[]
}

/** The status that Azure sends with a code. */
export const statusOf = (code: string): number => statuses[code] ?? 400

const statuses: Readonly<Record<string, number>> = {
  AuthenticationFailed: 401,
  ExpiredAuthenticationToken: 401,
  InvalidAuthenticationToken: 401,
  InvalidAuthenticationTokenAudience: 401,
  AuthorizationFailed: 403,
  LinkedAuthorizationFailed: 403,
  ResourceNotFound: 404,
  ResourceGroupNotFound: 404,
  SubscriptionNotFound: 404,
  NotFound: 404,
  OperationNotFound: 404,
  InvalidResourceNamespace: 404,
  InvalidResourceType: 404,
  MethodNotAllowed: 405,
  AnotherOperationInProgress: 409,
  Conflict: 409,
  InvalidResourceLocation: 409,
  OperationNotAllowed: 409,
  OperationPreempted: 409,
  ScopeLocked: 409,
  PreconditionFailed: 412,
  OperationRequestsThrottled: 429,
  ResourceRequestsThrottled: 429,
  RetryableError: 429,
  RetryableErrorDueToAnotherOperation: 429,
  ReferencedResourceNotProvisioned: 429,
  SubscriptionRequestsThrottled: 429,
  TooManyRequests: 429,
  InternalServerError: 500,
  InternalExecutionError: 500,
  BadGateway: 502,
  ServerTimeout: 503,
  ServiceUnavailable: 503,
  GatewayTimeout: 504,
}

/** More configurations than a NIC or machine may have. Not seen in public; named like others. */
export const configLimitCode = 'NetworkInterfaceIPConfigurationCountLimitReached'

/**
 * No free aligned block although addresses are free, as a detail: no public text shows what Azure
 * says then, and a code that clients cannot know would test nothing.
 */
export const fragmentedCode = 'SubnetHasNoContiguousCapacity'

/** The body of an error answer. */
export const errorBody = (error: Pick<ArmError, 'code' | 'message' | 'details'>): JsonObject => ({
  error: { code: error.code, message: error.message, details: error.details },
})

/** How the ids of refused things are written. */
export interface ReasonContext {
  /** ARM id of the configuration or NIC that the call is about. */
  readonly about: string
  readonly count: number
  readonly subnet: { readonly id: string; readonly prefix: string }
  /** ARM id of what holds an address; undefined: Azure itself. */
  readonly holderOf: (address: string) => string | undefined
}

/** The ARM error for a refusal of the model. */
export const armError = (reason: Reason, context: ReasonContext): ArmError => {
  const [code, message] = render(reason, context)
  const isBroken = reason.kind === 'subnetFragmented'
  const details = isBroken ? [{ code: fragmentedCode, message, target: context.subnet.id }] : []
  return new ArmError(code, message, { details })
}

type Sentence = readonly [code: string, message: string]

const render = (reason: Reason, context: ReasonContext): Sentence => {
  const { about, subnet } = context
  switch (reason.kind) {
    case 'subnetExhausted':
      return [
        'SubnetIsFull',
        `Subnet ${subnet.id} with address prefix ${subnet.prefix} does not have enough capacity ` +
          `for ${context.count} IP addresses.`,
      ]
    case 'subnetFragmented':
      return [
        'SubnetIsFull',
        `Subnet ${subnet.id} with address prefix ${subnet.prefix} does not have enough ` +
          'contiguous capacity for the requested IP address prefixes.',
      ]
    case 'addressTaken':
      return taken(reason.address, context)
    case 'addressOutside':
      return [
        'PrivateIPAddressNotInSubnet',
        `Private static IP address ${reason.address} does not belong to the range of subnet ` +
          `prefix ${subnet.prefix}.`,
      ]
    case 'familyMissing':
      return [
        'SubnetDoesNotHaveIPv6AddressPrefix',
        `IP configuration ${about} is IPv6, but subnet ${subnet.id} has no IPv6 address prefix.`,
      ]
    case 'nicQuotaExceeded':
      return [
        'NetworkInterfaceCountLimitReached',
        `Cannot create more than ${reason.nicsMax} network interfaces for this subscription in ` +
          'this region.',
      ]
    case 'slotsExceeded':
    case 'instanceSlotsExceeded':
      return [
        configLimitCode,
        `${about} cannot have more than ${reason.slotsMax} IP configurations.`,
      ]
    case 'notFound':
      return missing(reason.thing, reason.ids)
    case 'nicsExceeded':
      return [
        'NetworkInterfaceCountExceeded',
        `The number of network interfaces for virtual machine ${about} exceeds the maximum ` +
          `allowed for the virtual machine size ${reason.type}. The number of network interfaces ` +
          `is ${reason.count}.`,
      ]
    case 'tagsExceeded':
      return ['TooManyTags', `${about} cannot have more than ${reason.tagsMax} tags.`]
    case 'hotPlugUnsupported':
      return [
        'AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported',
        `Virtual machine ${about} must be stop-deallocated before its network interfaces can be ` +
          'added or deleted.',
      ]
    // No call of this face can meet these.
    case 'addressMissing':
    case 'addressPrimary':
    case 'cardMissing':
    case 'deviceIndexTaken':
    case 'groupsExceeded':
    case 'instanceState':
    case 'nicAttached':
    case 'nicBusy':
    case 'prefixesUnsupported':
    case 'primaryNic':
    case 'vpcDiffers':
    case 'zoneDiffers':
      return ['OperationNotAllowed', `${about}: the operation is not allowed (${reason.kind}).`]
  }
}

const taken = (address: string, { about, holderOf }: ReasonContext): Sentence => {
  const holder = holderOf(address)
  if (holder !== undefined) {
    return [
      'PrivateIPAddressIsAllocated',
      `IP configuration ${about} is using the private IP address ${address} which is already ` +
        `allocated to resource ${holder}.`,
    ]
  }
  return [
    'PrivateIPAddressInReservedRange',
    `Private static IP address ${address} falls within reserved IP range of subnet prefix.`,
  ]
}

const missing = (thing: ThingKind, ids: readonly string[]): Sentence =>
  thing === 'type'
    ? ['InvalidParameter', `The value '${ids[0]}' provided for the VM size is not valid.`]
    : ['ResourceNotFound', `The Resource '${ids.join(', ')}' was not found.`]

/** A resource that does not exist. */
export const resourceNotFound = (type: string, name: string, group: string): ArmError =>
  new ArmError(
    'ResourceNotFound',
    `The Resource '${type}/${name}' under resource group '${group}' was not found. For more ` +
      'details please go to https://aka.ms/ARMResourceNotFoundFix',
  )

/** Something that a resource refers to does not exist. */
export const invalidReference = (id: string, by: string): ArmError =>
  new ArmError(
    'InvalidResourceReference',
    `Resource ${id} referenced by resource ${by} was not found. Please make sure that the ` +
      'referenced resource exists, and that both resources are in the same region.',
  )

/** Another operation holds the resource: a lock, not a rate limit. */
export const lockedByAnother = (id: string, seconds: number): ArmError =>
  new ArmError('RetryableError', 'A retryable error occurred.', {
    headers: { 'retry-after': String(seconds) },
    details: [
      {
        code: 'RetryableErrorDueToAnotherOperation',
        message:
          `Operation PutNicOperation is updating resource ${id}. ` +
          `The call can be retried in ${seconds} seconds.`,
      },
    ],
  })
