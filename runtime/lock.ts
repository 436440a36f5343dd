// One process per directory. The lock is a listening unix socket: the kernel closes it when its
// process dies, even by SIGKILL, so there is no stale lock to argue about, and unlike process ids
// it means the same in every pid and network namespace that shares the directory.
//
// A dead socket's file stays behind, and removing it to bind anew would race with others doing the
// same. So locks are numbered and a number is never used twice: who finds `lock.7` dead links its
// own, already listening socket as `lock.8`, which only one contender can, and the highest number
// holds. A contender that read the directory long ago finds a higher number afterwards and yields.

import { linkSync, readdirSync, rmSync } from 'node:fs'
import { type Server, connect, createServer } from 'node:net'
import { join } from 'node:path'

export interface Lock {
  /** Lets the next process in; the file stays, so that its number is not used again. */
  release(): void
}

/** Thrown by acquireLock when another process holds the directory. */
export class LockedError extends Error {
  override readonly name = 'LockedError'
  readonly pid: number | undefined

  constructor(directory: string, pid: number | undefined) {
    const holder = pid === undefined ? 'another process' : `process ${pid}`
    super(
      `cannot use ${directory}: ${holder} is already running with this directory; ` +
        'stop it first, or give this one a directory of its own',
    )
    this.pid = pid
  }
}

/** Resolves once this process alone holds the directory; rejects with LockedError otherwise. */
export const acquireLock = async (directory: string): Promise<Lock> => {
  const suffix = `${process.pid}.${process.hrtime.bigint().toString(36)}`
  const temporary = join(directory, `lock-new.${suffix}`)
  const server = await listen(temporary)
  try {
    await climb(directory, temporary)
  } catch (error) {
    server.close()
    throw error
  } finally {
    rmSync(temporary, { force: true })
  }
  return { release: () => void server.close() }
}

/** Each lost race means that somebody else got a number, so this many cannot happen by chance. */
const climbsMax = 16

const climb = async (directory: string, temporary: string): Promise<void> => {
  for (let climbs = 0; climbs < climbsMax; climbs++) {
    const highest = highestIn(directory)
    if (highest > 0) await refuseLiving(directory, highest)
    if (!linkIfAbsent(temporary, pathOf(directory, highest + 1))) continue
    if (highestIn(directory) !== highest + 1) {
      rmSync(pathOf(directory, highest + 1), { force: true })
      continue
    }
    removeBelow(directory, highest + 1)
    return
  }
  throw new LockedError(directory, undefined)
}

const pathOf = (directory: string, number: number): string => join(directory, `lock.${number}`)

const numbersIn = (directory: string): number[] =>
  readdirSync(directory)
    .map(name => /^lock\.(\d{1,15})$/.exec(name)?.[1])
    .flatMap(digits => (digits === undefined ? [] : [Number(digits)]))

const highestIn = (directory: string): number => Math.max(0, ...numbersIn(directory))

const removeBelow = (directory: string, own: number): void => {
  for (const number of numbersIn(directory)) {
    if (number < own) rmSync(pathOf(directory, number), { force: true })
  }
}

const linkIfAbsent = (from: string, to: string): boolean => {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

// Whoever connects is told the process id; the socket is for nothing else.
const listen = (path: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer(socket => {
      socket.on('error', () => socket.destroy())
      socket.end(String(process.pid))
    })
    server.once('error', cause =>
      reject(new Error(`cannot make the lock ${path}: ${cause.message}`, { cause })),
    )
    server.listen(path, () => resolve(server.unref()))
  })

/** A living but busy process is not asked for its id any longer than this. */
const answerMs = 1000

// A connection that is accepted proves a living holder, whether or not it finds time to answer.
const refuseLiving = (directory: string, number: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(pathOf(directory, number))
    let text = ''
    let isLiving = false
    const refuse = (): void => {
      socket.destroy()
      reject(new LockedError(directory, /^\d+$/.test(text) ? Number(text) : undefined))
    }
    socket.setTimeout(answerMs, refuse)
    socket.once('connect', () => void (isLiving = true))
    socket.on('data', chunk => void (text += chunk.toString()))
    socket.once('end', refuse)
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (isLiving || !isDead(error.code)) refuse()
      else resolve()
    })
  })

// ECONNREFUSED: nobody listens. ENOENT: its winner removed it. Anything else (a full backlog, no
// permission) may hide a living holder.
const isDead = (code: string | undefined): boolean => code === 'ECONNREFUSED' || code === 'ENOENT'
