// What the demonstration may be asked for, and one clear sentence for what it may not.

import { typeLimits, typeNames } from '#emulator/aws/types.ts'
import { nodesMax } from '#emulator/launch-layout.ts'
import { type LatencyName, latencyProfiles } from '#emulator/model/latency.ts'

/** As the command line gives them; values may be wrong. */
export type DemoOptions = {
  readonly cloud: string
  readonly nodes: number
  /** Per node; undefined is 12, or as many as the instance type carries if that is less. */
  readonly pods: number | undefined
  readonly instanceType: string
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
  readonly cloud: 'aws'
  readonly nodes: number
  readonly pods: number
  readonly instanceType: string
  readonly seed: number
  readonly latency: LatencyName
  readonly keep: boolean
  /** Addresses for pods: on one NIC, and on all that the instance type can have. */
  readonly room: Room
}

export type Room = {
  readonly nics: number
  readonly perNic: number
  /** The daemon's pool can hold so many. */
  readonly total: number
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
  instanceType: 'm5.large',
  seed: 1,
  latency: 'documented',
} as const

const clouds = ['aws', 'azure', 'alibaba']

// One subnet of the layout has 4,091 addresses and serves every second node.
const addressesPerSubnet = 4_000

/** Checks the options and fills in what follows from them; throws OptionsError. */
export const playOf = (run: string, options: DemoOptions): Play => {
  const { nodes, instanceType, seed, keep, latency = demoDefaults.latency } = options
  requireCloud(options.cloud)
  requireCount('--nodes', nodes, nodesMax)
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new OptionsError(`--seed is ${seed}, but it must be a whole number from 0 on`)
  }
  if (!Object.hasOwn(latencyProfiles, latency)) {
    const known = Object.keys(latencyProfiles).join(', ')
    throw new OptionsError(`--latency is "${latency}", but it must be one of ${known}`)
  }
  const room = roomOf(instanceType)
  const pods = options.pods ?? Math.min(demoDefaults.pods, room.total)
  requireCount('--pods', pods, Number.MAX_SAFE_INTEGER)
  requireRoom({ pods, nodes, instanceType, room })
  return { run, cloud: 'aws', nodes, pods, instanceType, seed, latency, keep, room }
}

const requireCloud = (cloud: string): void => {
  if (cloud === 'aws') return
  throw new OptionsError(
    clouds.includes(cloud)
      ? `--cloud ${cloud} is not available yet; use --cloud aws`
      : `--cloud is "${cloud}", but there is no such cloud here; use --cloud aws`,
  )
}

const requireCount = (option: string, count: number, max: number): void => {
  if (Number.isSafeInteger(count) && count >= 1 && count <= max) return
  const range = max === Number.MAX_SAFE_INTEGER ? '1 or more' : `from 1 to ${max}`
  throw new OptionsError(`${option} is ${count}, but it must be a whole number, ${range}`)
}

// The first address of each NIC is the NIC's own.
const roomOf = (instanceType: string): Room => {
  const limits = typeLimits(instanceType)
  if (limits === undefined) {
    const family = instanceType.split('.', 1)[0] ?? ''
    const near = typeNames.filter(name => name.startsWith(`${family}.`))
    const hint = (near.length > 0 ? near : typeNames.slice(0, 12)).slice(0, 12).join(', ')
    throw new OptionsError(
      `--instance-type is "${instanceType}", but the emulator has no such type; try ${hint}`,
    )
  }
  const [nics, perNic] = [limits.nicsPerCard[0] ?? limits.nicsMax, limits.slotsPerNic - 1]
  return { nics, perNic, total: nics * perNic }
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
      `--pods is ${pods}, but ${instanceType} has room for ${room.total} pods (${room.nics} NICs ` +
        `with ${room.perNic} pod addresses each); ask for fewer pods or a larger instance type`,
    )
  }
  if (pods * Math.ceil(nodes / 2) > addressesPerSubnet) {
    throw new OptionsError(
      `--pods ${pods} on --nodes ${nodes} need more than the ${addressesPerSubnet} addresses of ` +
        'a subnet; ask for fewer',
    )
  }
}
