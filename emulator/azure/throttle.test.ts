// The documented limits, one after the other.
import { expect, test } from 'vitest'
import { ArmError } from './errors.ts'
import { type Throttle, createThrottle } from './throttle.ts'

const call = (of: Partial<Parameters<Throttle>[0]> = {}): Parameters<Throttle>[0] => ({
  method: 'GET',
  provider: 'Microsoft.Network',
  type: 'networkInterfaces',
  names: ['nic'],
  id: '/nic',
  subscriptionId: 's',
  clientId: 'a',
  ...of,
})

/** How many of `count` calls are let through at that time. */
const grantedOf = (throttle: Throttle, of: Partial<Parameters<Throttle>[0]> = {}) => {
  return (count: number, ms: number): number =>
    Array.from({ length: count }, () => isGranted(throttle, of, ms)).filter(Boolean).length
}

const isGranted = (throttle: Throttle, of: Partial<Parameters<Throttle>[0]>, ms: number): boolean =>
  refusalOf(throttle, of, ms) === undefined

const refusalOf = (
  throttle: Throttle,
  of: Partial<Parameters<Throttle>[0]>,
  ms: number,
): ArmError | undefined => {
  try {
    throttle(call(of), ms)
    return undefined
  } catch (error) {
    if (error instanceof ArmError) return error
    throw error
  }
}

test('a caller has 250 reads and 25 more each second, 200 writes and 10 more', () => {
  const throttle = createThrottle()
  const reads = grantedOf(throttle)
  expect(reads(300, 1000)).toBe(250)
  expect(isGranted(throttle, { clientId: 'b' }, 1000)).toBe(true)
  expect(reads(100, 3000)).toBe(50)
  const write = { method: 'PUT' }
  expect(grantedOf(createThrottle(), write)(300, 1000)).toBe(200)
  expect(grantedOf(createThrottle(2), write)(500, 1000)).toBe(400)
})

test('a caller who asks before the named time waits anew', () => {
  const throttle = createThrottle()
  grantedOf(throttle)(250, 1000)
  const refused = refusalOf(throttle, {}, 1000)
  expect(refused?.code).toBe('SubscriptionRequestsThrottled')
  expect([refused?.status, refused?.headers['retry-after']]).toEqual([429, '1'])
  expect(isGranted(throttle, {}, 1900)).toBe(false)
  expect(isGranted(throttle, {}, 2100)).toBe(false)
  expect(isGranted(throttle, {}, 3100)).toBe(true)
})

test('the network provider lets a subscription write 1,000 times in five minutes', () => {
  const throttle = createThrottle()
  const all = Array.from({ length: 12 }, (_, i) =>
    grantedOf(throttle, { method: 'PUT', clientId: `c${i}` })(100, 1000),
  )
  expect(all.reduce((sum, each) => sum + each, 0)).toBe(1000)
  const refused = refusalOf(throttle, { method: 'PUT', clientId: 'x' }, 1000)
  expect(refused?.code).toBe('TooManyRequests')
  expect(isGranted(throttle, { clientId: 'x' }, 1000)).toBe(true)
  // What is left comes back evenly over the five minutes.
  expect(grantedOf(throttle, { method: 'PUT', clientId: 'y' })(200, 31_000)).toBe(100)
})

test('the compute provider is stricter: twelve writes to a machine, few reads of scale sets', () => {
  const throttle = createThrottle()
  const machine = { provider: 'Microsoft.Compute', type: 'virtualMachines' } as const
  const write = { ...machine, method: 'PUT' }
  expect(grantedOf(throttle, { ...write, id: '/a' })(20, 1000)).toBe(12)
  expect(grantedOf(throttle, { ...write, id: '/b' })(20, 1000)).toBe(12)
  expect(refusalOf(throttle, { ...write, id: '/a' }, 1000)).toMatchObject({
    code: 'OperationNotAllowed',
    status: 429,
    details: [{ code: 'TooManyRequests' }],
  })
  expect(grantedOf(throttle, { ...write, id: '/b' })(20, 121_000)).toBe(8)
  const set = {
    provider: 'Microsoft.Compute',
    type: 'virtualMachineScaleSets/virtualMachines',
  } as const
  const list = { ...set, names: ['set'] }
  const one = { ...set, names: ['set', '0'] }
  expect(grantedOf(createThrottle(), list)(250, 1000)).toBe(162)
  expect(grantedOf(createThrottle(), one)(250, 1000)).toBe(200)
})

test('headers tell what is left', () => {
  const throttle = createThrottle()
  expect(throttle(call(), 1000)).toEqual({
    'x-ms-ratelimit-remaining-subscription-reads': '249',
    'x-ms-ratelimit-remaining-subscription-global-reads': '3749',
  })
  const write = call({ method: 'PUT', provider: 'Microsoft.Compute', type: 'virtualMachines' })
  expect(throttle(write, 1000)).toEqual({
    'x-ms-ratelimit-remaining-subscription-writes': '199',
    'x-ms-ratelimit-remaining-subscription-global-writes': '2999',
    'x-ms-ratelimit-remaining-resource':
      'Microsoft.Compute/UpdateVMResource;11,Microsoft.Compute/UpdateVMSubscription;1499',
  })
})

test('polling counts for ARM only', () => {
  const throttle = createThrottle()
  const polling = { type: 'locations/operations', names: ['eastus', 'id'] }
  expect(throttle(call(polling), 1000)).toEqual({
    'x-ms-ratelimit-remaining-subscription-reads': '249',
    'x-ms-ratelimit-remaining-subscription-global-reads': '3749',
  })
  expect(grantedOf(throttle, polling)(300, 1000)).toBe(249)
})
