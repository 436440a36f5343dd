// The cloud process as a child of the daemon: where its program lies, how it is started and ended,
// and what becomes of what it writes. It ends with the daemon, whatever ends that: its channel
// breaks.

import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'
import type { Log } from '#runtime/log.ts'
import { nodeFlags } from '#runtime/memory.ts'
import type { Channel, ChannelEvents, StartProcess } from './life.ts'

export type ProcessOptions = {
  readonly clock: Clock
  readonly log: Log
  /** What the SDK finds its endpoint and credentials in. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The program, when it is not the one beside us. */
  readonly program?: string
}

/** A process that was told to end and has not. */
const endMs = 2_000
/** Lines of one process that reach the log; SDKs warn again and again. */
const linesMax = 100
const lineBytesMax = 4_096

/** Returns what starts one process; processes that were ended may still be ending. */
export const processStarter =
  (options: ProcessOptions): StartProcess =>
  events => {
    const program = options.program ?? besideUs()
    if (!existsSync(program)) {
      const sentence = `cannot start the cloud process: ${program} does not exist; reinstall eniway`
      return absent(options.clock, () => events.onEnd(sentence))
    }
    return running(options, program, events)
  }

// In dist/ beside the bundle, or our own source.
const besideUs = (): string => {
  const here = typeof __dirname === 'string' ? __dirname : dirname(fileURLToPath(import.meta.url))
  const places = [join(here, 'cloud.cjs'), join(here, 'program.ts')]
  return places.find(place => existsSync(place)) ?? places[0] ?? ''
}

const absent = (clock: Clock, onEnd: () => void): Channel => {
  clock.soon(onEnd)
  return { send: () => false, end: () => undefined, kill: () => undefined }
}

const running = (options: ProcessOptions, program: string, events: ChannelEvents): Channel => {
  const { clock, log, environment } = options
  const child = fork(program, [], {
    env: { ...environment },
    // One of Alibaba's packages still parses addresses with url.parse.
    execArgv: [...nodeFlags, '--disable-warning=DEP0169'],
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  log.debug('cloud process started', { pid: child.pid })
  const lastLine = logLines(child, log)
  child.on('message', message => events.onMessage(message))
  whenEnded(child, how => {
    log.debug('cloud process ended', { pid: child.pid, how })
    const line = lastLine()
    const words = line === undefined ? '' : `; it wrote last: ${line}`
    events.onEnd(`the cloud process ended with ${how}${words}`)
  })
  return {
    send: bytes => {
      if (!child.connected) return false
      // A broken pipe is told by the end of the process.
      child.send(bytes, () => undefined)
      return true
    },
    end: () => {
      if (child.connected) child.disconnect()
      const cancel = clock.at(after(clock.now(), endMs), () => child.kill('SIGKILL'))
      child.once('exit', cancel)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

// `close` comes after the last message and the last line; a process that could not be started has
// an error only.
const whenEnded = (child: ChildProcess, told: (how: string) => void): void => {
  let isTold = false
  const tell = (how: string): void => {
    if (!isTold) told(how)
    isTold = true
  }
  child.once('close', (code, signal) => tell(signal ?? `code ${code}`))
  child.on('error', error => {
    if (child.pid === undefined) tell(error.message)
  })
}

// Returns what tells the last line there was.
const logLines = (child: ChildProcess, log: Log): (() => string | undefined) => {
  let last: string | undefined
  let count = 0
  const onLine = (line: string): void => {
    last = line
    if (++count <= linesMax) log.warn('cloud process wrote', { pid: child.pid, line })
  }
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = (lines.pop() ?? '').slice(0, lineBytesMax)
      for (const line of lines) if (line.trim() !== '') onLine(line.slice(0, lineBytesMax))
    })
  }
  return () => last
}
