// One day of one node from a seed: load and faults for a while, then quiet, then judgement.

import { apply } from '#core/apply.ts'
import { changes } from '#core/durable.ts'
import type { Action } from '#core/action.ts'
import { after, defaultPool, token } from '#core/names.ts'
import { plan } from '#core/plan.ts'
import { restore } from '#core/restore.ts'
import type { Cloud, Host } from '#core/ports.ts'
import type { CoreConfig } from '#core/state.ts'
import { createAttacher } from './attach.ts'
import { type Chance, createChance } from './chance.ts'
import { allCheckers } from './checkers/all.ts'
import { stillMs } from './checkers/rest.ts'
import { createScheduler } from './clock.ts'
import { createSimCloud } from './cloud.ts'
import { type Core, crashPoints, type Life, startLife } from './daemon.ts'
import { createEstate, onlyGroup } from './estate.ts'
import { calm, createFaults } from './faults.ts'
import { createKernel } from './kernel.ts'
import { createSimLedger } from './ledger.ts'
import { attachForeign, type NatureParts, startNature } from './nature.ts'
import type { Notice } from './notices.ts'
import { createSimRuntime } from './runtime.ts'
import { sampleShape, type Shape } from './shape.ts'
import { type Scenario, sampleScenario, sampleTargets } from './scenario.ts'
import { createTrace, timeText } from './trace.ts'
import { type Checker, createLivePods, tell, type World } from './world.ts'

export type SimFailure = {
  readonly seed: number
  readonly checker: string
  readonly message: string
}

export type SimResult = {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly faults: Readonly<Record<string, number>>
  readonly failures: readonly SimFailure[]
  readonly trace: readonly string[]
}

export type SimOptions = {
  readonly seed: number
  readonly print?: (line: string) => void
  /** What kind of day it is, for named tests; left out, the seed decides. */
  readonly shape?: Shape
  /** Changes the day, for named tests. */
  readonly change?: (scenario: Scenario) => Scenario
  /** Breaks something on purpose, for self-tests of the judge. */
  readonly sabotage?: Sabotage
}

export type Sabotage = {
  readonly core?: (core: Core) => Core
  readonly action?: (action: Action) => Action | undefined
  readonly cloud?: (cloud: Cloud) => Cloud
  readonly host?: (host: Host) => Host
  readonly ledger?: 'saves nothing'
}

export const realCore: Core = { apply, plan, changes, restore }

/** Runs one seed to its end or to the first failure. */
export const simulate = async (options: SimOptions): Promise<SimResult> => {
  const day = createDay(options)
  try {
    await day.run()
  } catch (error) {
    day.fail('crashed', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  return day.result()
}

const createDay = (options: SimOptions) => {
  const { seed } = options
  const chance = createChance(seed)
  const shape = options.shape ?? sampleShape(chance.fork('shape'))
  const sampled = sampleScenario(chance.fork('scenario'), shape)
  const scenario = options.change?.(sampled) ?? sampled
  const scheduler = createScheduler()
  const trace = createTrace(scheduler.clock, options.print)
  const faults = createFaults(chance.fork('faults'))
  const failures: SimFailure[] = []
  let events = 0
  let lives = 0
  let config = scenario.config
  let life: Life | undefined
  let isQuiet = false
  const checkers: Checker[] = []

  const fail = (checker: string, message: string): void => {
    // The first failure of a checker tells the most; those that follow are its echo.
    if (failures.some(each => each.checker === checker)) return
    const text = `${timeText(scheduler.clock)} ${message}`
    trace.note(`FAILED ${checker}: ${message}`)
    failures.push({ seed, checker, message: text })
  }
  const notify = (notice: Notice): void => {
    for (const checker of checkers) tell(checker.on, notice)
    tell(live.on, notice)
  }

  const ledger = createSimLedger()
  const kernel = createKernel(notify)
  const estate = createEstate({
    scheduler,
    notify,
    limits: scenario.limits,
    spaces: scenario.spaces,
    habit: scenario.shape.habit,
    chance: chance.fork('estate'),
  })
  const outside = { scheduler, faults, trace, notify, kernel, estate }
  const live = createLivePods(outside, () => scheduler.clock.now())
  const attacher = createAttacher({
    ...outside,
    instance: scenario.facts.instanceId,
    chance: chance.fork('attach'),
  })
  const cloud = createSimCloud({
    ...outside,
    attacher,
    facts: scenario.facts,
    chance: chance.fork('cloud'),
    staleMaxMs: scenario.staleMaxMs,
    lateMaxMs: scenario.lateMaxMs,
  })
  const runtime = createSimRuntime({
    ...outside,
    chance: chance.fork('runtime'),
    lostDelChance: scenario.load.lostDelChance,
  })
  const core = options.sabotage?.core?.(realCore) ?? realCore
  const world: World = {
    ...outside,
    ledger,
    runtime,
    core,
    live,
    config: () => config,
    life: () => life,
    staleMaxMs: scenario.staleMaxMs,
  }
  const lifeChance = chance.fork('lives')

  const start = (): void => {
    const number = ++lives
    const port = cloud.port(number)
    life = startLife({
      ...outside,
      number,
      core,
      config,
      ...(options.sabotage?.action === undefined ? {} : { sabotage: options.sabotage.action }),
      ...(options.sabotage?.host === undefined ? {} : { wrapHost: options.sabotage.host }),
      ledger:
        options.sabotage?.ledger === undefined ? ledger : { ...ledger, save: () => undefined },
      cloud: options.sabotage?.cloud?.(port) ?? port,
      chance: lifeChance.fork(String(number)),
      onEvent: () => events++,
      onAnswer: runtime.answered,
      onDeath: cause => {
        runtime.lifeEnded()
        life = undefined
        if (!cause.startsWith('fatal')) faults.count(`crash:${cause}`)
        scheduler.in(lifeChance.scaled(100, 30_000), start)
      },
    })
    trace.note(`life ${number} starts`)
    runtime.lifeStarted(life)
  }

  const run = async (): Promise<void> => {
    for (const make of allCheckers) {
      const index = checkers.length
      checkers.push(make(world, message => fail(checkers[index]?.name ?? 'judge', message)))
    }
    trace.note(`a day of habit ${shape.habit}, families ${shape.families.join()}`)
    furnish(natureParts)
    const nature = startNature(natureParts)
    start()
    load(chance.fork('load'))
    trouble(chance.fork('trouble'))
    for (const phase of scenario.phases) {
      faults.set(phase.conditions)
      trace.note(`phase ${[...phase.conditions.spells, ...phase.conditions.strikes.keys()].join()}`)
      await scheduler.run(after(scheduler.clock.now(), phase.ms))
    }
    isQuiet = true
    faults.set(calm)
    nature.calm()
    runtime.setChurn(false)
    trace.note('faults stop')
    await scheduler.run(after(scheduler.clock.now(), quietMs(config) + stillMs))
    for (const checker of checkers) checker.atRest?.()
  }

  const natureParts: NatureParts = {
    ...outside,
    attacher,
    scenario,
    chance: chance.fork('nature'),
  }

  const again = (ms: () => number, act: () => void): void => {
    const span = ms()
    if (!Number.isFinite(span)) return
    scheduler.in(span, () => {
      if (isQuiet) return
      act()
      again(ms, act)
    })
  }
  const load = (luck: Chance): void => {
    const { arrivalMs, burstMs, burst, lifetimeMs, podsMax } = scenario.load
    const arrive = (): void => {
      if (runtime.live().length + runtime.ongoing().length < podsMax) {
        runtime.start(luck.interval(lifetimeMs))
      }
    }
    again(() => luck.interval(arrivalMs), arrive)
    again(
      () => luck.interval(burstMs),
      () => {
        for (let i = 0; i < burst; i++) arrive()
      },
    )
    again(() => luck.interval(600_000), runtime.deleteUnknown)
  }
  const trouble = (luck: Chance): void => {
    again(
      () => luck.interval(scenario.crashMs),
      () => life?.arm(luck.pick(crashPoints), luck.scaled(1, 20)),
    )
    again(
      () => luck.interval(1_200_000),
      () => reconfigure(luck),
    )
    if (scenario.reboots > 0) scheduler.in(luck.between(60_000, 900_000), reboot)
    if (scenario.ledgerLosses > 0) scheduler.in(luck.between(60_000, 900_000), loseLedger)
  }
  const reconfigure = (luck: Chance): void => {
    faults.count('reconfigured')
    config = { ...config, pools: new Map([[defaultPool, sampleTargets(luck)]]) }
    life?.post({ kind: 'configured', config, at: scheduler.clock.now() })
  }
  const reboot = (): void => {
    if (isQuiet) return
    faults.count('reboot')
    life?.kill('reboot')
    runtime.reboot()
    kernel.reboot()
    ledger.wipe()
  }

  /** The state directory is emptied under running pods. */
  const loseLedger = (): void => {
    if (isQuiet) return
    faults.count('ledgerLost')
    life?.kill('ledgerLost')
    ledger.wipe()
    notify({ kind: 'ledgerLost' })
  }

  return {
    run,
    fail,
    result: (): SimResult => ({
      seed,
      events,
      failures,
      hash: trace.hash(),
      faults: faults.counts(),
      trace: trace.tail(),
    }),
  }
}

/** The machine as it is when the daemon first starts on it. */
const furnish = (parts: NatureParts): void => {
  const { estate, attacher, scenario } = parts
  const subnet = scenario.spaces[0]
  if (subnet === undefined) throw new Error('a simulated cloud needs a subnet')
  const common = { subnet: subnet.id, securityGroups: [onlyGroup], isManaged: true, hiddenForMs: 0 }
  const primary = estate.create({ ...common, isPrimary: true, token: undefined })
  if (primary === undefined) throw new Error('the first subnet has no address for the instance')
  attacher.attachAtOnce(primary, 0)
  const count = Math.min(scenario.firstBlocks, scenario.limits.blocksPerNicMax[4])
  estate.lend(primary, { family: 4, length: 32, count })
  const { spaces } = scenario
  for (let i = 1; i < scenario.nicsAtBirth; i++) {
    const { id } = spaces[i % spaces.length] ?? subnet
    const nic = estate.create({ ...common, subnet: id, isPrimary: false, token: undefined })
    if (nic !== undefined) attacher.attachAtOnce(nic, i)
  }
  for (let i = 0; i < scenario.foreignNics; i++) attachForeign(parts)
  for (let i = 0; i < scenario.leftoverNics; i++) {
    estate.create({ ...common, isPrimary: false, token: token(`leftover-${i}`) })
  }
}

/** How long everything that waits, cools or backs off can take, generously. */
const quietMs = (config: CoreConfig): number =>
  2 * 3_600_000 + 3 * config.releaseAfterMs + 3 * config.appearWithinMs
