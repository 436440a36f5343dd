// Signature version 3 as the server sees it: who signed, with a known key, in time, only once, and
// (when the key's secret is known) correctly. OpenAPI guide, "V3 request syntax and signature".
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { WireCall } from '#emulator/wire/answer.ts'
import type { AccessKey, KeyRing } from '#emulator/wire/keys.ts'
import { canonicalRequest, sha256 } from '#emulator/wire/signature.ts'
import { ApiError, missingParameter } from './errors.ts'

/** A clock that is off by more than this is refused. */
const skewMaxMs = 15 * 60_000

/** Nonces are remembered for as long as a request that carries one could still be in time. */
const nonceLifeMs = 2 * skewMaxMs

const algorithm = 'ACS3-HMAC-SHA256'

/** The caller's key, or the error that its absence deserves. */
export type Authenticate = (request: WireCall, now: number) => AccessKey

/** Remembers the nonces that it has seen. */
export const createAuthenticate = (keys: KeyRing): Authenticate => {
  const nonces = new Map<string, number>()
  return (request, now) => {
    const signature = parse(header(request, 'authorization'))
    const key = keys.find(signature.accessKeyId)
    if (key === undefined) {
      throw new ApiError('InvalidAccessKeyId.NotFound', 'Specified access key is not found.')
    }
    checkDate(request, now)
    checkToken(request, key, now)
    if (key.secret !== undefined) verify(request, signature, key.secret)
    useNonce(nonces, `${key.accessKeyId}/${required(request, 'x-acs-signature-nonce')}`, now)
    return key
  }
}

interface Signature {
  readonly accessKeyId: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

const form = new RegExp(
  [
    String.raw`^${algorithm} Credential=([\w.]+)`,
    String.raw`SignedHeaders=([\w;-]+)`,
    String.raw`Signature=([0-9a-f]{64})$`,
  ].join(', *'),
)

const parse = (authorization: string): Signature => {
  if (authorization === '') throw missingParameter('AccessKeyId')
  const match = form.exec(authorization)
  if (match === null) {
    throw new ApiError(
      'IncompleteSignature',
      'The request signature does not conform to standards.',
    )
  }
  const [, accessKeyId = '', headers = '', signature = ''] = match
  return { accessKeyId, signedHeaders: headers.split(';'), signature }
}

const checkDate = (request: WireCall, now: number): void => {
  const text = required(request, 'x-acs-date')
  const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(date)) {
    throw new ApiError(
      'InvalidTimeStamp.Format',
      'Specified time stamp or date value is not well formatted.',
    )
  }
  if (!(Math.abs(now - date) <= skewMaxMs)) {
    throw new ApiError('InvalidTimeStamp.Expired', 'Specified time stamp or date value is expired.')
  }
}

const checkToken = (request: WireCall, key: AccessKey, now: number): void => {
  if (key.sessionToken === undefined) return
  const token = header(request, 'x-acs-security-token')
  if (token === '') {
    throw new ApiError('MissingSecurityToken', 'SecurityToken is mandatory for this action.')
  }
  if (token !== key.sessionToken) {
    throw new ApiError(
      'InvalidSecurityToken.MismatchWithAccessKey',
      'Specified SecurityToken mismatch with the AccessKey.',
    )
  }
  if (key.expiresAt !== undefined && now >= key.expiresAt) {
    throw new ApiError('InvalidSecurityToken.Expired', 'Specified SecurityToken is expired.')
  }
}

const verify = (request: WireCall, signature: Signature, secret: string): void => {
  const [path = '/', query = ''] = request.url.split('?', 2)
  const canonical = canonicalRequest(request, {
    path,
    query: canonicalQuery(query),
    signedHeaders: signature.signedHeaders,
    valueOf: name => header(request, name),
  })
  const toSign = `${algorithm}\n${sha256(canonical)}`
  const expected = createHmac('sha256', secret).update(toSign).digest()
  const isRight =
    required(request, 'x-acs-content-sha256') === sha256(request.body) &&
    isComplete(request, signature) &&
    timingSafeEqual(expected, Buffer.from(signature.signature, 'hex'))
  if (!isRight) throw mismatch(toSign)
}

// A header that could be changed on the way without the signature noticing is refused.
const isComplete = (request: WireCall, { signedHeaders }: Signature): boolean =>
  ['host', ...Object.keys(request.headers).filter(name => name.startsWith('x-acs-'))].every(name =>
    signedHeaders.includes(name),
  )

// Decoded and encoded again: what counts is the value, not how the client wrote it.
const canonicalQuery = (query: string): string =>
  [...new URLSearchParams(query)]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')

/** RFC 3986: all but letters, digits and -_.~ is escaped. */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )

const useNonce = (nonces: Map<string, number>, nonce: string, now: number): void => {
  for (const [old, at] of nonces) {
    // Insertion order is order of age.
    if (now - at < nonceLifeMs) break
    nonces.delete(old)
  }
  if (nonces.has(nonce)) {
    throw new ApiError('SignatureNonceUsed', 'Specified signature nonce was used already.')
  }
  nonces.set(nonce, now)
}

const required = (request: WireCall, name: string): string => {
  const value = header(request, name)
  if (value === '') throw missingParameter(name)
  return value
}

const header = (request: WireCall, name: string): string =>
  String(request.headers[name] ?? '').trim()

const mismatch = (toSign: string): ApiError =>
  new ApiError(
    'SignatureDoesNotMatch',
    'Specified signature is not matched with our calculation. server string to sign is:' +
      toSign.replaceAll('\n', '%0A'),
  )
