// Takes away what a container runtime leaves when it is ended in the middle: control groups with
// processes in them, and mounts.

import { readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { kill, run, until } from './process.ts'

const cgroupRoot = '/sys/fs/cgroup'

/** Ends what is in a control group and removes it: of each controller with v1, one with v2. */
export const removeCgroups = async (parent: string): Promise<void> => {
  const trees = [cgroupRoot, ...(await listPaths(cgroupRoot))].map(tree => join(tree, parent))
  for (const tree of trees) await removeCgroup(tree)
}

const removeCgroup = async (path: string): Promise<void> => {
  const inside = await readdir(path, { withFileTypes: true }).catch(() => undefined)
  if (inside === undefined) return
  for (const entry of inside) if (entry.isDirectory()) await removeCgroup(join(path, entry.name))
  kill(await pidsIn(path))
  // The kernel needs a moment until killed processes have left the group.
  await until(`removal of ${path}`, () =>
    rmdir(path).then(
      () => true,
      () => false,
    ),
  )
}

const pidsIn = async (cgroup: string): Promise<readonly number[]> => {
  const text = await readFile(join(cgroup, 'cgroup.procs'), 'utf8').catch(() => '')
  return text.split('\n').filter(Boolean).map(Number)
}

/** Unmounts all below the directory, latest first. */
export const unmountUnder = async (dir: string): Promise<void> => {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const points = lines.map(line => line.split(' ')[4] ?? '').filter(p => p.startsWith(`${dir}/`))
  for (const point of points.reverse()) await run('umount', ['--lazy', point]).catch(() => '')
}

/** Paths of what is in a directory; none when there is no such directory. */
export const listPaths = async (directory: string): Promise<readonly string[]> =>
  (await readdir(directory).catch(() => [])).map(name => join(directory, name))
