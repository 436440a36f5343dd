// Signatures that others calculated: the published example of the V3 signature, and one with
// awkward characters and a security token from a few lines of Python. What is changed afterwards is
// refused.
import { expect, test } from 'vitest'
import { chanceOf } from '#emulator/model/chance.ts'
import type { WireCall } from '#emulator/wire/answer.ts'
import type { AccessKey } from '#emulator/wire/keys.ts'
import { createAuthenticate } from './auth.ts'
import { ApiError } from './errors.ts'
import { createKeyRing } from './keys.ts'

const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const key = (accessKeyId: string, secret: string, more: Partial<AccessKey> = {}): AccessKey => ({
  accessKeyId,
  secret,
  accountId: '1',
  sessionToken: undefined,
  expiresAt: undefined,
  deniedActions: [],
  role: undefined,
  ...more,
})

const at = Date.parse('2026-01-01T00:00:00Z')

const keys = [
  key('YourAccessKeyId', 'YourAccessKeySecret'),
  key('STS.KEY', 's3cret/+=', { sessionToken: 'tok==', expiresAt: at + 3600_000 }),
]

const credential = (id: string, headers: string, signature: string): string =>
  `ACS3-HMAC-SHA256 Credential=${id},SignedHeaders=${headers},Signature=${signature}`

const published: WireCall = {
  method: 'POST',
  url: '/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd',
  body: '',
  headers: {
    host: 'ecs.cn-shanghai.aliyuncs.com',
    'x-acs-action': 'RunInstances',
    'x-acs-version': '2014-05-26',
    'x-acs-date': '2023-10-26T10:22:32Z',
    'x-acs-signature-nonce': '3156853299f313e23d1673dc12e1703d',
    'x-acs-content-sha256': emptyHash,
    authorization: credential(
      'YourAccessKeyId',
      'host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version',
      '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0',
    ),
  },
}

const awkward: WireCall = {
  method: 'POST',
  // Out of order, and with a plus for the space: what counts is the value.
  url:
    "/?Tag.2.Key=a+b*~'!()%2B%2F%3D%26&Tag.10.Key=b&RegionId=cn-hangzhou" +
    '&Description=%E4%B8%AD%E6%96%87%20%C3%BC',
  body: '',
  headers: {
    host: 'ecs.example',
    'x-acs-accesskey-id': 'STS.KEY',
    'x-acs-action': 'AssignIpv6Addresses',
    'x-acs-version': '2014-05-26',
    'x-acs-date': '2026-01-01T00:00:00Z',
    'x-acs-signature-nonce': 'n-1',
    'x-acs-security-token': 'tok==',
    'x-acs-content-sha256': emptyHash,
    authorization: credential(
      'STS.KEY',
      'host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;' +
        'x-acs-security-token;x-acs-signature-nonce;x-acs-version',
      '1db63706b5a290f993aebb044208cac7198b312fd64da43373f4203fb556ce92',
    ),
  },
}

const publishedAt = Date.parse('2023-10-26T10:22:32Z')

const resultOf = (act: () => AccessKey): string => {
  try {
    return act().accessKeyId
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return `${error.status} ${error.code}`
  }
}

const fresh = () => createAuthenticate(createKeyRing(chanceOf(1), keys))

const check = (request: WireCall, now: number, want: string): void =>
  expect(resultOf(() => fresh()(request, now))).toBe(want)

const changed = (request: WireCall, headers: Readonly<Record<string, string>>): WireCall => ({
  ...request,
  headers: { ...request.headers, ...headers },
})

test('the published example, and one with a token and characters that clients escape', () => {
  check(published, publishedAt, 'YourAccessKeyId')
  check(awkward, at, 'STS.KEY')
})

test('whatever was changed on the way does not match', () => {
  const mismatch = '400 SignatureDoesNotMatch'
  check({ ...published, method: 'GET' }, publishedAt, mismatch)
  check({ ...published, url: published.url.replace('RegionId', 'ZoneId') }, publishedAt, mismatch)
  check({ ...published, body: 'a=b' }, publishedAt, mismatch)
  check(changed(published, { host: 'other' }), publishedAt, mismatch)
  check(changed(published, { 'x-acs-action': 'DeleteInstance' }), publishedAt, mismatch)
  // A header that the signature does not cover.
  check(changed(published, { 'x-acs-extra': '1' }), publishedAt, mismatch)
})

test('who calls', () => {
  check(changed(published, { authorization: '' }), publishedAt, '400 MissingParameter')
  check(
    changed(published, { authorization: 'AWS4 nonsense' }),
    publishedAt,
    '400 IncompleteSignature',
  )
  const other = String(published.headers.authorization).replace('YourAccessKeyId', 'LTAIOTHER')
  check(
    changed(published, { authorization: other }),
    publishedAt,
    '404 InvalidAccessKeyId.NotFound',
  )
})

test('a clock is 15 minutes off at most, in either direction', () => {
  const minutes = (count: number): number => publishedAt + count * 60_000
  check(published, minutes(15), 'YourAccessKeyId')
  check(published, minutes(-15), 'YourAccessKeyId')
  check(published, minutes(15) + 1, '400 InvalidTimeStamp.Expired')
  check(published, minutes(-15) - 1, '400 InvalidTimeStamp.Expired')
  check(
    changed(published, { 'x-acs-date': 'yesterday' }),
    publishedAt,
    '400 InvalidTimeStamp.Format',
  )
})

test('a nonce is good for one request, until it could no longer be in time', () => {
  const authenticate = fresh()
  const send = (now: number): string => resultOf(() => authenticate(published, now))
  expect(send(publishedAt)).toBe('YourAccessKeyId')
  expect(send(publishedAt + 15 * 60_000)).toBe('400 SignatureNonceUsed')
  check(
    changed(published, { 'x-acs-signature-nonce': '' }),
    publishedAt,
    '400 SignatureDoesNotMatch',
  )
})

test('a security token belongs to its key and to its time', () => {
  const of = (token: string) => changed(awkward, { 'x-acs-security-token': token })
  check(of(''), at, '400 MissingSecurityToken')
  check(of('other'), at, '400 InvalidSecurityToken.MismatchWithAccessKey')
  const expired = createAuthenticate(
    createKeyRing(chanceOf(1), [
      key('STS.KEY', 's3cret/+=', { sessionToken: 'tok==', expiresAt: at }),
    ]),
  )
  expect(resultOf(() => expired(awkward, at))).toBe('400 InvalidSecurityToken.Expired')
})
