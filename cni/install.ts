// Puts the executable and the network configuration list where the container runtime looks, and
// takes them away. Each file appears whole or not at all: a runtime may look at any moment.

import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { conflistName, pluginType } from './conflist.ts'

/** What an installation found and did. */
export type Installed = { readonly path: string; readonly change: 'written' | 'unchanged' }

/** Copies the executable into the runtime's plugin directory. Repeating it changes nothing. */
export const installExecutable = async (paths: {
  readonly source: string
  readonly binDirectory: string
}): Promise<Installed> => {
  const { source, binDirectory } = paths
  const bytes = await explain(`read the CNI executable ${source}`, () => readFile(source))
  return write({ path: join(binDirectory, pluginType), bytes, mode: 0o755 })
}

/** Writes the list. Only for a daemon that is ready: from then on the node counts as ready. */
export const installConflist = async (list: {
  readonly text: string
  readonly configDirectory: string
}): Promise<Installed> => {
  const path = join(list.configDirectory, conflistName)
  return write({ path, bytes: Buffer.from(list.text), mode: 0o644 })
}

/** Removes the list, so that the runtime counts the node as not ready. Absence is success. */
export const removeConflist = async (configDirectory: string): Promise<void> =>
  remove(join(configDirectory, conflistName))

/** Removes the executable; pods that still exist then have no way to be deleted. */
export const removeExecutable = async (binDirectory: string): Promise<void> =>
  remove(join(binDirectory, pluginType))

type File = { readonly path: string; readonly bytes: Buffer; readonly mode: number }

const write = (file: File): Promise<Installed> =>
  explain(`install ${file.path}`, async () => {
    const present = await readFile(file.path).catch(() => undefined)
    if (present?.equals(file.bytes)) {
      await chmod(file.path, file.mode)
      return { path: file.path, change: 'unchanged' }
    }
    await mkdir(dirname(file.path), { recursive: true })
    await replace(file)
    return { path: file.path, change: 'written' }
  })

// The name starts with a dot and ends otherwise than the runtime's files, so nobody reads it early.
const replace = async ({ path, bytes, mode }: File): Promise<void> => {
  const unfinished = join(dirname(path), `.${pluginType}-${process.pid}.tmp`)
  try {
    await writeDurably({ path: unfinished, bytes, mode })
    await rename(unfinished, path)
    await flush(dirname(path))
  } finally {
    await rm(unfinished, { force: true })
  }
}

const writeDurably = async ({ path, bytes, mode }: File): Promise<void> => {
  const file = await open(path, 'w', mode)
  try {
    await file.writeFile(bytes)
    // The mode of open is cut by the umask.
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

const flush = async (directory: string): Promise<void> => {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const remove = (path: string): Promise<void> =>
  explain(`remove ${path}`, () => rm(path, { force: true }))

const explain = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    const reason = (error as Error).message
    throw new Error(`cannot ${what}: ${reason}; check the directory and its permissions`, {
      cause: error,
    })
  }
}
