// Merging what the cloud describes into what is remembered. The cloud is the truth, but its
// descriptions lag: what we learnt or did less than `consistencyMs` before the description was
// asked for is believed instead, and a thing must be missing twice before it counts as gone.

import { changeNic, dropBlocks, dropNic, healthOf } from './change.ts'
import { wantObservation, withNic, without } from './change.ts'
import type { Cidr, Ip } from './ip.ts'
import { lostBlockText, lostNicText } from './losses.ts'
import { after, type Millis, millis, type NicId } from './names.ts'
import { adoptNic, isBusy, newBlock, seenBlock } from './nics.ts'
import { missingPlaces } from './places.ts'
import type { CloudNic, CloudObservation } from './ports.ts'
import { isCooling } from './pool.ts'
import { clearProblem, noteProblem } from './problems.ts'
import type { Block, Nic, Problem, State, Use } from './state.ts'

type Context = { readonly at: Millis; readonly startedAt: Millis }

export const applyObservation = (state: State, seen: CloudObservation, context: Context): State => {
  const cloud = { ...state.cloud, observedAt: context.startedAt, retryAt: millis(0), attempts: 0 }
  let next: State = noteSubnets({ ...state, cloud }, seen)
  next = forgetTombstones(next, context)
  const ids = new Set<NicId>()
  for (const nic of seen.nics) {
    ids.add(nic.id)
    next = mergeNic(next, nic, context)
  }
  for (const nic of state.nics.values()) {
    if (!ids.has(nic.id)) next = mergeMissingNic(next, nic, context)
  }
  return forgetNeedless(wantPrimary(settleIntents(next, context), context), context)
}

// What could not be lent is no trouble any more when nobody needs it; a right that is missing is.
const forgetNeedless = (state: State, { at }: Context): State => {
  if ([...state.config.pools.keys()].some(pool => missingPlaces(state, pool, at) > 0)) return state
  const isNeedless = ([subject, { kind }]: readonly [string, Problem]): boolean =>
    kind !== 'denied' && (subject === 'createNic' || subject.startsWith('lendBlocks '))
  return [...state.problems]
    .filter(isNeedless)
    .reduce((kept, [subject]) => clearProblem(kept, subject), state)
}

// A description without the primary NIC is a stale one, and nothing is built on it.
const wantPrimary = (state: State, { at }: Context): State =>
  [...state.nics.values()].some(nic => nic.isPrimary)
    ? state
    : wantObservation(state, after(at, againMs))

const againMs = 1_000

const noteSubnets = (state: State, seen: CloudObservation): State => {
  const subnets = new Map(state.subnets)
  for (const subnet of seen.subnets) {
    subnets.set(subnet.id, { ...healthOf(state, subnet.id), subnet })
  }
  return { ...state, subnets }
}

const forgetTombstones = (state: State, { startedAt }: Context): State => {
  const spanMs = state.config.consistencyMs
  const kept = [...state.tombstones].filter(([, at]) => startedAt < after(at, spanMs))
  return kept.length === state.tombstones.size ? state : { ...state, tombstones: new Map(kept) }
}

const mergeNic = (state: State, seen: CloudNic, context: Context): State => {
  const known = state.nics.get(seen.id)
  if (known === undefined) {
    // A tombstone that is still kept outweighs this description.
    if (state.tombstones.has(seen.id)) return state
    const isTrusted = isTrustworthy(state, context)
    const adopted = adoptNic(state, seen, { at: context.at, isTrusted })
    if (isTrusted) return adopted
    const isHolding = seen.blocks.length > 0 && seen.attachment.kind !== 'none'
    return wantTrust(
      isHolding ? changeNic(adopted, seen.id, nic => distrusted(state, nic)) : adopted,
    )
  }
  if (!isAttachedHere(known)) {
    const merged = mergeUnattached(known, seen, context.at)
    const next = withNic(state, merged)
    return merged.phase.kind === 'lost' ? next : clearProblem(next, `nic ${known.id}`)
  }
  if (seen.attachment.kind === 'none' || seen.attachment.kind === 'detaching') {
    return mergeDetachedNic(state, known, context)
  }
  const present: Nic = {
    ...known,
    missingSince: undefined,
    isProtected: known.isProtected || seen.attachment.isProtected,
    unsureSince: sureAgain(known.unsureSince, context),
    primaryAddresses: sameList(known.primaryAddresses, seen.primaryAddresses),
    gateways: sameList(known.gateways, seen.gateways),
  }
  const merged = mergeBlocks(state, { nic: present, seen, context })
  return lookAgainFor(present, merged, context)
}

// The subnet was given another family, or the NIC an address of it.
const sameList = (before: readonly Ip[], now: readonly Ip[]): readonly Ip[] =>
  before.join() === now.join() ? before : now

// The kernel has lost the device of a NIC that pods use: a description that is too old to tell of
// it is followed by another one.
const lookAgainFor = (nic: Nic, state: State, { startedAt }: Context): State => {
  const { phase } = nic
  if (phase.kind !== 'attaching' || nic.device !== undefined || !hasPods(nic)) return state
  const settledAt = after(phase.since, state.config.consistencyMs)
  return startedAt < settledAt ? wantObservation(state, settledAt) : state
}

// In the first moments of a life descriptions may show what an earlier life has returned.
const isTrustworthy = (state: State, { startedAt }: Context): boolean =>
  startedAt >= after(state.bornAt, state.config.consistencyMs)

const wantTrust = (state: State): State =>
  wantObservation(state, after(state.bornAt, state.config.consistencyMs))

// Nothing is lent to a NIC that may hold more than we believe: it could be full.
const distrusted = (state: State, nic: Nic): Nic => ({
  ...nic,
  unsureSince: millis(after(state.bornAt, state.config.consistencyMs) - 1),
})

const isAttachedHere = (nic: Nic): boolean =>
  nic.phase.kind === 'attaching' || nic.phase.kind === 'wiring' || nic.phase.kind === 'ready'

const sureAgain = (since: Millis | undefined, { startedAt }: Context): Millis | undefined =>
  since !== undefined && startedAt > since ? undefined : since

const mergeUnattached = (nic: Nic, seen: CloudNic, at: Millis): Nic => {
  const base: Nic = { ...nic, missingSince: undefined, unsureSince: undefined }
  const { attachment } = seen
  switch (nic.phase.kind) {
    case 'created':
      // An attach whose answer was lost.
      return attachment.kind === 'attached' || attachment.kind === 'attaching'
        ? {
            ...base,
            phase: {
              kind: 'attaching',
              since: nic.phase.since,
              deviceIndex: attachment.deviceIndex,
            },
          }
        : base
    case 'leaving':
      return attachment.kind === 'none'
        ? { ...base, phase: { ...nic.phase, isDetached: true, deviceIndex: undefined } }
        : base
    case 'lost':
      // It came back, with the same addresses: pods that still use it are whole again.
      if (attachment.kind === 'attached') {
        const { deviceIndex } = attachment
        return { ...base, phase: { kind: 'attaching', since: at, deviceIndex } }
      }
      // Nothing of it is in use or rests: it is a NIC like any that was created and not attached.
      return attachment.kind === 'none' && !isRemembered(nic, at)
        ? { ...base, phase: { kind: 'created', since: at } }
        : base
    case 'attaching':
    case 'wiring':
    case 'ready':
      return base
  }
}

const mergeBlocks = (
  state: State,
  merge: { readonly nic: Nic; readonly seen: CloudNic; readonly context: Context },
): State => {
  const { seen, context } = merge
  const present = new Set<Cidr>(seen.blocks)
  const blocks = new Map<Cidr, Block>()
  const gone: Cidr[] = []
  let next = state
  for (const block of merge.nic.blocks.values()) {
    const merged = present.has(block.cidr)
      ? presentBlock(block, context)
      : missingBlock(state, block, { nic: merge.nic, context })
    if (merged === undefined) gone.push(block.cidr)
    else blocks.set(block.cidr, merged)
    if (merged?.missingSince !== undefined && merged.phase.kind !== 'lost') {
      next = wantObservation(next, after(merged.missingSince, state.config.consistencyMs))
    }
    if (merged?.phase.kind === 'lost' && block.phase.kind !== 'lost') {
      next = noteLostBlock(next, { nic: merge.nic, cidr: block.cidr, at: context.at })
    }
  }
  // What an earlier life returned may still be described for a while.
  const isTrusted = isTrustworthy(state, context)
  const news = seen.blocks.filter(
    cidr => !blocks.has(cidr) && !gone.includes(cidr) && !state.tombstones.has(cidr),
  )
  if (isTrusted) {
    for (const cidr of news) blocks.set(cidr, newBlock(state, seenBlock(seen, cidr), context.at))
  }
  const isDoubtful = news.length > 0 && !isTrusted
  const nic = isDoubtful ? distrusted(state, merge.nic) : merge.nic
  if (isDoubtful) next = wantTrust(next)
  for (const cidr of [...gone, ...[...blocks].flatMap(foundBlock)]) {
    next = clearProblem(next, `block ${cidr}`)
  }
  const merged = isSame(blocks, nic.blocks) ? nic : { ...nic, blocks }
  return withNic(next, forgetRested(dropBlocks(merged, gone), context.at))
}

// The same map says to the ledger that there is nothing to write.
const isSame = (a: ReadonlyMap<Cidr, Block>, b: ReadonlyMap<Cidr, Block>): boolean =>
  a.size === b.size && [...a].every(([cidr, block]) => b.get(cidr) === block)

const foundBlock = ([cidr, { phase }]: readonly [Cidr, Block]): readonly Cidr[] =>
  phase.kind === 'lost' ? [] : [cidr]

// Addresses of blocks that are gone are remembered while they rest, no longer.
const forgetRested = (nic: Nic, at: Millis): Nic => {
  const isOver = (use: Use): boolean => use.kind === 'cooling' && !isCooling(use, at)
  const kept = [...nic.uses].filter(([, use]) => nic.blocks.has(use.block) || !isOver(use))
  return kept.length === nic.uses.size ? nic : { ...nic, uses: new Map(kept) }
}

const presentBlock = (block: Block, context: Context): Block => {
  if (block.phase.kind === 'lost') {
    return { ...block, missingSince: undefined, phase: { kind: 'held', settledAt: context.at } }
  }
  return block.missingSince === undefined ? block : { ...block, missingSince: undefined }
}

// Undefined when the block is gone and nobody misses it.
const missingBlock = (
  state: State,
  block: Block,
  where: { readonly nic: Nic; readonly context: Context },
): Block | undefined => {
  const { startedAt, at } = where.context
  const spanMs = state.config.consistencyMs
  if (block.phase.kind === 'lost') return isUsed(where.nic, block.cidr) ? block : undefined
  if (startedAt < after(block.lentAt, spanMs)) return block
  if (block.missingSince === undefined) return { ...block, missingSince: startedAt }
  if (startedAt < after(block.missingSince, spanMs)) return block
  if (!isUsed(where.nic, block.cidr)) return undefined
  return { ...block, phase: { kind: 'lost', since: at } }
}

const isUsed = (nic: Nic, cidr: Cidr): boolean =>
  [...nic.uses.values()].some(use => use.kind === 'assigned' && use.block === cidr)

const noteLostBlock = (
  state: State,
  lost: { readonly nic: Nic; readonly cidr: Cidr; readonly at: Millis },
): State => {
  const text = lostBlockText(lost.nic, lost.cidr)
  return noteProblem(state, `block ${lost.cidr}`, { text, kind: 'lost', at: lost.at })
}

// It exists and is not attached: an attach that did not work, or somebody detached it.
const mergeDetachedNic = (state: State, nic: Nic, context: Context): State => {
  const spanMs = state.config.consistencyMs
  const { startedAt, at } = context
  if (isBusy(state, nic.id) || nic.isPrimary || hasPods(nic)) {
    return mergeMissingNic(state, nic, context)
  }
  if (isTooEarly(state, nic, context)) return askLater(state, nic)
  const isSure = nic.missingSince !== undefined && startedAt >= after(nic.missingSince, spanMs)
  if (nic.phase.kind !== 'attaching' && !isSure) return mergeMissingNic(state, nic, context)
  const phase = { kind: 'created', since: at } as const
  return withNic(state, {
    ...nic,
    phase,
    isProtected: false,
    device: undefined,
    missingSince: undefined,
  })
}

// Absent from a description, or described as not attached.
const mergeMissingNic = (state: State, nic: Nic, context: Context): State => {
  const spanMs = state.config.consistencyMs
  const { startedAt } = context
  const known = state.nics.get(nic.id)
  if (known === undefined) return state
  if (known.phase.kind === 'lost') {
    return isRemembered(known, context.at) ? state : dropNic(state, known.id, context.at)
  }
  // A description asked for before the NIC was made or attached cannot know.
  if (isTooEarly(state, known, context)) return askLater(state, known)
  if (known.missingSince === undefined) {
    const marked = withNic(state, { ...known, missingSince: startedAt })
    return wantObservation(marked, after(startedAt, spanMs))
  }
  if (startedAt < after(known.missingSince, spanMs)) return state
  return loseNic(state, known, context)
}

// One that pods use was attached long before, whenever its device has gone.
const isTooEarly = (state: State, nic: Nic, { startedAt }: Context): boolean =>
  'since' in nic.phase &&
  !hasPods(nic) &&
  startedAt < after(nic.phase.since, state.config.consistencyMs)

// Whether an unsure call worked is not known yet, and nothing more is done about the NIC before.
const askLater = (state: State, { phase, unsureSince }: Nic): State =>
  'since' in phase && unsureSince !== undefined
    ? wantObservation(state, after(phase.since, state.config.consistencyMs))
    : state

const loseNic = (state: State, nic: Nic, { at }: Context): State => {
  if (!isRemembered(nic, at)) return dropNic(state, nic.id, at)
  const lost = withNic(state, { ...nic, phase: { kind: 'lost', since: at } })
  if (!hasPods(nic)) return lost
  return noteProblem(lost, `nic ${nic.id}`, { text: lostNicText(nic), kind: 'lost', at })
}

// Its addresses may come back on another NIC: those that rest go on resting.
const isRemembered = (nic: Nic, at: Millis): boolean =>
  hasPods(nic) || [...nic.uses.values()].some(use => use.kind === 'cooling' && isCooling(use, at))

const hasPods = (nic: Nic): boolean => [...nic.uses.values()].some(use => use.kind === 'assigned')

// A creation whose answer was lost and which no description shows in time never happened. Should it
// still show up later, its tag tells that it is ours.
const settleIntents = (state: State, { startedAt }: Context): State => {
  let next = state
  for (const { token, unsureSince } of state.intents.values()) {
    if (unsureSince === undefined) continue
    const settledAt = after(unsureSince, state.config.consistencyMs)
    if (startedAt > settledAt) next = { ...next, intents: without(next.intents, token) }
    else next = wantObservation(next, after(settledAt, 1))
  }
  return next
}
