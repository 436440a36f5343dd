// The ledger's file while it is open: appends saves, syncs each before it returns, and rewrites the
// file when most of it is dead. Everything is synchronous: a save takes a fraction of a
// millisecond, and whoever waited for it has nothing else to do.

import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { LedgerChange, Store } from '#core/ports.ts'
import type { Lock } from './lock.ts'
import { type Row, encodeChange, encodeHeader, encodeRecord } from './records.ts'

export interface LedgerStore extends Store {
  /** Bytes of the file. */
  bytes(): number
  /** Keys that have a value. */
  count(): number
  /** Rewrites the file with living entries only; the ledger does so itself when it is time. */
  compact(): void
  /** Releases file and directory; nothing needs flushing. */
  close(): void
}

type Written = { readonly sequence: number; readonly bytes: number }

type FileParts = Written & {
  readonly path: string
  /** What is alive; belongs to the file from now on. */
  readonly rows: Map<string, Row>
  readonly deadBytesMax: number
  readonly report: (problem: { readonly kind: 'compaction'; readonly message: string }) => void
  readonly lock: Lock
}

/** Opens a file that was found whole. After a failed save the store refuses all further ones. */
export const createFile = (parts: FileParts): LedgerStore => {
  const { path, rows } = parts
  let { sequence, bytes } = parts
  let living = sum(rows.values())
  let handle = openSync(path, 'r+')
  let state: 'open' | 'failed' | 'closed' = 'open'
  let compactAbove = parts.deadBytesMax

  const remember = (change: LedgerChange, row: Row): void => {
    living -= rows.get(change.key)?.length ?? 0
    rows.delete(change.key)
    if (change.kind === 'drop') return
    rows.set(change.key, row)
    living += row.length
  }

  const compact = (): void => {
    const written = writeWhole({ path, rows, sequence })
    closeSync(handle)
    handle = openSync(path, 'r+')
    ;({ sequence, bytes } = written)
    compactAbove = parts.deadBytesMax
  }

  // The save is durable by now, so a full disk is no reason to fail it: say so, try again later.
  const compactOrReport = (): void => {
    try {
      compact()
    } catch (cause) {
      compactAbove *= 2
      const why = cause instanceof Error ? cause.message : String(cause)
      const message = `cannot rewrite the ledger ${path}: ${why}; it goes on growing, free space`
      parts.report({ kind: 'compaction', message })
    }
  }

  const append = (changes: readonly LedgerChange[]): void => {
    const encoded = changes.map(encodeChange)
    const record = encodeRecord(sequence + 1, encoded)
    writeAll(handle, record, bytes)
    fdatasyncSync(handle)
    sequence += 1
    bytes += record.length
    for (const [index, change] of changes.entries()) remember(change, encoded[index] ?? '')
  }

  return {
    save: changes => {
      if (state !== 'open') throw new Error(`cannot save in the ledger ${path}: it is ${state}`)
      if (changes.length === 0) return
      try {
        append(changes)
      } catch (cause) {
        state = 'failed'
        const why = cause instanceof Error ? cause.message : String(cause)
        const what = `cannot save in the ledger ${path}: ${why}`
        const advice = 'free space there or repair the disk, then start the daemon again'
        throw new Error(`${what}; ${advice}`, { cause })
      }
      if (bytes - living > Math.max(compactAbove, living)) compactOrReport()
    },
    bytes: () => bytes,
    count: () => rows.size,
    compact,
    close: () => {
      if (state === 'closed') return
      state = 'closed'
      closeSync(handle)
      parts.lock.release()
    },
  }
}

/**
 * Replaces the file by one that holds only these rows, durably and atomically. One row per line, so
 * that a damaged place costs one entry; numbers go on rising, so that none ever means two saves.
 */
export const writeWhole = (whole: {
  readonly path: string
  readonly rows: ReadonlyMap<string, Row>
  readonly sequence: number
}): Written => {
  const temporary = `${whole.path}.new`
  const start = whole.sequence + 1
  const lines = [...whole.rows.values()].map((row, index) => encodeRecord(start + 1 + index, [row]))
  const content = Buffer.concat([encodeHeader(start), ...lines])
  try {
    writeNew(temporary, content)
    renameSync(temporary, whole.path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncDirectory(dirname(whole.path))
  return { sequence: start + lines.length, bytes: content.length }
}

const sum = (rows: Iterable<Row>): number => {
  let length = 0
  for (const row of rows) length += row.length
  return length
}

const writeNew = (path: string, content: Buffer): void => {
  const handle = openSync(path, 'w', 0o600)
  try {
    writeAll(handle, content, 0)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

// write(2) may take less than it is given.
const writeAll = (handle: number, content: Buffer, position: number): void => {
  let done = 0
  while (done < content.length) {
    done += writeSync(handle, content, done, content.length - done, position + done)
  }
}

// The rename itself is durable only once the directory is (ext4 documentation, auto_da_alloc).
const syncDirectory = (path: string): void => {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
