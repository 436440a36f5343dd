// Named network namespaces, and the file that remembers which of them a run made: what a crashed
// run left behind is found by its run id and removed.
import { mkdir, readFile, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { runCommand } from './command.ts'
import { isRunId, netnsDirectory, runPrefix } from './layout.ts'

/** Where each running emulator records the namespaces it made. */
const recordDirectory = '/run/eniway-emulator'

/** Path of a run's admin socket when nobody chose one; `cleanup` removes it. */
export const adminSocketOf = (run: string): string => fileOf(run, 'sock')

/** Path of a run's socket, or of the certificate its clients trust; `cleanup` removes both. */
export const fileOf = (run: string, ending: 'sock' | 'pem'): string =>
  `${recordDirectory}/${run}.${ending}`

/** Creates a namespace and records it first, so that a crash in between leaves no orphan. */
export const addNetns = async (run: string, name: string): Promise<void> => {
  await ensureNetnsDirectory()
  await record(run, [...new Set([...(await recorded(run)), name])])
  await runCommand({ netns: undefined, argv: ['ip', 'netns', 'add', name] })
}

/** Removes a namespace of the run with every device in it. One that is gone is fine. */
export const removeNetns = async (run: string, name: string): Promise<void> => {
  if ((await netnsNames()).includes(name)) {
    await runCommand({ netns: undefined, argv: ['ip', 'netns', 'delete', name] })
  }
  const rest = (await recorded(run)).filter(other => other !== name)
  await record(run, rest)
}

/** Names of all namespaces on this machine that iproute2 knows. */
export const netnsNames = (): Promise<string[]> => namesIn(netnsDirectory)

/** Runs that recorded something, dead or alive. */
export const recordedRuns = async (): Promise<string[]> =>
  (await namesIn(recordDirectory))
    .filter(file => file.endsWith('.json'))
    .map(file => file.slice(0, -'.json'.length))

/**
 * Removes everything a run made, whoever is gone by now: recorded namespaces, and those that carry
 * the run's prefix. Returns what it removed; calling it again removes nothing and succeeds.
 */
export const cleanup = async (run: string): Promise<readonly string[]> => {
  if (!isRunId(run)) throw new Error(`cannot clean up: "${run}" is not a run id`)
  const known = new Set(await recorded(run))
  const present = await netnsNames()
  const ours = present.filter(name => known.has(name) || name.startsWith(runPrefix(run)))
  for (const name of ours) {
    await runCommand({ netns: undefined, argv: ['ip', 'netns', 'delete', name] })
  }
  await forget(run)
  return ours
}

/**
 * Makes /run/netns a shared mount of its own before the first namespace is added. Otherwise the
 * first `ip netns add` bind-mounts the directory over itself, and namespaces that a container
 * runtime had made there become mounted twice and can never be removed.
 */
const ensureNetnsDirectory = async (): Promise<void> => {
  await mkdir(netnsDirectory, { recursive: true })
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  if (mounts.split('\n').some(line => line.split(' ')[4] === netnsDirectory)) return
  const mount = (...argv: string[]) => runCommand({ netns: undefined, argv: ['mount', ...argv] })
  await mount('--bind', netnsDirectory, netnsDirectory)
  await mount('--make-rshared', netnsDirectory)
}

const recordFile = (run: string): string => `${recordDirectory}/${run}.json`

const draftFile = (run: string): string => `${recordFile(run)}.new`

const recorded = async (run: string): Promise<readonly string[]> => {
  try {
    return (JSON.parse(await readFile(recordFile(run), 'utf8')) as { netns: string[] }).netns
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Error(`cannot read ${recordFile(run)}; remove it by hand`, { cause })
  }
}

const record = async (run: string, names: readonly string[]): Promise<void> => {
  if (names.length === 0) return forget(run)
  const draft = draftFile(run)
  await mkdir(recordDirectory, { recursive: true })
  const text = `${JSON.stringify({ netns: names })}\n`
  // Another run that ended just now may have removed the empty directory in between.
  await writeFile(draft, text).catch(async () => {
    await mkdir(recordDirectory, { recursive: true })
    await writeFile(draft, text)
  })
  await rename(draft, recordFile(run))
}

const forget = async (run: string): Promise<void> => {
  await rm(recordFile(run), { force: true })
  // A process that was killed while it wrote left a draft.
  await rm(draftFile(run), { force: true })
  await rm(fileOf(run, 'sock'), { force: true })
  await rm(fileOf(run, 'pem'), { force: true })
  // Fails while another run has its record there, which is as it should be.
  await rmdir(recordDirectory).catch(() => undefined)
}

const namesIn = async (directory: string): Promise<string[]> => {
  try {
    return await readdir(directory)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw cause
  }
}
