// The house rules that a machine can check: who may import whom, what the core may not know, sizes
// and words. Every exception stands here by name, with its reason.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const skipped = new Set(['node_modules', 'dist', '.git'])

const walk = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : walk(path)
    return /\.(ts|mts|mjs|c|h)$/.test(entry.name) ? [relative(root, path)] : []
  })

type Source = {
  readonly path: string
  readonly folder: string
  readonly text: string
  /** Without comments and quoted strings. */
  readonly code: string
  readonly isTest: boolean
}

// Templates stay: what stands between their braces is code.
const textual = /\/\*[^]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g

const sources: readonly Source[] = [...walk(root)].sort().map(path => {
  const text = readFileSync(join(root, path), 'utf8')
  const code = text.replaceAll(textual, part => (part.startsWith('`') ? part : "''"))
  return { path, folder: path.split('/', 1)[0] ?? '', text, code, isTest: isTestPath(path) }
})

function isTestPath(path: string): boolean {
  return path.endsWith('.test.ts') || path.startsWith('test/') || path.startsWith('bench/')
}

const isScript = ({ path }: Source): boolean => /\.(ts|mts|mjs)$/.test(path)

/** Fails with one readable list. */
const check = (violations: readonly string[]) => expect(violations.join('\n')).toBe('')

const importPattern =
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm

const importsOf = ({ text }: Source): readonly string[] =>
  [...text.replaceAll(/^\s*(\/\/|\*).*$/gm, '').matchAll(importPattern)].map(
    ([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '',
  )

/** The folder of this project an import leads to; undefined for packages and node: modules. */
const folderOf = (source: Source, specifier: string): string | undefined => {
  if (specifier.startsWith('#')) return specifier.slice(1).split('/', 1)[0]
  if (!specifier.startsWith('.')) return undefined
  return join(dirname(source.path), specifier).split('/', 1)[0]
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  providers: ['core'],
  linux: ['core'],
  runtime: ['core'],
  cni: ['core'],
  emulator: ['core', 'linux', 'runtime'],
  ipamd: ['core', 'runtime', 'linux', 'cni'],
  controller: ['core', 'runtime', 'linux', 'cni'],
}
const anything = new Set(['cli', 'tune', 'bench', 'test', 'tools'])

const arrowExceptions: Readonly<Record<string, readonly string[]>> = {
  // The composition of a process chooses the provider; nobody else knows that there are several.
  'ipamd/main.ts': ['providers'],
  'ipamd/remote/program.ts': ['providers'],
  'controller/main.ts': ['providers'],
  // Starts the simulation from the command line; never part of what is shipped.
  'tools/sim.ts': ['test'],
}

test('imports follow the arrows', () =>
  check(
    sources.filter(isScript).flatMap(source => {
      const { path, folder } = source
      return importsOf(source).flatMap(specifier => {
        const to = folderOf(source, specifier)
        if (to === undefined || to === folder) return []
        if (arrowExceptions[path]?.includes(to) === true) return []
        const isRig = to === 'test' || to === 'bench'
        const isAllowed = isRig
          ? folder === 'test' || folder === 'bench'
          : anything.has(folder) || !path.includes('/') || arrows[folder]?.includes(to) === true
        return isAllowed ? [] : [`${path}: ${folder} may not import ${specifier}`]
      })
    }),
  ))

test('folders are those of the design', () =>
  check(
    [...new Set(sources.filter(({ path }) => path.includes('/')).map(({ folder }) => folder))]
      .filter(folder => !(folder in arrows) && !anything.has(folder))
      .map(folder => `${folder}/ has no arrows; add it to the design and to this test`),
  ))

test('folders are crossed by #, never by ../', () =>
  check(
    sources.filter(isScript).flatMap(source =>
      importsOf(source).flatMap(specifier => {
        const isCrossed = folderOf(source, specifier) !== source.folder
        const isPlain = specifier.startsWith('.') && source.path.includes('/')
        // Scripts of tools/ run before anything is set up and reach for build results too.
        return isPlain && isCrossed && source.folder !== 'tools'
          ? [`${source.path}: ${specifier}`]
          : []
      }),
    ),
  ))

test('the core imports no package and nothing of Node', () =>
  check(
    sources
      .filter(({ folder, isTest }) => folder === 'core' && !isTest)
      .flatMap(source =>
        importsOf(source).flatMap(specifier =>
          folderOf(source, specifier) === undefined ? [`${source.path}: ${specifier}`] : [],
        ),
      ),
  ))

test('cni/spec is a library of its own: no package, nothing of Node, of the core addresses alone', () =>
  check(
    sources
      .filter(({ path, isTest }) => path.startsWith('cni/spec/') && !isTest)
      .flatMap(source =>
        importsOf(source)
          .filter(name => !name.startsWith('./') && name !== '#core/ip.ts')
          .map(name => `${source.path}: ${name}`),
      ),
  ))

const coreBans = [
  /\bDate\b/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/,
  /\bMath\.random\b/,
  /\b(?:process|console|globalThis|crypto|performance)\b(?!:)/,
  /\bfetch\b/,
  /\b(?:Promise|async|await)\b/,
]

const coreExceptions: Readonly<Record<string, RegExp>> = {
  // The shape of the Cloud port, which the edges implement; the core itself never calls it.
  'core/ports.ts': /\bPromise\b/,
}

const linesWith = (source: Source, ban: RegExp): readonly string[] =>
  source.code
    .split('\n')
    .flatMap(line => (ban.test(line) ? [`${source.path}: ${line.trim()}`] : []))

test('the core knows neither time, chance, process nor waiting', () =>
  check(
    sources
      .filter(({ folder, isTest }) => folder === 'core' && !isTest)
      .flatMap(source => coreBans.flatMap(ban => linesWith(source, ban)))
      .filter(line => !(coreExceptions[line.split(':', 1)[0] ?? '']?.test(line) ?? false)),
  ))

/** Programs that people or tests start by hand: they wait for other processes in real time. */
const handFolders = new Set(['cli', 'tools', 'tune'])

const timeFiles: Readonly<Record<string, string>> = {
  'runtime/clock.ts': 'the clock itself',
  'runtime/http.ts': 'a server that closes gives its connections a last moment',
  'ipamd/daemon.ts': 'intervals of the shell: DELs left behind, readiness, changed configuration',
  'emulator/model/clock.ts': 'the clock of the emulator, real or virtual',
  'emulator/launch.ts': 'waits for a child process',
  'emulator/fabric/tools/probe.ts': 'a program of its own that measures a round trip',
}

const times =
  /\bDate\.now\b|\bnew Date\(\)|(?<![.\w])set(?:Timeout|Interval|Immediate)\(|(?<![.\w])performance\.(?:now|timeOrigin)/

test('real time comes from runtime/clock.ts', () =>
  check(
    sources
      .filter(({ isTest, folder }) => !isTest && !handFolders.has(folder))
      .filter(source => isScript(source) && timeFiles[source.path] === undefined)
      .flatMap(source => [
        ...linesWith(source, times),
        ...importsOf(source).flatMap(name =>
          name.startsWith('node:timers') ? [`${source.path}: ${name}`] : [],
        ),
      ]),
  ))

const chanceFiles: Readonly<Record<string, string>> = {
  'runtime/random.ts': 'the source of chance itself',
  'emulator/launch.ts': 'names of namespaces that two runs must not share; nothing is replayed',
}

test('chance comes from runtime/random.ts', () =>
  check(
    sources
      .filter(({ isTest, folder }) => !isTest && !handFolders.has(folder))
      .filter(source => isScript(source) && chanceFiles[source.path] === undefined)
      .flatMap(source =>
        linesWith(source, /\bMath\.random\b|\brandom(?:Bytes|UUID|Int)\b|\bgetRandomValues\b/),
      ),
  ))

const environmentFiles: Readonly<Record<string, string>> = {
  'cni/template/plugin.ts': 'a plugin of its own, whose parameters are the environment',
  'ipamd/main.ts': 'hands the environment to config.ts, once',
  'cli/demo/main.ts': 'hands its own environment on to a child',
  'tools/native.mjs': 'CC names the compiler, as for every build',
  'tools/debian.mjs': 'PATH, and the environment of the package manager',
}

test('the environment is read in config.ts files', () =>
  check(
    sources
      .filter(({ isTest, path }) => !isTest && !path.endsWith('/config.ts'))
      .filter(({ path }) => environmentFiles[path] === undefined)
      .flatMap(source => linesWith(source, /\bprocess\.env\b/)),
  ))

test('exceptions are still needed', () => {
  const byPath = new Map(sources.map(source => [source.path, source]))
  const stale = (list: Readonly<Record<string, unknown>>, isUsed: (source: Source) => boolean) =>
    Object.keys(list).filter(path => {
      const source = byPath.get(path)
      return source !== undefined && !isUsed(source)
    })
  check([
    ...stale(environmentFiles, ({ code }) => code.includes('process.env')),
    ...stale(timeFiles, ({ code, text }) => times.test(code) || text.includes('node:timers')),
    ...stale(coreExceptions, ({ code }) => coreBans.some(ban => ban.test(code))),
  ])
})

const linesMax = 500
const columnsMax = 100

test(`no file has more than ${linesMax} lines`, () =>
  check(
    sources
      .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => !(lines <= linesMax))
      .map(({ path, lines }) => `${path} has ${lines} lines`),
  ))

// A literal is one piece: it can be searched for as it stands, and golden texts are compared so.
const withoutLiterals = (line: string): string =>
  line.replaceAll(/'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|\/(?:\\.|[^/])+\//g, "''")

const withoutTemplates = (text: string): string =>
  text.replaceAll(textual, part =>
    part.startsWith('`') ? `\`${part.replaceAll(/[^\n]/g, '')}\`` : part,
  )

const lengthOf = (line: string): number => Array.from(line).length

test(`no line has more than ${columnsMax} characters, literals aside`, () =>
  check(
    sources.flatMap(({ path, text }) =>
      withoutTemplates(text)
        .split('\n')
        .flatMap((line, i) => {
          const isComment = /^\s*(?:\/\/|\/?\*)/.test(line)
          const counted = lengthOf(line) > columnsMax && !isComment ? withoutLiterals(line) : line
          return lengthOf(counted) > columnsMax
            ? [`${path}:${i + 1} has ${lengthOf(counted)} characters`]
            : []
        }),
    ),
  ))

test('every source opens with why it exists', () =>
  check(
    sources
      .filter(({ isTest }) => !isTest)
      .filter(({ text }) => !/^(?:#!.*\n)?(?:\/\/|\/\*)/.test(text))
      .map(({ path }) => `${path} does not open with a comment`),
  ))

/** One word per meaning: the glossary of the house style, as far as a word alone can be wrong. */
const words: readonly {
  readonly pattern: RegExp
  readonly say: string
  /** Where the word is the cloud's own, not ours. */
  readonly except?: RegExp
}[] = [
  { pattern: /quarantin/i, say: 'cooling' },
  { pattern: /watermark/i, say: 'warm target, minimum or maximum' },
  { pattern: /(?<!network[ -])\bcards?\b/i, say: 'NIC', except: /^(?:providers\/aws|emulator)\// },
  { pattern: /\bENIs?\b/, say: 'NIC', except: /^(?:providers|emulator)\/|^test\/contract\// },
  { pattern: /\bTODO\b(?!.*#\d)/, say: 'TODO with an issue number, or nothing' },
  { pattern: /\/\/ (?:=|-){4,}/, say: 'nothing: no banners' },
  { pattern: /\/(?:work|farm)\//, say: 'a path that every machine has' },
]

test('words mean one thing', () =>
  check(
    sources
      .filter(({ path }) => path !== 'test/architecture.test.ts')
      .flatMap(({ path, text }) =>
        text
          .split('\n')
          .flatMap((line, i) =>
            words
              .filter(({ pattern, except }) => pattern.test(line) && except?.test(path) !== true)
              .map(({ say }) => `${path}:${i + 1} say ${say}: ${line.trim()}`),
          ),
      ),
  ))

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

test('every dependency is imported by what is shipped', () => {
  const shipped = sources.filter(source => isScript(source) && !source.isTest)
  const imported = new Set(shipped.flatMap(importsOf).map(packageOf))
  check(
    Object.keys(manifest.dependencies)
      .filter(name => !imported.has(name))
      .map(name => `${name} is a dependency and is imported nowhere`),
  )
})

test('every dependency is a written decision', () => {
  const page = 'docs/decisions/dependencies.md'
  const text = readOr(page, '')
  check(
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
      .filter(name => !text.includes(`\`${name}\``))
      .map(name => `${page} lacks a line about \`${name}\``),
  )
})

const readOr = (path: string, otherwise: string): string => {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return otherwise
  }
}
