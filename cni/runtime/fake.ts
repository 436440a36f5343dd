// Plugins for tests: shell scripts that write down how they were called and answer what the test
// put beside them, a configuration directory, and a clock that stands still until it is told.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'
import type { JsonObject } from '../spec/json.ts'

/** What a plugin shall do at a verb; without one it exits with 0 and prints its default. */
export type Behaviour = {
  readonly stdout?: string
  readonly stderr?: string
  readonly exitCode?: number
  /** Shell commands before the rest. */
  readonly run?: string
}

export type FakePlugins = ReturnType<typeof fakePlugins>

const script = (directory: string): string => `#!/bin/sh
name=\${0##*/}
stdin=$(cat)
here=${directory}
echo "$CNI_COMMAND $name" >> $here/log
printf '%s' "$stdin" > $here/$name.$CNI_COMMAND.stdin
env | sort > $here/$name.$CNI_COMMAND.env
[ -f $here/$name.$CNI_COMMAND ] && . $here/$name.$CNI_COMMAND
[ "$CNI_COMMAND" = ADD ] && echo '{"ips":[{"address":"10.0.0.5/24"}]}'
[ "$CNI_COMMAND" = VERSION ] && echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}'
exit 0
`

/** A fresh directory with plugins of these types; `remove` takes it away. */
export const fakePlugins = (...types: readonly string[]) => {
  const directory = mkdtempSync(join(tmpdir(), 'ew-cni-'))
  const [bin, conf] = [join(directory, 'bin'), join(directory, 'net.d')]
  mkdirSync(bin)
  mkdirSync(conf)
  for (const type of types) writeFileSync(join(bin, type), script(directory), { mode: 0o755 })
  return {
    directory,
    bin,
    conf,
    cacheDirectory: join(directory, 'cache'),
    /** Every call so far, as `ADD bridge`. */
    calls: (): readonly string[] => {
      const log = join(directory, 'log')
      return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []
    },
    /** What the plugin read on stdin at its last call of that verb. */
    stdin: (type: string, command: string): JsonObject =>
      JSON.parse(readFileSync(join(directory, `${type}.${command}.stdin`), 'utf8')) as JsonObject,
    /** Its variables then, without those of the shell. */
    environment: (type: string, command: string): Readonly<Record<string, string>> =>
      Object.fromEntries(
        readFileSync(join(directory, `${type}.${command}.env`), 'utf8')
          .split('\n')
          .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      ),
    behave: (type: string, command: string, behaviour: Behaviour): void => {
      writeFileSync(join(directory, `${type}.${command}`), commands(behaviour))
    },
    write: (name: string, value: unknown): void => {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      mkdirSync(join(conf, name, '..'), { recursive: true })
      writeFileSync(join(conf, name), text)
    },
    remove: (): void => rmSync(directory, { recursive: true }),
  }
}

const commands = ({ stdout, stderr, exitCode = 0, run = '' }: Behaviour): string =>
  [
    run,
    ...(stdout === undefined ? [] : [`printf '%s' '${stdout}'`]),
    ...(stderr === undefined ? [] : [`printf '%s' '${stderr}' >&2`]),
    `exit ${exitCode}`,
  ].join('\n')

/** Time that passes only by `advance`. */
export const stillClock = () => {
  let now = 1_000_000
  const timers = new Set<{ readonly at: number; readonly run: () => void }>()
  const clock: Clock = {
    now: () => millis(now),
    soon: run => queueMicrotask(run),
    at: (at, run) => {
      const timer = { at, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  }
  return {
    clock,
    /** How many wait. */
    waiting: (): number => timers.size,
    advance: (ms: number): void => {
      now += ms
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer)
        timer.run()
      }
    },
  }
}
