// Arithmetic of the documented buckets, on explicit times.
import { expect, test } from 'vitest'
import { type Throttle, bucketSize, createThrottle } from './throttle.ts'

const call = (action: string, more = {}) => ({
  accountId: '1',
  action,
  isUnbounded: false,
  resources: 0,
  ...more,
})

const grantedOf =
  (throttle: Throttle, action = 'AssignPrivateIpAddresses', more = {}) =>
  (count: number, at: number): number =>
    Array.from({ length: count }, () => throttle(call(action, more), at)).filter(Boolean).length

test('sizes: a describe, a costly one, a mutation of its own, any other mutation', () => {
  const size = (action: string, isUnbounded = false) => {
    const { capacity, refill } = bucketSize({ action, isUnbounded })
    return `${capacity}/${refill}`
  }
  expect(size('DescribeSubnets', true)).toBe('100/20')
  expect(size('DescribeNetworkInterfaces')).toBe('100/20')
  expect(size('DescribeNetworkInterfaces', true)).toBe('50/10')
  expect(size('AssignPrivateIpAddresses')).toBe('100/5')
  expect(size('AttachNetworkInterface')).toBe('50/5')
  expect(size('UnassignIpv6Addresses')).toBe('50/5')
  expect(size('CreateTags')).toBe('100/10')
})

test('a burst of 100, then five a second, never more than 100', () => {
  const granted = grantedOf(createThrottle())
  expect(granted(150, 0)).toBe(100)
  expect(granted(10, 199)).toBe(0)
  expect(granted(10, 200)).toBe(1)
  expect(granted(10, 1200)).toBe(5)
  expect(granted(150, 3600_000)).toBe(100)
})

// 500 nodes that each attach one NIC at once: what the account can do in the first 20 seconds.
test('attach: 50 at once, 150 after 20 seconds', () => {
  const granted = grantedOf(createThrottle(), 'AttachNetworkInterface')
  let attached = 0
  for (let at = 0; at <= 20_000; at += 100) attached += granted(500, at)
  expect(attached).toBe(150)
})

test('accounts, actions and unbounded describes have buckets of their own', () => {
  const throttle = createThrottle()
  grantedOf(throttle)(100, 0)
  expect(throttle(call('AssignPrivateIpAddresses'), 0)).toBe(false)
  expect(throttle(call('UnassignPrivateIpAddresses'), 0)).toBe(true)
  expect(throttle(call('AssignPrivateIpAddresses', { accountId: '2' }), 0)).toBe(true)
  const describeNics = 'DescribeNetworkInterfaces'
  expect(grantedOf(throttle, describeNics, { isUnbounded: true })(80, 0)).toBe(50)
  expect(grantedOf(throttle, describeNics)(120, 0)).toBe(100)
})

test('launches draw from a bucket of instances, too', () => {
  const throttle = createThrottle()
  expect(throttle(call('RunInstances', { resources: 990 }), 0)).toBe(true)
  expect(throttle(call('RunInstances', { resources: 11 }), 0)).toBe(false)
  expect(throttle(call('RunInstances', { resources: 11 }), 500)).toBe(true)
})
