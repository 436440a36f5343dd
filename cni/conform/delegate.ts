// A stand-in for the plugin's IPAM delegate: a script of the same name that comes first in
// CNI_PATH, notes what it is asked, and then runs the real one or answers as it was told.

import { chmod, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DelegateCall } from './record.ts'

/** What the delegate does instead of running the real one, by verb. */
export type Answers = Readonly<Record<string, { readonly stdout: string; readonly exit: number }>>

export type Delegate = {
  /** The directories for CNI_PATH that come before the real one. */
  readonly path: readonly string[]
  /** Sets the answers for the next execution and forgets the calls so far. */
  prepare(answers: Answers): Promise<void>
  /** The calls since prepare, in order. */
  calls(): Promise<readonly DelegateCall[]>
}

/** What the stand-in says on stderr, to see whether it is forwarded. */
export const delegateWords = 'eniway conform: the delegate speaks'

/** Writes the script into the directory; `real` is the executable it stands for. */
export const makeDelegate = async (directory: string, real: string): Promise<Delegate> => {
  const name = real.slice(real.lastIndexOf('/') + 1)
  const [empty, bin, state] = ['empty', 'bin', 'state'].map(part => join(directory, part))
  if (empty === undefined || bin === undefined || state === undefined) throw new Error('no paths')
  for (const path of [empty, bin]) await mkdir(path, { recursive: true })
  await writeFile(join(bin, name), scriptOf(state, real))
  await chmod(join(bin, name), 0o755)
  return {
    // Two directories, so that a path that is not split at its colons finds nothing.
    path: [empty, bin],
    prepare: async answers => {
      await rm(state, { recursive: true, force: true })
      await mkdir(join(state, 'calls'), { recursive: true })
      for (const [verb, { stdout, exit }] of Object.entries(answers)) {
        await writeFile(join(state, `stdout-${verb}`), stdout)
        await writeFile(join(state, `exit-${verb}`), String(exit))
      }
    },
    calls: async () => {
      const names = (await readdir(join(state, 'calls'))).toSorted()
      return Promise.all(names.map(call => readCall(join(state, 'calls', call))))
    },
  }
}

const scriptOf = (state: string, real: string): string => `#!/bin/sh
state='${state}'
call=$state/calls/$(printf %04d "$(ls "$state/calls" | wc -l)")
mkdir "$call"
cat >"$call/stdin"
env | grep '^CNI_' >"$call/environment"
echo '${delegateWords}' >&2
if [ -f "$state/exit-$CNI_COMMAND" ]; then
  cat "$state/stdout-$CNI_COMMAND"
  exit "$(cat "$state/exit-$CNI_COMMAND")"
fi
exec '${real}' <"$call/stdin"
`

const readCall = async (directory: string): Promise<DelegateCall> => {
  const lines = (await readFile(join(directory, 'environment'), 'utf8')).split('\n')
  const environment = Object.fromEntries(
    lines.flatMap(line => {
      const equals = line.indexOf('=')
      return equals > 0 ? [[line.slice(0, equals), line.slice(equals + 1)]] : []
    }),
  ) as Record<string, string>
  const stdin = await readFile(join(directory, 'stdin'), 'utf8')
  return { verb: environment['CNI_COMMAND'] ?? '', environment, stdin }
}
