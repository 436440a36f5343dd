// Calls per minute, on explicit times.
import { expect, test } from 'vitest'
import { type Throttle, createThrottle, limitOf } from './throttle.ts'

const grantedTo =
  (throttle: Throttle, more = {}) =>
  (count: number, at: number): number =>
    Array.from({ length: count }, () =>
      throttle({ accountId: '1', action: 'AssignPrivateIpAddresses', ...more }, at),
    ).filter(Boolean).length

test('limits: of its own, or the one for all others', () => {
  expect(limitOf('AssignPrivateIpAddresses')).toBe(400)
  expect(limitOf('DescribeNetworkInterfaces')).toBe(800)
  expect(limitOf('DescribeInstances')).toBe(500)
  expect(limitOf('toString')).toBe(500)
})

test('400 a minute, and in the next minute 400 again, however many were refused', () => {
  const granted = grantedTo(createThrottle())
  expect(granted(1000, 59_000)).toBe(400)
  expect(granted(1000, 59_999)).toBe(0)
  expect(granted(1000, 60_000)).toBe(400)
  expect(granted(10, 3600_000)).toBe(10)
})

test('accounts and actions are counted apart; a factor scales all limits', () => {
  const throttle = createThrottle(0.5)
  expect(grantedTo(throttle)(1000, 0)).toBe(200)
  expect(grantedTo(throttle, { accountId: '2' })(1000, 0)).toBe(200)
  expect(grantedTo(throttle, { action: 'UnassignPrivateIpAddresses' })(1000, 0)).toBe(200)
})
