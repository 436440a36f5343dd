// The simulation's cloud as a provider: its time runs by itself, calls are aborted, reads that
// broke are repeated, and the next call meets the trouble that a case asks for.

import { cidr } from '#core/ip.ts'
import { type InstanceId, after, instanceId, subnetId } from '#core/names.ts'
import { type Cloud, type CloudNic, type Limits, type Outcome, failed } from '#core/ports.ts'
import { createAttacher } from '#test/sim/attach.ts'
import { type Chance, createChance } from '#test/sim/chance.ts'
import { type Scheduler, createScheduler } from '#test/sim/clock.ts'
import { createSimCloud } from '#test/sim/cloud.ts'
import { type Estate, countBlocks, createEstate, onlyGroup } from '#test/sim/estate.ts'
import { type Faults, type SpellKind, type StrikeKind } from '#test/sim/faults.ts'
import { createKernel } from '#test/sim/kernel.ts'
import type { Habit } from '#test/sim/shape.ts'
import { type Space, createSpace } from '#test/sim/space.ts'
import { createTrace } from '#test/sim/trace.ts'
import type { CloudUnderTest, Method, Trouble } from './contract.ts'

const limitsOf = (habit: Habit): Limits => ({
  nicsMax: 3,
  hotPlug: habit !== 'fixed',
  blocksPerNicMax: habit === 'fixed' ? { 4: 30, 6: 30 } : { 4: 9, 6: 9 },
  blocksPerNodeMax: habit === 'fixed' ? 30 : undefined,
  prefixes: true,
})

/** Virtual milliseconds that pass between two turns of the event loop. */
const stepMs = 250

/** Two instances of one simulated cloud. */
export const makeMemoryCloud = async (habit: Habit): Promise<CloudUnderTest> => {
  const limits = limitsOf(habit)
  const scheduler = createScheduler()
  const chance = createChance('contract')
  const luck = createLuck()
  const space = createSpace(subnet, chance.fork('space'))
  const notify = (): void => undefined
  const parts = { scheduler, chance: luck.chance(chance), notify, limits, spaces: [space] }
  const estate = createEstate({ ...parts, habit })
  const owners = new Map<string, InstanceId>()
  const make = (id: InstanceId): Cloud => {
    const kernel = createKernel(notify)
    const common = { ...parts, estate, faults: luck.faults }
    const attacher = createAttacher({ ...common, kernel, instance: id })
    attacher.attachAtOnce(createNic(estate, true), 0)
    if (!limits.hotPlug) attacher.attachAtOnce(createNic(estate, false), 1)
    const trace = createTrace(scheduler.clock)
    const bounds = { staleMaxMs: 500, lateMaxMs: 0 }
    const facts = { ...factsOf(id), limits }
    const port = createSimCloud({ ...common, ...bounds, attacher, trace, facts }).port(0)
    return ownOnly(asProvider(port, luck), { id, owners })
  }
  const [one, two] = [instanceId('i-1'), instanceId('i-2')]
  const under = { cloud: make(one), neighbour: make(two), instance: one, subnet: subnet.id }
  // Until no description is older than the instances.
  await scheduler.run(after(scheduler.clock.now(), 1000))
  const clock = keepRunning(scheduler)
  return {
    ...under,
    prefixLength: 28,
    pageSize: 100,
    trouble: (method, trouble) => luck.arm(method, { trouble, space }),
    crowd: async count => {
      for (let made = 0; made < count; made++) {
        const nic = createNic(estate, false)
        const attachment = { instance: instanceId('i-9'), deviceIndex: made, isProtected: true }
        estate.setAttachment(nic, { kind: 'attached', ...attachment })
      }
    },
    disown: async nic => estate.disown(nic.id),
    heldBlocks: id => {
      const nic = [...estate.nics.values()].find(each => each.id === id)
      return nic && countBlocks(nic, 4) + countBlocks(nic, 6)
    },
    close: clock.stop,
  }
}

const subnet = {
  id: subnetId('subnet-1'),
  cidr4: cidr('10.0.0.0/20'),
  cidr6: cidr('2600:1f18:1:1::/64'),
  zone: 'zone-a',
}

const factsOf = (id: InstanceId) => ({
  node: id,
  instanceId: id,
  instanceType: 'sim.large',
  zone: subnet.zone,
  vpc: [cidr('10.0.0.0/16'), cidr('2600:1f18:1::/56')],
  subnets: [],
  securityGroups: [onlyGroup],
})

const createNic = (estate: Estate, isPrimary: boolean) => {
  const nic = estate.create({
    subnet: subnet.id,
    securityGroups: [onlyGroup],
    isPrimary,
    isManaged: true,
    token: undefined,
    hiddenForMs: 0,
  })
  if (nic === undefined) throw new Error('the simulated subnet is full')
  return nic
}

const keepRunning = (scheduler: Scheduler) => {
  let isOver = false
  const running = (async () => {
    while (!isOver) {
      await scheduler.run(after(scheduler.clock.now(), stepMs))
      await new Promise(resolve => void setImmediate(resolve))
    }
  })()
  return {
    stop: async (): Promise<void> => {
      isOver = true
      await running
    },
  }
}

type Armed = { readonly trouble: Trouble; readonly space: Space }

type Luck = {
  readonly faults: Faults
  chance(base: Chance): Chance
  arm(method: Method, armed: Armed): void
  /** The trouble that the call of this method meets; its faults strike until `end`. */
  begin(method: Method): Trouble | undefined
  end(): void
}

const strikeOf: Partial<Record<Trouble, StrikeKind>> = {
  slow: 'slow',
  unavailable: 'failedBefore',
  reset: 'failedBefore',
  html: 'failedBefore',
  malformed: 'lostReply',
  lostReply: 'lostReply',
  partial: 'partial',
}

const spellOf: Partial<Record<Trouble, SpellKind>> = { throttled: 'throttling', denied: 'denied' }

// Nothing goes wrong by itself: what strikes is what was armed, once.
const createLuck = (): Luck => {
  const waiting = new Map<Method, Armed>()
  let current: Armed | undefined
  const faults: Faults = {
    set: () => undefined,
    strikes: kind => current !== undefined && strikeOf[current.trouble] === kind,
    isOn: kind => current !== undefined && spellOf[current.trouble] === kind,
    count: () => undefined,
    counts: () => ({}),
  }
  return {
    faults,
    // Under trouble chance is against us: it happens, and as little as possible is granted.
    chance: base => ({
      ...base,
      happens: probability => (current === undefined ? base.happens(probability) : true),
      between: (low, high) => (current?.trouble === 'partial' ? high : base.between(low, high)),
    }),
    arm: (method, armed) => void waiting.set(method, armed),
    begin: method => {
      const armed = waiting.get(method)
      if (armed === undefined) return undefined
      waiting.delete(method)
      current = armed
      if (armed.trouble === 'exhausted') armed.space.tenantsTake(armed.space.available())
      if (armed.trouble === 'fragmented') armed.space.fragment()
      return armed.trouble
    },
    end: () => {
      if (current?.trouble === 'exhausted') current.space.tenantsFree(current.space.tenants())
      if (current?.trouble === 'fragmented') current.space.defragment()
      current = undefined
    },
  }
}

/** What every provider does around the wire: aborts end calls, broken reads are repeated. */
const asProvider = (port: Cloud, luck: Luck): Cloud => {
  const call = async <Value>(
    method: keyof Cloud,
    signal: AbortSignal,
    work: () => Promise<Outcome<Value>>,
  ): Promise<Outcome<Value>> => {
    const isRead = method === 'describeNode' || method === 'observe'
    if (signal.aborted) return aborted(method, false)
    const trouble = method === 'describeNode' ? undefined : luck.begin(method)
    const working = trouble === 'hang' ? new Promise<never>(() => undefined) : work()
    const outcome = await Promise.race([working, whenAborted(signal, method, !isRead)])
    if (trouble !== undefined) luck.end()
    const isBroken = outcome.kind === 'failed' && outcome.failure.kind === 'transient'
    return isBroken && isRead && !signal.aborted ? work() : certain(outcome, isRead)
  }
  return {
    describeNode: signal => call('describeNode', signal, () => port.describeNode(signal)),
    observe: signal => call('observe', signal, () => port.observe(signal)),
    createNic: (request, signal) =>
      call('createNic', signal, () => port.createNic(request, signal)),
    attachNic: (request, signal) =>
      call('attachNic', signal, () => port.attachNic(request, signal)),
    detachNic: (nic, signal) => call('detachNic', signal, () => port.detachNic(nic, signal)),
    deleteNic: (nic, signal) => call('deleteNic', signal, () => port.deleteNic(nic, signal)),
    lendBlocks: (request, signal) =>
      call('lendBlocks', signal, () => port.lendBlocks(request, signal)),
    returnBlocks: (request, signal) =>
      call('returnBlocks', signal, () => port.returnBlocks(request, signal)),
  }
}

const certain = <Value>(outcome: Outcome<Value>, isRead: boolean): Outcome<Value> =>
  outcome.kind === 'failed' && isRead ? failed({ ...outcome.failure, ambiguous: false }) : outcome

const whenAborted = (
  signal: AbortSignal,
  method: keyof Cloud,
  ambiguous: boolean,
): Promise<Outcome<never>> =>
  new Promise(resolve =>
    signal.addEventListener('abort', () => resolve(aborted(method, ambiguous)), { once: true }),
  )

const aborted = (method: keyof Cloud, ambiguous: boolean): Outcome<never> =>
  failed({
    kind: 'transient',
    ambiguous,
    call: method,
    code: 'Aborted',
    message: `${method} was aborted`,
    retryAfterMs: undefined,
  })

type Ownership = { readonly id: InstanceId; readonly owners: Map<string, InstanceId> }

// A NIC that is not attached belongs to the instance it was created for.
const ownOnly = (cloud: Cloud, { id, owners }: Ownership): Cloud => ({
  ...cloud,
  createNic: (request, signal) => {
    owners.set(request.token, id)
    return cloud.createNic(request, signal)
  },
  observe: async signal => {
    const outcome = await cloud.observe(signal)
    if (outcome.kind === 'failed') return outcome
    const isOurs = (nic: CloudNic): boolean =>
      nic.attachment.kind !== 'none' || owners.get(nic.token ?? '') === id
    return { ...outcome, value: { ...outcome.value, nics: outcome.value.nics.filter(isOurs) } }
  },
})
