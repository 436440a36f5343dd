import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeDirectory } from './directory.ts'

let base: string

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ew-directory-'))
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

test('makes what is missing, with the mode, and leaves what is there', () => {
  const path = join(base, 'a', 'b')
  makeDirectory(path, 0o700)
  makeDirectory(path, 0o755)
  expect(statSync(path).mode & 0o777).toBe(0o700)
})

test('a file in the way is an error', () => {
  writeFileSync(join(base, 'file'), '')
  expect(() => makeDirectory(join(base, 'file'), 0o700)).toThrow('EEXIST')
  expect(() => makeDirectory(join(base, 'file', 'below'), 0o700)).toThrow('ENOTDIR')
})

test.each(['/proc/eniway', '/proc/self/eniway/below', '/dev/null/below'])(
  'where nothing can be made it says so: %s',
  path => {
    expect(() => makeDirectory(path, 0o700)).toThrow(/ENOENT|ENOTDIR|EACCES|EPERM/)
  },
)
