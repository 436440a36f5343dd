// What the figures were taken on; without it they mean nothing.

import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { statfsSync } from 'node:fs'

export type Machine = {
  readonly cpu: string
  readonly cores: number
  readonly memoryGib: number
  readonly kernel: string
  readonly node: string
  readonly peerPackage: string
  readonly seed: number
  readonly pods: number
  readonly rounds: number
  /** Load of the last minute when the benchmark began: above zero, others were working too. */
  readonly loadBefore: number
  /** The same at the end; the benchmark itself keeps about one processor busy. */
  readonly loadAfter: number
  /** File system of the daemon's ledger: on tmpfs a save costs nothing, on a disk a flush. */
  readonly ledger: string
}

export type MachineOptions = Pick<
  Machine,
  'seed' | 'pods' | 'rounds' | 'loadBefore' | 'loadAfter' | 'ledger'
>

// include/uapi/linux/magic.h; others are named by their number.
const fileSystems: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x0102_1994: 'tmpfs',
  0x5846_5342: 'xfs',
  0x9123_683e: 'btrfs',
  0x794c_7630: 'overlayfs',
}

/** Kind of the file system a path is on. */
export const fileSystemOf = (path: string): string => {
  const { type } = statfsSync(path)
  return fileSystems[type] ?? `file system 0x${type.toString(16)}`
}

/** Describes the machine and the run. */
export const describeMachine = (options: MachineOptions): Machine => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGib: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  peerPackage: packageVersion('containernetworking-plugins'),
  ...options,
})

const packageVersion = (name: string): string => {
  const format = '--showformat=${Package} ${Version}'
  return execFileSync('dpkg-query', ['--show', format, name], { encoding: 'utf8' })
}
