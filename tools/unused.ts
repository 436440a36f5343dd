// Finds exported values that no other file mentions, and source files that nothing imports. By
// text, not by types: a name that is mentioned anywhere counts as used, so what is listed is
// unused.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const root = join(import.meta.dirname, '..')
const skipped = /(^|\/)(node_modules|dist|\.git)(\/|$)/

/** Files that are started rather than imported. */
const started = [
  /^cli\/(main|eniway)\./,
  /^cli\/demo\/(keeper|tools\/.*)\.ts$/,
  /^ipamd\/(remote\/)?program\.ts$/,
  /^bench\/(main|memory)\.ts$/,
  /^tools\//,
  // What package.json exports, and the executable that docs/write-a-plugin.md builds.
  /^cni\/(spec|runtime)\/index\.ts$/,
  /^cni\/template\/plugin\.ts$/,
  /^emulator\/(launch-inside|fabric\/tools\/.*)\.ts$/,
  /^test\/.*(\.test|-program)\.ts$/,
  /^test\/e2e\/(bad-days|chaining)\/tools\//,
  /\.test\.ts$/,
  /\.d\.mts$/,
  /^vitest\.config\.ts$/,
]

const files = (readdirSync(root, { recursive: true }) as string[])
  .filter(path => /\.(ts|mjs)$/.test(path) && !skipped.test(path))
  .map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

const others = (path: string): string =>
  files
    .filter(file => file.path !== path)
    .map(({ text }) => text)
    .join('\n')

const unused: string[] = []
for (const { path, text } of files) {
  const rest = others(path)
  const names = [...text.matchAll(/^export (?:async )?(?:const|function|class) (\w+)/gm)]
  for (const [, name = ''] of names) {
    const mention = new RegExp(`\\b${name}\\b`, 'g')
    const inFile = (text.match(mention) ?? []).length
    if (inFile < 2 && !mention.test(rest)) unused.push(`${path}: ${name} is exported and unused`)
  }
  const file = relative('.', path).split('/').at(-1) ?? ''
  const isStarted = started.some(pattern => pattern.test(path))
  if (!isStarted && !rest.includes(`/${file}'`)) unused.push(`${path} is imported by nobody`)
}

if (unused.length > 0) process.stdout.write(`${unused.join('\n')}\n`)
process.exitCode = unused.length === 0 ? 0 : 1
