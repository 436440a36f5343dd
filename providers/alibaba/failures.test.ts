import { describe, expect, test } from 'vitest'
import type { FailureKind } from '#core/ports.ts'
import type { Site } from '../common/failures.ts'
import { failureOf, ownFailure } from './failures.ts'

type Extras = Readonly<Record<string, unknown>>

const site = (call = 'AssignPrivateIpAddresses'): Site => ({ call, on: 'NIC eni-1', isRead: false })

// As the SDK throws it: status and request id around the cloud's words, the answer in `data`.
const refused = (code: string, statusCode = 403, extras: Extras = {}) =>
  Object.assign(new Error(`${code}: code: ${statusCode}, The words of ECS. request id: 1`), {
    name: statusCode < 500 ? 'ClientError' : 'ServerError',
    code,
    statusCode,
    data: { Code: code, Message: 'The words of ECS.', RequestId: '1' },
    accessDeniedDetail: null,
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
      ['Throttling', 400],
      ['Throttling.User', 400],
      ['Throttling.Api', 503],
      ['Throttling.Anything.New', 400],
      ['undefined', 429],
    ],
    exhausted: [['InvalidVSwitchId.IpNotEnough', 403]],
    limit: [
      ['EniPerInstanceLimitExceeded', 403],
      ['InvalidOperation.Ipv4CountExceeded', 403],
      ['InvalidOperation.Ipv6CountExceeded', 403],
      ['MaxEniCountExceeded', 403],
      ['MaxEniIpv6IpsCountExceeded', 403],
      ['SecurityGroupInstanceLimitExceed', 403],
      ['QuotaExceeded.PrivateIpAddress', 403],
      ['QuotaExceeded.Eni', 400],
      ['QuotaExceed.Tags', 403],
    ],
    conflict: [
      ['InvalidOperation.InvalidEniState', 400],
      ['InvalidOperation.InvalidEcsState', 400],
      ['InvalidIp.IpUnassigned', 403],
      ['InvalidIp.IpAssigned', 403],
      ['IdempotentParameterMismatch', 400],
      ['IdempotentFailed', 400],
      ['Operation.Conflict', 403],
    ],
    notFound: [
      ['InvalidEniId.NotFound', 404],
      ['InvalidEcsId.NotFound', 404],
      ['InvalidInstanceId.NotFound', 404],
      ['InvalidVSwitchId.NotFound', 404],
      ['InvalidSecurityGroupId.NotFound', 404],
    ],
    denied: [
      ['Forbidden.RAM', 403],
      ['Forbidden.SubUser', 403],
      ['Forbidden.RegionId', 400],
      ['NoPermission', 403],
      ['InvalidAccessKeyId.NotFound', 404],
      ['Abs.InvalidAccount.NotFound', 403],
      ['InvalidTimeStamp.Expired', 400],
      ['SignatureDoesNotMatch', 400],
      ['IncompleteSignature', 400],
      ['InvalidSecurityToken.Expired', 400],
      ['InvalidParameter', 400],
      ['MissingParameter.RegionId', 400],
      ['InvalidAction.NotFound', 404],
      ['InvalidOperation.DetachPrimaryEniNotAllowed', 400],
      ['InvalidOperation.AvailabilityZoneMismatch', 403],
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

  test.each(['InternalError', 'ServiceUnavailable', 'RequestTimeout', 'NewError'])(
    '%s is transient and may have taken effect',
    code => check(refused(code, 503), `${code}: transient, ambiguous`),
  )

  test('a token that is being worked on is transient and certain', () =>
    check(refused('LastTokenProcessing'), 'LastTokenProcessing: transient'))

  // The same signed request has arrived before: something sent it twice.
  test('a nonce that was used is ambiguous', () =>
    check(refused('SignatureNonceUsed', 400), 'SignatureNonceUsed: transient, ambiguous'))

  test('a NIC that is not free yet is deleted a moment later', () =>
    check(
      refused('InvalidOperation.InvalidEniState', 400),
      'InvalidOperation.InvalidEniState: transient',
      site('DeleteNetworkInterface'),
    ))

  test('what is read cannot have taken effect', () =>
    check(refused('InternalError', 500), 'InternalError: transient', {
      ...site('DescribeVSwitches'),
      isRead: true,
    }))
})

describe('mishaps on the way', () => {
  // Members as measured with the installed SDK against a server that misbehaves.
  test.each([
    ['a reset', { code: 'ECONNRESET', syscall: 'read' }, 'ECONNRESET: transient, ambiguous'],
    ['the SDK’s time-out', { name: 'RequestTimeoutError' }, 'ETIMEDOUT: transient, ambiguous'],
    ['our own', { code: 'ETIMEDOUT' }, 'ETIMEDOUT: transient, ambiguous'],
    ['no listener', { code: 'ECONNREFUSED', syscall: 'connect' }, 'ECONNREFUSED: transient'],
    ['no route', { code: 'EHOSTUNREACH', syscall: 'connect' }, 'EHOSTUNREACH: transient'],
    ['no name', { code: 'EAI_AGAIN', syscall: 'getaddrinfo' }, 'EAI_AGAIN: transient'],
    ['an abort', { name: 'AbortError' }, 'Aborted: transient, ambiguous'],
    ['no code', { code: 'undefined', statusCode: 407 }, 'HTTP 407: denied'],
    [
      'no code from a server',
      { code: 'undefined', statusCode: 502 },
      'HTTP 502: transient, ambiguous',
    ],
  ] as const)('%s', (...[, extras, want]) => check(broken(extras), want))

  test('a page or half an answer, which the SDK cannot parse', () =>
    check(new SyntaxError('Unexpected token <'), 'MalformedResponse: transient, ambiguous'))

  test('a bug of our own is not made a failure', () => {
    const bug = new TypeError('undefined is not a function')
    expect(() => failureOf(site(), bug)).toThrow(bug)
  })
})

describe('the message', () => {
  const said = (error: Error, where = site()) => failureOf(where, error).message

  test('says what, where, why and what to do', () =>
    expect(said(refused('InvalidVSwitchId.IpNotEnough'))).toBe(
      'AssignPrivateIpAddresses on NIC eni-1 failed: The words of ECS. ' +
        '(InvalidVSwitchId.IpNotEnough); add a vSwitch or lower the warm target',
    ))

  test('of a missing right names action and role', () =>
    expect(said(refused('Forbidden.RAM', 403, { principal: 'RAM role eniway-node' }))).toContain(
      'allow ecs:AssignPrivateIpAddresses in the RAM policy of RAM role eniway-node',
    ))

  test('of a missing right about vSwitches names the other product', () =>
    expect(said(refused('NoPermission'), site('DescribeVSwitches'))).toContain(
      'allow vpc:DescribeVSwitches in the RAM policy of these credentials',
    ))

  test('takes the action that the cloud names', () => {
    const accessDeniedDetail = { AuthAction: 'ecs:AssignIps', AuthPrincipalType: 'AssumedRoleUser' }
    expect(said(refused('Forbidden.RAM', 403, { accessDeniedDetail }))).toContain(
      'allow ecs:AssignIps in',
    )
  })

  test.each(['InvalidTimeStamp.Expired', 'SignatureDoesNotMatch', 'InvalidSecurityToken.Expired'])(
    'of %s points at the clock',
    code => expect(said(refused(code, 400))).toContain('check the clock of this machine'),
  )

  test('of a broken connection leaves the signed URL out', () => {
    const text = 'socket hang upPOST http://ecs.aliyuncs.com/?RegionId=x&Tag.1.Key=y failed.'
    expect(said(broken({ code: 'ECONNRESET' }, text))).toContain(
      'failed: socket hang up (ECONNRESET); eniway looks again',
    )
  })

  test('of a page instead of an answer names proxies', () =>
    expect(said(new SyntaxError('Unexpected token <'))).toContain(
      'failed: the answer is no JSON: Unexpected token < (MalformedResponse); look for a proxy',
    ))

  test('of an unknown key says which one it was', () => {
    const principal = 'the owner of AccessKey LTAI1'
    expect(said(refused('InvalidAccessKeyId.NotFound', 404, { principal }))).toMatch(
      /; check the AccessKey pair, .*: this was the owner of AccessKey LTAI1$/,
    )
  })

  test('of our own failures has advice too', () => {
    const what = { kind: 'denied', code: 'NoSubnet', text: 'none' } as const
    expect(ownFailure(site(), what).message).toContain('tag a vSwitch of this zone')
  })
})

test.each([
  [700, 700],
  [-1, undefined],
  [undefined, undefined],
] as const)('retryAfter %s asks to wait %s ms', (retryAfter, want) => {
  const error = refused('Throttling.User', 400, { retryAfter })
  expect(failureOf(site(), error).retryAfterMs).toBe(want)
})
