import { expect, test } from 'vitest'
import { callTimes, counted, firstOf, paragraph, table } from './text.ts'

test('numbers are aligned to the right, words to the left, without trailing blanks', () => {
  const rows = [
    ['node-a', 2, 'eth0'],
    ['b', 14, 'e'],
  ]
  expect(table(['node', 'warm', 'device'], rows)).toBe(
    ['  node    warm  device', '  node-a     2  eth0', '  b         14  e', ''].join('\n'),
  )
})

test('a table without rows still has its head', () => {
  expect(table(['action', 'calls'], [])).toBe('  action  calls\n')
})

test('sentences break at 80 columns and lose no word', () => {
  const words = Array.from({ length: 60 }, (_, index) => `word${index}`).join(' ')
  const lines = paragraph(words).trimEnd().split('\n')
  expect(Math.max(...lines.map(line => line.length))).toBeLessThanOrEqual(80)
  expect(lines.map(line => line.trim()).join(' ')).toBe(words)
})

test('counts speak English', () => {
  expect([counted(1, 'pod'), counted(2, 'pod'), counted(14, 'address')]).toEqual([
    '1 pod',
    '2 pods',
    '14 addresses',
  ])
  expect(callTimes({ count: 24, p50: 4.84, p99: 7 })).toBe('24 calls, p50 4.8 ms, p99 7.0 ms')
})

test('a long list of failures is cut', () => {
  expect(firstOf(['a', 'b', 'c'])).toBe('a; b; c')
  expect(firstOf(['a', 'b', 'c', 'd', 'e'])).toBe('a; b; c; and 2 more')
})
