// A report as text for people and as JUnit XML for continuous integration.

import type { JudgedPoint, Report } from './suite.ts'

/** Lines for a terminal. */
export const reportText = (report: Report): string => {
  const { plugin, versions, role, points, totals } = report
  const lines = points.map(
    ({ id, level, status, text, evidence }) =>
      `${status.padEnd(4)} ${String(id).padStart(3)} ${level.padEnd(11)} ${text}\n     ${evidence}`,
  )
  return [
    `${plugin}: ${role} plugin, CNI ${versions.join(', ')}`,
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
