// The metadata service's own limits: five questions a second from a machine, twenty for tokens
// (Azure's metadata service page, "Rate limiting"; managed identities, "Retry guidance").

/** False when the machine asks too fast. */
export type MetadataThrottle = (
  question: { readonly instanceId: string; readonly kind: 'document' | 'token' },
  nowMs: number,
) => boolean

const perSecond = { document: 5, token: 20 } as const

/** `factor` scales both limits. */
export const createMetadataThrottle = (factor = 1): MetadataThrottle => {
  const buckets = new Map<string, { tokens: number; at: number }>()
  return ({ instanceId, kind }, now) => {
    const capacity = perSecond[kind] * factor
    const key = `${kind}/${instanceId}`
    const bucket = buckets.get(key) ?? { tokens: capacity, at: now }
    buckets.set(key, bucket)
    const passedMs = Math.max(0, now - bucket.at)
    bucket.tokens = Math.min(capacity, bucket.tokens + (passedMs * capacity) / 1000)
    bucket.at = now
    if (!(bucket.tokens >= 1)) return false
    bucket.tokens -= 1
    return true
  }
}
