import { describe, expect, test } from 'vitest'
import type { FailureKind } from '#core/ports.ts'
import type { Site } from '../common/failures.ts'
import { ArmError, CredentialError, failureOf } from './failures.ts'

const site: Site = { call: 'NetworkInterfaces_CreateOrUpdate', on: 'NIC nic-1', isRead: false }
const refused = (code: string, status: number | undefined, message = 'The words of Azure.') =>
  new ArmError({ code, message }, { status })
const broken = (extras: object) => Object.assign(new Error('it broke'), extras)

const check = (error: Error, want: string, where = site) => {
  const { kind, ambiguous, code } = failureOf(where, error)
  expect(`${code}: ${kind}${ambiguous ? ', ambiguous' : ''}`).toBe(want)
}

describe('codes', () => {
  const codes: Readonly<Record<string, readonly (readonly [code: string, status?: number])[]>> = {
    throttled: [
      ['TooManyRequests', 429],
      ['SubscriptionRequestsThrottled', 429],
      ['ResourceRequestsThrottled', 429],
      ['OperationNotAllowed', 429],
      ['SomethingThrottled', 400],
      ['NobodyHasSeenIt', 429],
    ],
    exhausted: [['SubnetIsFull', 400], ['SubnetIsFull']],
    limit: [
      ['QuotaExceeded', 409],
      ['NetworkInterfaceCountLimitReached', 400],
      ['NetworkInterfaceIPConfigurationCountLimitReached', 400],
      ['PublicIPCountLimitReached', 400],
    ],
    // Locks answer 409 and 429 alike; waiting for the quota to recover would be waiting in vain.
    conflict: [
      ['AnotherOperationInProgress', 409],
      ['AnotherOperationInProgress'],
      ['RetryableErrorDueToAnotherOperation', 429],
      ['RetryableError', 429],
      ['ReferencedResourceNotProvisioned', 429],
      ['OperationNotAllowed', 409],
      ['OperationPreempted', 409],
      ['CanceledAndSupersededDueToAnotherOperation', 429],
      ['PreconditionFailed', 412],
      ['PrivateIPAddressInUse', 400],
      ['Canceled'],
    ],
    notFound: [
      ['ResourceNotFound', 404],
      ['NotFound', 404],
      ['ResourceGroupNotFound', 404],
      ['ParentResourceNotFound', 404],
    ],
    denied: [
      ['AuthorizationFailed', 403],
      ['LinkedAuthorizationFailed', 403],
      ['InvalidAuthenticationToken', 401],
      ['ExpiredAuthenticationToken', 401],
      ['SubscriptionNotFound', 404],
      ['InvalidResourceReference', 400],
      ['PrivateIPAddressNotInSubnet', 400],
      ['SkuNotAvailable', 409],
      ['ScopeLocked', 409],
      ['RequestDisallowedByPolicy', 403],
      ['AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups', 400],
      ['NobodyHasSeenIt', 400],
      ['NobodyHasSeenIt'],
    ],
  }
  const rows = Object.entries(codes).flatMap(([kind, list]) =>
    list.map(([code, status]) => ({ code, status, kind: kind as FailureKind })),
  )
  test.each(rows)('$code ($status) is $kind and certain', ({ code, status, kind }) =>
    expect(failureOf(site, refused(code, status))).toMatchObject({ kind, ambiguous: false }),
  )

  test.each(['InternalServerError', 'ServiceUnavailable', 'GatewayTimeout', 'NobodyHasSeenIt'])(
    '%s is transient and may have taken effect',
    code => check(refused(code, 503), `${code}: transient, ambiguous`),
  )

  test('what is read cannot have taken effect', () =>
    check(refused('InternalServerError', 500), 'InternalServerError: transient', {
      ...site,
      isRead: true,
    }))
})

describe('codes that need a second look', () => {
  test('a quota is no lock, though it has the same code', () =>
    check(
      refused('OperationNotAllowed', 409, 'Operation results in exceeding approved Total quota.'),
      'OperationNotAllowed: limit',
    ))

  test('something that is referred to and missing is not the NIC missing', () =>
    check(
      refused('NotFound', 404, "Resource '/asg' referenced by resource '/nic' was not found."),
      'NotFound: denied',
    ))

  test('an inner code tells more than its wrapper', () => {
    const details = [{ code: 'RetryableErrorDueToAnotherOperation', message: 'PutNicOperation' }]
    const body = { code: 'RetryableError', message: 'A retryable error occurred.', details }
    const failure = failureOf(site, new ArmError(body, { status: 429, retryAfter: '10' }))
    expect(failure).toMatchObject({ kind: 'conflict', retryAfterMs: 10_000 })
    expect(failure.code).toBe('RetryableErrorDueToAnotherOperation')
    expect(failure.message).toContain('PutNicOperation')
  })

  test('Compute says that it throttles inside a code that says something else', () => {
    const details = [{ code: 'TooManyRequests', message: '{"operationGroup":"HighCostGet"}' }]
    const body = { code: 'OperationNotAllowed', message: 'The server rejected it.', details }
    check(new ArmError(body, { status: 429 }), 'TooManyRequests: throttled')
  })

  test('a body that goes round in circles is read once', () => {
    const body: { code: string; innererror?: unknown } = { code: 'Round' }
    body.innererror = body
    check(new ArmError(body, { status: 400 }), 'Round: denied')
  })
})

describe('mishaps on the way', () => {
  // Members as measured with the installed SDK against a server that misbehaves.
  test.each([
    ['a reset', { name: 'RestError', code: 'ECONNRESET' }, 'ECONNRESET: transient, ambiguous'],
    ['no listener', { name: 'RestError', code: 'ECONNREFUSED' }, 'ECONNREFUSED: transient'],
    ['no name', { name: 'RestError', code: 'EAI_AGAIN' }, 'EAI_AGAIN: transient'],
    ['a time-out', { code: 'ETIMEDOUT' }, 'ETIMEDOUT: transient, ambiguous'],
    [
      'a cut body',
      { name: 'RestError', code: 'PARSE_ERROR' },
      'MalformedResponse: transient, ambiguous',
    ],
    [
      'half an object after 400',
      { name: 'RestError', code: 'PARSE_ERROR', statusCode: 400 },
      'MalformedResponse: transient, ambiguous',
    ],
    ['an abort', { name: 'AbortError' }, 'Aborted: transient, ambiguous'],
  ] as const)('%s', (...[, extras, want]) => check(broken(extras), want))

  test('a proxy’s pages have their status for a code', () => {
    check(new ArmError(undefined, { status: 502 }), 'HTTP 502: transient, ambiguous')
    check(new ArmError(undefined, { status: 407 }), 'HTTP 407: denied')
    check(new ArmError(undefined, { status: 429 }), 'HTTP 429: throttled')
  })

  test('without a token nothing was sent', () => {
    check(new CredentialError('no answer', 'CredentialTrouble'), 'CredentialTrouble: transient')
    const none = new CredentialError('no identity', 'CredentialUnavailableError')
    check(none, 'CredentialUnavailableError: denied')
  })

  test('a bug of our own is not made a failure', () => {
    const bug = new TypeError('undefined is not a function')
    expect(() => failureOf(site, bug)).toThrow(bug)
  })
})

describe('the message', () => {
  const said = (code: string, text: string, status = 403) =>
    failureOf(site, refused(code, status, text)).message

  test('says what, where, why and what to do', () =>
    expect(said('SubnetIsFull', 'Subnet a is full.', 400)).toBe(
      'NetworkInterfaces_CreateOrUpdate on NIC nic-1 failed: Subnet a is full. (SubnetIsFull); ' +
        'widen the subnet or lower the warm target',
    ))

  // Sentences as Azure writes them.
  test('names the action that a role lacks, and its scope', () =>
    expect(
      said(
        'AuthorizationFailed',
        "The client '0-1' with object id '0-1' does not have authorization to perform action " +
          "'Microsoft.Network/networkInterfaces/write' over scope '/subscriptions/s/g' or the " +
          'scope is invalid. If access was recently granted, please refresh your credentials.',
      ),
    ).toContain(
      'give the identity of this node a role with Microsoft.Network/networkInterfaces/write on ' +
        '/subscriptions/s/g',
    ))

  test('names the action on what is joined, not the one that is allowed', () =>
    expect(
      said(
        'LinkedAuthorizationFailed',
        "The client '0-1' with object id '0-1' has permission to perform action " +
          "'Microsoft.Network/networkInterfaces/write' on scope '/nic'; however, it does not have " +
          'permission to perform action(s) ' +
          "'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) " +
          "'/subscriptions/s/subnets/a' (respectively) or the linked scope(s) are invalid.",
      ),
    ).toContain(
      'a role with Microsoft.Network/virtualNetworks/subnets/join/action on ' +
        '/subscriptions/s/subnets/a',
    ))

  test('blames the clock for a token that is not taken', () =>
    expect(said('ExpiredAuthenticationToken', 'The access token expiry is over.', 401)).toContain(
      'check the clock',
    ))

  test.each([
    ['a page', new ArmError(undefined, { status: 403 }), 'look for a proxy on the way'],
    ['half an answer', broken({ code: 'PARSE_ERROR' }), 'look for a proxy on the way'],
    ['another authority', broken({ code: 'SELF_SIGNED_CERT_IN_CHAIN' }), 'NODE_EXTRA_CA_CERTS'],
    ['a wrong clock', broken({ code: 'CERT_NOT_YET_VALID' }), 'check the clock'],
  ] as const)('suspects what stands between, after %s', (...[, error, advice]) =>
    expect(failureOf(site, error).message).toContain(advice),
  )

  test('stays short', () =>
    expect(said('InvalidParameter', 'x'.repeat(5000), 400).length).toBeLessThan(600))
})

test.each([
  ['2', 2000],
  ['soon', undefined],
  [undefined, undefined],
] as const)('Retry-After %s asks to wait %s ms', (retryAfter, want) => {
  const error = new ArmError({ code: 'TooManyRequests' }, { status: 429, retryAfter })
  expect(failureOf(site, error).retryAfterMs).toBe(want)
})
