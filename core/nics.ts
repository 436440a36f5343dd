// How NICs come into the state and what begins to be true of them when a call is sent.

import type { CloudAction } from './action.ts'
import { changeNic, without, withNic } from './change.ts'
import { after, defaultPool, type Millis, millis, type NicId, type PoolName } from './names.ts'
import type { CloudNic } from './ports.ts'
import { clearProblem, noteProblem } from './problems.ts'
import type { Block, Nic, NicPhase, State } from './state.ts'

/** What is remembered when a call about a NIC is sent, before it is known to have worked. */
export const nicAction = (state: State, action: CloudAction, at: Millis): State => {
  switch (action.kind) {
    case 'createNic': {
      const { request, pool } = action
      const intent = { ...request, pool, unsureSince: undefined }
      return { ...state, intents: new Map(state.intents).set(request.token, intent) }
    }
    case 'attachNic': {
      const { deviceIndex } = action
      return changeNic(state, action.nic, nic =>
        // Attaching again only protects a NIC that already is attached.
        nic.phase.kind === 'created'
          ? { ...nic, phase: { kind: 'attaching', since: at, deviceIndex } }
          : nic,
      )
    }
    case 'detachNic':
      return changeNic(noteAbsentDevice(state, action.nic, at), action.nic, nic =>
        nic.phase.kind === 'leaving'
          ? nic
          : {
              ...nic,
              phase: { kind: 'leaving', isDetached: false, deviceIndex: placeOf(nic), since: at },
            },
      )
    case 'deleteNic':
      return changeNic(state, action.nic, nic => ({
        ...nic,
        phase: { kind: 'leaving', isDetached: true, deviceIndex: undefined, since: at },
      }))
    case 'returnBlocks': {
      const returning = new Set(action.blocks)
      return changeNic(state, action.nic, nic => ({
        ...nic,
        blocks: new Map(
          [...nic.blocks].map(([cidr, block]) => [
            cidr,
            returning.has(cidr) ? startReturning(block) : block,
          ]),
        ),
      }))
    }
    case 'lendBlocks':
    case 'describeNode':
    case 'observeCloud':
      return state
  }
}

const startReturning = (block: Block): Block =>
  block.phase.kind === 'returning'
    ? block
    : { ...block, phase: { kind: 'returning', isDoubtful: false } }

/**
 * Takes a NIC the cloud told us of into the state; ends the intent it came from. What it holds is
 * believed only when trusted: an earlier life may have returned some of it.
 */
export const adoptNic = (
  state: State,
  seen: CloudNic,
  { at, isTrusted }: { readonly at: Millis; readonly isTrusted: boolean },
): State => {
  const known = state.nics.get(seen.id)
  const intent = seen.token === undefined ? undefined : state.intents.get(seen.token)
  const nic = known ?? newNic(state, seen, { pool: intent?.pool ?? defaultPool, at, isTrusted })
  const adopted = withNic(state, nic)
  if (seen.token === undefined || intent === undefined) return adopted
  // However its creation was answered: it worked.
  return clearProblem({ ...adopted, intents: without(adopted.intents, seen.token) }, 'createNic')
}

/** A block as it is when we first learn of it. */
export const newBlock = (
  state: State,
  { cidr, isFixed }: Pick<Block, 'cidr' | 'isFixed'>,
  at: Millis,
): Block => ({
  cidr,
  lentAt: at,
  isFixed,
  phase: { kind: 'held', settledAt: after(at, state.config.settleMs) },
  missingSince: undefined,
})

/** What a description says of one block. */
export const seenBlock = (
  { fixedBlocks }: CloudNic,
  cidr: Block['cidr'],
): Pick<Block, 'cidr' | 'isFixed'> => ({ cidr, isFixed: fixedBlocks.includes(cidr) })

const newNic = (
  state: State,
  seen: CloudNic,
  origin: { readonly pool: PoolName; readonly at: Millis; readonly isTrusted: boolean },
): Nic => ({
  id: seen.id,
  mac: seen.mac,
  slot: seen.isPrimary ? 1 : freeSlot(state, seen),
  pool: origin.pool,
  subnet: seen.subnet,
  isPrimary: seen.isPrimary,
  // NICs that somebody else attached hold a place on the instance; they are not ours to use, unless
  // nobody could attach one but before the start.
  isManaged:
    seen.isManaged &&
    (seen.isPrimary || seen.token !== undefined || state.node?.limits.hotPlug === false),
  token: seen.token,
  primaryAddresses: seen.primaryAddresses,
  gateways: seen.gateways,
  phase: phaseOf(seen, origin.at),
  isProtected: seen.attachment.kind !== 'none' && seen.attachment.isProtected,
  device: undefined,
  blocks: new Map(
    origin.isTrusted
      ? seen.blocks.map(cidr => [cidr, newBlock(state, seenBlock(seen, cidr), origin.at)])
      : [],
  ),
  uses: new Map(),
  retryAt: millis(0),
  attempts: 0,
  unsureSince: undefined,
  missingSince: undefined,
})

const phaseOf = (seen: CloudNic, at: Millis): NicPhase => {
  switch (seen.attachment.kind) {
    case 'none':
      return { kind: 'created', since: at }
    case 'attaching':
    case 'attached':
      return { kind: 'attaching', since: at, deviceIndex: seen.attachment.deviceIndex }
    case 'detaching':
      return {
        kind: 'leaving',
        isDetached: false,
        deviceIndex: seen.attachment.deviceIndex,
        since: at,
      }
  }
}

const placeOf = ({ phase }: Nic): number | undefined =>
  'deviceIndex' in phase ? phase.deviceIndex : undefined

const noteAbsentDevice = (state: State, id: NicId, at: Millis): State => {
  if (state.nics.get(id)?.phase.kind !== 'attaching') return state
  const next =
    'it is detached and deleted and another NIC is tried, look at the kernel log of the instance ' +
    'if it happens again'
  return noteDevice(state, id, { next, at })
}

/** A NIC that cannot be given up, because of its pods or of its cloud, has no device. */
export const noteMissingDevice = (state: State, { id, phase }: Nic, at: Millis): State => {
  if (phase.kind !== 'attaching' || state.problems.has(`device ${id}`)) return state
  const next = 'its addresses are not used until it does, look at the kernel log of the instance'
  return noteDevice(state, id, { next, at })
}

const noteDevice = (
  state: State,
  id: NicId,
  { next, at }: { readonly next: string; readonly at: Millis },
): State => {
  const seconds = state.config.appearWithinMs / 1000
  const text = `${id} was attached but its device did not appear within ${seconds} s; ${next}`
  return noteProblem(state, `device ${id}`, { text, kind: 'host', at })
}

// The place on the instance decides where it can, so that a forgotten ledger changes no numbers
// that running pods depend on.
const freeSlot = (state: State, { attachment }: CloudNic): number => {
  const used = new Set([
    ...[...state.nics.values()].map(nic => nic.slot),
    ...[...state.sandboxes.values()].map(sandbox => sandbox.slot),
  ])
  const own = attachment.kind === 'none' ? undefined : attachment.deviceIndex + 1
  if (own !== undefined && !used.has(own) && own > 1) return own
  let slot = 2
  while (used.has(slot)) slot++
  return slot
}

/** True while a call about the NIC is under way. */
export const isBusy = (state: State, nic: NicId): boolean => {
  for (const { action } of state.operations.values()) {
    if ('nic' in action && action.nic === nic) return true
  }
  return false
}
