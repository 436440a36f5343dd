// The whole suite: runs every scenario in a lab, judges every point, cleans up.

import { points } from './points/all.ts'
import { Lab, type LabOptions } from './lab.ts'
import type { Recording } from './record.ts'
import { reportOf, type Report } from './report.ts'
import { runAdd, runChained } from './scenarios/add.ts'
import { runCheck, runCheckAlone } from './scenarios/check.ts'
import { runConfig } from './scenarios/config.ts'
import { runDel } from './scenarios/del.ts'
import { runDelegation } from './scenarios/delegation.ts'
import { runArguments, runEnvironment } from './scenarios/environment.ts'
import { live } from './scenarios/life.ts'
import { runProcess } from './scenarios/process.ts'
import { runGc, runStatus } from './scenarios/status.ts'

type Scenario = (lab: Lab) => Promise<void>

/** Parts of the suite by name; those after the first three need a plugin whose ADD works. */
const early: Readonly<Record<string, Scenario>> = {
  environment: runEnvironment,
  process: runProcess,
}

const late: Readonly<Record<string, Scenario>> = {
  arguments: runArguments,
  config: runConfig,
  add: runAdd,
  chained: runChained,
  delegation: runDelegation,
  del: runDel,
  check: runCheck,
  'check without daemon': runCheckAlone,
  status: runStatus,
  gc: runGc,
}

export type SuiteOptions = LabOptions & {
  /** Names of the parts to run; left out: all. Points of the others are not applicable. */
  readonly parts?: readonly string[]
  /** Told the name of each part before it begins. */
  readonly progress?: (part: string) => void
}

/** Runs the suite. Rejects only when this machine cannot run it; the lab is removed either way. */
export const conform = async (options: SuiteOptions): Promise<Report> => {
  const lab = new Lab(options)
  const isWanted = ([name]: readonly [string, Scenario]) => options.parts?.includes(name) ?? true
  try {
    await lab.open()
    options.progress?.('life of an attachment')
    const works = await live(lab)
    const all = [...Object.entries(early), ...(works ? Object.entries(late) : [])]
    for (const [name, scenario] of all.filter(isWanted)) {
      options.progress?.(name)
      await scenario(lab)
    }
  } finally {
    await lab.close()
  }
  return judge(lab.recording(), options.subject.type)
}

/** Judges what was recorded. */
export const judge = (recording: Recording, plugin: string): Report => {
  const judged = points.map(({ judge, ...point }) => ({ ...point, ...judge(recording) }))
  return reportOf({ plugin, versions: recording.versions, role: recording.role }, judged)
}
