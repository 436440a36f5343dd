// What the figures were taken on; without it they mean nothing.

import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'

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
}

export type MachineOptions = Pick<Machine, 'seed' | 'pods' | 'rounds' | 'loadBefore'>

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
