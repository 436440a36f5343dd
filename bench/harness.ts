// Compiles and drives harness.c, which starts and times the plugins: Node's own way of starting
// a child costs more than what is measured here.

import { readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Session } from './shell.ts'

/** One start of a program, as a container runtime would make it. */
export type Start = {
  readonly netns: string
  readonly stdinFile: string
  readonly stdoutFile: string
  readonly environment: Readonly<Record<string, string>>
  readonly program: string
}

/** What one start took; CPU includes children that the program waited for. */
export type Timing = { readonly wallMs: number; readonly cpuMs: number }

export type Timings = {
  /** In the order of the starts. */
  readonly timings: readonly Timing[]
  /** Time from the first start to the last end of each batch; empty when one at a time. */
  readonly batchMs: readonly number[]
}

/** The compiled harness. */
export type Harness = { readonly path: string; readonly dir: string; readonly session: Session }

/** Compiles the harness into the directory, with musl when there is one: its memory is smaller. */
export const buildHarness = async (session: Session, dir: string): Promise<Harness> => {
  const path = join(dir, 'harness')
  const source = join(import.meta.dirname, 'harness.c')
  const compiler = existsSync('/usr/bin/musl-gcc') ? 'musl-gcc' : 'gcc'
  const args = ['-static', '-Os', '-s', '-o', path, source]
  await session.run({ program: compiler, args })
  return { path, dir, session }
}

/** Runs all starts, `atOnce` of them at a time; rejects with the output of one that failed. */
export const runStarts = async (
  harness: Harness,
  starts: readonly Start[],
  atOnce = 1,
): Promise<Timings> => {
  const { runs, batchMs } = await drive(harness, starts, ['run', String(atOnce)])
  return { timings: runs, batchMs }
}

/** Runs all starts and answers the exact memory of each in MiB; their times mean nothing. */
export const traceStarts = async (
  harness: Harness,
  starts: readonly Start[],
): Promise<readonly number[]> => {
  const { runs } = await drive(harness, starts, ['trace'])
  return runs.map(run => run.rssMib)
}

type Run = Timing & { readonly index: number; readonly exitCode: number; readonly rssMib: number }
type Driven = { readonly runs: readonly Run[]; readonly batchMs: readonly number[] }

const drive = async (
  { path, dir, session }: Harness,
  starts: readonly Start[],
  [verb, ...rest]: readonly [string, ...string[]],
): Promise<Driven> => {
  const file = join(dir, 'starts')
  await writeFile(file, starts.map(start => `${lineOf(start)}\n`).join(''))
  const output = await session.run({ program: path, args: [verb, file, ...rest] })
  const lines = output.trim().split('\n')
  const runs = lines.filter(line => line.startsWith('run ')).map(parseRun)
  const failed = runs.find(run => run.exitCode !== 0)
  if (failed !== undefined) await rejectWith(starts[failed.index], failed.exitCode)
  const batches = lines.filter(line => line.startsWith('batch ')).map(line => line.split(' ')[1])
  return {
    runs: runs.sort((a, b) => a.index - b.index),
    batchMs: batches.map(ns => Number(ns) / 1e6),
  }
}

const lineOf = ({ netns, stdinFile, stdoutFile, environment, program }: Start): string => {
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return [netns, stdinFile, stdoutFile, ...settings, '--', program].join('\t')
}

const parseRun = (line: string): Run => {
  const [, index = NaN, exitCode = NaN, wallNs = NaN, cpuUs = NaN, rssKib = NaN] = line
    .split(' ')
    .map(Number)
  return { index, exitCode, wallMs: wallNs / 1e6, cpuMs: cpuUs / 1e3, rssMib: rssKib / 1024 }
}

const rejectWith = async (start: Start | undefined, exitCode: number): Promise<never> => {
  const verb = start?.environment['CNI_COMMAND'] ?? ''
  const output = await readFile(start?.stdoutFile ?? '', 'utf8').catch(() => '')
  throw new Error(`${start?.program} ${verb} ended with ${exitCode}: ${output.trim()}`)
}
