import { expect, test } from 'vitest'
import { chooseVersion, compareVersions, type VersionKeys } from './choice.ts'

test.each<[string, VersionKeys, string]>([
  [
    '2, 3: the highest of the union',
    { cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.1.0'] },
    '1.1.0',
  ],
  ['2: cniVersion counts too', { cniVersion: '1.1.0', cniVersions: ['0.4.0'] }, '1.1.0'],
  [
    '5: newer than we are is skipped',
    { cniVersion: '1.0.0', cniVersions: ['9.0.0', '1.1.0'] },
    '1.1.0',
  ],
  ['5: newer alone is used as it is', { cniVersion: '2.0.0' }, '2.0.0'],
  ['5: an empty list falls back', { cniVersion: '2.0.0', cniVersions: [] }, '2.0.0'],
  ['5: everything too new falls back', { cniVersion: '2.0.0', cniVersions: ['3.0.0'] }, '2.0.0'],
  ['a list alone', { cniVersions: ['0.3.1', '0.4.0'] }, '0.4.0'],
  ['3: one that there is not', { cniVersion: '0.4.0', cniVersions: ['0.10.0'] }, '0.4.0'],
  ['the exact text of equal ones', { cniVersion: '1.0', cniVersions: ['1.0.0', '1'] }, '1.0.0'],
  ['X7: neither', {}, '0.1.0'],
  [
    '1: not a string',
    { cniVersion: 1 },
    '7 cniVersion is 1 in the network configuration; it must be a version such as "1.1.0"',
  ],
  [
    '110: a suffix',
    { cniVersion: '1.0.0-rc1' },
    '7 cniVersion is "1.0.0-rc1" in the network configuration; it must be a version such as "1.1.0"',
  ],
  [
    '5: no list',
    { cniVersions: '1.0.0' },
    '7 cniVersions is "1.0.0" in the network configuration; it must be a list of versions',
  ],
  [
    '5: one entry cannot be read',
    { cniVersions: ['1.0.0', 'x'] },
    '7 cniVersions[1] is "x" in the network configuration; it must be a version such as "1.1.0"',
  ],
])('point %s', (_, keys, want) => {
  const outcome = chooseVersion(keys)
  expect(outcome.kind === 'failed' ? `${outcome.code} ${outcome.message}` : outcome.value).toBe(
    want,
  )
})

test('an older runtime chooses among what it supports', () =>
  expect(chooseVersion({ cniVersion: '0.4.0', cniVersions: ['1.0.0', '1.1.0'] }, '1.0.0')).toEqual({
    kind: 'parsed',
    value: '1.0.0',
  }))

test('point 110: numbers, not texts, and missing parts are 0', () => {
  expect(compareVersions('0.10.0', '0.9.0')).toBeGreaterThan(0)
  expect(compareVersions('1.0', '1.0.0')).toBe(0)
  expect(compareVersions('1', '1.0.1')).toBeLessThan(0)
  expect(compareVersions('1.1', '1.0.9')).toBeGreaterThan(0)
})
