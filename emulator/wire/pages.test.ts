// Pages hold together while the listing changes, and a mark is good for its own listing only.
import { expect, test } from 'vitest'
import { type PageCut, cutPage, listingKey, readMark, writeMark } from './pages.ts'

const things = ['d', 'b', 'a', 'c', 'e']

const check = (cut: PageCut, want: string): void => {
  const { items, next } = cutPage(things, thing => thing, cut)
  expect(`${items.join('')} then ${next ?? 'no more'}`).toBe(want)
}

test('pages by size, by the last key and by number', () => {
  check({ size: undefined }, 'abcde then no more')
  check({ size: 2 }, 'ab then b')
  check({ size: 2, after: 'b' }, 'cd then d')
  check({ size: 2, after: 'd' }, 'e then no more')
  check({ size: 2, skip: 2 }, 'cd then d')
  check({ size: 2, skip: 9 }, ' then no more')
  // What was removed meanwhile is not missed.
  check({ size: 2, after: 'bb' }, 'cd then d')
})

test('a mark of another listing, or none at all, leads nowhere', () => {
  const key = listingKey('nics of a')
  expect(readMark(writeMark('eni-1', key), key)).toBe('eni-1')
  expect(readMark(writeMark('eni-1', key), listingKey('nics of b'))).toBeUndefined()
  for (const bad of ['', 'nonsense', btoa('[]'), btoa('{"0":1}'), btoa(`["${key}",1]`)]) {
    expect(readMark(bad, key)).toBeUndefined()
  }
})
