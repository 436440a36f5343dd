// The bearer token as ARM sees it: there, known, for this audience, in time.
import type { IncomingHttpHeaders } from 'node:http'
import { ArmError } from './errors.ts'
import type { Directory, Token } from './principals.ts'
import { authorizationUri } from './references.ts'

/** Names under which clients know ARM; its own address is added by `isAudience`. */
const audiences = [
  'https://management.azure.com',
  'https://management.core.windows.net',
  'https://management.usgovcloudapi.net',
  'https://management.chinacloudapi.cn',
]

/** True for a resource that tokens for ARM are asked for; `own` is ARM's own address. */
export const isAudience = (audience: string, own: string): boolean =>
  [...audiences, originOf(own)].includes(originOf(audience))

// Without a default port and in lower case.
const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url)

/** The caller's token, or the error that its absence deserves. */
export const authenticate = (
  headers: IncomingHttpHeaders,
  directory: Directory,
  at: { readonly now: number; readonly origin: string },
): Token => {
  const { authorization } = headers
  if (authorization === undefined || authorization === '') {
    throw challenge(
      'AuthenticationFailed',
      "Authentication failed. The 'Authorization' header is missing.",
    )
  }
  const text = /^bearer +(\S+)$/i.exec(authorization)?.[1]
  const token = text === undefined ? undefined : directory.token(text)
  if (token === undefined) {
    throw challenge('InvalidAuthenticationToken', 'The access token is invalid.')
  }
  if (!isAudience(token.audience, at.origin)) {
    throw challenge(
      'InvalidAuthenticationTokenAudience',
      'The access token has been obtained for wrong audience or resource ' +
        `'${token.audience}'. It should exactly match with one of the allowed audiences ` +
        `'${audiences.join("','")}'.`,
    )
  }
  if (at.now >= token.expiresAt) {
    throw challenge(
      'ExpiredAuthenticationToken',
      `The access token expiry UTC time '${utc(token.expiresAt)}' is earlier than current UTC ` +
        `time '${utc(at.now)}'.`,
    )
  }
  return token
}

const challenge = (code: string, message: string): ArmError =>
  new ArmError(code, message, {
    headers: {
      'www-authenticate':
        `Bearer authorization_uri="${authorizationUri}", error="invalid_token", ` +
        `error_description="${message.replaceAll('"', "'")}"`,
    },
  })

const utc = (ms: number): string => new Date(ms).toUTCString()
