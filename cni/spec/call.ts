// A plugin's side of one invocation, without any work: the order of checks that every caller sees
// (variables, stdin, JSON, name, command, version, shared keys), the answer to VERSION, and the
// error object. Knows no process: the variables and the text of stdin are values.

import {
  answerVersion,
  parseConfig,
  parseHead,
  requireVersion,
  type ConfigHead,
  type NetworkConfig,
} from './config.ts'
import {
  commands,
  isCommand,
  parseEnvironment,
  type Command,
  type Environment,
  type Variables,
} from './environment.ts'
import { codes, errorObject, failed, parsed, type Failure, type Parsed } from './failure.ts'
import { parseObject } from './json.ts'
import { isAtLeast, newestVersion, parseVersion, type Version } from './versions.ts'

/** An invocation as the process received it. */
export type Call = {
  readonly environment: Variables
  readonly stdin: string
}

/** What the process prints on stdout and returns. Nothing else may be printed there. */
export type Reply = {
  readonly exitCode: number
  readonly stdout: string
}

/** The verbs that come with a configuration that counts. */
export type WorkingVerb = Exclude<Command, 'VERSION'>

/** A call whose variables and shared keys are sound. */
export type CheckedCall = {
  readonly kind: 'work'
  readonly command: WorkingVerb
  readonly environment: Environment
  readonly config: NetworkConfig
}

/** Section 2 of the specification: checks a call as far as every plugin must. */
export const readCall = (
  call: Call,
  supported: readonly Version[],
): Parsed<CheckedCall | { readonly kind: 'version' }> => {
  const environment = parseEnvironment(call.environment)
  if (environment.kind === 'failed') return environment
  const { command } = environment.value
  if (command === 'VERSION') return parsed({ kind: 'version' })
  const head = parseHead(call.stdin)
  if (head.kind === 'failed') return head
  if (!isWorking(command)) return unknownCommand(command)
  const version = versionFor({ command, head: head.value, supported })
  if (version.kind === 'failed') return version
  const config = parseConfig(head.value, version.value)
  if (config.kind === 'failed') return config
  return parsed({ kind: 'work', command, environment: environment.value, config: config.value })
}

const isWorking = (text: string): text is WorkingVerb => isCommand(text) && text !== 'VERSION'

const unknownCommand = (command: string): Failure =>
  failed(
    codes.invalidEnvironment,
    `CNI_COMMAND "${command}" is not known; it must be one of ${commands.join(', ')}`,
  )

/** The first version that knows the verb; a configuration of an older one is refused, code 1. */
export const introducedIn: Readonly<Record<WorkingVerb, Version>> = {
  ADD: '0.1.0',
  DEL: '0.1.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
}

type Asked = {
  readonly command: WorkingVerb
  readonly head: ConfigHead
  readonly supported: readonly Version[]
}

const versionFor = ({ command, head, supported }: Asked): Parsed<Version> => {
  const version = requireVersion(head.cniVersion, supported)
  if (version.kind === 'failed' || isAtLeast(version.value, introducedIn[command])) return version
  return failed(
    codes.incompatibleVersion,
    `cniVersion "${version.value}" of the configuration does not know ${command}, ` +
      `which exists from ${introducedIn[command]} on`,
    `config is "${version.value}", plugin supports ${JSON.stringify(supported)}`,
  )
}

/**
 * The text that answers VERSION. The version of the question is echoed when it can be read,
 * whatever it is: the answer says what we support, so there is no reason to refuse.
 */
export const versionReply = (stdin: string, supported: readonly Version[]): string => {
  const object = parseObject(stdin, 'stdin')
  const asked = object.kind === 'failed' ? undefined : object.value['cniVersion']
  const isReadable = typeof asked === 'string' && asked !== '' && parseVersion(asked) !== undefined
  const cniVersion = isReadable ? asked : (supported.at(-1) ?? newestVersion)
  return `${JSON.stringify({ cniVersion, supportedVersions: supported })}\n`
}

/** The error object on stdout and exit code 1. */
export const failureReply = (failure: Failure, stdin: string): Reply => ({
  exitCode: 1,
  stdout: `${JSON.stringify(errorObject(failure, answerVersion(stdin)))}\n`,
})
