// Azure's request limits: ARM's token buckets per caller and per subscription, the network
// provider's calls in five minutes, the compute provider's stricter ones. Who asks again before the
// time that was named waits anew.
import limits from '#emulator/data/azure-api-limits.json' with { type: 'json' }
import { ArmError } from './errors.ts'
import type { Route } from './routes.ts'

/** Draws the call's tokens, or refuses; gives the headers that tell what is left. */
export type Throttle = (
  call: Pick<Route, 'method' | 'provider' | 'type' | 'names' | 'id'> & {
    readonly subscriptionId: string
    readonly clientId: string
  },
  nowMs: number,
) => Readonly<Record<string, string>>

type Call = Parameters<Throttle>[0]
type Kind = 'read' | 'write' | 'delete'

/** `factor` scales every limit, for subscriptions whose limits were raised (or lowered). */
export const createThrottle = (factor = 1): Throttle => {
  const buckets = new Map<string, Bucket>()
  const bucket = ({ name, capacity, refillPerMs }: BucketSize): Bucket => {
    const size = { name, capacity: capacity * factor, refillPerMs: refillPerMs * factor }
    const known = buckets.get(name)
    const made = known ?? { ...size, tokens: size.capacity, at: 0, waitUntil: 0 }
    buckets.set(name, made)
    return made
  }
  return (call, now) => {
    const kind = kindOf(call.method)
    const all = [...armSizes(call, kind), ...providerSizes(call, kind)].map(size => ({
      size,
      bucket: bucket(size),
    }))
    for (const one of all) refillTo(one.bucket, now)
    const empty = all.find(one => now < one.bucket.waitUntil || !(one.bucket.tokens >= 1))
    if (empty !== undefined) throw refusal(call, empty, now)
    for (const one of all) one.bucket.tokens -= 1
    return headersOf(kind, all)
  }
}

interface BucketSize {
  readonly name: string
  readonly capacity: number
  readonly refillPerMs: number
}

interface Bucket extends BucketSize {
  tokens: number
  at: number
  /** Before this nothing is granted, whatever the tokens say. */
  waitUntil: number
}

interface Limit extends BucketSize {
  /** Who refuses. */
  readonly by: 'caller' | 'subscription' | 'network' | 'compute'
  /** The compute provider's name of the limit. */
  readonly label?: string
}

const kindOf = (method: string): Kind => {
  if (method === 'GET' || method === 'HEAD') return 'read'
  return method === 'DELETE' ? 'delete' : 'write'
}

const armSizes = (call: Call, kind: Kind): readonly Limit[] => {
  const { capacity, refillPerSecond } = limits.arm[kind]
  const refillPerMs = refillPerSecond / 1000
  const { subscriptionFactor: times } = limits.arm
  const scope = `arm/${call.subscriptionId}/${kind}`
  return [
    { by: 'caller', name: `${scope}/${call.clientId}`, capacity, refillPerMs },
    {
      by: 'subscription',
      name: scope,
      capacity: capacity * times,
      refillPerMs: refillPerMs * times,
    },
  ]
}

const providerSizes = (call: Call, kind: Kind): readonly Limit[] => {
  const isPolling = /locations\/operations$/i.test(call.type)
  if (call.provider === 'Microsoft.Network') return isPolling ? [] : [networkLimit(call, kind)]
  if (isPolling) return []
  return kind === 'read' ? [computeReads(call)] : computeWrites(call)
}

const networkLimit = (call: Call, kind: Kind): Limit => {
  const { windowSeconds, read, write } = limits.network
  const name = kind === 'read' ? 'read' : 'write'
  return perWindow('network', `network/${call.subscriptionId}/${name}`, {
    count: kind === 'read' ? read : write,
    seconds: windowSeconds,
  })
}

const computeReads = (call: Call): Limit => {
  const isSet = /^virtualmachinescalesets/i.test(call.type)
  const isList = call.type.split('/').length > call.names.length
  const setLabel = isList ? 'HighCostGetVMScaleSet3Min' : 'GetVMScaleSet3Min'
  const label = isSet ? setLabel : 'LowCostGet3Min'
  const count = limits.compute.reads[label]
  const seconds = limits.compute.readsWindowSeconds
  return {
    ...perWindow('compute', `compute/${call.subscriptionId}/${label}`, { count, seconds }),
    label,
  }
}

const computeWrites = (call: Call): readonly Limit[] => {
  const { writesPerMachine: machine, writesPerSubscription: all } = limits.compute
  const perMinute = (size: { capacity: number; refillPerMinute: number }) => ({
    by: 'compute' as const,
    capacity: size.capacity,
    refillPerMs: size.refillPerMinute / 60_000,
  })
  return [
    { ...perMinute(machine), name: `compute/${call.id.toLowerCase()}`, label: 'UpdateVMResource' },
    {
      ...perMinute(all),
      name: `compute/${call.subscriptionId}/write`,
      label: 'UpdateVMSubscription',
    },
  ]
}

// A window of five minutes with a count is a bucket that fills in five minutes.
const perWindow = (
  by: Limit['by'],
  name: string,
  { count, seconds }: { readonly count: number; readonly seconds: number },
): Limit => ({ by, name, capacity: count, refillPerMs: count / (seconds * 1000) })

const refillTo = (bucket: Bucket, now: number): void => {
  const passed = bucket.at === 0 ? 0 : Math.max(0, now - bucket.at)
  bucket.tokens = Math.min(bucket.capacity, bucket.tokens + passed * bucket.refillPerMs)
  bucket.at = now
}

/** Waits shorter than this are never named, since ARM speaks in whole seconds. */
const waitMinMs = 1000

const refusal = (
  call: Call,
  { size, bucket }: { readonly size: Limit; readonly bucket: Bucket },
  now: number,
): ArmError => {
  const missing = Math.max(0, 1 - bucket.tokens) / bucket.refillPerMs
  const seconds = Math.ceil(Math.max(waitMinMs, missing) / 1000)
  bucket.waitUntil = now + seconds * 1000
  const headers = { 'retry-after': String(seconds) }
  const operation = `${call.method}/${call.provider}/${call.type}`.toUpperCase()
  if (size.by === 'compute') {
    return new ArmError(
      'OperationNotAllowed',
      'The server rejected the request because too many requests have been received for this ' +
        'subscription.',
      {
        status: 429,
        headers,
        details: [{ code: 'TooManyRequests', target: size.label, message: operation }],
      },
    )
  }
  if (size.by === 'network') {
    return new ArmError(
      'TooManyRequests',
      `Number of requests for subscription '${call.subscriptionId}' and operation ` +
        `'${operation}' exceeded the limit of the network provider. Please try again after ` +
        `'${seconds}' seconds.`,
      { headers },
    )
  }
  return new ArmError(
    'SubscriptionRequestsThrottled',
    `Number of requests for subscription '${call.subscriptionId}' and operation '${operation}' ` +
      `exceeded the backend storage limit. Please try again after '${seconds}' seconds.`,
    { headers },
  )
}

const headersOf = (
  kind: Kind,
  all: readonly { readonly size: Limit; readonly bucket: Bucket }[],
): Readonly<Record<string, string>> => {
  const left = (by: Limit['by']): string | undefined => {
    const one = all.find(({ size }) => size.by === by)
    return one && String(Math.floor(one.bucket.tokens))
  }
  const compute = all.filter(({ size }) => size.by === 'compute')
  const resource = compute
    .map(({ size, bucket }) => `Microsoft.Compute/${size.label};${Math.floor(bucket.tokens)}`)
    .join(',')
  return {
    [`x-ms-ratelimit-remaining-subscription-${kind}s`]: left('caller') ?? '',
    [`x-ms-ratelimit-remaining-subscription-global-${kind}s`]: left('subscription') ?? '',
    ...(resource !== '' && { 'x-ms-ratelimit-remaining-resource': resource }),
  }
}
