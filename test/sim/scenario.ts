// The figures of one day, all from its seed: the machine, its subnets, the configuration, the load,
// and when which faults are about.

import { cidr } from '#core/ip.ts'
import { defaultConfig } from '#core/initial.ts'
import { defaultPool, instanceId, type PoolName, subnetId } from '#core/names.ts'
import type { CallClass, Rate, Rates } from '#core/budget.ts'
import type { Limits, NodeFacts } from '#core/ports.ts'
import type { CoreConfig, PoolTargets } from '#core/state.ts'
import type { Chance } from './chance.ts'
import { type Conditions, calm, sampleConditions } from './faults.ts'
import { onlyGroup } from './estate.ts'
import { limitsFor, type Shape } from './shape.ts'
import { createSpace, type Space } from './space.ts'

export type Phase = { readonly ms: number; readonly conditions: Conditions }

export type Load = {
  /** Mean time between arrivals of single pods. */
  readonly arrivalMs: number
  readonly lifetimeMs: number
  /** Pods that arrive together, and the mean time between such bursts. */
  readonly burst: number
  readonly burstMs: number
  /** Pods the scheduler would put on the node. */
  readonly podsMax: number
  readonly lostDelChance: number
}

export type Scenario = {
  readonly shape: Shape
  readonly limits: Limits
  readonly facts: NodeFacts
  readonly spaces: readonly Space[]
  readonly config: CoreConfig
  readonly load: Load
  readonly phases: readonly Phase[]
  /** Mean time between crashes; Infinity for none. */
  readonly crashMs: number
  readonly humanMs: number
  readonly meddlingMs: number
  readonly foreignNics: number
  readonly leftoverNics: number
  /** NICs that are attached when the instance starts, the primary one included. */
  readonly nicsAtBirth: number
  readonly firstBlocks: number
  readonly reboots: number
  readonly ledgerLosses: number
  readonly staleMaxMs: number
  readonly lateMaxMs: number
}

export const sampleScenario = (chance: Chance, shape: Shape): Scenario => {
  const drawn = sampleLimits(chance.fork('limits'))
  const limits = limitsFor(shape.habit, drawn, chance.fork('shape'))
  const spaces = sampleSpaces(chance.fork('spaces'))
  const config = { ...sampleConfig(chance.fork('config'), limits), families: shape.families }
  const trouble = chance.fork('trouble')
  const load = sampleLoad(chance.fork('load'), limits)
  const ledgerLosses = chance.fork('ledger').happens(0.1) ? 1 : 0
  return {
    shape,
    limits,
    spaces,
    config,
    load,
    facts: {
      node: 'node-1',
      instanceId: instanceId('i-1'),
      instanceType: 'sim.large',
      zone: 'zone-a',
      limits,
      vpc: [cidr('10.0.0.0/8')],
      subnets: [],
      securityGroups: [onlyGroup],
    },
    phases: samplePhases(trouble),
    crashMs: trouble.happens(0.5) ? trouble.scaled(20_000, 900_000) : Infinity,
    humanMs: trouble.happens(0.15) ? trouble.scaled(300_000, 2_000_000) : Infinity,
    // A stranger's route that somebody removed could never be known again.
    meddlingMs:
      trouble.happens(0.3) && ledgerLosses === 0 ? trouble.scaled(10_000, 600_000) : Infinity,
    foreignNics: trouble.happens(0.2) && limits.nicsMax > 2 ? 1 : 0,
    leftoverNics: trouble.happens(0.15) && limits.nicsMax > 2 && limits.hotPlug ? 1 : 0,
    nicsAtBirth: limits.hotPlug ? 1 : chance.fork('birth').between(1, limits.nicsMax),
    firstBlocks: trouble.happens(0.3) ? trouble.between(1, 2) : 0,
    reboots: trouble.happens(0.1) ? 1 : 0,
    ledgerLosses,
    // Together they stay within what the daemon is told to expect.
    staleMaxMs: Math.floor(config.consistencyMs * 0.6),
    lateMaxMs: Math.floor(config.consistencyMs * 0.35),
  }
}

const sampleLimits = (chance: Chance): Limits => {
  const blocks = chance.scaled(2, 30)
  return {
    nicsMax: chance.scaled(1, 8),
    blocksPerNicMax: { 4: blocks, 6: blocks },
    hotPlug: true,
    blocksPerNodeMax: undefined,
    prefixes: chance.happens(0.6),
  }
}

const sampleSpaces = (chance: Chance): Space[] =>
  Array.from({ length: chance.between(1, 3) }, (_, i) => {
    const options = {
      id: subnetId(`subnet-${i + 1}`),
      cidr4: cidr(`10.${i + 1}.0.0/${chance.between(23, 26)}`),
      cidr6: cidr(`2600:1f18:1:${i + 1}::/64`),
      zone: 'zone-a',
    }
    const space = createSpace(options, chance.fork(options.id))
    space.tenantsTake(Math.floor(space.available() * chance.fraction() * 0.6))
    return space
  })

const sampleConfig = (chance: Chance, limits: Limits): CoreConfig => {
  const blockLength = chance.pick(limits.prefixes ? ([32, 28, 'auto'] as const) : ([32] as const))
  return {
    ...defaultConfig,
    pools: new Map<PoolName, PoolTargets>([[defaultPool, sampleTargets(chance)]]),
    blockLength,
    coolingMs: chance.pick([0, 5_000, 30_000, 120_000]),
    settleMs: chance.pick([0, 1_000, 5_000]),
    releaseAfterMs: chance.scaled(5_000, 600_000),
    observeEveryMs: chance.scaled(20_000, 300_000),
    reconcileEveryMs: chance.scaled(5_000, 60_000),
    appearWithinMs: chance.scaled(30_000, 300_000),
    consistencyMs: chance.scaled(2_000, 20_000),
    rates: sampleRates(chance),
    nicsMax: chance.happens(0.2) ? chance.between(1, limits.nicsMax) : undefined,
  }
}

export const sampleTargets = (chance: Chance): PoolTargets => ({
  warmTarget: chance.pick([0, 1, 2, 5, 10, 20]),
  minimum: chance.happens(0.3) ? chance.between(0, 20) : 0,
  maximum: chance.happens(0.25) ? chance.between(0, 60) : undefined,
})

const callClasses = ['describe', 'lend', 'return', 'create', 'attach', 'detach', 'delete'] as const

const sampleRates = (chance: Chance): Rates => {
  const isTight = chance.happens(0.25)
  const rate = (): Rate =>
    isTight
      ? { capacity: chance.between(1, 3), perSecond: 0.05 + chance.fraction() * 0.3 }
      : { capacity: chance.between(4, 20), perSecond: 0.3 + chance.fraction() * 3 }
  return Object.fromEntries(callClasses.map(name => [name, rate()])) as {
    [Class in CallClass]: Rate
  }
}

const sampleLoad = (chance: Chance, limits: Limits): Load => {
  const capacity = limits.blocksPerNodeMax ?? limits.nicsMax * limits.blocksPerNicMax[4]
  const podsMax = Math.max(2, Math.min(110, Math.round(capacity * (0.2 + chance.fraction()))))
  const lifetimeMs = chance.scaled(5_000, 1_800_000)
  return {
    podsMax,
    lifetimeMs,
    arrivalMs: Math.max(2_000, lifetimeMs / podsMax / (0.3 + chance.fraction())),
    burst: Math.min(podsMax, chance.scaled(2, 40)),
    burstMs: chance.scaled(120_000, 1_200_000),
    lostDelChance: chance.happens(0.3) ? 0.05 : 0,
  }
}

const samplePhases = (chance: Chance): Phase[] => {
  const isKind = chance.happens(0.1)
  return Array.from({ length: chance.between(3, 8) }, () => ({
    ms: chance.scaled(30_000, 600_000),
    conditions: isKind || chance.happens(0.25) ? calm : sampleConditions(chance),
  }))
}
