// Network namespaces for hosts and pods of the benchmark, made before and removed after the timing.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runAnyway, type Session } from './shell.ts'

/** Path of a named namespace. */
export const pathOf = (name: string): string => `/run/netns/${name}`

/** Makes the namespaces and sees to their removal when the session ends at the latest. */
export const addNamespaces = async (
  session: Session,
  dir: string,
  names: readonly string[],
): Promise<void> => {
  session.atEnd(() => deleteNamespaces(dir, names))
  await batch(dir, names, 'add')
}

/** Removes those of the namespaces that exist. */
export const deleteNamespaces = (dir: string, names: readonly string[]): Promise<void> =>
  batch(dir, names, 'delete')

// One `ip` for all: a process each would take minutes for the larger measures. With -force it goes
// on after a failure, which for a removal is the wanted end.
const batch = async (
  dir: string,
  names: readonly string[],
  verb: 'add' | 'delete',
): Promise<void> => {
  const file = join(dir, `netns-${verb}-${names[0] ?? 'none'}`)
  await writeFile(file, names.map(name => `netns ${verb} ${name}\n`).join(''))
  const done = runAnyway('ip', verb === 'add' ? ['-batch', file] : ['-force', '-batch', file])
  await (verb === 'add' ? done : done.catch(() => undefined))
  await rm(file, { force: true })
}
