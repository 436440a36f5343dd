// A private podman with its CNI back-end, run inside a network namespace, and how it is taken away.
// All its files lie under one directory.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { buildShellImage } from '../containerd/image.ts'
import { removeCgroups, unmountUnder } from '../containerd/leftovers.ts'
import { prepareNamespaceDirectory } from '../containerd/namespaces.ts'
import { kill, processesWith, run } from '../containerd/process.ts'

export type Podman = {
  /** Of it and of what runs containers for it. */
  readonly versions: string
  /** Runs a command to its end; rejects with its words when it fails. */
  readonly run: (...words: readonly string[]) => Promise<string>
  /** Where the control groups of its containers must be put. */
  readonly cgroupParent: string
  /** Processes that still run for it. */
  readonly processes: () => Promise<readonly string[]>
  /** Removes containers, mounts and files; safe at any time. */
  readonly stop: () => Promise<void>
}

type PodmanOptions = {
  /** Path of the network namespace it runs in. */
  readonly netns: string
  /** An absolute directory of its own. */
  readonly dir: string
  readonly cniBinDir: string
  readonly cniConfDir: string
}

/** It remembers there where layers came from, whatever is configured. */
const cacheDirectory = '/var/lib/containers'

/** Every command here takes less than a second on a quiet machine. */
const commandMs = 60_000

const execute = promisify(execFile)

/** Why podman cannot be tested here; undefined when it can. */
export const podmanProblem = async (): Promise<string | undefined> => {
  const version = await run('podman', ['--version']).catch(() => undefined)
  if (version === undefined) return 'podman is not installed'
  const major = Number(/version (\d+)/.exec(version)?.[1])
  return major < 5 ? undefined : `${version.trim()} has no CNI back-end any more`
}

/** The image with a shell is in it when this returns. */
export const startPodman = async (options: PodmanOptions): Promise<Podman> => {
  const { netns, dir } = options
  const hadCache = existsSync(cacheDirectory)
  await prepareNamespaceDirectory()
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'containers.conf'), configFile(options))
  await writeFile(join(dir, 'storage.conf'), storageFile(dir))
  const env = {
    ...process.env,
    CONTAINERS_CONF: join(dir, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(dir, 'storage.conf'),
  }
  const podman: Podman = {
    versions: await versions(),
    run: async (...words) =>
      (
        await execute('nsenter', [`--net=${netns}`, 'podman', ...words], {
          env,
          timeout: commandMs,
        })
      ).stdout.trim(),
    cgroupParent: `/eniway-${basename(dir)}`,
    processes: async () => (await processesWith(dir)).map(({ command }) => command),
    stop: async () => {
      await stopPodman(podman, dir)
      if (!hadCache) await rm(cacheDirectory, { recursive: true, force: true })
    },
  }
  try {
    await podman.run('load', '--input', await buildShellImage(dir))
    return podman
  } catch (error) {
    await podman.stop()
    throw error
  }
}

const versions = async (): Promise<string> => {
  const podman = await run('podman', ['--version'])
  const [runc = ''] = (await run('/usr/sbin/runc', ['--version'])).split('\n')
  return `${podman.trim().replace(' version', '')}, ${runc.replace(' version', '')}`
}

// Limits as they are: raising them needs CAP_SYS_RESOURCE, which root in a container often lacks.
// Locks as files: those in shared memory are the whole machine's.
const configFile = ({ dir, cniBinDir, cniConfDir }: PodmanOptions): string => `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "${dir}/tmp"
[network]
network_backend = "cni"
cni_plugin_dirs = ["${cniBinDir}"]
network_config_dir = "${cniConfDir}"
default_network = "eniway"
`

const storageFile = (dir: string): string => `[storage]
driver = "overlay"
graphroot = "${dir}/storage"
runroot = "${dir}/run"
`

const stopPodman = async (podman: Podman, dir: string): Promise<void> => {
  await podman.run('rm', '--all', '--force', '--time', '0').catch(() => undefined)
  kill((await processesWith(dir)).map(({ pid }) => pid))
  await removeCgroups(podman.cgroupParent)
  await unmountUnder(dir)
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
}
