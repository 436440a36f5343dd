// Replays the committed fuzz inputs through the executable's real code under AddressSanitizer and
// UndefinedBehaviorSanitizer, and checks that mistakes planted in that code do not get through.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest'

const root = join(import.meta.dirname, '../..')
const corpus = join(root, 'test/fuzz/corpus')
const inputs = readdirSync(corpus).map(name => join(corpus, name))
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

let place = ''

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'ew-fuzz-'))
})

afterAll(() => rmSync(place, { recursive: true }))

/** The first compiler that can link a sanitized program; else why none can. */
const findCompiler = (): { readonly compiler: string } | { readonly why: string } => {
  const empty = join(place, 'empty.c')
  writeFileSync(empty, 'int main(void) { return 0; }\n')
  const reasons: string[] = []
  for (const compiler of ['clang', 'gcc']) {
    const args = [...sanitizers, '-o', join(place, 'empty'), empty]
    const { status, stderr, error } = spawnSync(compiler, args, { encoding: 'utf8' })
    if (status === 0) return { compiler }
    reasons.push(`${compiler}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  }
  return { why: `no compiler links a program with sanitizers (${reasons.join('; ')})` }
}

const replay = (skip: TestContext['skip'], tree: string) => {
  const found = findCompiler()
  if ('why' in found) return skip(found.why)
  const program = join(place, 'replay')
  const source = join(tree, 'test/fuzz/shim.c')
  const flags = ['-g', '-Wall', '-Wextra', '-DREPLAY', ...sanitizers]
  const built = spawnSync(found.compiler, [...flags, '-o', program, source], { encoding: 'utf8' })
  expect(built.stderr).toBe('')
  return spawnSync(program, inputs, { encoding: 'utf8', maxBuffer: 1 << 26 })
}

test('the committed inputs are few and small', () => {
  const bytes = inputs.reduce((sum, path) => sum + readFileSync(path).length, 0)
  expect(inputs.length).toBeGreaterThan(50)
  expect(inputs.length).toBeLessThan(200)
  expect(bytes).toBeLessThan(500_000)
})

test('every committed input is handled without a mistake', ({ skip }) => {
  const { status, stdout, stderr } = replay(skip, root)
  expect({ status, stderr: status === 0 ? '' : stderr.slice(-2000) }).toEqual({
    status: 0,
    stderr: '',
  })
  expect(stdout).toBe(`${inputs.length}\n`)
})

type Planted = {
  readonly what: string
  readonly file: string
  readonly line: string
  readonly instead: string
  readonly noticed: string
}

const planted: readonly Planted[] = [
  {
    what: 'a limit that forgets what is there already',
    file: 'text.h',
    line: 'if (length > text->limit - text->length) {',
    instead: 'if (length > text->limit) {',
    noticed: 'buffer-overflow',
  },
  {
    what: 'an escape that reads beyond the end',
    file: 'config.h',
    line: 'if (!isxdigit(digit)) return -1;',
    instead: '',
    noticed: 'AddressSanitizer',
  },
  {
    what: 'a version that ends the string it is printed in',
    file: 'eniway.c',
    line: 'return *config.version && config.version[strspn(config.version, "0123456789.")] == 0;',
    instead: 'return *config.version;',
    noticed: 'broken promise: what is printed is one JSON object',
  },
  {
    what: 'a kept DEL that a power cut loses',
    file: 'eniway.c',
    line: 'return fsync(fd) == 0 && close(fd) == 0;',
    instead: 'return close(fd) == 0;',
    noticed: 'broken promise: what is renamed is on the disk',
  },
  {
    what: 'a wait that begins anew after every byte',
    file: 'eniway.c',
    line: 'for (long left; (left = moment_ms - now_ms()) > 0;) {',
    instead: 'for (long left; (left = 600000 + 0 * moment_ms) > 0;) {',
    noticed: 'broken promise: it ends',
  },
]

test.for(planted)('the inputs bring to light $what', (mistake, { skip }) => {
  const { file, line, instead, noticed } = mistake
  const tree = mkdtempSync(join(place, 'tree-'))
  cpSync(join(root, 'test/fuzz'), join(tree, 'test/fuzz'), { recursive: true })
  cpSync(join(root, 'cni/shim'), join(tree, 'cni/shim'), { recursive: true })
  const path = join(tree, 'cni/shim', file)
  const source = readFileSync(path, 'utf8')
  expect(source).toContain(line)
  writeFileSync(path, source.replace(line, instead))
  const { status, stderr } = replay(skip, tree)
  expect(status).not.toBe(0)
  expect(stderr).toContain(noticed)
})
