// Paths of a metadata service, as clients write them.
import { expect, test } from 'vitest'
import { textAt } from './tree.ts'

const tree = { a: { file: 'text', empty: '', gone: undefined, deep: { b: 'x' } }, toString: '' }

const check = (path: string, want: string | undefined): void =>
  expect(textAt(tree, path)).toBe(want)

test('files, directories, and what is not there', () => {
  check('/a/file', 'text')
  check('a/file/', 'text')
  check('/a', 'file\nempty\ndeep/')
  check('/a//deep/', 'b')
  check('/a/empty', '')
  check('/a/gone', undefined)
  check('/a/file/more', undefined)
  check('/a/constructor', undefined)
})
