import { expect, test } from 'vitest'
import { nicId } from '#core/names.ts'
import { createPlaces } from './places.ts'
import type { Nic } from './shapes.ts'

const nic = (id: string, creationTime: string, changes: object = {}) =>
  ({
    networkInterfaceId: id,
    creationTime,
    type: 'Secondary',
    status: 'InUse',
    instanceId: 'i-1',
    ...changes,
  }) as Nic
const primary = nic('eni-0', '2026-01-01', { type: 'Primary' })
const free = { status: 'Available', instanceId: '' }

const check = (places: ReadonlyMap<string, number>, want: object) =>
  expect(Object.fromEntries(places)).toEqual(want)

test('what others attached stands in the order of its creation', () =>
  check(createPlaces().of([nic('eni-b', '2026-01-03'), nic('eni-a', '2026-01-04'), primary]), {
    'eni-0': 0,
    'eni-b': 1,
    'eni-a': 2,
  }))

test('what we attached stands where it was asked to, also before it shows', () => {
  const places = createPlaces()
  places.take(nicId('eni-c'), 1)
  check(places.of([primary, nic('eni-b', '2026-01-03')]), { 'eni-0': 0, 'eni-b': 2, 'eni-c': 1 })
})

test('a description from before the attachment frees no place, one from after it does', () => {
  const places = createPlaces()
  places.take(nicId('eni-c'), 3)
  check(places.of([primary, nic('eni-c', '2026-01-03', free)]), { 'eni-0': 0, 'eni-c': 3 })
  check(places.of([primary, nic('eni-c', '2026-01-03')]), { 'eni-0': 0, 'eni-c': 3 })
  check(places.of([primary, nic('eni-c', '2026-01-03', free)]), { 'eni-0': 0 })
  expect(places.has(nicId('eni-c'))).toBe(false)
  expect(places.holder(3)).toBeUndefined()
})

// Whoever asks for a place knows better than the order of creation, in which a gap closes.
test('a place that was only counted out is free for who asks for it', () => {
  const places = createPlaces()
  check(places.of([primary, nic('eni-b', '2026-01-03')]), { 'eni-0': 0, 'eni-b': 1 })
  expect(places.holder(1)).toBeUndefined()
  places.take(nicId('eni-c'), 1)
  expect(places.holder(1)).toBe('eni-c')
  check(places.of([primary, nic('eni-b', '2026-01-03')]), { 'eni-0': 0, 'eni-b': 2, 'eni-c': 1 })
})
