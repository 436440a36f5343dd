// ClientToken: the same call again gets the first one's answer and does nothing; another call with
// the same token is refused. What failed is not remembered. ECS developer guide, "Ensure
// idempotence".
import { createHash } from 'node:crypto'
import type { CallContext, Members, Work } from './action.ts'
import { ApiError, invalidParameter } from './errors.ts'
import type { Params } from './params.ts'

const lengthMax = 64

/**
 * Makes work idempotent under the call's token, if it has one; `request` is all that it asks for.
 */
export const idempotent = (params: Params, request: unknown, work: Work): Work => {
  const token = params.text('ClientToken')
  if (token === undefined) return work
  if (!/^[\x20-\x7e]+$/.test(token) || token.length > lengthMax) {
    throw invalidParameter('ClientToken', `At most ${lengthMax} ASCII characters.`)
  }
  const fingerprint = createHash('sha256').update(JSON.stringify(request)).digest('hex')
  return context => once(context, { token, fingerprint }, work)
}

const once = (
  context: CallContext,
  { token, fingerprint }: { readonly token: string; readonly fingerprint: string },
  work: Work,
): Members => {
  const key = `${context.accountId}/${context.action}/${token}`
  const used = context.tokens.get(key)
  if (used === undefined) {
    const answer = work(context)
    context.tokens.set(key, { fingerprint, answer })
    return answer
  }
  if (used.fingerprint === fingerprint) return used.answer
  throw new ApiError(
    'IdempotentParameterMismatch',
    'Request uses a client token in a previous request but is not identical to that request.',
  )
}
