// Verdicts: what was not run is never a pass, and one problem outweighs everything.

import { expect, test } from 'vitest'
import {
  allOf,
  both,
  fails,
  names,
  NotApplicable,
  refuses,
  succeeds,
  want,
  wants,
  type Judge,
} from './judge.ts'
import { points } from './points/all.ts'
import type { Execution, Recording } from './record.ts'
import { parseSubject } from './subject.ts'
import { judge } from './suite.ts'
import { reportJunit, reportText } from './report.ts'

const execution = (label: string, exitCode: number | undefined, stdout = ''): Execution => ({
  label,
  verb: 'ADD',
  environment: {},
  stdin: '',
  stdout,
  stderr: '',
  exitCode,
  milliseconds: 1,
  host: undefined,
  pod: undefined,
  delegate: [],
  damage: undefined,
})

const recording = (executions: readonly Execution[]): Recording => ({
  role: 'interface',
  versions: ['1.0.0', '1.1.0'],
  version: '1.1.0',
  plugin: { type: 'a' },
  executions: new Map(executions.map(entry => [entry.label, entry])),
  skipped: new Map([['skipped', 'there is no such thing']]),
  snapshots: new Map(),
})

const refusal = '{"code":4,"msg":"CNI_NETNS is missing"}'
const all = recording([
  execution('good', 0),
  execution('bad', 1, refusal),
  execution('dead', undefined),
])

const check = (judge: Judge, text: string) => {
  const { status, evidence } = judge(all)
  expect(`${status}: ${evidence}`).toBe(text)
}

const says = (text: string) => () => new NotApplicable(text)

test('an execution that was not run is not applicable, with its reason', () => {
  check(wants(want('skipped', succeeds)), 'n/a: there is no such thing')
  check(wants(want('unheard of', succeeds)), 'n/a: it was not run')
  check(wants(want('good', says('it says nothing'))), 'n/a: it says nothing')
})

test('one problem outweighs what is good and what was not run', () => {
  check(wants(want('good', succeeds), want('skipped', succeeds)), 'pass: good: exit 0')
  check(wants(want('good', succeeds), want('good', fails)), 'fail: good: succeeds (exit 0)')
  const good = wants(want('good', succeeds))
  const bad = wants(want('bad', succeeds))
  const none = wants(want('skipped', succeeds))
  check(allOf(none, good), 'pass: good: exit 0')
  check(allOf(good, bad, none), 'fail: bad: exit 1, code 4 "CNI_NETNS is missing"')
  check(allOf(none, none), 'n/a: there is no such thing')
})

test('a refusal has its code and its words; a plugin that was killed refused nothing', () => {
  const summary = 'bad: exit 1, code 4 "CNI_NETNS is missing"'
  check(wants(want('bad', both(refuses(4), names('CNI_NETNS')))), `pass: ${summary}`)
  check(wants(want('bad', refuses(6, 7))), `fail: bad: wanted code 6 or 7, got ${summary.slice(5)}`)
  check(
    wants(want('bad', names('CNI_IFNAME'))),
    `fail: bad: does not name CNI_IFNAME: ${summary.slice(5)}`,
  )
  check(wants(want('dead', fails)), 'fail: dead: ended by a signal without a word')
})

test('points are numbered once, and without any execution none passes', () => {
  expect(new Set(points.map(({ id }) => id)).size).toBe(points.length)
  const report = judge(recording([]), 'a')
  expect(report.totals).toEqual({ pass: 0, fail: 0, 'n/a': points.length })
})

test('reports hold every point, escaped where XML needs it', () => {
  const broken = execution('VERSION', 1, '<&"\u0007')
  const report = judge(recording([broken]), 'a')
  expect(reportText(report)).toContain('fail 107 SHOULD')
  const xml = reportJunit(report)
  expect(xml.match(/<testcase /g)).toHaveLength(points.length)
  expect(xml).toContain('&lt;&amp;')
  expect(xml).not.toContain('\u0007')
})

test.each([
  ['{}', {}, 'name must be a name'],
  ['{"name":"a","plugins":[]}', {}, 'it has no plugins'],
  ['{"name":"a","plugins":[{"type":"x/y"}]}', {}, 'every plugin needs a type without slashes'],
  ['{"name":"a","plugins":[{"type":"x"}]}', { plugin: 'y' }, 'no plugin is y'],
])('a list that names no plugin: %s', (conflist, more, want) => {
  const subject = parseSubject({ conflist, binDirectory: '/', ...more })
  expect(subject.kind === 'failed' ? subject.message : '').toContain(want)
})

test('the plugin that was asked for is judged, behind those before it', () => {
  const conflist = '{"name":"a","plugins":[{"type":"x"},{"type":"y"},{"type":"z"}]}'
  const subject = parseSubject({ conflist, binDirectory: '/', plugin: 'y' })
  expect(subject).toMatchObject({ value: { type: 'y', before: [{ type: 'x' }] } })
})
