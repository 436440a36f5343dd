// Signature Version 4 as the server sees it: who signed, with a known key, in time, and (when the
// key's secret is known) correctly. AWS general reference, "Signing AWS API requests".
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { WireCall } from '#emulator/wire/answer.ts'
import type { AccessKey, KeyRing } from '#emulator/wire/keys.ts'
import { canonicalRequest, sha256 } from '#emulator/wire/signature.ts'
import { Ec2Error } from './errors.ts'

/** A clock that is off by more than this is refused. */
const skewMaxMs = 5 * 60_000

/** The caller's key, or the error that its absence deserves. */
export const authenticate = (request: WireCall, keys: KeyRing, now: number): AccessKey => {
  const signature = parse(request.headers.authorization)
  const key = signature && keys.find(signature.accessKeyId)
  if (signature === undefined || key === undefined) throw authFailure()
  const dateText = header(request, 'x-amz-date')
  const date = parseDate(dateText)
  if (date === undefined || !(Math.abs(now - date) <= skewMaxMs)) throw expired()
  if (key.expiresAt !== undefined && now >= key.expiresAt) throw expired()
  if (
    key.sessionToken !== undefined &&
    header(request, 'x-amz-security-token') !== key.sessionToken
  ) {
    throw authFailure()
  }
  if (key.secret !== undefined) verify(request, signature, key.secret)
  return key
}

interface Signature {
  readonly accessKeyId: string
  /** `date/region/service/aws4_request`. */
  readonly scope: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

const form = new RegExp(
  [
    String.raw`^AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/(\d{8}/[\w-]+/ec2/aws4_request)`,
    String.raw`SignedHeaders=([\w;-]+)`,
    String.raw`Signature=([0-9a-f]{64})$`,
  ].join(', *'),
)

const parse = (authorization: string | undefined): Signature | undefined => {
  const match = form.exec(authorization ?? '')
  if (match === null) return undefined
  const [, accessKeyId = '', scope = '', headers = '', signature = ''] = match
  return { accessKeyId, scope, signedHeaders: headers.split(';'), signature }
}

const parseDate = (text: string): number | undefined => {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number)
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

const verify = (request: WireCall, signature: Signature, secret: string): void => {
  // EC2's path is always `/`; a query would have to be sorted and encoded, and clients send none.
  const [path = '/', query = ''] = request.url.split('?', 2)
  const { signedHeaders } = signature
  const valueOf = (name: string): string => header(request, name)
  const canonical = canonicalRequest(request, { path, query, signedHeaders, valueOf })
  const toSign = [
    'AWS4-HMAC-SHA256',
    header(request, 'x-amz-date'),
    signature.scope,
    sha256(canonical),
  ].join('\n')
  const key = signature.scope
    .split('/')
    .reduce<Buffer>((previous, part) => hmac(previous, part), Buffer.from(`AWS4${secret}`))
  const expected = hmac(key, toSign)
  if (!timingSafeEqual(expected, Buffer.from(signature.signature, 'hex'))) throw mismatch()
}

const header = (request: WireCall, name: string): string =>
  String(request.headers[name] ?? '')
    .trim()
    .replaceAll(/ +/g, ' ')

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

const authFailure = (): Ec2Error =>
  new Ec2Error('AuthFailure', 'AWS was not able to validate the provided access credentials')

const expired = (): Ec2Error => new Ec2Error('RequestExpired', 'Request has expired.')

const mismatch = (): Ec2Error =>
  new Ec2Error(
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your ' +
      'AWS Secret Access Key and signing method. Consult the service documentation for details.',
  )
