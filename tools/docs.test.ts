// The page people configure by must say what the program reads.

import { expect, test } from 'vitest'
import { leafKeys, schema, variableName } from '#ipamd/config.ts'
import { configurationPage, isFresh } from './docs.ts'

test('docs/configuration.md is what the schema says; run node tools/docs.ts when it is not', () =>
  expect(isFresh()).toBe(true))

const check = (key: string, want: string) => {
  const line = configurationPage()
    .split('\n')
    .find(each => each.startsWith(`| \`${key}\``))
  expect(line).toBe(want)
}

test('a number has its limits and its default', () =>
  check(
    'pool.settleSeconds',
    '| `pool.settleSeconds` | `ENIWAY_POOL_SETTLE_SECONDS` | number, 0 to 600 | `2` | ' +
      'How long a lent block rests before packets are sure to flow. |',
  ))

test('what depends on the machine has no default of this machine', () =>
  check(
    'node',
    '| `node` | `ENIWAY_NODE` | text, at most 253 characters | unset | ' +
      "Name of the node. Unset: the machine's host name. |",
  ))

test('every key and its variable have a line', () => {
  const page = configurationPage()
  const missing = leafKeys(schema.shape).filter(
    path => !page.includes(`| \`${path.join('.')}\` | \`${variableName(path)}\` |`),
  )
  expect(missing).toEqual([])
})
