import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openNamespace, ownNamespaceIdentity } from './namespace.ts'

test('the own namespace is recognised under another path, and closing twice is harmless', () => {
  const opened = openNamespace(`/proc/${process.pid}/ns/net`)
  if (opened.kind !== 'open') throw new Error(opened.message)
  expect(opened.identity).toBe(ownNamespaceIdentity())
  opened.close()
  opened.close()
})

test('a path that does not exist is missing', () => {
  expect(openNamespace('/proc/self/ns/nothing')).toMatchObject({
    kind: 'missing',
    message: 'cannot open the network namespace /proc/self/ns/nothing: it does not exist',
  })
})

// The runtime may hand over the path of a namespace that was unmounted: the empty file remains.
test('ordinary files and namespaces of other types are invalid', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eniway-'))
  try {
    const file = join(folder, 'netns')
    writeFileSync(file, '')
    for (const path of [file, folder, '/proc/self/ns/mnt', '/dev/null']) {
      expect(openNamespace(path)).toMatchObject({ kind: 'invalid', path })
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
