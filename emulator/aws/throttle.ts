// EC2's request rate limits: one token bucket per account and action, of the documented size.
import limits from '#emulator/data/ec2-api-limits.json' with { type: 'json' }

/** Tokens at most, and tokens per second. */
export interface BucketSize {
  readonly capacity: number
  readonly refill: number
}

/** What decides which bucket a call draws from. */
export interface ThrottledCall {
  readonly accountId: string
  readonly action: string
  /** Neither filtered nor paginated: such describes have a smaller bucket. */
  readonly isUnbounded: boolean
  /** Number of instances that are run or terminated; 0 for other calls. */
  readonly resources: number
}

/** Draws the call's tokens at the given time; false when it is over the limit. */
export type Throttle = (call: ThrottledCall, nowMs: number) => boolean

interface ActionLimit extends BucketSize {
  readonly resourceBucket?: BucketSize
}

const named = limits.actions as Readonly<Record<string, ActionLimit>>

/** Describes that have the smaller bucket when they are neither filtered nor paginated. */
const costlyWhenUnbounded = new Set([
  'DescribeInstances',
  'DescribeInstanceStatus',
  'DescribeNetworkInterfaces',
  'DescribeSecurityGroups',
])

/** The bucket that the documentation gives to a call. */
export const bucketSize = (call: Pick<ThrottledCall, 'action' | 'isUnbounded'>): BucketSize => {
  const own = Object.hasOwn(named, call.action) ? named[call.action] : undefined
  if (own !== undefined) return own
  if (!call.action.startsWith('Describe')) return limits.classes.mutating
  const isCostly = call.isUnbounded && costlyWhenUnbounded.has(call.action)
  return isCostly ? limits.classes.unfilteredUnpaginated : limits.classes.nonMutating
}

/** `factor` scales every bucket, for accounts whose limits were raised (or lowered). */
export const createThrottle = (factor = 1): Throttle => {
  const buckets = new Map<string, Bucket>()
  const bucket = (name: string, { capacity, refill }: BucketSize, now: number): Bucket => {
    const size = { capacity: capacity * factor, refill: refill * factor }
    const known = buckets.get(name) ?? { ...size, tokens: size.capacity, at: now }
    buckets.set(name, known)
    refillTo(known, now)
    return known
  }
  return (call, now) => {
    const size = bucketSize(call)
    const isUnbounded = call.isUnbounded && costlyWhenUnbounded.has(call.action)
    const name = `${call.accountId}/${call.action}${isUnbounded ? '/unbounded' : ''}`
    const requests = bucket(name, size, now)
    const { resourceBucket } = size as ActionLimit
    const resources = resourceBucket && bucket(`${name}/resources`, resourceBucket, now)
    if (!(requests.tokens >= 1)) return false
    if (resources !== undefined && !(resources.tokens >= call.resources)) return false
    requests.tokens -= 1
    if (resources !== undefined) resources.tokens -= call.resources
    return true
  }
}

interface Bucket extends BucketSize {
  tokens: number
  at: number
}

const refillTo = (bucket: Bucket, now: number): void => {
  const seconds = Math.max(0, now - bucket.at) / 1000
  bucket.tokens = Math.min(bucket.capacity, bucket.tokens + seconds * bucket.refill)
  bucket.at = now
}
