// `eniway demo`: checks the options, has another process play the demonstration, and prints what it
// says. Decides nothing about the play itself.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { lastWords } from './daemon.ts'
import { howToLookAround } from './keep.ts'
import { runVariable } from './leftovers.ts'
import type { FromKeeper, ToKeeper } from './messages.ts'
import { OptionsError, playOf, type DemoOptions, type Play } from './options.ts'
import { directoryOf, endRun, endableRuns, keeperFile, sweep } from './record.ts'
import { emptyReport } from './report.ts'
import { counted, heading, paragraph } from './text.ts'

export type { DemoOptions } from './options.ts'

/** Runs the demonstration or ends a kept one; the promise is the exit code: 0, 1, 2 or 128 + N. */
export const runDemo = async (options: DemoOptions): Promise<number> => {
  if (process.getuid?.() !== 0) return refuse('it makes network namespaces: run it as root')
  if (options.down) return bringDown(options.output)
  try {
    return await show(playOf(newRun(), options), options.output)
  } catch (error) {
    if (error instanceof OptionsError) return refuse(error.message)
    throw error
  }
}

const refuse = (why: string): number => {
  process.stderr.write(`cannot start the demonstration: ${why}\n`)
  return 2
}

const newRun = (): string => `d${randomBytes(4).toString('hex')}`

type Ended = Extract<FromKeeper, { kind: 'ended' }>

const show = async (play: Play, output: DemoOptions['output']): Promise<number> => {
  const caught = catchSignals()
  const keeper = await startKeeper(play)
  caught.onStop(() => send(keeper, { kind: 'stop' }))
  const print = (text: string): void => {
    if (output === 'text') process.stdout.write(text)
  }
  const ended = await listen(keeper, print)
  if (ended === undefined) return died(play, output)
  if (!ended.isKept && caught.signal() !== undefined) return interrupted(ended, caught.signal())
  await tellEnd(ended, output)
  return ended.problems.length === 0 ? 0 : 1
}

const tellEnd = async (ended: Ended, output: DemoOptions['output']): Promise<void> => {
  const { report, problems, isKept } = ended
  const object = `${JSON.stringify(report)}\n`
  const look = isKept ? howToLookAround(report) : ''
  // With `json`, stdout holds nothing but the object.
  const [out, more] =
    output === 'json' ? [object, look] : [verdictOf(ended) + look + (isKept ? object : ''), '']
  await write(process.stdout, out)
  await write(
    process.stderr,
    more + problems.map(problem => `demonstration failed: ${problem}\n`).join(''),
  )
}

// Waits until it is written: the caller may end the process at once.
const write = (stream: NodeJS.WriteStream, text: string): Promise<void> =>
  new Promise(resolve => {
    stream.write(text, () => resolve())
  })

// In a session of its own: Ctrl-C reaches this process alone. Its output goes to a file, because a
// kept run must not hold the terminal or the pipe of whoever started it.
const startKeeper = async (play: Play): Promise<ChildProcess> => {
  await mkdir(directoryOf(play.run), { recursive: true, mode: 0o700 })
  const log = await open(logOf(play), 'a', 0o600)
  try {
    const keeper = spawn(nodeBinary(), [join(import.meta.dirname, keeperFile), play.run], {
      cwd: '/',
      env: { ...process.env, [runVariable]: play.run },
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
    })
    send(keeper, { kind: 'play', play })
    return keeper
  } finally {
    await log.close()
  }
}

const logOf = ({ run }: Play): string => join(directoryOf(run), 'keeper.log')

const send = (keeper: ChildProcess, message: ToKeeper): void => {
  if (keeper.connected) keeper.send(message, () => undefined)
}

type Caught = {
  readonly signal: () => NodeJS.Signals | undefined
  /** Calls back when the user wants no more, also when that was before. */
  readonly onStop: (stop: () => void) => void
}

const parentLookMs = 250

const catchSignals = (): Caught => {
  let first: NodeJS.Signals | undefined
  let onStop = (): void => undefined
  const stop = (signal: NodeJS.Signals): void => {
    first ??= signal
    onStop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  // A reader that went away, as with `| head`, wants no more.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop('SIGHUP'))
  // A shell between npm and us dies of a signal that it does not pass on.
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stop('SIGHUP'), parentLookMs).unref()
  return {
    signal: () => first,
    onStop: call => {
      onStop = call
      if (first !== undefined) call()
    },
  }
}

// A channel closes after its last message was read; only a kept keeper lives on after that.
const listen = async (
  keeper: ChildProcess,
  print: (text: string) => void,
): Promise<Ended | undefined> => {
  let ended: Ended | undefined
  keeper.on('message', (message: FromKeeper) => {
    if (message.kind === 'text') print(message.text)
    else ended = message
  })
  const exited = once(keeper, 'exit')
  await once(keeper, 'disconnect')
  if (ended?.isKept === true) keeper.unref()
  else await exited
  return ended
}

const died = async (play: Play, output: DemoOptions['output']): Promise<number> => {
  const words = await lastWords(logOf(play))
  const leftovers = await sweep(play.run)
  const also = leftovers.length === 0 ? '' : `; left behind: ${leftovers.join(', ')}`
  if (output === 'json') {
    await write(process.stdout, `${JSON.stringify({ ...emptyReport(play), leftovers })}\n`)
  }
  process.stderr.write(`demonstration failed: its process ended unasked; ${words}${also}\n`)
  return 1
}

const exitCodes: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
}

const interrupted = ({ report }: Ended, signal: NodeJS.Signals = 'SIGTERM'): number => {
  const left = report.leftovers
  const outcome = left.length === 0 ? 'everything is removed' : `left behind: ${left.join('; ')}`
  process.stderr.write(`demonstration interrupted by ${signal}; ${outcome}\n`)
  return exitCodes[signal] ?? 1
}

const verdictOf = ({ report, problems, isKept }: Ended): string => {
  const isClean = report.leftovers.length === 0 && !isKept
  const clean = isClean ? 'Nothing is left behind.' : ''
  const result = problems.length === 0 ? 'All of it worked.' : 'Not all of it worked; see below.'
  return heading('Result') + paragraph(`${result} ${clean}`.trim())
}

const bringDown = async (output: DemoOptions['output']): Promise<number> => {
  const ended = await endableRuns()
  const leftovers: string[] = []
  for (const run of ended) leftovers.push(...(await endRun(run)))
  if (output === 'json') process.stdout.write(`${JSON.stringify({ ended, leftovers })}\n`)
  else process.stdout.write(`${downText(ended)}\n`)
  if (leftovers.length === 0) return 0
  process.stderr.write(`cannot remove all of it: ${leftovers.join('; ')}\n`)
  return 1
}

const downText = (ended: readonly string[]): string =>
  ended.length === 0
    ? 'no demonstration is running'
    : `ended ${counted(ended.length, 'demonstration')}: ${ended.join(', ')}`
