// Plugins that are shell scripts: each notes how it was called, in order, and then does what the
// trial put beside it. What a runtime does is read from these notes alone.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../spec/json.ts'

/** One execution of a plugin. */
export type Call = {
  readonly type: string
  readonly verb: string
  /** CONTAINERID/IFNAME; "/" for verbs without attachment. */
  readonly sandbox: string
  readonly environment: Readonly<Record<string, string>>
  /** The text on stdin. */
  readonly stdin: string
  /** The same read as JSON; empty when it is none. */
  readonly config: JsonObject
  readonly pid: number
}

/** What a plugin does at a verb instead of succeeding. */
export type Behaviour = {
  readonly stdout?: string
  readonly stderr?: string
  readonly exit?: number
  /** Shell commands before the rest. */
  readonly run?: string
}

export type Recorder = {
  /** Writes the executable of that type; left out: into the recorder's own directory. */
  readonly install: (type: string, directory?: string) => void
  /** Sets what it does; undefined: the usual. */
  readonly behave: (type: string, verb: string, behaviour: Behaviour | undefined) => void
  /** All executions so far, in the order in which they began. */
  readonly calls: () => readonly Call[]
  /** Beginnings and ends as they came: `begin a ADD c1/eth0`. */
  readonly events: () => readonly string[]
}

/** Makes the directories it needs below the given one; executables are in `bin`. */
export const makeRecorder = (directory: string): Recorder => {
  const at = (...parts: readonly string[]): string => join(directory, ...parts)
  for (const name of ['bin', 'act', 'calls']) mkdirSync(at(name), { recursive: true })
  writeFileSync(at('log'), '')
  const log = (): readonly (readonly string[])[] =>
    readFileSync(at('log'), 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split(' '))
  return {
    install: (type, bin = at('bin')) => {
      mkdirSync(bin, { recursive: true })
      writeFileSync(join(bin, type), scriptIn(directory), { mode: 0o755 })
    },
    behave: (type, verb, behaviour) => {
      const file = at('act', `${type}.${verb}`)
      if (behaviour === undefined) rmSync(file, { force: true })
      else writeFileSync(file, commandsOf(behaviour))
    },
    calls: () =>
      log().flatMap(([what, id = '', type = '', verb = '', sandbox = '']) =>
        what === 'begin'
          ? [readCall(at('calls', id), { type, verb, sandbox, pid: Number(id) })]
          : [],
      ),
    events: () => log().map(([what = '', , ...rest]) => [what, ...rest].join(' ')),
  }
}

// A line of the log is one write, so that those of plugins side by side do not mix. One process
// more than the shell is all it takes: hundreds of these run.
const scriptIn = (directory: string): string => `#!/bin/sh
here='${directory}'
type=\${0##*/}
cat /proc/$$/environ - >"$here/calls/$$"
what="$$ $type $CNI_COMMAND $CNI_CONTAINERID/$CNI_IFNAME"
echo "begin $what" >>"$here/log"
trap 'echo "end $what" >>"$here/log"' EXIT
[ -f "$here/act/$type.$CNI_COMMAND" ] && . "$here/act/$type.$CNI_COMMAND"
case $CNI_COMMAND in
ADD) echo '{"ips":[{"address":"10.0.0.5/24"}]}' ;;
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}' ;;
esac
exit 0
`

const commandsOf = ({ stdout = '', stderr = '', exit = 0, run = '' }: Behaviour): string =>
  [run, `printf '%s' ${quoted(stdout)}`, `printf '%s' ${quoted(stderr)} >&2`, `exit ${exit}`].join(
    '\n',
  )

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

// The environment, each variable ended by a zero, and then stdin, which holds none.
const readCall = (file: string, about: Pick<Call, 'type' | 'verb' | 'sandbox' | 'pid'>): Call => {
  const parts = readFileSync(file, 'utf8').split('\0')
  const stdin = parts.at(-1) ?? ''
  const environment = Object.fromEntries(
    parts
      .slice(0, -1)
      .map(text => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  ) as Record<string, string>
  return { ...about, environment, stdin, config: objectIn(stdin) }
}

const objectIn = (text: string): JsonObject => {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}
