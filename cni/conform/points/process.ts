// Points about the process: exit code, stdin, stdout, and the error object.

import {
  fail,
  notApplicable,
  pass,
  refuses,
  want,
  wants,
  type Expectation,
  type Judge,
  type Point,
} from '../judge.ts'
import { codeOf, objectOf, quote, summaryOf, valueOf, type Execution } from '../record.ts'

const section = 'Section 2: execution protocol'

/** Fails with the first executions that have the problem; passes with how many were looked at. */
const everywhere =
  (concerns: (execution: Execution) => boolean, expect: Expectation): Judge =>
  recording => {
    const all = [...recording.executions.values()].filter(concerns)
    if (all.length === 0) return notApplicable('no execution was of this kind')
    const problems = all.flatMap(execution => {
      const problem = expect(execution, recording)
      return problem === undefined ? [] : [`${execution.label}: ${problem}`]
    })
    const shown = problems.slice(0, shownMax).join('; ')
    const more = problems.length > shownMax ? `; and ${problems.length - shownMax} more` : ''
    return problems.length > 0 ? fail(`${shown}${more}`) : pass(`in all ${all.length} executions`)
  }

const shownMax = 4

const hasFailed = ({ exitCode }: Execution): boolean => exitCode !== 0
// Without a command nothing of the protocol holds.
const isCall = ({ environment }: Execution): boolean => environment['CNI_COMMAND'] !== undefined

const exitAgrees: Expectation = execution => {
  if (execution.exitCode === undefined) return 'was ended by a signal or ran too long'
  const isError = codeOf(execution) !== undefined
  return execution.exitCode === 0 && isError ? 'exit 0 with an error object' : undefined
}

const oneDocument: Expectation = execution => {
  const { verb, stdout } = execution
  if (verb !== 'ADD' && verb !== 'VERSION') {
    return stdout === '' ? undefined : `prints ${quote(stdout)}`
  }
  return valueOf(execution) === undefined ? `stdout is ${quote(stdout)}` : undefined
}

const errorObject: Expectation = execution => {
  const error = objectOf(execution)
  if (error === undefined) return `stdout is ${quote(execution.stdout)}`
  const { code, msg } = error
  const isWhole = Number.isInteger(code) && typeof msg === 'string'
  return isWhole ? undefined : `no code and msg in ${quote(execution.stdout)}`
}

// 8 and 999 are not in the text but in the reference library; 999 is above 99 anyway.
const reserved = new Set([1, 2, 3, 4, 5, 6, 7, 8, 11])
const statusOnly = new Set([50, 51])

const reservedCode: Expectation = execution => {
  const code = codeOf(execution)
  if (code === undefined || code >= 100 || reserved.has(code)) return undefined
  return statusOnly.has(code) && execution.verb === 'STATUS' ? undefined : summaryOf(execution)
}

const versionKept: Judge = recording => {
  const verdict = everywhere(
    execution => hasFailed(execution) && isCall(execution),
    errorObject,
  )(recording)
  if (verdict.status !== 'pass') return verdict
  const failures = [...recording.executions.values()].filter(hasFailed)
  const stamped = failures.filter(execution => 'cniVersion' in (objectOf(execution) ?? {})).length
  return pass(`${verdict.evidence}; cniVersion in ${stamped} of ${failures.length}`)
}

export const processPoints: readonly Point[] = [
  {
    id: 39,
    level: 'MUST',
    section,
    text: 'The exit code is 0 on success and something else on failure.',
    judge: everywhere(() => true, exitAgrees),
  },
  {
    id: 40,
    level: 'MUST',
    section,
    text: 'A stdin that cannot be read is error 5, one that is no JSON object error 6.',
    judge: wants(
      want('ADD with a stdin that cannot be read', refuses(5)),
      want('ADD with a stdin that is no JSON', refuses(6)),
    ),
  },
  {
    id: 41,
    level: 'REFERENCE',
    section: 'skel, the reference library',
    text: 'The order of complaints is variables, JSON, name, command, version, and then the work.',
    judge: wants(
      want('no CNI_CONTAINERID and no JSON', refuses(4)),
      want('no JSON and an unknown command', refuses(6)),
      want('ADD with no name', refuses(7)),
      want('ADD with a malformed name', refuses(7)),
      want('a malformed name and an unknown command', refuses(7)),
      want('an unknown command and an unknown version', refuses(4)),
      want('ADD with an unknown version', refuses(1)),
      want('CHECK with an unknown version and a bad prevResult', refuses(1)),
    ),
  },
  {
    id: 42,
    level: 'MUST',
    section: 'Execution flow',
    text: 'ADD and VERSION print exactly one JSON document, the other verbs nothing.',
    judge: everywhere(execution => !hasFailed(execution) && isCall(execution), oneDocument),
  },
  {
    id: 43,
    level: 'SHOULD',
    section: 'Error',
    text: 'A failure prints one JSON object with code and msg on stdout.',
    judge: versionKept,
  },
  {
    id: 44,
    level: 'MUST',
    section: 'Error',
    text: 'Codes below 100 are used in their reserved meaning only.',
    judge: everywhere(hasFailed, reservedCode),
  },
]
