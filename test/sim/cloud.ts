// The Cloud port over the simulated estate, as unforgiving as a real API: slow, throttled, stale,
// unsure, sometimes half done. A call goes on in the cloud when the process that made it has died.

import { type CallClass, callClassOf } from '#core/budget.ts'
import { type Millis, millis, type NicId, type Token } from '#core/names.ts'
import { type Cloud, type CloudNic, type CloudObservation, ok } from '#core/ports.ts'
import type { NodeFacts, Outcome, Subnet } from '#core/ports.ts'
import type { Attacher } from './attach.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import { countAllBlocks, countBlocks, type Estate, type EstateNic } from './estate.ts'
import type { Faults } from './faults.ts'
import type { CloudCall, Notify } from './notices.ts'
import { failure, find, notFound } from './refuse.ts'
import type { Trace } from './trace.ts'

export type CloudParts = {
  readonly estate: Estate
  readonly attacher: Attacher
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly notify: Notify
  readonly trace: Trace
  /** What describeNode tells, subnets' free counts excepted. */
  readonly facts: NodeFacts
  /** How stale a description can be, at most. */
  readonly staleMaxMs: number
  /** How long after a failure the work of the failed call can still be done, at most. */
  readonly lateMaxMs: number
}

/** The cloud lives on; each process talks to it through a port of its own. */
export type SimCloud = { port(life: number): Cloud }

type Draft = CloudCall extends infer Call
  ? Call extends CloudCall
    ? Omit<Call, 'serial' | 'life' | 'class' | 'at'>
    : never
  : never

type Work<Value> = (askedAt: Millis) => Outcome<Value> | Promise<Outcome<Value>>

export const createSimCloud = (parts: CloudParts): SimCloud => {
  const byToken = new Map<Token, NicId>()
  let serial = 0
  const run = async <Value>(
    life: number,
    draft: Draft,
    work: Work<Value>,
  ): Promise<Outcome<Value>> => {
    const at = parts.scheduler.clock.now()
    const call = { ...draft, serial: serial++, life, class: callClassOf(draft.kind), at }
    parts.notify({ kind: 'called', call })
    parts.trace.note(`call ${call.serial} ${JSON.stringify(draft)}`)
    const outcome = await fate(parts, call, work)
    const failure = outcome.kind === 'failed' ? outcome.failure : undefined
    parts.notify({ kind: 'returned', call, failure })
    parts.trace.note(`call ${call.serial} ${resultText(outcome)}`)
    return outcome
  }
  const plugging = <Value>(work: Work<Value>): Work<Value> =>
    parts.estate.limits.hotPlug ? work : () => failure('limit', 'RunningInstance', { message })
  const message = 'NICs come and go while the instance is stopped only; stop it, or do without'
  return {
    port: life => ({
      describeNode: () => run(life, { kind: 'describeNode' }, () => ok(describeNode(parts))),
      observe: () => run(life, { kind: 'observeCloud' }, () => ok(observe(parts))),
      createNic: request =>
        run(
          life,
          { kind: 'createNic', request },
          plugging(() => create(parts, byToken, request)),
        ),
      attachNic: request =>
        run(
          life,
          { kind: 'attachNic', ...pickAttach(request) },
          plugging(() => parts.attacher.attach(request)),
        ),
      detachNic: nic =>
        run(
          life,
          { kind: 'detachNic', nic },
          plugging(askedAt => parts.attacher.detach(nic, { by: 'daemon', askedAt })),
        ),
      deleteNic: nic =>
        run(
          life,
          { kind: 'deleteNic', nic },
          plugging(() => remove(parts, nic)),
        ),
      lendBlocks: ({ nic, blocks }) =>
        run(life, { kind: 'lendBlocks', nic, blocks }, () => lend(parts, nic, blocks)),
      returnBlocks: ({ nic, blocks }) =>
        run(life, { kind: 'returnBlocks', nic, blocks }, at =>
          giveBack(parts, { nic, blocks, askedAt: at }),
        ),
    }),
  }
}

const pickAttach = (request: { readonly nic: NicId; readonly deviceIndex: number }) => ({
  nic: request.nic,
  deviceIndex: request.deviceIndex,
})

const resultText = (outcome: Outcome<unknown>): string => {
  if (outcome.kind === 'failed') {
    return `failed ${outcome.failure.code}${outcome.failure.ambiguous ? ' (unsure)' : ''}`
  }
  const value = outcome.value
  if (!isObservation(value)) return `ok ${JSON.stringify(value)?.slice(0, 400) ?? ''}`
  const nics = value.nics.map(nic => `${nic.id} ${nic.attachment.kind} ${nic.blocks.join(',')}`)
  return `ok ${nics.join(' | ')}`
}

const isObservation = (value: unknown): value is CloudObservation =>
  typeof value === 'object' && value !== null && 'nics' in value

/** Typical duration of each class in milliseconds (published AWS samples, cloud-apis notes). */
const typicalMs: { readonly [Class in CallClass]: number } = {
  describe: 150,
  lend: 500,
  return: 400,
  create: 1_000,
  attach: 800,
  detach: 600,
  delete: 400,
}

/** How long a client waits before it gives a call up as unanswered. */
const timeoutMs = 30_000

const fate = async <Value>(
  parts: CloudParts,
  call: CloudCall,
  work: Work<Value>,
): Promise<Outcome<Value>> => {
  const { scheduler, chance, faults } = parts
  const slow = faults.strikes('slow') ? chance.scaled(2, 40) : 1
  const totalMs = Math.min(timeoutMs, typicalMs[call.class] * (0.5 + chance.fraction()) * slow)
  const isMutation = call.class !== 'describe'
  if (faults.isOn('denied') && (isMutation || chance.happens(0.2))) {
    await scheduler.sleep(60)
    faults.count('denied')
    return failure('denied', 'UnauthorizedOperation')
  }
  if (faults.isOn('throttling') && chance.happens(0.7)) {
    await scheduler.sleep(50)
    faults.count('throttled')
    const retryAfterMs = chance.happens(0.3) ? chance.between(500, 5_000) : undefined
    return failure('throttled', 'RequestLimitExceeded', { retryAfterMs })
  }
  if (faults.strikes('refused')) {
    await scheduler.sleep(chance.between(1, 2_000))
    return failure('transient', 'ECONNREFUSED')
  }
  if (faults.strikes('failedBefore')) {
    await scheduler.sleep(totalMs)
    return failure('transient', 'InternalError', { ambiguous: true })
  }
  if (isMutation && faults.strikes('lateWork')) {
    // The client has given up, the cloud has not: the work is done after the failure was told.
    await scheduler.sleep(totalMs)
    scheduler.in(chance.fraction() * parts.lateMaxMs, () => void work(call.at))
    return failure('transient', 'TimeoutError', { ambiguous: true })
  }
  const isLost = faults.strikes('lostReply')
  await scheduler.sleep(totalMs * chance.fraction())
  const outcome = await work(call.at)
  if (isLost) {
    await scheduler.sleep(chance.happens(0.5) ? 0 : chance.between(0, timeoutMs))
    return failure('transient', 'TimeoutError', { ambiguous: true })
  }
  await scheduler.sleep(totalMs * chance.fraction())
  return outcome
}

const describeNode = (parts: CloudParts): NodeFacts => ({
  ...parts.facts,
  subnets: describeSubnets(parts),
})

const describeSubnets = ({ estate }: CloudParts): Subnet[] =>
  [...estate.spaces.values()].map(space => ({
    id: space.id,
    zone: space.zone,
    cidrs: [space.cidr4, space.cidr6],
    available: space.available(),
  }))

/** One description; each NIC in it may reflect another moment of the recent past. */
const observe = (parts: CloudParts): CloudObservation => {
  const { estate, scheduler, chance, faults, staleMaxMs } = parts
  const isStale = faults.strikes('stale')
  const lagMs = (): number => (isStale ? chance.fraction() * staleMaxMs : chance.fraction() * 300)
  const common = lagMs()
  const isTorn = chance.happens(0.3)
  const views = estate.everSeen().map(id => {
    const lag = isTorn ? lagMs() : common
    return estate.viewAt(id, millis(scheduler.clock.now() - Math.min(lag, staleMaxMs)))
  })
  return {
    nics: views.filter((view): view is CloudNic => view !== undefined && isHere(parts, view)),
    subnets: describeSubnets(parts),
  }
}

const isHere = ({ facts }: CloudParts, { attachment }: CloudNic): boolean =>
  attachment.kind === 'none' || attachment.instance === facts.instanceId

const create = (
  parts: CloudParts,
  byToken: Map<Token, NicId>,
  request: Parameters<Cloud['createNic']>[0],
): Outcome<CloudNic> => {
  const { estate, faults, chance } = parts
  const known = estate.nics.get(byToken.get(request.token) ?? ('' as NicId))
  if (known !== undefined) return ok(estate.describe(known))
  if (faults.isOn('quota')) {
    faults.count('quota')
    return failure('limit', 'NetworkInterfaceLimitExceeded')
  }
  const isTooMuch = request.blocks.some(
    ({ family, count }) => count > estate.limits.blocksPerNicMax[family],
  )
  const asked = request.blocks.reduce((sum, { count }) => sum + count, 0)
  if (isTooMuch || asked > roomOnNode(estate)) {
    return failure('limit', 'PrivateIpAddressLimitExceeded')
  }
  const nic = estate.create({
    subnet: request.subnet,
    securityGroups: request.securityGroups,
    isPrimary: false,
    isManaged: true,
    token: request.token,
    hiddenForMs: chance.happens(0.3) ? chance.between(0, 2_000) : 0,
  })
  if (nic === undefined) return failure('exhausted', 'InsufficientFreeAddressesInSubnet')
  for (const blocks of request.blocks) {
    const lent = lendSome(parts, nic, blocks)
    if (lent.kind === 'ok') continue
    estate.remove(nic, 'daemon')
    return lent
  }
  byToken.set(request.token, nic.id)
  return ok(estate.describe(nic))
}

const remove = (parts: CloudParts, id: NicId): Outcome<void> => {
  const nic = parts.estate.nics.get(id)
  if (nic === undefined) return ok(undefined)
  if (nic.attachment.kind !== 'none') return failure('transient', 'InvalidNetworkInterface.InUse')
  parts.estate.remove(nic, 'daemon')
  return ok(undefined)
}

const lend = (
  parts: CloudParts,
  id: NicId,
  request: Parameters<Cloud['lendBlocks']>[0]['blocks'],
): Outcome<CloudNic['blocks']> => {
  const nic = find(parts, id)
  if (nic === undefined) return notFound(id)
  const held = countBlocks(nic, request.family)
  const isTooMuch = held + request.count > parts.estate.limits.blocksPerNicMax[request.family]
  if (isTooMuch || request.count > roomOnNode(parts.estate)) {
    return failure('limit', 'PrivateIpAddressLimitExceeded')
  }
  return lendSome(parts, nic, request)
}

const roomOnNode = (estate: Estate): number =>
  (estate.limits.blocksPerNodeMax ?? Infinity) - countAllBlocks(estate)

const lendSome = (
  parts: CloudParts,
  nic: EstateNic,
  request: Parameters<Cloud['lendBlocks']>[0]['blocks'],
): Outcome<CloudNic['blocks']> => {
  const { estate, faults, chance } = parts
  const { family, length, count } = request
  if (count === 0) return ok([])
  if (family === 4 && length === 28 && !estate.limits.prefixes) {
    return failure('limit', 'InvalidParameterCombination')
  }
  const partial = count > 1 && faults.strikes('partial') ? chance.between(1, count - 1) : count
  const got = estate.lend(nic, { family, length, count: partial })
  // EC2 does all or nothing; a provider that asks in several calls reaches some.
  if (got.length === partial || (got.length > 0 && chance.happens(0.5))) return ok(got)
  for (const block of got) estate.takeBack(nic, block, 'daemon')
  const isFragmented = length === 28 && (estate.spaces.get(nic.subnet)?.available() ?? 0) > 0
  return isFragmented
    ? failure('fragmented', 'InsufficientCidrBlocks')
    : failure('exhausted', 'InsufficientFreeAddressesInSubnet')
}

const giveBack = (
  parts: CloudParts,
  request: {
    readonly nic: NicId
    readonly blocks: CloudNic['blocks']
    readonly askedAt: Millis
  },
): Outcome<CloudNic['blocks']> => {
  const { nic: id, blocks, askedAt } = request
  const { estate, faults, chance } = parts
  const nic = find(parts, id)
  if (nic === undefined) return estate.nics.has(id) ? notFound(id) : ok(blocks)
  if (blocks.some(block => nic.fixedBlocks.includes(block))) {
    return failure('denied', 'InvalidIp.IsPrimary')
  }
  const isPartial = blocks.length > 1 && faults.strikes('partial')
  const gone = isPartial ? blocks.slice(0, chance.between(1, blocks.length - 1)) : blocks
  for (const block of gone) {
    const lentAt = nic.blocks.get(block)
    // A call that was delayed does not take what was lent after it was made.
    if (lentAt === undefined || lentAt > askedAt) continue
    estate.takeBack(nic, block, 'daemon')
    if (!faults.strikes('addressTakenAtOnce')) continue
    estate.spaces.get(nic.subnet)?.tenantsTake(1)
  }
  return ok(gone)
}
