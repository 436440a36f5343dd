// The ledger: durable memory as an append-only file of checksummed saves, rewritten when much of it
// is dead. `save` returns after fdatasync, so a reply that follows it implies the record.
//
// Damage policy: every save that its checksum proves is applied, in sequence, also those behind a
// damaged place: a key's latest proven change is nearer to the truth than an older one, and the
// daemon compares with kernel and cloud at start anyway. Nothing is dropped silently: a torn end
// (a crash in the middle of an unacknowledged save) is cut and reported, and any other damaged file
// is kept beside as `ledger.corrupt-N`. One loss is invisible: a file cut just between two saves.

import { existsSync, linkSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeDirectory } from './directory.ts'
import { type LedgerStore, createFile, writeWhole } from './file.ts'
import { type Lock, LockedError, acquireLock } from './lock.ts'
import type { Log } from './log.ts'
import { type Damage, type Row, type Scan, encodeChange, formatVersion, scan } from './records.ts'

/** Something that was found wrong and survived; `message` is a sentence for the user. */
export type LedgerProblem = {
  readonly kind: 'torn' | 'corrupt' | 'compaction'
  readonly message: string
}

export type LedgerOptions = {
  /** Created when absent; one process at a time. */
  readonly directory: string
  readonly log: Log
  /** Called at once for every problem, at start and later. */
  readonly onProblem?: (problem: LedgerProblem) => void
  /** The file is rewritten when it holds this many dead bytes, and more dead than living ones. */
  readonly deadBytesMax?: number
}

export type Ledger = {
  readonly entries: ReadonlyMap<string, unknown>
  readonly problems: readonly LedgerProblem[]
  readonly store: LedgerStore
}

/** Opens or creates the ledger; rejects with one clear sentence when the directory is unusable. */
export const openLedger = async (options: LedgerOptions): Promise<Ledger> => {
  const { directory } = options
  await orExplain(directory, () => makeDirectory(directory, 0o700))
  const lock = await orExplain(directory, () => acquireLock(directory))
  try {
    return open({ ...options, path: join(directory, 'ledger') }, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

type OpenOptions = LedgerOptions & { readonly path: string }

const orExplain = async <Value>(
  directory: string,
  run: () => Value | Promise<Value>,
): Promise<Value> => {
  try {
    return await run()
  } catch (cause) {
    if (cause instanceof LockedError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(
      `cannot keep the ledger in ${directory}: ${why}; make it a directory this user may write`,
      { cause },
    )
  }
}

const defaultDeadBytesMax = 256 * 1024

const open = (options: OpenOptions, lock: Lock): Ledger => {
  const { path, deadBytesMax = defaultDeadBytesMax } = options
  const problems: LedgerProblem[] = []
  const report = (problem: LedgerProblem): void => {
    problems.push(problem)
    options.log.warn('ledger problem', { kind: problem.kind, problem: problem.message })
    options.onProblem?.(problem)
  }
  const { entries, bytes, sequence } = load(path, report)
  const rows = rowsOf(entries)
  const store = createFile({ path, rows, bytes, sequence, deadBytesMax, report, lock })
  return { entries, problems, store }
}

const rowsOf = (entries: ReadonlyMap<string, unknown>): Map<string, Row> =>
  new Map([...entries].map(([key, value]) => [key, encodeChange({ kind: 'put', key, value })]))

type Loaded = {
  readonly entries: ReadonlyMap<string, unknown>
  readonly sequence: number
  readonly bytes: number
}
type Report = (problem: LedgerProblem) => void

const load = (path: string, report: Report): Loaded => {
  rmSync(`${path}.new`, { force: true })
  if (!existsSync(path)) return rewrite(path, new Map(), 0)
  const bytes = readLedger(path)
  const scanned = scan(bytes)
  refuseNewer(path, scanned.version)
  const entries = replay(scanned)
  const isWhole = bytes.at(-1) === lineFeed && scanned.damages.length === 0
  if (isWhole) return { entries, sequence: scanned.sequence, bytes: bytes.length }
  // The rewritten file gets fresh numbers above all proven ones, so that no number means two saves.
  if (isTorn(scanned, bytes)) report({ kind: 'torn', message: tornMessage(path, scanned, bytes) })
  else report({ kind: 'corrupt', message: corruptMessage(keepBeside(path), path, scanned) })
  return rewrite(path, entries, scanned.sequence)
}

const lineFeed = 0x0a

const readLedger = (path: string): Buffer => {
  try {
    return readFileSync(path)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`cannot read the ledger ${path}: ${why}; make it readable or move it away`, {
      cause,
    })
  }
}

const refuseNewer = (path: string, version: number | undefined): void => {
  if (version === undefined || version <= formatVersion) return
  throw new Error(
    `cannot read the ledger ${path}: it has format ${version} and this eniway knows ` +
      `${formatVersion}; run the newer eniway, or move the file away and drain the node`,
  )
}

// A crash tears at most the save that was being written, so only one line can lack its line feed.
const isTorn = (scanned: Scan, bytes: Buffer): boolean =>
  scanned.version !== undefined &&
  scanned.damages.every(damage => damage.before === undefined) &&
  bytes.indexOf(lineFeed, scanned.provenBytes) < 0

const tornMessage = (path: string, scanned: Scan, bytes: Buffer): string =>
  `the ledger ${path} ended in the middle of a save (${bytes.length - scanned.provenBytes} bytes ` +
  `after save ${scanned.sequence}), as after a crash or power loss; that save was cut off and ` +
  'everything before it is kept'

const corruptMessage = (kept: string, path: string, scanned: Scan): string =>
  `the ledger ${path} is damaged: ${describeAll(scanned)}; all ${scanned.records.length} saves ` +
  `with a valid checksum are kept and the damaged file lies in ${kept}; check the disk, and ` +
  'delete that file when it is no longer of interest'

const placesMax = 3

const describeAll = ({ damages, version }: Scan): string => {
  if (damages.length === 0) return version === undefined ? 'it is empty' : 'its end is missing'
  const places = damages.slice(0, placesMax).map(describe).join('; ')
  const others = damages.length - placesMax
  return others > 0 ? `${places}; and ${others} more places` : places
}

const describe = ({ offset, bytes, after, before }: Damage): string => {
  const where = `${bytes} unreadable bytes at offset ${offset}`
  if (before === undefined) return `${where}, to the end, so saves after ${after} may be missing`
  if (offset === 0) return `${where}, so saves before ${before} may be missing`
  if (!(before > after + 1)) return `${where}, no save is missing`
  return `${where}, saves ${after + 1} to ${before - 1} are missing`
}

// A hard link first: at no moment is there no file called ledger.
const keepBeside = (path: string): string => {
  for (let number = 1; ; number++) {
    const kept = `${path}.corrupt-${number}`
    if (existsSync(kept)) continue
    linkSync(path, kept)
    return kept
  }
}

const replay = (scanned: Scan): ReadonlyMap<string, unknown> => {
  const entries = new Map<string, unknown>()
  for (const change of scanned.records.flatMap(record => record.changes)) {
    if (change.kind === 'put') entries.set(change.key, change.value)
    else entries.delete(change.key)
  }
  return entries
}

const rewrite = (
  path: string,
  entries: ReadonlyMap<string, unknown>,
  sequence: number,
): Loaded => ({ entries, ...writeWhole({ path, rows: rowsOf(entries), sequence }) })
