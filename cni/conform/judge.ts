// From recorded executions to a verdict with its evidence. A point names executions and what it
// wants of each; what was not run is never counted as well done.

import { codeOf, objectOf, quote, summaryOf, type Execution, type Recording } from './record.ts'

/** MUST, SHOULD, MAY of the text; reference library; conventions; engineering rule of our own. */
export type Level = 'MUST' | 'SHOULD' | 'MAY' | 'REFERENCE' | 'CONVENTION' | 'ENGINEERING'

export type Verdict = {
  readonly status: 'pass' | 'fail' | 'n/a'
  readonly evidence: string
}

export type Judge = (recording: Recording) => Verdict

export type Point = {
  /** Number in the list of requirements that docs/conformance.md prints. */
  readonly id: number
  readonly level: Level
  /** Where in the specification. */
  readonly section: string
  /** The requirement in our words. */
  readonly text: string
  readonly judge: Judge
}

/** What is wrong with an execution, in words; undefined when nothing is. */
export type Expectation = (execution: Execution, recording: Recording) => string | undefined

/** Says that the point cannot be judged by this execution, with the reason. */
export class NotApplicable {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

/** An execution, and what is wanted of it: its problem, or a reason why it says nothing. */
export type Want = {
  readonly label: string
  readonly expect: (
    execution: Execution,
    recording: Recording,
  ) => string | undefined | NotApplicable
}

export const want = (label: string, expect: Want['expect']): Want => ({ label, expect })

export const pass = (evidence: string): Verdict => ({ status: 'pass', evidence })
export const fail = (evidence: string): Verdict => ({ status: 'fail', evidence })
export const notApplicable = (evidence: string): Verdict => ({ status: 'n/a', evidence })

/** A point no run of an executable from outside can decide. */
export const unseen =
  (reason: string): Judge =>
  () =>
    notApplicable(reason)

/** Fails when any execution is not as wanted; passes when at least one was judged and all are. */
export const wants =
  (...list: readonly Want[]): Judge =>
  recording => {
    const found = list.map(entry => ({ label: entry.label, ...judgeOne(entry, recording) }))
    const problems = found.filter(({ kind }) => kind === 'problem')
    if (problems.length > 0) return fail(phrases(problems))
    const good = found.filter(({ kind }) => kind === 'good')
    if (good.length > 0) return pass(phrases(good))
    return notApplicable([...new Set(found.map(({ text }) => text))].join('; '))
  }

type Judged = { readonly kind: 'problem' | 'good' | 'unjudged'; readonly text: string }

const judgeOne = ({ label, expect }: Want, recording: Recording): Judged => {
  const execution = recording.executions.get(label)
  if (execution === undefined) {
    return { kind: 'unjudged', text: recording.skipped.get(label) ?? 'it was not run' }
  }
  const problem = expect(execution, recording)
  if (problem === undefined) return { kind: 'good', text: summaryOf(execution) }
  return problem instanceof NotApplicable
    ? { kind: 'unjudged', text: problem.reason }
    : { kind: 'problem', text: problem }
}

const phrasesMax = 5

const phrases = (list: readonly { readonly label: string; readonly text: string }[]): string => {
  const shown = list.slice(0, phrasesMax).map(({ label, text }) => `${label}: ${text}`)
  const more = list.length - shown.length
  return more > 0 ? `${shown.join('; ')}; and ${more} more` : shown.join('; ')
}

/** Fails as the first that fails, and passes when any passes; several judges of one point. */
export const allOf =
  (...judges: readonly Judge[]): Judge =>
  recording => {
    const verdicts = judges.map(judge => judge(recording))
    const of = (status: Verdict['status']) => verdicts.filter(verdict => verdict.status === status)
    const worst = [of('fail'), of('pass'), of('n/a')].find(list => list.length > 0) ?? []
    const status = worst[0]?.status ?? 'n/a'
    return { status, evidence: [...new Set(worst.map(({ evidence }) => evidence))].join('; ') }
  }

/** Exit code 0. */
export const succeeds: Expectation = execution =>
  execution.exitCode === 0 ? undefined : summaryOf(execution)

/** Any failure that the plugin reports itself. */
export const fails: Expectation = execution => {
  if (execution.exitCode === undefined) return summaryOf(execution)
  return execution.exitCode === 0 ? 'succeeds (exit 0)' : undefined
}

/** Failure with one of these codes on stdout. */
export const refuses =
  (...codes: readonly number[]): Expectation =>
  (execution, recording) => {
    const problem = fails(execution, recording)
    if (problem !== undefined) return problem
    const code = codeOf(execution)
    return code !== undefined && codes.includes(code)
      ? undefined
      : `wanted code ${codes.join(' or ')}, got ${summaryOf(execution)}`
  }

/** The error message holds all these words. */
export const names =
  (...words: readonly string[]): Expectation =>
  execution => {
    const { msg, details } = objectOf(execution) ?? {}
    const text = `${String(msg)} ${String(details)}`
    const missing = words.filter(word => !text.includes(word))
    return missing.length === 0
      ? undefined
      : `does not name ${missing.join(', ')}: ${summaryOf(execution)}`
  }

/** Nothing on stdout. */
export const silent: Expectation = ({ stdout }) =>
  stdout === '' ? undefined : `prints ${quote(stdout)}`

/** The first problem of several expectations. */
export const both =
  (...list: readonly Expectation[]): Expectation =>
  (execution, recording) => {
    for (const expect of list) {
      const problem = expect(execution, recording)
      if (problem !== undefined) return problem
    }
    return undefined
  }
