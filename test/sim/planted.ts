// Deliberate faults, one per promise the checkers guard: a judge that never fails is worthless.
// Each wraps a part of the daemon or of its ports the way a real mistake would change it.

import type { Action } from '#core/action.ts'
import type { Ip } from '#core/ip.ts'
import { after, defaultPool, earlier, type Millis, token } from '#core/names.ts'
import { type CloudNic, type Limits, ok, type Outcome } from '#core/ports.ts'
import type { CoreConfig } from '#core/state.ts'
import type { PodWiring } from '#core/wiring.ts'
import type { Core } from './daemon.ts'
import { calm } from './faults.ts'
import type { Sabotage } from './run.ts'
import type { Scenario } from './scenario.ts'
import type { Shape } from './shape.ts'

export type Planted = {
  readonly what: string
  /** The checker that has to notice. */
  readonly checker: string
  /** Fresh for every day, since some remember what they did. */
  readonly make: () => Sabotage
  /** A day on which the mistake can show. */
  readonly change?: (scenario: Scenario) => Scenario
  /** A kind of day on which it can. */
  readonly shape?: Shape
}

/** No crashes and no faults, and a maximum that the load exceeds. */
const crowded = (scenario: Scenario): Scenario => ({
  ...scenario,
  config: withTargets(scenario.config, { warmTarget: 5, maximum: 3 }),
  crashMs: Infinity,
  reboots: 0,
  ledgerLosses: 0,
  phases: scenario.phases.map(phase => ({ ...phase, conditions: calm })),
})

/** A daemon that believes in another configuration than it was given. */
const believing =
  (change: (config: CoreConfig) => CoreConfig) =>
  (core: Core): Core => ({
    ...core,
    restore: options => core.restore({ ...options, config: change(options.config) }),
    apply: (state, event) =>
      core.apply(
        state,
        event.kind === 'configured' ? { ...event, config: change(event.config) } : event,
      ),
  })

const withTargets = (
  config: CoreConfig,
  change: { readonly warmTarget?: number; readonly maximum?: number | undefined },
): CoreConfig => {
  const targets = config.pools.get(defaultPool)
  if (targets === undefined) return config
  return { ...config, pools: new Map([[defaultPool, { ...targets, ...change }]]) }
}

/** Gives every fifth pod the address of the pod before it. */
const givesTwice = (): Sabotage => {
  let count = 0
  let last: readonly Ip[] = []
  const stolen = new Map<string, readonly Ip[]>()
  const forged = (wiring: PodWiring): PodWiring => ({
    ...wiring,
    ips: stolen.get(wiring.sandbox) ?? wiring.ips,
  })
  return {
    action: (action: Action) => {
      if (action.kind === 'wirePod') {
        if (++count % 5 === 0) stolen.set(action.sandbox.key, last)
        last = action.wiring.ips
        return { ...action, wiring: forged(action.wiring) }
      }
      if (action.kind !== 'reply' || action.answer.kind !== 'added') return action
      return { ...action, answer: { ...action.answer, wiring: forged(action.answer.wiring) } }
    },
  }
}

const forgetsAdds = (core: Core): Core => {
  let count = 0
  return {
    ...core,
    apply: (state, event) =>
      event.kind === 'addRequested' && ++count % 5 === 0 ? state : core.apply(state, event),
  }
}

/** Drops the intent when the reply of a creation is lost, and a provider that hides the NIC. */
const leaksNics: Sabotage = {
  core: core => ({
    ...core,
    apply: (state, event) => {
      const next = core.apply(state, event)
      const isLost =
        event.kind === 'finished' &&
        event.result.kind === 'nicCreated' &&
        event.result.outcome.kind === 'failed'
      return isLost ? { ...next, intents: new Map() } : next
    },
  }),
  cloud: cloud => ({
    ...cloud,
    observe: async signal => {
      const outcome = await cloud.observe(signal)
      if (outcome.kind === 'failed') return outcome
      const nics = outcome.value.nics.filter(nic => nic.attachment.kind !== 'none')
      return ok({ ...outcome.value, nics })
    },
  }),
}

const claimsForeign: Sabotage = {
  cloud: cloud => ({
    ...cloud,
    observe: async signal => {
      const outcome = await cloud.observe(signal)
      if (outcome.kind === 'failed') return outcome
      const nics = outcome.value.nics.map(nic =>
        nic.isManaged ? nic : { ...nic, isManaged: true, token: token(`stolen-${nic.id}`) },
      )
      return ok({ ...outcome.value, nics })
    },
  }),
}

/** Ignores the link that must be gone: says so as soon as the pod is unwired. */
const forgetsLinks = (core: Core): Core => {
  const links = new Map<string, number>()
  return {
    ...core,
    apply: (state, event) => {
      if (event.kind === 'started' && event.action.kind === 'unwirePod') {
        links.set(event.action.key, event.action.wiring.hostIfindex)
      }
      const next = core.apply(state, event)
      const ifindex = event.kind === 'podUnwired' ? links.get(event.key) : undefined
      if (ifindex === undefined) return next
      return core.apply(next, { kind: 'linkDeleted', ifindex, at: event.at })
    },
  }
}

/** Reconciles again every second although nothing happened. */
const restless = (core: Core): Core => {
  let last: Action | undefined
  let nextAt: Millis | undefined
  return {
    ...core,
    plan: (state, now) => {
      const planned = core.plan(state, now)
      last = planned.actions.find(action => action.kind === 'reconcileHost') ?? last
      const isDue = last !== undefined && (nextAt === undefined || now >= nextAt)
      if (isDue || nextAt === undefined) nextAt = after(now, 1_000)
      const actions = isDue && last !== undefined ? [...planned.actions, last] : planned.actions
      return { actions, wakeAt: earlier(planned.wakeAt, nextAt) }
    },
  }
}

/** A cloud that tells of other limits than it has. */
const believingIn =
  (change: (limits: Limits) => Limits): NonNullable<Sabotage['cloud']> =>
  cloud => ({
    ...cloud,
    describeNode: async signal => {
      const outcome = await cloud.describeNode(signal)
      if (outcome.kind === 'failed') return outcome
      return ok({ ...outcome.value, limits: change(outcome.value.limits) })
    },
  })

const withoutFixed = (outcome: Outcome<CloudNic>): Outcome<CloudNic> =>
  outcome.kind === 'failed' ? outcome : ok({ ...outcome.value, fixedBlocks: [] })

const planted = (
  what: string,
  checker: string,
  sabotage: Sabotage | (() => Sabotage),
): Planted => ({
  what,
  checker,
  make: typeof sabotage === 'function' ? sabotage : () => sabotage,
})

export const plantedBugs: readonly Planted[] = [
  planted('an address is given twice', 'oneHolder', givesTwice),
  planted('cooling is skipped', 'cooling', {
    core: believing(config => ({ ...config, coolingMs: 0 })),
  }),
  planted('an address is reused before its old link is gone', 'cooling', { core: forgetsLinks }),
  planted('fresh blocks are used at once', 'settling', {
    core: believing(config => ({ ...config, settleMs: 0 })),
  }),
  planted('an address is given that nobody lent', 'ownership', {
    cloud: cloud => ({
      ...cloud,
      lendBlocks: async (request, signal) => {
        const outcome = await cloud.lendBlocks(request, signal)
        const block = outcome.kind === 'ok' ? outcome.value[0] : undefined
        if (block === undefined || !block.endsWith('/32')) return outcome
        await cloud.returnBlocks({ nic: request.nic, blocks: [block] }, signal)
        return outcome
      },
    }),
  }),
  planted('an answer is given before it is saved', 'durability', {
    core: core => ({
      ...core,
      changes: (before, after) =>
        core.changes(before, after).filter(change => !change.key.startsWith('sandbox')),
    }),
  }),
  planted('a NIC is created before its token is saved', 'durability', {
    core: core => ({
      ...core,
      changes: (before, after) =>
        core.changes(before, after).filter(change => !change.key.startsWith('intent')),
    }),
  }),
  planted('an invariant breaks', 'durability', {
    core: core => ({
      ...core,
      apply: (state, event) => {
        if (event.kind === 'linkDeleted') throw new Error('broken invariant: planted')
        return core.apply(state, event)
      },
    }),
  }),
  planted('the reconciler forgets a pod', 'traffic', {
    host: host => ({
      ...host,
      reconcile: desired => host.reconcile({ ...desired, pods: desired.pods.slice(1) }),
    }),
  }),
  planted('a waiting ADD is forgotten', 'deadlines', { core: forgetsAdds }),
  planted('a failed ADD names a wrong cause', 'reasons', {
    action: action => {
      if (action.kind !== 'reply' || action.answer.kind !== 'addFailed') return action
      const reason = { ...action.answer.reason, code: 'UnknownPool' as const }
      return { ...action, answer: { ...action.answer, reason } }
    },
  }),
  planted('calls exceed the configured rate', 'rates', {
    core: believing(config => ({
      ...config,
      rates: { ...config.rates, lend: { capacity: 1_000, perSecond: 1_000 } },
    })),
  }),
  planted('a call is made twice at a time', 'twins', {
    cloud: cloud => ({
      ...cloud,
      observe: async signal => {
        const [first] = await Promise.all([cloud.observe(signal), cloud.observe(signal)])
        return first
      },
    }),
  }),
  {
    ...planted('the pool maximum is ignored', 'limits', {
      core: believing(config => withTargets(config, { maximum: undefined })),
    }),
    change: crowded,
  },
  planted("somebody else's NIC is used", 'foreign', claimsForeign),
  planted('a NIC is forgotten when a reply is lost', 'leaks', leaksNics),
  planted('the daemon never rests', 'stillness', { core: restless }),
  planted('the pool keeps more than it wants', 'poolSize', {
    core: believing(config => withTargets(config, { warmTarget: 25 })),
  }),
  {
    ...planted('a pod gets one of two families', 'shape', {
      core: believing(config => ({ ...config, families: [4] })),
    }),
    shape: { habit: 'plug', families: [4, 6] },
  },
  {
    ...planted('NICs are created where none can be attached', 'shape', {
      cloud: believingIn(limits => ({ ...limits, hotPlug: true })),
    }),
    shape: { habit: 'fixed', families: [4] },
  },
  {
    ...planted("the instance's own limit is ignored", 'limits', {
      cloud: believingIn(limits => ({ ...limits, blocksPerNodeMax: undefined })),
    }),
    shape: { habit: 'fixed', families: [4, 6] },
  },
  {
    ...planted('what a NIC was born with is returned', 'shape', {
      cloud: cloud => ({
        ...cloud,
        createNic: async (request, signal) => withoutFixed(await cloud.createNic(request, signal)),
      }),
    }),
    shape: { habit: 'gift', families: [4] },
  },
]
