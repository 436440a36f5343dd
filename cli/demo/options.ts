// What the demonstration may be asked for, and one clear sentence for what it may not.

import { nodesMax } from '#emulator/launch-layout.ts'
import { type LatencyName, latencyProfiles } from '#emulator/model/latency.ts'
import { CountError } from '../max-pods/arithmetic.ts'
import { clouds, figuresOf, type CloudName, type Figures } from '../max-pods/figures.ts'
import { unknownType } from '../max-pods/options.ts'
import type { FamilyName } from '../max-pods/question.ts'
import { defaultTypeOf, roomOf, type Room } from './clouds.ts'

/** As the command line gives them; values may be wrong. */
export type DemoOptions = {
  readonly cloud: string
  readonly nodes: number
  /** Per node; undefined is 12, or as many as the instance type carries if that is less. */
  readonly pods: number | undefined
  /** Undefined: a small type of the cloud. */
  readonly instanceType?: string | undefined
  /** `ipv4`, `ipv6`, `ipv4,ipv6`; undefined: `ipv4`. */
  readonly ipFamilies?: string | undefined
  readonly seed: number
  readonly output: 'text' | 'json'
  /** Leave it running when the demonstration has ended. */
  readonly keep: boolean
  /** End what an earlier run has left running. */
  readonly down: boolean
  readonly latency?: LatencyName
}

/** What a run is played with; every value is right. */
export type Play = {
  readonly run: string
  readonly cloud: CloudName
  readonly nodes: number
  readonly pods: number
  readonly instanceType: string
  readonly seed: number
  readonly latency: LatencyName
  readonly keep: boolean
  /** IPv4 first. */
  readonly families: readonly FamilyName[]
  readonly room: Room
}

/** Values that cannot be used; the message is one sentence. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError'
}

/** What `eniway demo` uses for options that are left out. */
export const demoDefaults = {
  cloud: 'aws',
  nodes: 2,
  pods: 12,
  ipFamilies: 'ipv4',
  seed: 1,
  latency: 'documented',
} as const

// One subnet of the layout has 4,091 addresses and serves every second node.
const addressesPerSubnet = 4_000

/** Checks the options and fills in what follows from them; throws OptionsError. */
export const playOf = (run: string, options: DemoOptions): Play => {
  const { nodes, seed, keep, latency = demoDefaults.latency } = options
  const cloud = cloudNamed(options.cloud)
  const families = familiesOf(options.ipFamilies ?? demoDefaults.ipFamilies)
  requireCount('--nodes', nodes, nodesMax)
  requireSeed(seed)
  requireLatency(latency)
  const figures = figuresFor(cloud, options.instanceType ?? defaultTypeOf(cloud))
  const { instanceType } = figures
  const room = roomFor(cloud, figures, families)
  if (room.total === 0) {
    throw new OptionsError(
      `${instanceType} has no ${families.join(' and ')} address for pods; choose a larger type`,
    )
  }
  const pods = options.pods ?? Math.min(demoDefaults.pods, room.total)
  requireCount('--pods', pods, Number.MAX_SAFE_INTEGER)
  requireRoom({ pods, nodes, instanceType, room })
  return { run, cloud, nodes, pods, instanceType, seed, latency, keep, families, room }
}

const cloudNamed = (text: string): CloudName => {
  const cloud = clouds.find(name => name === text)
  if (cloud !== undefined) return cloud
  throw new OptionsError(`--cloud is "${text}", but it must be one of ${clouds.join(', ')}`)
}

const familiesOf = (text: string): readonly FamilyName[] => {
  const names = text.split(',').map(name => name.trim())
  const families = (['ipv4', 'ipv6'] as const).filter(name => names.includes(name))
  if (families.length === names.length) return families
  throw new OptionsError(
    `--ip-families is "${text}", but it must be ipv4, ipv6 or ipv4,ipv6, each once`,
  )
}

const requireSeed = (seed: number): void => {
  if (Number.isSafeInteger(seed) && seed >= 0) return
  throw new OptionsError(`--seed is ${seed}, but it must be a whole number from 0 on`)
}

const requireLatency = (latency: string): void => {
  if (Object.hasOwn(latencyProfiles, latency)) return
  const known = Object.keys(latencyProfiles).join(', ')
  throw new OptionsError(`--latency is "${latency}", but it must be one of ${known}`)
}

const requireCount = (option: string, count: number, max: number): void => {
  if (Number.isSafeInteger(count) && count >= 1 && count <= max) return
  const range = max === Number.MAX_SAFE_INTEGER ? '1 or more' : `from 1 to ${max}`
  throw new OptionsError(`${option} is ${count}, but it must be a whole number, ${range}`)
}

const figuresFor = (cloud: CloudName, instanceType: string): Figures => {
  const figures = figuresOf(cloud, instanceType)
  if (figures !== undefined) return figures
  throw new OptionsError(unknownType(cloud, instanceType))
}

const roomFor = (cloud: CloudName, figures: Figures, families: readonly FamilyName[]): Room => {
  try {
    return roomOf(cloud, { figures, families })
  } catch (error) {
    throw error instanceof CountError ? new OptionsError(error.message) : error
  }
}

type Wanted = {
  readonly pods: number
  readonly nodes: number
  readonly instanceType: string
  readonly room: Room
}

const requireRoom = ({ pods, nodes, instanceType, room }: Wanted): void => {
  if (pods > room.total) {
    throw new OptionsError(
      `--pods is ${pods}, but ${instanceType} has room for ${room.total} pods on ` +
        `${room.nics} NICs; ask for fewer pods or a larger instance type`,
    )
  }
  if (pods * Math.ceil(nodes / 2) > addressesPerSubnet) {
    throw new OptionsError(
      `--pods ${pods} on --nodes ${nodes} need more than the ${addressesPerSubnet} addresses of ` +
        'a subnet; ask for fewer',
    )
  }
}
