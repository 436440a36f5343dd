// The whole demonstration, act by act, and what came of it. Always ends with a report, complete or
// not; ending the stage is left to the caller, who may want to keep it.

import { makePods, removePods, reuseAddresses, showCalls, showPlaces, showPools } from './acts.ts'
import { wordsOf } from './clouds.ts'
import type { Play } from './options.ts'
import { emptyReport, type Report } from './report.ts'
import { raise, type Stage } from './stage.ts'
import { counted, paragraph } from './text.ts'
import { showTraffic } from './traffic.ts'

export type Performance = {
  readonly report: Report
  /** One sentence each; empty when all was well. */
  readonly problems: readonly string[]
}

/** Plays all acts; a failure ends them and becomes a problem. Aborting does the same. */
export const perform = async (stage: Stage, directory: string): Promise<Performance> => {
  const { cloud, families, nodes, pods, instanceType, seed } = stage.play
  const report = emptyReport(stage.play)
  const problems: string[] = []
  stage.say(
    paragraph(
      `eniway on an emulated ${wordsOf[cloud].network}: ${counted(nodes, 'node')} of ` +
        `${instanceType}, ${counted(pods, 'pod')} on each${spokenFamilies(families)}, ` +
        `seed ${seed}.`,
    ),
  )
  try {
    await raise(stage, directory)
    problems.push(...(await showPools(stage)))
    const first = await makePods(stage, report)
    problems.push(...(await showPlaces(stage, report)))
    problems.push(...(await showTraffic(stage, first, report)))
    problems.push(...(await removePods(stage, first, report)))
    problems.push(...(await reuseAddresses(stage, first, report)))
    problems.push(...(await showCalls(stage, report)))
  } catch (error) {
    problems.push(messageOf(error))
  }
  return { report, problems }
}

const spokenFamilies = (families: Play['families']): string => {
  if (families.length === 2) return ' with IPv4 and IPv6'
  return families[0] === 'ipv6' ? ' with IPv6 only' : ''
}

/** An error in one sentence, with the causes that say more. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause === undefined || error.name === 'AbortError') return error.message
  const cause = messageOf(error.cause)
  return error.message.includes(cause) ? error.message : `${error.message}: ${cause}`
}
