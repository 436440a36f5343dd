// Turns between processes that share a cache directory (points 70 and 120). Lamport's bakery: a
// ticket is a socket in a directory, so it dies with its owner, whatever namespaces that one is in,
// and whoever waits for its end is woken by it. Nothing is left to clean by hand after a crash.

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { pause, type RunOptions } from './exec.ts'
import { reasonOf, runtimeCodes } from './failures.ts'

/** Ends a turn. */
export type Release = () => Promise<void>

/** Who waits for whom: those of one container for each other, and everybody for `undefined`. */
export type Lines = {
  /**
   * Resolves when all who came before and concern the same container have ended. Failure 113 when
   * the signal aborts meanwhile, 5 when the directory cannot be used.
   */
  readonly take: (
    container: string | undefined,
    options: Pick<RunOptions, 'clock' | 'signal'>,
  ) => Promise<Parsed<Release>>
}

/** The directory is made when the first turn is taken. */
export const linesIn = (cacheDirectory: string): Lines => {
  const directory = join(cacheDirectory, 'turns')
  return {
    take: async (container, options) => {
      try {
        return await take({ directory, container }, options)
      } catch (error) {
        return failed(codes.io, `cannot take a turn in ${directory}: ${reasonOf(error)}`)
      }
    },
  }
}

type Waiting = Pick<RunOptions, 'clock' | 'signal'>
type Place = { readonly directory: string; readonly container: string | undefined }

const take = async ({ directory, container }: Place, waiting: Waiting) => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const handle = await open(directory)
  // Socket paths have room for 107 bytes only, however long the directory's is.
  const short = `/proc/self/fd/${handle.fd}`
  const own = await mkdtemp(`${short}/.`)
  const id = basename(own).slice(1)
  let ticket: Token | undefined
  const release: Release = async () => {
    await ticket?.end()
    await handle.close()
  }
  try {
    const choosing = await publish({ own, directory: short, name: `choosing.${id}` })
    const number = 1 + Math.max(0, ...(await ticketsIn(short)).map(other => other.number))
    const mine: Ticket = { name: '', number, who: whoOf(container), id }
    ticket = await publish({ own, directory: short, name: nameOf(mine) })
    await choosing.end()
    await rmdir(own)
    const failure = await untilFirst(short, mine, waiting)
    if (failure === undefined) return parsed(release)
    await release()
    return failure
  } catch (error) {
    await release()
    await rm(own, { recursive: true, force: true }).catch(() => undefined)
    throw error
  }
}

// Whoever was choosing before our ticket was there may come before us; who begins later sees it.
const untilFirst = async (
  directory: string,
  mine: Ticket,
  waiting: Waiting,
): Promise<Failure | undefined> => {
  const names = await readdir(directory)
  const choosing = names.filter(name => name.startsWith('choosing.') && !name.endsWith(mine.id))
  for (const name of choosing) await untilEnded(join(directory, name), waiting)
  for (const other of (await ticketsIn(directory)).filter(ticket => isBefore(ticket, mine))) {
    await untilEnded(join(directory, other.name), waiting)
  }
  if (waiting.signal?.aborted !== true) return undefined
  return failed(runtimeCodes.aborted, 'nobody waits any more for this turn')
}

type Ticket = {
  readonly name: string
  readonly number: number
  /** Of a container, or everybody's. */
  readonly who: string
  readonly id: string
}

const everybody = 'all'

// Container ids may be longer than what is left of a file name.
const whoOf = (container: string | undefined): string =>
  container === undefined
    ? everybody
    : createHash('sha256').update(container).digest('hex').slice(0, 32)

const nameOf = ({ number, who, id }: Ticket): string => `ticket.${number}.${who}.${id}`

const ticketsIn = async (directory: string): Promise<readonly Ticket[]> =>
  (await readdir(directory)).flatMap(name => {
    const match = /^ticket\.(\d+)\.(\w+)\.(\w+)$/.exec(name)
    return match === null
      ? []
      : [{ name, number: Number(match[1]), who: match[2] ?? '', id: match[3] ?? '' }]
  })

const isBefore = (other: Ticket, mine: Ticket): boolean => {
  const concerns = [other.who, mine.who].includes(everybody) || other.who === mine.who
  const isEarlier =
    other.number < mine.number || (other.number === mine.number && other.id < mine.id)
  return concerns && isEarlier
}

type Token = { readonly end: () => Promise<void> }
type Naming = { readonly own: string; readonly directory: string; readonly name: string }

// Renamed once it listens: a socket that nobody can connect to would be taken for a dead one.
const publish = async ({ own, directory, name }: Naming): Promise<Token> => {
  const waiters = new Set<Socket>()
  const server = createServer(socket => {
    waiters.add(socket.on('error', () => undefined).on('close', () => waiters.delete(socket)))
  })
  const draft = join(own, 'socket')
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(draft, resolve)
  })
  server.unref()
  const path = join(directory, name)
  await rename(draft, path)
  return {
    end: async () => {
      await rm(path, { force: true })
      server.close()
      for (const socket of waiters) socket.destroy()
    },
  }
}

const busyMs = 50

const untilEnded = async (path: string, waiting: Waiting): Promise<void> => {
  for (;;) {
    const end = await endOf(path, waiting)
    if (end === 'dead') await rm(path, { force: true })
    if (end !== 'busy' || waiting.signal?.aborted === true) return
    await pause(busyMs, waiting)
  }
}

/** `dead`: its owner is gone and has left it; `busy`: too many wait already. */
const endOf = (path: string, { signal }: Waiting): Promise<'ended' | 'dead' | 'busy'> =>
  new Promise(resolve => {
    const socket = connect(path)
    const stop = (): void => void socket.destroy()
    socket.resume()
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve('dead')
      else if (error.code !== 'ENOENT' && error.code !== 'ECONNRESET') resolve('busy')
    })
    socket.once('close', () => {
      signal?.removeEventListener('abort', stop)
      resolve('ended')
    })
    if (signal?.aborted === true) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
