// The results for people: one line per figure, notes below.

import type { Machine } from './machine.ts'
import type { Result } from './result.ts'

/** What goes to stdout with `--output json`. */
export type Report = { readonly machine: Machine; readonly results: readonly Result[] }

/** The report as a table for a terminal. */
export const tableOf = ({ machine, results }: Report): string => {
  const { cpu, cores, kernel, node, seed, pods, rounds, loadBefore, loadAfter, ledger } = machine
  const head = `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}; seed ${seed}`
  const rows = [['', 'ours', 'peer', 'ratio', 'target', 'met'], ...results.map(rowOf)]
  const lines = rows.map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' ')
      .trimEnd(),
  )
  const notes = results.map(({ name, note }) => `${name}: ${note}.`)
  const run =
    `${pods} pods, ${rounds} rounds; load ${loadBefore.toFixed(2)} before, ` +
    `${loadAfter.toFixed(2)} after; ledger on ${ledger}`
  return [head, run, '', ...lines, '', ...notes].join('\n')
}

const widths = [26, 10, 10, 8, 16, 4]

const rowOf = ({ name, unit, ours, peer, ratio, target, met }: Result): readonly string[] => [
  name,
  `${ours} ${unit}`,
  peer === null ? '-' : `${peer} ${unit}`,
  ratio === null ? '-' : String(ratio),
  target ?? '-',
  met === null ? '-' : met ? 'yes' : 'no',
]
