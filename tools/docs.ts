// Writes docs/configuration.md from the daemon's schema, so that the page and the program cannot
// differ. With --check it writes nothing and fails when the file is not what it would write.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { leafKeys, schema, variableName } from '#ipamd/config.ts'

const page = 'docs/configuration.md'
const file = join(import.meta.dirname, '..', page)

/** The text of docs/configuration.md. */
export const configurationPage = (): string => {
  const keys = leafKeys(schema.shape)
  const groups = Map.groupBy(keys, path => (path.length === 1 ? '' : (path[0] ?? '')))
  const sections = [...groups].map(
    ([group, paths]) => `## ${group === '' ? 'The daemon' : `\`${group}\``}\n\n${table(paths)}\n`,
  )
  return `${introduction}\n${sections.join('\n')}`
}

/** True when the file is what configurationPage makes. */
export const isFresh = (): boolean =>
  existsSync(file) && readFileSync(file, 'utf8') === configurationPage()

const introduction = `# Configuration of the node daemon

<!-- Written by tools/docs.ts from ipamd/config.ts; change it there, then run: node tools/docs.ts -->

\`eniway ipamd --config FILE\` reads one YAML file. Every key may be left out; without \`--config\` all
have their defaults. An unknown key, a wrong type and a value out of its limits are refused in one
sentence, and the daemon ends with exit code 2.

Every key has an environment variable, which goes before the file: \`ENIWAY_\` and the key in capitals,
with underscores, as in the tables. A list is written with commas, \`a,b\`; a text is taken as it is;
everything else is read as YAML. An unknown \`ENIWAY_\` variable is refused; an empty one counts as
not set.

While the daemon runs it watches the file. New values of \`pool\`, \`nat\`, \`podMtu\`, \`nicsMaximum\`,
\`intervals\` and \`budget\` count from then on; the others need a restart. A file with a mistake is
ignored and reported in the log; the old values stay.
`

const table = (paths: readonly (readonly string[])[]): string =>
  [
    '| key | environment variable | type and limits | default | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...paths.map(path => `| ${cells(path).map(escaped).join(' | ')} |`),
  ].join('\n')

const escaped = (cell: string): string => cell.replaceAll('|', String.raw`\|`)

const cells = (path: readonly string[]): readonly string[] => {
  const { field, meaning } = describe(path)
  return [
    `\`${path.join('.')}\``,
    `\`${variableName(path)}\``,
    typeText(field),
    defaultText(path, meaning),
    meaning,
  ]
}

// Where it says what happens when nothing is set, the value itself may depend on the machine.
const defaultText = (path: readonly string[], meaning: string): string => {
  const value = defaultOf(path)
  return value === undefined || meaning.includes('Unset:')
    ? 'unset'
    : `\`${JSON.stringify(value)}\``
}

/** The part of JSON Schema that our own schema uses. */
type Field = {
  readonly type?: 'array' | 'object' | 'integer' | 'number' | 'boolean' | 'string'
  readonly description?: string
  readonly enum?: readonly string[]
  readonly const?: unknown
  readonly anyOf?: readonly Field[]
  readonly items?: Field
  readonly properties?: Readonly<Record<string, Field>>
  readonly pattern?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly maxLength?: number
}

const root = z.toJSONSchema(schema, { io: 'input' }) as Field
const defaults: unknown = schema.parse({})

const defaultOf = (path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], defaults)

// A field without words of its own is explained by what it is part of.
const describe = (path: readonly string[]): { readonly field: Field; readonly meaning: string } => {
  let field = root
  let meaning = ''
  for (const key of path) {
    const inner = field.properties?.[key]
    if (inner === undefined) throw new Error(`the schema has no key ${path.join('.')}`)
    field = inner
    meaning = inner.description ?? meaning
  }
  if (meaning === '') throw new Error(`${path.join('.')} has no description in ipamd/config.ts`)
  return { field, meaning: meaningOf(path, meaning) }
}

const meaningOf = (path: readonly string[], text: string): string => {
  const rate = { burst: 'in one burst', perSecond: 'per second, after a burst' }[path.at(-1) ?? '']
  return rate === undefined ? text : `${text.replace(/\.$/, '')}, ${rate}.`
}

const typeText = (field: Field): string => {
  if (field.enum !== undefined) return oneOf(field.enum)
  if (field.anyOf !== undefined) return oneOf(field.anyOf.map(each => each.const))
  const { type = 'string' } = field
  switch (type) {
    case 'array':
      return `list of ${itemText(field.items)}${countText(field)}`
    case 'object':
      return 'names and texts'
    case 'integer':
      return `whole number${rangeText(field)}`
    case 'number':
      return `number${rangeText(field)}`
    case 'boolean':
      return '`true` or `false`'
    case 'string':
      return textText(field)
  }
}

const oneOf = (values: readonly unknown[]): string =>
  values.map(value => `\`${String(value)}\``).join(', ')

const itemText = (item: Field | undefined): string => {
  if (item?.enum !== undefined) return oneOf(item.enum)
  const start = startOf(item?.pattern)
  return start === undefined
    ? 'prefixes such as `10.0.0.0/8`'
    : `texts that begin with \`${start}\``
}

const countText = ({ minItems = 0, maxItems }: Field): string => {
  if (maxItems === undefined) return ''
  return minItems === maxItems ? `, ${maxItems} of them` : `, at most ${maxItems}`
}

const rangeText = ({ minimum, exclusiveMinimum, maximum }: Field): string => {
  const from = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`
  return from === undefined || maximum === undefined ? '' : `, ${from} to ${maximum}`
}

const textText = ({ pattern, maxLength }: Field): string => {
  const what = startOf(pattern) === '/' ? 'absolute path' : 'text'
  return maxLength === undefined ? what : `${what}, at most ${maxLength} characters`
}

const startOf = (pattern: string | undefined): string | undefined =>
  pattern === undefined
    ? undefined
    : /^\^([\w/-]+)/.exec(pattern.replaceAll(String.raw`\/`, '/'))?.[1]

const run = (options: readonly string[]): number => {
  if (!options.includes('--check')) {
    writeFileSync(file, configurationPage())
    process.stdout.write(`${page} written\n`)
    return 0
  }
  if (isFresh()) return 0
  process.stderr.write(`${page} is not what the schema says; run: node tools/docs.ts\n`)
  return 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = run(process.argv.slice(2))
}
