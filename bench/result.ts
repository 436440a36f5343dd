// One line of the report: a figure of ours beside the peer's, and what was to be reached.

import { rounded } from './statistics.ts'

export type Result = {
  readonly name: string
  readonly unit: string
  readonly ours: number
  /** Null when the peer has nothing that could be measured. */
  readonly peer: number | null
  readonly ratio: number | null
  readonly target: string | null
  readonly met: boolean | null
  /** What the figure leaves out. */
  readonly note: string
}

/** A bound on the ratio ours / peer, or on our own figure. */
export type Target =
  | { readonly kind: 'ratio'; readonly max: number }
  | { readonly kind: 'value'; readonly max: number }
  | { readonly kind: 'none' }

export type Measured = {
  readonly name: string
  readonly unit: string
  readonly ours: number
  readonly peer: number | null
  readonly target: Target
  readonly note: string
}

/** Judges a measured pair; the verdict is taken before rounding. */
export const resultOf = (measured: Measured): Result => {
  const { name, unit, ours, peer, target, note } = measured
  const ratio = peer === null || peer === 0 ? null : ours / peer
  return {
    name,
    unit,
    ours: rounded(ours),
    peer: peer === null ? null : rounded(peer),
    ratio: ratio === null ? null : rounded(ratio),
    target: describe(target, unit),
    met: judge(target, ours, ratio),
    note,
  }
}

const describe = (target: Target, unit: string): string | null => {
  if (target.kind === 'none') return null
  return target.kind === 'ratio' ? `<= ${target.max.toFixed(2)} x peer` : `<= ${target.max} ${unit}`
}

const judge = (target: Target, ours: number, ratio: number | null): boolean | null => {
  if (target.kind === 'none') return null
  const figure = target.kind === 'ratio' ? ratio : ours
  return figure === null ? null : figure <= target.max
}
