// The demonstration as people read it: plain lines of about 80 columns, tables aligned, no colours.

import type { Percentiles } from './statistics.ts'

/** A heading with an empty line above it. */
export const heading = (title: string): string => `\n${title}\n`

const columns = 80

/** Sentences, broken at 80 columns and indented by two. */
export const paragraph = (text: string): string => {
  const lines: string[] = ['']
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1) ?? ''
    if (line.length + word.length + 3 > columns) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map(line => `  ${line}\n`).join('')
}

type Cell = string | number

/** Rows under their head, indented by two; numbers are aligned to the right. */
export const table = (head: readonly string[], rows: readonly (readonly Cell[])[]): string => {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map(row => String(row[column] ?? '').length)),
  )
  const isNumber = head.map((_, column) => rows.every(row => typeof row[column] === 'number'))
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0
        const text = String(cell)
        return isNumber[column] === true ? text.padStart(width) : text.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [head, ...rows].map(cells => `  ${line(cells)}\n`).join('')
}

/** `24 calls, p50 4.8 ms, p99 7.1 ms`. */
export const callTimes = ({ count, p50, p99 }: Percentiles): string =>
  `${counted(count, 'call')}, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`

/** `1 pod`, `2 pods`. */
export const counted = (count: number, noun: string): string =>
  count === 1 ? `1 ${noun}` : `${count} ${noun}${noun.endsWith('s') ? 'es' : 's'}`

/** The first few of many lines, and how many more there are. */
export const firstOf = (lines: readonly string[]): string => {
  const shown = lines.slice(0, shownMax).join('; ')
  return lines.length > shownMax ? `${shown}; and ${lines.length - shownMax} more` : shown
}

const shownMax = 3
