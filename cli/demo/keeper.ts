// The process that plays the demonstration: `node keeper.ts RUN` with a channel to the command. It
// is apart from the command so that it can go on (`--keep`), and so that however the command ends,
// Ctrl-C, a closed terminal or a kill, somebody is left to remove everything.

import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { runTraces } from './leftovers.ts'
import type { FromKeeper, ToKeeper } from './messages.ts'
import type { Play } from './options.ts'
import { messageOf, perform, type Performance } from './perform.ts'
import { directoryOf, markKept, tidy } from './record.ts'
import { newStage, strike, type Stage } from './stage.ts'

const stopping = new AbortController()
let isKept = false
let isPlaying = false

const tell = (message: FromKeeper): Promise<void> =>
  new Promise(resolve => {
    if (process.connected) process.send?.(message, () => resolve())
    else resolve()
  })

const stop = (): void => stopping.abort(new Error('interrupted'))

const playRun = async (play: Play): Promise<void> => {
  isPlaying = true
  const directory = directoryOf(play.run)
  const say = (text: string): void => void tell({ kind: 'text', text })
  const stage = newStage(play, { signal: stopping.signal, say })
  const performance = await perform(stage, directory)
  // Nothing to look at when the stage could not be raised.
  if (play.keep && stage.nodes !== undefined && !stopping.signal.aborted) {
    await keep(stage, performance)
    await end(stage, directory)
  } else {
    await tell(endedMessage(performance, await end(stage, directory)))
  }
}

const keep = async (stage: Stage, performance: Performance): Promise<void> => {
  await markKept(stage.play.run)
  isKept = true
  await tell(endedMessage(performance, []))
  if (process.connected) process.disconnect()
  await new Promise(resolve => {
    if (stopping.signal.aborted) resolve(undefined)
    else stopping.signal.addEventListener('abort', resolve)
    // Nothing else keeps this process alive.
    setInterval(() => undefined, aliveMs)
  })
}

const aliveMs = 3_600_000

/** Removes all; what is there after a moment of patience is left over. */
const end = async (stage: Stage, directory: string): Promise<readonly string[]> => {
  const failed = await strike(stage).catch((error: unknown) => [messageOf(error)])
  await rm(directory, { recursive: true, force: true })
  await tidy()
  let traces = await runTraces(stage.play.run, directory)
  for (let look = 0; traces.length > 0 && look < looksMax; look++) {
    await sleep(lookMs)
    traces = await runTraces(stage.play.run, directory)
  }
  return [...failed, ...traces]
}

const looksMax = 20
const lookMs = 100

const endedMessage = ({ report, problems }: Performance, left: readonly string[]): FromKeeper => {
  const leftovers = [...report.leftovers, ...left]
  const all = left.length === 0 ? problems : [...problems, `left behind: ${left.join('; ')}`]
  return {
    kind: 'ended',
    report: { ...report, leftovers, ok: all.length === 0 },
    problems: all,
    isKept,
  }
}

process.on('message', (message: ToKeeper) => {
  switch (message.kind) {
    case 'stop':
      return stop()
    case 'play':
      return void playRun(message.play).then(() => process.exit(0))
  }
})
process.on('disconnect', () => {
  if (!isKept) stop()
  // Nobody said what to play: only the directory is there.
  if (!isPlaying) void rm(directoryOf(process.argv[2] ?? ''), { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
