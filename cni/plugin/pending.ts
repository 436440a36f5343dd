// DELs that found no daemon. The executable leaves each as a file in pending-del/ beside the socket
// and tells the runtime that all is well; the daemon makes good on that as soon as it can.

import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codes } from '../spec/failure.ts'
import { parseObject } from '../spec/json.ts'
import type { Reply } from '../spec/call.ts'
import { parseCall, type Call } from './wire.ts'

/** A DEL waiting in pending-del/. */
export type PendingDel = {
  readonly path: string
  readonly call: Call
  /** Wall-clock milliseconds at which the runtime asked. */
  readonly queuedAtMs: number
}

export type ReplayOptions = {
  readonly directory: string
  /** Does the DEL, normally `handle` with the daemon's attachments. */
  readonly del: (pending: PendingDel) => Promise<Reply>
  /** Told, in one sentence, about every file that was moved aside or has to wait. */
  readonly report: (sentence: string) => void
}

/** How many files one replay takes; the rest waits for the next one. */
export const pendingPerReplayMax = 1000

/** Where the executable leaves DELs for the daemon on that socket. */
export const pendingDirectory = (socket: string): string => join(dirname(socket), 'pending-del')

/**
 * Does the waiting DELs, oldest first, and removes each file whose DEL succeeded; answers how many.
 * A file that can never succeed moves to `corrupt/` beside it; one whose DEL failed otherwise waits
 * for the next replay. Run it before the socket listens, so that no new ADD meets an old DEL, and
 * every minute or so after: a DEL is also kept when the daemon was only too slow.
 */
export const replayPendingDels = async (options: ReplayOptions): Promise<number> => {
  let done = 0
  for (const path of await oldestFiles(options.directory)) {
    const pending = await readPending(path)
    const fate = pending === undefined ? notADel : await replay(pending, options)
    if (fate.kind === 'done') done++
    if (fate.kind === 'hopeless') await moveAside(path, fate.reason, options)
  }
  return done
}

type Fate = { kind: 'done' } | { kind: 'waits' } | { kind: 'hopeless'; reason: string }

const notADel: Fate = { kind: 'hopeless', reason: 'it does not hold a DEL' }

const replay = async (pending: PendingDel, options: ReplayOptions): Promise<Fate> => {
  const reply = await options.del(pending)
  if (reply.exitCode === 0) {
    await rm(pending.path, { force: true })
    return { kind: 'done' }
  }
  if (isHopeless(reply)) return { kind: 'hopeless', reason: reply.stdout.trim() }
  options.report(`${pending.path} waits for the next replay: ${reply.stdout.trim()}`)
  return { kind: 'waits' }
}

// What is wrong with the call itself will still be wrong next time.
const hopelessCodes: readonly unknown[] = [
  codes.incompatibleVersion,
  codes.invalidEnvironment,
  codes.decoding,
  codes.invalidConfig,
  codes.invalidNetns,
]

const isHopeless = (reply: Reply): boolean => {
  const error = parseObject(reply.stdout, 'the error')
  return error.kind === 'parsed' && hopelessCodes.includes(error.value['code'])
}

const oldestFiles = async (directory: string): Promise<readonly string[]> => {
  // A name with a leading dot is still being written.
  const names = await readdir(directory).catch(whenMissing<string[]>([]))
  const paths = names
    .filter(name => name.endsWith('.json') && !name.startsWith('.'))
    .map(name => join(directory, name))
  const dated = await Promise.all(paths.map(async path => ({ path, at: await modifiedAtMs(path) })))
  return dated
    .sort((a, b) => a.at - b.at || (a.path < b.path ? -1 : 1))
    .slice(0, pendingPerReplayMax)
    .map(({ path }) => path)
}

const modifiedAtMs = async (path: string): Promise<number> => {
  const found = await stat(path).catch(whenMissing(undefined))
  return found?.mtimeMs ?? 0
}

const readPending = async (path: string): Promise<PendingDel | undefined> => {
  const call = parseCall(await readFile(path, 'utf8').catch(() => ''))
  if (call?.environment['CNI_COMMAND'] !== 'DEL') return undefined
  return { path, call, queuedAtMs: await modifiedAtMs(path) }
}

const moveAside = async (path: string, why: string, options: ReplayOptions): Promise<void> => {
  const aside = join(options.directory, 'corrupt', basename(path))
  await mkdir(dirname(aside), { recursive: true, mode: 0o700 })
  await rename(path, aside).catch(whenMissing(undefined))
  options.report(`${path} can never be done (${why}) and was moved to ${aside}; look and delete it`)
}

const whenMissing =
  <T>(value: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code !== 'ENOENT') throw error
    return value
  }
