// The static checks: types, lint with type rules, format, unused code. One command for people and
// for continuous integration, so that what passes here passes there.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)

const checks: readonly (readonly [string, readonly string[]])[] = [
  ['types', [bin('tsc')]],
  ['lint', [bin('oxlint'), '--type-aware']],
  ['format', [bin('oxfmt'), '--check', '.']],
  ['unused code', [process.execPath, join(root, 'tools', 'unused.ts')]],
]

let failures = 0
for (const [name, [command = '', ...rest]] of checks) {
  const { status, stdout, stderr } = spawnSync(command, rest, { cwd: root, encoding: 'utf8' })
  if (status === 0) continue
  failures++
  process.stderr.write(`${stdout}${stderr}check failed: ${name}\n`)
}
if (failures === 0) process.stderr.write(`${checks.length} static checks passed\n`)
process.exitCode = failures === 0 ? 0 : 1
