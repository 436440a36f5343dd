// The session tokens of one metadata server: random, bound to an instance, and good for a while.
import type { World } from '#emulator/model/world.ts'

/** Tokens held per server; the oldest is forgotten first. */
const tokensMax = 10_000

/** Grants tokens and knows them again. */
export interface SessionTokens {
  readonly grant: (instanceId: string, ttlSeconds: number) => string
  /** True for a token of that instance that is in time. */
  readonly isGood: (instanceId: string, token: string) => boolean
}

export const createSessionTokens = ({ clock, chance }: World): SessionTokens => {
  const tokens = new Map<string, { readonly instanceId: string; readonly expiresAt: number }>()
  return {
    grant: (instanceId, ttlSeconds) => {
      const token = Buffer.from(chance.hex(`token/${instanceId}`, 60), 'hex').toString('base64')
      tokens.set(token, { instanceId, expiresAt: clock.now() + ttlSeconds * 1000 })
      const oldest = tokens.keys().next().value
      if (tokens.size > tokensMax && oldest !== undefined) tokens.delete(oldest)
      return token
    },
    isGood: (instanceId, text) => {
      const token = tokens.get(text)
      return token?.instanceId === instanceId && clock.now() < token.expiresAt
    },
  }
}
