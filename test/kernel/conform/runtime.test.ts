// The suite for runtimes against our own, and against copies of it with one fault each: a suite
// that lets everything pass is worthless.

import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Report } from '#cni/conform/report.ts'
import { ownRuntime } from '#cni/conform/runtime/own.ts'
import { conformRuntime } from '#cni/conform/runtime/suite.ts'
import { createClock } from '#runtime/clock.ts'
import { faults } from './runtime-faults.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const program = join(import.meta.dirname, 'runtime-program.ts')

const described = ({ points }: Report, status: string): readonly string[] =>
  points.filter(point => point.status === status).map(({ id, evidence }) => `${id} ${evidence}`)

type Planted = {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** A package of its own: what is not of the runtime is ours by links. */
const copyTo = (directory: string, { file, from, to }: Planted): void => {
  mkdirSync(join(directory, 'cni'))
  const own = file.startsWith('spec/') ? ['runtime', 'spec'] : ['runtime']
  for (const folder of ['runtime', 'spec']) {
    const [source, target] = [join(root, 'cni', folder), join(directory, 'cni', folder)]
    if (own.includes(folder)) cpSync(source, target, { recursive: true })
    else symlinkSync(source, target)
  }
  symlinkSync(join(root, 'core'), join(directory, 'core'))
  const manifest = { type: 'module', imports: { '#core/*': './core/*' } }
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest))
  const path = join(directory, 'cni', file)
  const text = readFileSync(path, 'utf8')
  // A fault that cannot be made any more must be told otherwise, not left out.
  expect(text.split(from), `${file} does not hold once: ${from}`).toHaveLength(2)
  writeFileSync(
    path,
    text.replace(from, () => to),
  )
}

const judge = (directory: string, ids: readonly number[]): Promise<Report> =>
  new Promise((resolve, reject) => {
    const argv = [program, directory, ...ids.map(String)]
    execFile(process.execPath, argv, { timeout: 60_000 }, (error, stdout) => {
      if (error === null) resolve(JSON.parse(stdout) as Report)
      else reject(error)
    })
  })

const reportOn = async (planted: Planted, ids: readonly number[]): Promise<Report> => {
  const directory = mkdtempSync(join(tmpdir(), 'ew-faulty-'))
  try {
    copyTo(directory, planted)
    return await judge(directory, ids)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

// Most of a case is waiting for processes, so some go side by side.
describe.concurrent('the suite for runtimes', () => {
  test('our own runtime fails nothing', async ({ expect }) => {
    const report = await conformRuntime({ subject: ownRuntime, clock: createClock() })
    expect(described(report, 'fail')).toEqual([])
    expect(report.points.filter(({ status }) => status === 'n/a').map(({ id }) => id)).toEqual([
      71, 123,
    ])
    expect(report.points).toHaveLength(61)
    expect(new Set(report.points.map(({ id }) => id)).size).toBe(61)
  })

  test.for(faults)('%s', async ([, file, from, to, points], { expect }) => {
    const report = await reportOn({ file, from, to }, points)
    const failing = report.points.filter(({ status }) => status === 'fail').map(({ id }) => id)
    expect(failing, JSON.stringify(report.points)).toEqual(points)
  })
})
