// The CNI_* variables: which verb needs which, and what their values may be. An empty variable is
// an absent one, because runtimes set what a verb does not need to "".

import { parseArguments } from './arguments.ts'
import { codes, failed, parsed, type Parsed } from './failure.ts'
import { show } from './json.ts'
import { ifNameProblem, isName, nameRule } from './names.ts'

export const commands = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const

export type Command = (typeof commands)[number]

/** Exact upper case only. */
export const isCommand = (text: string): text is Command =>
  (commands as readonly string[]).includes(text)

/** The variables by their plain text; empty means absent. */
export type Variables = Readonly<Record<string, string | undefined>>

/** Checked parameters of a call; what the verb does not use is empty. */
export type Environment = {
  /** Not yet known to be one of `commands`: that error comes after those of the configuration. */
  readonly command: string
  readonly containerId: string
  readonly netns: string
  readonly ifName: string
  readonly args: ReadonlyMap<string, string>
  /** True when the caller takes the blame for a namespace that is the plugin's own. */
  readonly allowsOwnNetns: boolean
}

// CNI_PATH is needed where other plugins are called. GC lists it as required all the same.
const required: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  GC: ['CNI_PATH'],
  STATUS: [],
  VERSION: [],
}

/** Reads and checks the parameters; failures are code 4 and name every offending variable. */
export const parseEnvironment = (variables: Variables): Parsed<Environment> => {
  const command = variables['CNI_COMMAND'] ?? ''
  const needed = isCommand(command) ? required[command] : []
  const missing = ['CNI_COMMAND', ...needed].filter(name => (variables[name] ?? '') === '')
  if (missing.length > 0) return missingVariables(missing, command)
  if (!needed.includes('CNI_CONTAINERID')) return parsed({ ...noAttachment, command })
  return parseAttachment(command, variables)
}

const noAttachment = {
  containerId: '',
  netns: '',
  ifName: '',
  args: new Map<string, string>(),
  allowsOwnNetns: false,
}

const missingVariables = (missing: readonly string[], command: string) => {
  const what = missing.length === 1 ? 'variable' : 'variables'
  const verb = command === '' ? '' : ` for ${command}`
  return failed(
    codes.invalidEnvironment,
    `missing environment ${what}${verb}: ${missing.join(', ')}; the runtime must set ${
      missing.length === 1 ? 'it' : 'them'
    }`,
  )
}

const parseAttachment = (command: string, variables: Variables): Parsed<Environment> => {
  const { CNI_CONTAINERID = '', CNI_IFNAME = '', CNI_NETNS = '', CNI_ARGS = '' } = variables
  const problems = attachmentProblems(CNI_CONTAINERID, CNI_IFNAME)
  if (problems.length > 0) return failed(codes.invalidEnvironment, problems.join('; '))
  const args = parseArguments(CNI_ARGS)
  // A DEL cleans what it can: it does not need the arguments, so it does not fail on them.
  if (args.kind === 'failed' && command !== 'DEL') return args
  return parsed({
    command,
    containerId: CNI_CONTAINERID,
    ifName: CNI_IFNAME,
    netns: CNI_NETNS,
    args: args.kind === 'failed' ? noAttachment.args : args.value,
    allowsOwnNetns: /^(1|true)$/i.test(variables['CNI_NETNS_OVERRIDE'] ?? ''),
  })
}

const attachmentProblems = (containerId: string, ifName: string): readonly string[] => {
  const problem = ifNameProblem(ifName)
  return [
    ...(isName(containerId)
      ? []
      : [`CNI_CONTAINERID ${show(containerId)} is not usable: ${nameRule}`]),
    ...(problem === undefined ? [] : [`CNI_IFNAME ${show(ifName)} is not usable: ${problem}`]),
  ]
}
