// The directory of cached results: `results/` under the cache directory, 0700, its files 0600,
// because arguments and configurations may hold secrets. A file is complete or not there.

import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import {
  cacheFileName,
  decodeContent,
  encodeEntry,
  type CacheContent,
  type CacheEntry,
  type CacheKey,
} from './cache.ts'
import { reasonOf, runtimeCodes } from './failures.ts'

/** Where the reference library and all that use it keep theirs. */
export const defaultCacheDirectory = '/var/lib/cni'

/** What is known of an attachment; undefined when nothing is. */
export type Cached = { readonly result: JsonObject | undefined; readonly entry?: CacheEntry }

export type Cache = {
  /** Failure 114 when the file is another attachment's, 6 when it cannot be read as one. */
  readonly read: (key: CacheKey) => Promise<Parsed<Cached | undefined>>
  readonly write: (entry: CacheEntry) => Promise<Parsed<undefined>>
  /** Succeeds when there is nothing. */
  readonly remove: (key: CacheKey) => Promise<Parsed<undefined>>
  /** Every entry that can be read, in the order of the files' names. */
  readonly list: () => Promise<Parsed<readonly CacheEntry[]>>
  /** Those of one interface of one container, in whatever network. */
  readonly listOf: (
    sandbox: Pick<CacheKey, 'containerId' | 'ifName'>,
  ) => Promise<Parsed<readonly CacheEntry[]>>
}

/** Opens nothing: the directory is made when something is first written. */
export const cacheIn = (cacheDirectory: string): Cache => {
  const directory = join(cacheDirectory, 'results')
  return {
    read: key => atPath(directory, key, path => read(path, key)),
    write: entry => {
      const key = { network: entry.network, ...entry.attachment }
      return atPath(directory, key, path => write({ directory, path, text: encodeEntry(entry) }))
    },
    remove: key =>
      atPath(directory, key, async path => {
        await rm(path, { force: true })
        return parsed(undefined)
      }),
    list: () => guarded(`cannot list ${directory}`, () => list(directory, '')),
    listOf: ({ containerId, ifName }) =>
      guarded(`cannot list ${directory}`, async () => {
        const entries = await list(directory, `-${containerId}-${ifName}`)
        if (entries.kind === 'failed') return entries
        return parsed(
          entries.value.filter(
            ({ attachment }) =>
              attachment.containerId === containerId && attachment.ifName === ifName,
          ),
        )
      }),
  }
}

const atPath = <T>(
  directory: string,
  key: CacheKey,
  work: (path: string) => Promise<Parsed<T>>,
): Promise<Parsed<T>> => {
  const name = cacheFileName(key)
  if (name.kind === 'failed') return Promise.resolve(name)
  const path = join(directory, name.value)
  return guarded(`cannot use the cached result ${path}`, () => work(path))
}

const guarded = async <T>(what: string, work: () => Promise<Parsed<T>>): Promise<Parsed<T>> => {
  try {
    return await work()
  } catch (error) {
    return failed(codes.io, `${what}: ${reasonOf(error)}`)
  }
}

const read = async (path: string, key: CacheKey): Promise<Parsed<Cached | undefined>> => {
  const text = await readIfThere(path)
  if (text === undefined) return parsed(undefined)
  const content = decodeContent(text, path)
  if (content.kind === 'failed') return content
  return cachedOf(content.value, { path, key })
}

const cachedOf = (
  content: CacheContent,
  { path, key }: { readonly path: string; readonly key: CacheKey },
): Parsed<Cached> => {
  if (content.kind === 'bare') return parsed({ result: content.result })
  const { entry } = content
  const { containerId, ifName } = entry.attachment
  if (entry.network === key.network && containerId === key.containerId && ifName === key.ifName) {
    return parsed({ result: entry.result, entry })
  }
  return failed(
    runtimeCodes.cacheConflict,
    `${path} belongs to ${ifName} of container ${containerId} in network ${entry.network}; ` +
      'delete that attachment first, or choose another container id',
  )
}

const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

type Written = { readonly directory: string; readonly path: string; readonly text: string }

// Attachments are written side by side, each under a name of its own first.
let drafts = 0

// On disk before it is in place: a DEL after a crash of the machine must find it whole.
const write = async ({ directory, path, text }: Written): Promise<Parsed<undefined>> => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = join(directory, `.${process.pid}-${drafts++}.new`)
  const file = await open(draft, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  return parsed(undefined)
}

// A file that is not an entry is somebody else's, or gone by now: it is not ours to complain about.
const list = async (directory: string, end: string): Promise<Parsed<readonly CacheEntry[]>> => {
  const names = await namesIn(directory)
  const wanted = names.filter(name => !name.startsWith('.') && name.endsWith(end))
  const entries: CacheEntry[] = []
  for (const name of wanted.toSorted()) {
    const text = await readIfThere(join(directory, name)).catch(() => undefined)
    const content = text === undefined ? undefined : decodeContent(text, name)
    if (content?.kind === 'parsed' && content.value.kind === 'entry') {
      entries.push(content.value.entry)
    }
  }
  return parsed(entries)
}

const namesIn = async (directory: string): Promise<readonly string[]> => {
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
