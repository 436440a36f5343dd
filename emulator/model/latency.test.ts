// The pace of a cloud and the profiles that stretch it.
import { expect, test } from 'vitest'
import { type LatencyName, latencyProfile, latencyProfiles } from './latency.ts'

const pace = { attachingMs: { min: 5000, max: 25_000 }, callMs: { assign: { min: 50, max: 100 } } }

const check = (name: LatencyName, want: readonly [attaching: number, assign: number]) => {
  const { attachingMs, callMs } = latencyProfile(name, pace)
  expect([attachingMs.max, callMs.assign.max]).toEqual(want)
}

test('a cloud’s own pace is stretched as EC2’s is', () => {
  check('none', [0, 0])
  check('fast', [500, 2])
  check('documented', [25_000, 100])
  check('slow', [25_000, 100])
  expect(latencyProfile('slow', pace).attachingMs.tail).toMatchObject({ share: 0.1 })
})

test('what a cloud leaves out is as on EC2', () => {
  expect(latencyProfile('documented')).toEqual(latencyProfiles.documented)
  const { deviceMs, callMs } = latencyProfile('documented', pace)
  expect(deviceMs).toEqual(latencyProfiles.documented.deviceMs)
  expect(callMs.describe).toEqual(latencyProfiles.documented.callMs.describe)
})
