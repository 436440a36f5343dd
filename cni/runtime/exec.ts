// Finding and running one plugin: the only place that starts processes. What its exit code and
// output mean is in answer.ts.

import { spawn } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { millis } from '#core/names.ts'
import type { Clock } from '#core/ports.ts'
import { failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { reasonOf, runtimeCodes } from './failures.ts'

/** One run of a plugin. */
export type Run = {
  readonly file: string
  /** Complete: nothing is added. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly stdin: string
}

/** How a run ended; `code` is undefined when a signal ended it. */
export type Ended = {
  readonly code: number | undefined
  readonly signal: string
  readonly stdout: string
  readonly stderr: string
}

export type RunOptions = {
  readonly clock: Clock
  /** From the start to the end of one run; then it is killed. Undefined waits for ever. */
  readonly timeoutMs?: number | undefined
  /** Kills the plugin when it aborts (point 57). */
  readonly signal?: AbortSignal | undefined
  /** Gets what plugins write on stderr, while they do. */
  readonly stderr?: ((text: string) => void) | undefined
}

/** More on stdout is no result; the plugin is killed. */
const stdoutBytesMax = 4 << 20
/** Of stderr this much is kept for a failure without stdout; all of it is passed on. */
const stderrCharactersMax = 64 << 10
/** A binary that is being replaced is busy for a moment (point 56). */
const busyRetriesMax = 5
const busyRetryMs = 1000

/** The first regular file of that name; whether it can be executed is found out by doing so. */
export const findPlugin = async (
  type: string,
  pluginPath: readonly string[],
): Promise<Parsed<string>> => {
  for (const directory of pluginPath.filter(entry => entry !== '')) {
    const file = join(directory, type)
    const found = await stat(file).catch(() => undefined)
    if (found?.isFile() === true) return parsed(file)
  }
  const where =
    pluginPath.length === 0 ? 'CNI_PATH, which is empty' : `CNI_PATH ${pluginPath.join(':')}`
  const message = `there is no plugin "${type}" in ${where}; install it or correct CNI_PATH`
  return failed(runtimeCodes.pluginMissing, message)
}

/** Runs a plugin to its end; a busy file is tried again. Never rejects. */
export const runPlugin = async (run: Run, options: RunOptions): Promise<Parsed<Ended>> => {
  for (let tries = 0; ; tries++) {
    if (options.signal?.aborted === true) return aborted(run)
    const ended = await runOnce(run, options)
    if (ended !== 'busy') return ended
    if (!(tries < busyRetriesMax)) {
      return failed(runtimeCodes.pluginFailed, `cannot start ${run.file}: it is being written to`)
    }
    await pause(busyRetryMs, options)
  }
}

/** Resolves after that time on the clock, or when the signal aborts. */
export const pause = (
  ms: number,
  { clock, signal }: Pick<RunOptions, 'clock' | 'signal'>,
): Promise<void> =>
  new Promise(resolve => {
    if (signal?.aborted === true) return resolve()
    const end = (): void => {
      cancel()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.at(millis(clock.now() + ms), end)
    signal?.addEventListener('abort', end, { once: true })
  })

type Outcome = Parsed<Ended> | 'busy'

const runOnce = (run: Run, options: RunOptions): Promise<Outcome> =>
  new Promise(resolve => {
    try {
      start(run, options, resolve)
    } catch (error) {
      resolve(notStarted(run, error))
    }
  })

const start = (run: Run, options: RunOptions, settle: (outcome: Outcome) => void): void => {
  const child = spawn(run.file, [], { env: { ...run.environment } })
  const chunks: Buffer[] = []
  let bytes = 0
  let stderr = ''
  const finish = (outcome: Outcome): void => {
    watch.stop()
    settle(outcome)
  }
  const stop = (failure: Failure): void => {
    // Not before it is gone: a DEL may follow. A grandchild that holds the pipes is not waited for.
    child.removeAllListeners('close').once('exit', () => finish(failure))
    child.kill('SIGKILL')
    child.stdout.destroy()
    child.stderr.destroy()
    watch.stop()
  }
  const watch = watchOver(run, options, stop)
  child.once('error', error => finish(notStarted(run, error)))
  child.once('close', (code, signal) => {
    const stdout = Buffer.concat(chunks).toString()
    finish(parsed({ code: code ?? undefined, signal: signal ?? '', stdout, stderr }))
  })
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > stdoutBytesMax) return stop(tooMuch(run))
    chunks.push(chunk)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    options.stderr?.(text)
    stderr = (stderr + text).slice(-stderrCharactersMax)
  })
  // A plugin that does not read its stdin is free not to, as for VERSION.
  child.stdin.on('error', () => undefined)
  child.stdin.end(run.stdin)
}

const watchOver = (
  run: Run,
  { clock, timeoutMs, signal }: RunOptions,
  stop: (failure: Failure) => void,
): { readonly stop: () => void } => {
  const onAbort = (): void => stop(aborted(run))
  signal?.addEventListener('abort', onAbort, { once: true })
  const cancel =
    timeoutMs === undefined
      ? undefined
      : clock.at(millis(clock.now() + timeoutMs), () => stop(timedOut(run, timeoutMs)))
  return {
    stop: () => {
      cancel?.()
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

const notStarted = (run: Run, error: unknown): Outcome =>
  (error as NodeJS.ErrnoException).code === 'ETXTBSY'
    ? 'busy'
    : failed(runtimeCodes.pluginFailed, `cannot start ${run.file}: ${reasonOf(error)}`)

const aborted = ({ file }: Run): Failure =>
  failed(runtimeCodes.aborted, `${file} was ended because nobody waits for it any more`)

const timedOut = ({ file }: Run, timeoutMs: number): Failure =>
  failed(
    runtimeCodes.pluginTimedOut,
    `${file} did not end within ${timeoutMs / 1000} s and was killed`,
  )

const tooMuch = ({ file }: Run): Failure =>
  failed(
    runtimeCodes.pluginFailed,
    `${file} wrote more than ${stdoutBytesMax} bytes on stdout and was killed`,
  )
