// Points about the variables a plugin is started with.

import {
  both,
  fail,
  fails,
  names,
  notApplicable,
  refuses,
  succeeds,
  want,
  wants,
  type Judge,
  type Point,
} from '../judge.ts'
import { changesOf, codeOf, objectOf, summaryOf, type Execution } from '../record.ts'
import { badIfNames } from '../scenarios/environment.ts'

const section = 'Parameters'

/** Error 4, or the about text on stderr that the reference library prints. */
const aboutOrRefusal = (execution: Execution): string | undefined => {
  if (codeOf(execution) === 4 && execution.exitCode !== 0) return undefined
  const { exitCode, stdout, stderr } = execution
  const isAbout = exitCode === 0 && stdout === '' && stderr.trim() !== ''
  return isAbout ? undefined : `neither code 4 nor an about text: ${summaryOf(execution)}`
}

const missing = (verb: string, name: string) =>
  want(`${verb} without ${name}`, both(refuses(4), names(name)))

const versionReply = (execution: Execution): string | undefined => {
  const reply = objectOf(execution)
  const isGood = execution.exitCode === 0 && Array.isArray(reply?.['supportedVersions'])
  return isGood ? undefined : summaryOf(execution)
}

/** Missing variables are code 4; anything else means that it was not about them. */
const notTheEnvironment = (execution: Execution): string | undefined =>
  codeOf(execution) === 4 ? summaryOf(execution) : undefined

const untouched = (execution: Execution): string | undefined => {
  const changes = execution.host === undefined ? '' : changesOf(execution.host)
  if (changes !== '') return `acted before it refused: ${changes}`
  return /"(?:ips|ip4|ip6)"/.test(execution.stdout)
    ? 'printed a result before its error'
    : undefined
}

const guard: Judge = wants(
  want("ADD into the host's namespace", both(untouched, refuses(8))),
  want("DEL in the host's namespace", refuses(8)),
  want("DEL in the host's namespace with CNI_NETNS_OVERRIDE", execution =>
    codeOf(execution) === 8 ? summaryOf(execution) : undefined,
  ),
)

// Kubernetes' text must be taken; what goes beyond the reference library is only told.
const lenientArgs: Judge = recording => {
  const verdict = wants(want("ADD with Kubernetes' CNI_ARGS", succeeds))(recording)
  const lenient = recording.executions.get('ADD with lenient CNI_ARGS')
  if (verdict.status !== 'pass' || lenient === undefined) return verdict
  const words = `with "=" in a value and ";" at the end: ${summaryOf(lenient)}`
  return { ...verdict, evidence: `${verdict.evidence}; ${words}` }
}

const searchPath: Judge = recording => {
  const execution = recording.executions.get('delegated ADD')
  if (execution === undefined) {
    return notApplicable(recording.skipped.get('delegated ADD') ?? 'it was not run')
  }
  return execution.delegate.length > 0
    ? { status: 'pass', evidence: 'found its delegate in the second directory of CNI_PATH' }
    : fail(`did not find its delegate in CNI_PATH: ${summaryOf(execution)}`)
}

export const environmentPoints: readonly Point[] = [
  {
    id: 25,
    level: 'MUST',
    section,
    text: 'Without CNI_COMMAND there is error 4, or the about text on stderr and nothing else.',
    judge: wants(want('no CNI_COMMAND', aboutOrRefusal)),
  },
  {
    id: 26,
    level: 'REFERENCE',
    section,
    text: 'An unknown command is error 4 and named; commands are upper case only.',
    judge: wants(
      want('command CONFORM', both(refuses(4), names('CONFORM'))),
      want('command add', both(refuses(4), names('add'))),
    ),
  },
  {
    id: 27,
    level: 'MUST',
    section,
    text: 'ADD, DEL and CHECK need a well-formed CNI_CONTAINERID, else error 4.',
    judge: wants(
      ...['ADD', 'DEL', 'CHECK'].map(verb => missing(verb, 'CNI_CONTAINERID')),
      want('ADD with a malformed CNI_CONTAINERID', refuses(4)),
    ),
  },
  {
    id: 28,
    level: 'MUST',
    section,
    text: 'ADD and CHECK need CNI_NETNS, else error 4; DEL does without.',
    judge: wants(
      missing('ADD', 'CNI_NETNS'),
      missing('CHECK', 'CNI_NETNS'),
      want('DEL without CNI_NETNS', succeeds),
    ),
  },
  {
    id: 29,
    level: 'MUST',
    section,
    text: 'ADD, DEL and CHECK need CNI_IFNAME; a name the kernel cannot take is an error.',
    judge: wants(
      ...['ADD', 'DEL', 'CHECK'].map(verb => missing(verb, 'CNI_IFNAME')),
      ...badIfNames.map(name => want(`ADD with CNI_IFNAME "${name}"`, fails)),
    ),
  },
  {
    id: 30,
    level: 'MAY',
    section,
    text: "CNI_ARGS is KEY=VALUE pairs joined by ';'; those of Kubernetes' runtimes are taken.",
    judge: lenientArgs,
  },
  {
    id: 31,
    level: 'MUST',
    section,
    text: "CNI_PATH is a list of directories separated by ':', searched in order.",
    judge: searchPath,
  },
  {
    id: 32,
    level: 'MUST',
    section: 'Error',
    text: 'Error 4 names every variable that is missing, not only the first.',
    judge: wants(
      want(
        'ADD without any of them',
        both(refuses(4), names('CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME')),
      ),
    ),
  },
  {
    id: 33,
    level: 'MUST',
    section,
    text: 'VERSION, STATUS and GC need no attachment variables, and empty is as good as absent.',
    judge: wants(
      want('VERSION with empty variables', versionReply),
      want('STATUS with empty variables', notTheEnvironment),
      want('GC with empty variables', notTheEnvironment),
      want('ADD with an empty CNI_CONTAINERID', refuses(4)),
    ),
  },
  {
    id: 34,
    level: 'MUST',
    section: 'VERSION',
    text: 'VERSION needs CNI_COMMAND alone and does not wait for the end of stdin.',
    judge: wants(
      want('VERSION with CNI_COMMAND alone', versionReply),
      want('VERSION with placeholders', versionReply),
      want('VERSION while stdin stays open', versionReply),
    ),
  },
  {
    id: 35,
    level: 'REFERENCE',
    section: 'skel, the reference library',
    text: "A CNI_NETNS that is the plugin's own is error 8, before anything is done, unless overridden.",
    judge: guard,
  },
]
