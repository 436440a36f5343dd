import { describe, expect, test } from 'vitest'
import type { FailureKind } from '#core/ports.ts'
import type { Site } from '../common/failures.ts'
import { failureOf } from './failures.ts'

type Extras = Readonly<Record<string, unknown>>

const site = (call = 'AssignPrivateIpAddresses'): Site => ({ call, on: 'NIC eni-1', isRead: false })
const refused = (
  code: string,
  status = 400,
  { message = 'The words of EC2.', ...extras }: Extras & { readonly message?: string } = {},
) =>
  Object.assign(new Error(message), {
    name: code,
    $fault: status < 500 ? 'client' : 'server',
    $metadata: { httpStatusCode: status },
    ...extras,
  })
const broken = (extras: Extras, message = 'it broke') => Object.assign(new Error(message), extras)

const check = (error: Error, want: string, where = site()) => {
  const { kind, ambiguous, code } = failureOf(where, error)
  expect(`${code}: ${kind}${ambiguous ? ', ambiguous' : ''}`).toBe(want)
}

describe('codes', () => {
  const codes: Readonly<Record<string, readonly (readonly [code: string, status: number])[]>> = {
    throttled: [
      ['RequestLimitExceeded', 503],
      ['Throttling', 400],
      ['EC2ThrottledException', 400],
      ['SlowDown', 503],
      ['SomethingThrottled', 400],
      ['Unknown', 429],
    ],
    exhausted: [['InsufficientFreeAddressesInSubnet', 400]],
    fragmented: [['InsufficientCidrBlocks', 400]],
    limit: [
      ['PrivateIpAddressLimitExceeded', 400],
      ['AttachmentLimitExceeded', 400],
      ['NetworkInterfaceLimitExceeded', 400],
      ['SecurityGroupsPerInterfaceLimitExceeded', 400],
      ['TagLimitExceeded', 400],
      ['VpcLimitExceeded', 400],
    ],
    conflict: [
      ['InvalidNetworkInterface.InUse', 400],
      ['InvalidIPAddress.InUse', 400],
      ['Resource.AlreadyAssigned', 400],
      ['IdempotentParameterMismatch', 400],
      ['IncorrectState', 400],
    ],
    notFound: [
      ['InvalidNetworkInterfaceID.NotFound', 400],
      ['InvalidAttachmentID.NotFound', 400],
      ['InvalidNetworkInterfaceAttachmentId.Malformed', 400],
      ['InvalidSubnetID.NotFound', 400],
      ['InvalidSecurityGroupID.NotFound', 400],
      ['InvalidGroup.NotFound', 400],
      ['InvalidInstanceID.NotFound', 400],
      ['InvalidRouteTableID.NotFound', 400],
    ],
    denied: [
      ['UnauthorizedOperation', 403],
      ['AuthFailure', 401],
      ['SignatureDoesNotMatch', 403],
      ['RequestExpired', 400],
      ['DryRunOperation', 412],
      ['OperationNotPermitted', 400],
      ['InvalidParameterValue', 400],
      ['InvalidParameterCombination', 400],
      ['MissingParameter', 400],
      ['InvalidNextToken', 400],
      ['InvalidMaxResults', 400],
      ['InvalidSubnetID.Malformed', 400],
      ['SomethingNobodyHasSeen', 400],
    ],
  }
  const rows = Object.entries(codes).flatMap(([kind, list]) =>
    list.map(([code, status]) => ({ code, status, kind: kind as FailureKind })),
  )

  test.each(rows)('$code ($status) is $kind and certain', ({ code, status, kind }) => {
    const failure = failureOf(site(), refused(code, status))
    expect(failure).toMatchObject({ kind, ambiguous: false })
  })

  test.each(['InternalError', 'InternalFailure', 'Unavailable', 'ServiceUnavailable', 'NewError'])(
    '%s is transient and may have taken effect',
    code => check(refused(code, 503), `${code}: transient, ambiguous`),
  )

  test('what is read cannot have taken effect', () =>
    check(refused('InternalError', 500), 'InternalError: transient', {
      ...site('DescribeSubnets'),
      isRead: true,
    }))
})

describe('codes that mean another thing in another call', () => {
  const rows = [
    [
      'CreateNetworkInterface',
      'InvalidParameterValue',
      "There aren't sufficient free Ipv4 addresses or prefixes",
      'fragmented',
    ],
    [
      'AssignPrivateIpAddresses',
      'InvalidParameterValue',
      "There aren't sufficient free Ipv4 addresses or prefixes",
      'fragmented',
    ],
    [
      'AttachNetworkInterface',
      'InvalidParameterValue',
      "Instance 'i-1' already has an interface attached at device index '1'.",
      'conflict',
    ],
    [
      'DeleteNetworkInterface',
      'InvalidParameterValue',
      "Network interface 'eni-1' is currently in use.",
      'transient',
    ],
    [
      'DeleteNetworkInterface',
      'InvalidNetworkInterface.InUse',
      'Interface: [eni-1] in use.',
      'transient',
    ],
  ] as const
  test.each(rows)('%s: %s "%s" is %s', (...[call, code, text, kind]) =>
    expect(failureOf(site(call), refused(code, 400, { message: text }))).toMatchObject({
      kind,
      ambiguous: false,
    }),
  )
})

describe('mishaps on the way', () => {
  const meta = { $metadata: { attempts: 1 } }
  const answered = (httpStatusCode: number) => ({ $metadata: { httpStatusCode } })

  // Members as measured with the installed SDK against a server that misbehaves.
  test.each([
    [
      'a reset',
      { name: 'TimeoutError', code: 'ECONNRESET', syscall: 'read', ...meta },
      'ECONNRESET: transient, ambiguous',
    ],
    [
      'a time-out',
      { name: 'TimeoutError', code: 'ETIMEDOUT', ...meta },
      'ETIMEDOUT: transient, ambiguous',
    ],
    [
      'an idle socket',
      { name: 'TimeoutError', ...answered(200) },
      'ETIMEDOUT: transient, ambiguous',
    ],
    ['a cut body', { code: 'ECONNRESET', ...answered(200) }, 'ECONNRESET: transient, ambiguous'],
    ['malformed XML', answered(200), 'MalformedResponse: transient, ambiguous'],
    ['a proxy’s page', { name: 'Unknown', ...answered(502) }, 'HTTP 502: transient, ambiguous'],
    ['a proxy’s refusal', { name: 'Unknown', ...answered(407) }, 'HTTP 407: denied'],
    [
      'no listener',
      { code: 'ECONNREFUSED', syscall: 'connect', ...meta },
      'ECONNREFUSED: transient',
    ],
    ['no route', { code: 'EHOSTUNREACH', syscall: 'connect', ...meta }, 'EHOSTUNREACH: transient'],
    ['no name', { code: 'EAI_AGAIN', syscall: 'getaddrinfo', ...meta }, 'EAI_AGAIN: transient'],
    ['an abort', { name: 'AbortError' }, 'Aborted: transient, ambiguous'],
    ['no credentials', { name: 'CredentialsProviderError' }, 'CredentialsProviderError: denied'],
  ] as const)('%s', (...[, extras, want]) => check(broken(extras), want))

  test('a bug of our own is not made a failure', () => {
    const bug = new TypeError('undefined is not a function')
    expect(() => failureOf(site(), bug)).toThrow(bug)
  })
})

describe('the message', () => {
  test('says what, where, why and what to do', () =>
    expect(failureOf(site(), refused('InsufficientFreeAddressesInSubnet')).message).toBe(
      'AssignPrivateIpAddresses on NIC eni-1 failed: The words of EC2. ' +
        '(InsufficientFreeAddressesInSubnet); add a subnet or lower the warm target',
    ))

  // EC2 appends an encoded text of some thousand characters.
  test('of a missing right names the action and stays short', () => {
    const message = `You are not authorized. Encoded authorization failure message: ${'x'.repeat(4000)}`
    const said = failureOf(site(), refused('UnauthorizedOperation', 403, { message })).message
    expect(said).toContain('allow ec2:AssignPrivateIpAddresses in the IAM policy')
    expect(said.length).toBeLessThan(600)
  })
})

test.each([
  [{ 'retry-after': '2' }, 2000],
  [{ 'x-amz-retry-after': '1500', 'retry-after': '9' }, 1500],
  [{ 'retry-after': 'soon' }, undefined],
  [{}, undefined],
] as const)('headers %j ask to wait %s ms', (headers, want) => {
  const error = refused('RequestLimitExceeded', 503, { $response: { headers } })
  expect(failureOf(site(), error).retryAfterMs).toBe(want)
})
