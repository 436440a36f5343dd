// Starts a private containerd inside a network namespace, so that several nodes fit on one machine,
// and takes away everything it left. All its files lie under one directory.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, open, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { connectCri, type Cri } from './cri.ts'
import { listPaths, removeCgroups, unmountUnder } from './leftovers.ts'
import { buildImages, pauseImage } from './image.ts'
import { prepareNamespaceDirectory } from './namespaces.ts'
import { kill, processesWith, run, until } from './process.ts'

export type ContainerdOptions = {
  /** Path of the network namespace it runs in; its pods' host ends lie there. */
  readonly netns: string
  /** An absolute directory of its own; removed with everything in it at the end. */
  readonly dir: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  /** Where containerd and its helpers are; left out: where the path finds them. */
  readonly programs?: string
}

/** A running containerd; `cgroupParent` is where its pods' control groups must be put. */
export type Containerd = {
  readonly cri: Cri
  /** Of it and of runc, for whoever reads what a test ran with. */
  readonly versions: string
  readonly cgroupParent: string
  /** Namespaces of pods that exist now, as paths. */
  readonly podNamespaces: () => Promise<readonly string[]>
  /** Shims that still run for it. */
  readonly shims: () => Promise<readonly number[]>
  /** Ends it and removes processes, mounts, control groups and files; safe at any time. */
  readonly stop: () => Promise<void>
}

/** Starts containerd with both test images in it; it is ready for pods when this returns. */
export const startContainerd = async (options: ContainerdOptions): Promise<Containerd> => {
  const { dir } = options
  await prepareNamespaceDirectory()
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'config.toml'), configFile(options))
  const child = await spawnIn(options)
  const cri = connectCri(socketIn(dir))
  const containerd: Containerd = {
    cri,
    versions: await versionsOf(options),
    cgroupParent: cgroupParentOf(dir),
    podNamespaces: () => listPaths(join(dir, 'state/io.containerd.grpc.v1.cri/netns')),
    shims: () => shimsOf(dir),
    stop: () => stopContainerd(dir, child, cri),
  }
  try {
    await until(`containerd in ${dir}`, () => answersOrDied(cri, child, dir))
    await importImages(options)
    return containerd
  } catch (error) {
    await containerd.stop()
    throw error
  }
}

// `containerd github.com/containerd/containerd 1.6.20~ds1 …`, `runc version 1.1.5+ds1` and more.
const versionsOf = async (options: ContainerdOptions): Promise<string> => {
  const containerd = await run(programOf(options, 'containerd'), ['--version'])
  const runc = await run('/usr/sbin/runc', ['--version'])
  const [line = ''] = runc.split('\n')
  return `containerd ${containerd.split(' ')[2]}, ${line.replace(' version', '')}`
}

const programOf = ({ programs }: ContainerdOptions, name: string): string =>
  programs === undefined ? name : join(programs, name)

const socketIn = (dir: string): string => join(dir, 'containerd.sock')
const cgroupParentOf = (dir: string): string => `/eniway-${basename(dir)}`

// oom scores: lowering one needs CAP_SYS_RESOURCE, which root in a container often lacks. Pod
// namespaces are kept in our directory, away from the machine's /run/netns.
const configFile = ({ dir, cniBinDir, cniConfDir }: ContainerdOptions): string => `version = 2
root = "${dir}/root"
state = "${dir}/state"
oom_score = 0
[grpc]
  address = "${socketIn(dir)}"
[ttrpc]
  address = "${dir}/containerd.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  disable_tcp_service = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${cniBinDir}"
  conf_dir = "${cniConfDir}"
  max_conf_num = 1
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  BinaryName = "/usr/sbin/runc"
  Root = "${dir}/runc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
`

// nsenter and not `ip netns exec`: the latter also makes a mount namespace, in which the mounts
// of the pods would be hidden. nsenter replaces itself, so the child's pid is containerd's.
const spawnIn = async (options: ContainerdOptions): Promise<ChildProcess> => {
  const { netns, dir, programs } = options
  const log = await open(logIn(dir), 'a')
  try {
    const config = join(dir, 'config.toml')
    const args = [`--net=${netns}`, programOf(options, 'containerd'), '--config', config]
    // It looks for the shim of its own version on the path.
    const PATH = [...(programs === undefined ? [] : [programs]), process.env['PATH']].join(':')
    return spawn('nsenter', args, {
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, PATH },
    })
  } finally {
    await log.close()
  }
}

const logIn = (dir: string): string => join(dir, 'containerd.log')

const answersOrDied = async (cri: Cri, child: ChildProcess, dir: string): Promise<boolean> => {
  if (child.exitCode !== null) {
    throw new Error(
      `containerd ended at once: ${(await readFile(logIn(dir), 'utf8')).slice(-2000)}`,
    )
  }
  return cri.listSandboxes().then(
    () => true,
    () => false,
  )
}

const importImages = async (options: ContainerdOptions): Promise<void> => {
  const ctr = programOf(options, 'ctr')
  for (const archive of await buildImages(options.dir)) {
    await run(ctr, ['-a', socketIn(options.dir), '-n', 'k8s.io', 'images', 'import', archive])
  }
}

const shimsOf = async (dir: string): Promise<readonly number[]> => {
  const processes = await processesWith(`-address ${socketIn(dir)}`)
  return processes.filter(({ command }) => /containerd-shim/.test(command)).map(({ pid }) => pid)
}

const stopContainerd = async (dir: string, child: ChildProcess, cri: Cri): Promise<void> => {
  for (const id of await cri.listSandboxes().catch(() => [])) {
    await cri.stopSandbox(id).catch(() => undefined)
    await cri.removeSandbox(id).catch(() => undefined)
  }
  cri.close()
  child.kill('SIGTERM')
  await until('end of containerd', async () => child.exitCode !== null || hasSignal(child))
  kill(await shimsOf(dir))
  await removeCgroups(cgroupParentOf(dir))
  await unmountUnder(dir)
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  await removeSocketDirectory()
}

const hasSignal = (child: ChildProcess): boolean => child.signalCode !== null

// Version 1.6 keeps the sockets of its shims there whatever is configured; another containerd may
// use the same directories, so only empty ones go.
const removeSocketDirectory = async (): Promise<void> => {
  await rmdir('/run/containerd/s').catch(() => undefined)
  await rmdir('/run/containerd').catch(() => undefined)
}
