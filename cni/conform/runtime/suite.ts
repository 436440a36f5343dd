// The suite for runtimes: every trial of every point in a place of its own, and what it found out.
// Starts the scripts of recorder.ts as plugins; needs neither root nor namespaces.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '#core/ports.ts'
import { notApplicable, type Verdict } from '../judge.ts'
import { reportOf, type Report } from '../report.ts'
import { Notes } from './notes.ts'
import { Place, type RuntimeSubject } from './place.ts'
import type { RuntimePoint } from './point.ts'
import { attachmentPoints } from './points/attachment.ts'
import { checkPoints } from './points/check.ts'
import { collectionPoints } from './points/collection.ts'
import { configurationPoints } from './points/configuration.ts'
import { listPoints } from './points/list.ts'
import { orderPoints } from './points/order.ts'
import { processPoints } from './points/process.ts'
import { requestPoints } from './points/request.ts'
import { versionPoints } from './points/version.ts'

/** All points for runtimes, in the order of their numbers. */
export const runtimePoints: readonly RuntimePoint[] = [
  ...versionPoints,
  ...configurationPoints,
  ...listPoints,
  ...processPoints,
  ...attachmentPoints,
  ...orderPoints,
  ...checkPoints,
  ...collectionPoints,
  ...requestPoints,
].toSorted((a, b) => a.id - b.id)

export type RuntimeSuiteOptions = {
  readonly subject: RuntimeSubject
  /** Real time. */
  readonly clock: Clock
  /** Numbers of the points to judge; left out: all. */
  readonly ids?: readonly number[]
  /** Told the number of each point before its trials. */
  readonly progress?: (id: number) => void
}

/** Judges a runtime. Rejects only when this machine cannot run the suite. */
export const conformRuntime = async (options: RuntimeSuiteOptions): Promise<Report> => {
  const { subject, ids, progress } = options
  const judged = []
  for (const { trials, ...point } of runtimePoints) {
    if (ids !== undefined && !ids.includes(point.id)) continue
    progress?.(point.id)
    judged.push({ ...point, ...(await verdictOf(trials, options)) })
  }
  return reportOf({ plugin: subject.name, versions: subject.versions, role: 'runtime' }, judged)
}

const verdictOf = async (
  trials: RuntimePoint['trials'],
  { subject, clock }: RuntimeSuiteOptions,
): Promise<Verdict> => {
  if (typeof trials === 'string') return notApplicable(trials)
  const notes = new Notes()
  for (const trial of trials) {
    const directory = mkdtempSync(join(tmpdir(), 'ew-conform-'))
    const place = new Place({ subject, clock, directory })
    try {
      await trial(place, notes)
    } catch (error) {
      // Nothing that is asked of a runtime may throw; what the trial misses is no pass either.
      notes.bad.push(error instanceof Error ? error.message : String(error))
    } finally {
      place.remove()
    }
  }
  return notes.verdict
}
