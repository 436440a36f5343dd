// What a run comes to: as a value, as text for people and as JUnit XML for continuous integration.

import type { Level, Verdict } from './judge.ts'
import type { Role } from './record.ts'

/** One point and its verdict. */
export type JudgedPoint = Verdict & {
  readonly id: number
  readonly level: Level
  readonly section: string
  readonly text: string
}

/** What a run comes to. */
export type Report = {
  readonly plugin: string
  /** Of the specification, as the plugin says; only those this suite knows. */
  readonly versions: readonly string[]
  /** How the plugin works, or that it is a runtime. */
  readonly role: Role | 'runtime'
  readonly points: readonly JudgedPoint[]
  readonly totals: { readonly pass: number; readonly fail: number; readonly 'n/a': number }
}

/** Counts the verdicts. */
export const reportOf = (
  head: Pick<Report, 'plugin' | 'versions' | 'role'>,
  points: readonly JudgedPoint[],
): Report => {
  const count = (status: Verdict['status']) =>
    points.filter(point => point.status === status).length
  const totals = { pass: count('pass'), fail: count('fail'), 'n/a': count('n/a') }
  return { ...head, points, totals }
}

/** Lines for a terminal. */
export const reportText = (report: Report): string => {
  const { plugin, versions, role, points, totals } = report
  const lines = points.map(
    ({ id, level, status, text, evidence }) =>
      `${status.padEnd(4)} ${String(id).padStart(3)} ${level.padEnd(11)} ${text}\n     ${evidence}`,
  )
  return [
    `${plugin}: ${role === 'runtime' ? role : `${role} plugin`}, CNI ${versions.join(', ')}`,
    ...lines,
    `${totals.pass} pass, ${totals.fail} fail, ${totals['n/a']} not applicable`,
    '',
  ].join('\n')
}

/** One test suite; what is not applicable is skipped with its reason. */
export const reportJunit = ({ plugin, points, totals }: Report): string => {
  const counts = `tests="${points.length}" failures="${totals.fail}" skipped="${totals['n/a']}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="cni conformance of ${escaped(plugin)}" ${counts}>`,
    ...points.map(testCase),
    '</testsuite>',
    '',
  ].join('\n')
}

const testCase = ({ id, level, section, text, status, evidence }: JudgedPoint): string => {
  const head = `  <testcase classname="${escaped(section)}" name="${id} ${level} ${escaped(text)}"`
  const message = escaped(evidence)
  switch (status) {
    case 'pass':
      return `${head}><system-out>${message}</system-out></testcase>`
    case 'fail':
      return `${head}><failure message="${message}"/></testcase>`
    case 'n/a':
      return `${head}><skipped message="${message}"/></testcase>`
  }
}

// XML 1.0 has no place for most control characters, not even escaped.
const controls = /[^\P{Cc}\t\n\r]/gu

const escaped = (text: string): string =>
  text
    .replaceAll(controls, '�')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
