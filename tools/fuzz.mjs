// Fuzzes the CNI executable for as long as it is told: installs clang or AFL++ when missing, builds
// the harness of test/fuzz, runs it on the committed corpus and what earlier runs found, and prints
// minutes, executions, crashes and the lines reached. Exit code 1 when something crashed, 2 when
// the command line is wrong.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureDebianPackages } from './debian.mjs'

const usage = `usage: npm run fuzz -- [--minutes N] [--engine libfuzzer|afl] [--keep]
  --minutes N  how long (default 10)
  --engine E   libfuzzer (default), or afl for AFL++
  --keep       afterwards, replace the committed corpus with the smallest that reaches as much`

const root = join(import.meta.dirname, '..')
const harness = join(root, 'test/fuzz/shim.c')
const dictionary = join(root, 'test/fuzz/shim.dict')
const corpus = join(root, 'test/fuzz/corpus')
const work = join(root, 'dist/fuzz')
const found = join(work, 'found')
const crashes = join(work, 'crashes')

/** Longer inputs reach nothing new: the harness has small buffers. */
const inputBytesMax = 6000
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

const main = () => {
  const options = readOptions()
  if (options === undefined) {
    process.stderr.write(`${usage}\n`)
    return 2
  }
  ensureDebianPackages(options.engine === 'afl' ? ['fuzz', 'afl'] : ['fuzz'])
  for (const path of [corpus, found, crashes]) mkdirSync(path, { recursive: true })
  const before = readdirSync(crashes).length
  const executions = engines[options.engine](options.minutes * 60)
  const crashed = readdirSync(crashes).length - before
  if (options.keep && crashed === 0) keepSmallest()
  const line = `${options.minutes} minutes with ${options.engine}, ${executions} executions`
  process.stdout.write(`${line}, ${crashed} crashes\n${coverage()}\n`)
  if (crashed > 0) {
    process.stdout.write(`replay a crash: ${compileReplay()} ${crashes}/NAME\n`)
  }
  return crashed > 0 ? 1 : 0
}

const readOptions = () => {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        engine: { type: 'string', default: 'libfuzzer' },
        keep: { type: 'boolean', default: false },
      },
    })
    const minutes = Number(values.minutes)
    const isValid = minutes > 0 && minutes <= 7 * 24 * 60 && Object.hasOwn(engines, values.engine)
    return isValid ? { ...values, minutes } : undefined
  } catch {
    return undefined
  }
}

// Variables of `env` come on top of our own, by the program of that name.
const run = (command, args, { env = {}, stdio = 'inherit', ...more } = {}) => {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const done = spawnSync('env', [...settings, command, ...args], { cwd: root, stdio, ...more })
  if (done.error !== undefined) throw done.error
  return done
}

const compile = (name, flags, { compiler = 'clang', env = {} } = {}) => {
  const output = join(work, name)
  const { status } = run(compiler, ['-g', '-O1', ...flags, '-o', output, harness], { env })
  if (status !== 0) throw new Error(`cannot compile ${harness} with ${compiler}; see above`)
  return output
}

const compileReplay = () => compile('replay', [...sanitizers, '-DREPLAY'])

const compileLibFuzzer = () => compile('libfuzzer', ['-fsanitize=fuzzer', ...sanitizers])

const runLibFuzzer = seconds => {
  const log = join(work, 'libfuzzer.log')
  const { stderr } = run(
    compileLibFuzzer(),
    [
      `-max_total_time=${Math.ceil(seconds)}`,
      `-max_len=${inputBytesMax}`,
      `-dict=${dictionary}`,
      `-artifact_prefix=${crashes}/`,
      '-timeout=10',
      '-print_final_stats=1',
      found,
      corpus,
    ],
    { stdio: ['ignore', 'inherit', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 30 },
  )
  writeFileSync(log, stderr)
  const executions = /number_of_executed_units:\s*(\d+)/.exec(stderr)?.[1]
  if (executions === undefined) throw new Error(`libFuzzer ended without its figures; see ${log}`)
  return Number(executions)
}

// AFL++ keeps its own queue: what it found goes to libFuzzer's folder, and the crashes to ours.
const runAfl = seconds => {
  const output = join(work, 'afl')
  rmSync(output, { recursive: true, force: true })
  const env = { AFL_USE_ASAN: '1', AFL_USE_UBSAN: '1', AFL_QUIET: '1' }
  const target = compile('afl-target', ['-fsanitize=fuzzer'], { compiler: 'afl-clang-fast', env })
  const limits = ['-V', String(Math.ceil(seconds)), '-t', '2000', '-m', 'none']
  const places = ['-i', corpus, '-o', output, '-x', dictionary]
  const quiet = {
    AFL_NO_UI: '1',
    AFL_SKIP_CPUFREQ: '1',
    AFL_NO_AFFINITY: '1',
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES: '1',
  }
  run('afl-fuzz', [...limits, ...places, '--', target], {
    env: quiet,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  for (const kind of ['crashes', 'hangs']) gather(join(output, 'default', kind), crashes)
  gather(join(output, 'default', 'queue'), found)
  const stats = readFileSync(join(output, 'default', 'fuzzer_stats'), 'utf8')
  return Number(/execs_done\s*:\s*(\d+)/.exec(stats)?.[1])
}

const gather = (from, to) => {
  const names = existsSync(from) ? readdirSync(from).filter(name => name.startsWith('id:')) : []
  for (const name of names) {
    writeFileSync(
      join(to, `afl-${name.replaceAll(/[^\w.-]/g, '-')}`),
      readFileSync(join(from, name)),
    )
  }
}

const engines = { libfuzzer: runLibFuzzer, afl: runAfl }

// Files that a person named after what they once broke stay as they are.
const keepSmallest = () => {
  const smallest = join(work, 'smallest')
  rmSync(smallest, { recursive: true, force: true })
  mkdirSync(smallest)
  const options = ['-merge=1', '-use_counters=0', `-max_len=${inputBytesMax}`]
  run(compileLibFuzzer(), [...options, smallest, corpus, found], { stdio: 'ignore' })
  const isOurs = name => /^[0-9a-f]{16}$/.test(name)
  for (const name of readdirSync(corpus).filter(isOurs)) rmSync(join(corpus, name))
  for (const name of readdirSync(smallest)) {
    writeFileSync(join(corpus, name.slice(0, 16)), readFileSync(join(smallest, name)))
  }
}

// Which lines of the executable the corpus and all that was found reach.
const coverage = () => {
  const profile = join(work, 'coverage.profraw')
  const flags = ['-fprofile-instr-generate', '-fcoverage-mapping', '-DREPLAY']
  const program = compile('coverage', flags)
  const inputs = [corpus, found].flatMap(path => readdirSync(path).map(name => join(path, name)))
  // A path has some 100 bytes, and a command line takes 2 MB.
  const list = inputs.slice(0, 10_000)
  run(program, list, { env: { LLVM_PROFILE_FILE: profile }, stdio: 'ignore' })
  const merged = join(work, 'coverage.profdata')
  run('llvm-profdata', ['merge', '-o', merged, profile])
  const sources = ['eniway.c', 'config.h', 'text.h'].map(name => join(root, 'cni/shim', name))
  const report = ['export', '-summary-only', `-instr-profile=${merged}`, program, ...sources]
  const { stdout } = run('llvm-cov', report, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  return JSON.parse(stdout)
    .data[0].files.map(({ filename, summary: { lines, branches } }) => {
      const name = filename.slice(root.length + 1)
      const shares = [`${lines.covered} of ${lines.count} lines`]
      return [name, ...shares, `${branches.covered} of ${branches.count} branches`].join(', ')
    })
    .join('\n')
}

process.exitCode = main()
