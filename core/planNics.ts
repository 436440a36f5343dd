// The life of a NIC between creation and deletion: attach what was created, protect what is
// attached, give up what never appears, detach and delete what is leaving.

import { act, isAffordable, isDue, nextOperation, type Draft } from './draft.ts'
import { after } from './names.ts'
import { isBusy } from './nics.ts'
import { isCooling } from './pool.ts'
import type { Nic, State } from './state.ts'

export const planNics = (draft: Draft): void => {
  // Before the first observation of this life nobody knows what is already there.
  if (draft.state.node === undefined || draft.state.cloud.observedAt === undefined) return
  if (!draft.state.node.limits.hotPlug) return
  for (const nic of draft.state.nics.values()) {
    if (!nic.isManaged || nic.isPrimary || isBusy(draft.state, nic.id)) continue
    if (nic.unsureSince === undefined && isDue(draft, nic.retryAt)) planNic(draft, nic)
  }
}

const planNic = (draft: Draft, nic: Nic): void => {
  switch (nic.phase.kind) {
    case 'created':
      return planCreated(draft, nic)
    case 'attaching': {
      if (!nic.isProtected) return attach(draft, nic, nic.phase.deviceIndex)
      const givenUpAt = after(nic.phase.since, draft.state.config.appearWithinMs)
      if (isDue(draft, givenUpAt) && !isInUse(draft, nic)) detach(draft, nic)
      return
    }
    case 'wiring':
    case 'ready':
      return nic.isProtected ? undefined : attach(draft, nic, nic.phase.deviceIndex)
    case 'leaving':
      return nic.phase.isDetached ? remove(draft, nic) : detach(draft, nic)
    case 'lost':
      return undefined
  }
}

const planCreated = (draft: Draft, nic: Nic): void => {
  const { node, config } = draft.state
  const nicsMax = Math.min(node?.limits.nicsMax ?? 0, config.nicsMax ?? Infinity)
  const deviceIndex = freeDeviceIndex(draft.state, { preferred: nic.slot - 1, nicsMax })
  // More were created than fit, as after a lost answer: what cannot be attached goes again.
  if (nic.missingSince !== undefined) return
  if (!(deviceIndex < nicsMax)) return remove(draft, nic)
  attach(draft, nic, deviceIndex)
}

const attach = (draft: Draft, nic: Nic, deviceIndex: number): void => {
  if (!isAffordable(draft, 'attachNic', 'prewarming')) return
  const id = nextOperation(draft)
  act(draft, { kind: 'attachNic', id, priority: 'prewarming', nic: nic.id, deviceIndex })
}

const detach = (draft: Draft, nic: Nic): void => {
  if (!isAffordable(draft, 'detachNic', 'returning')) return
  act(draft, { kind: 'detachNic', id: nextOperation(draft), priority: 'returning', nic: nic.id })
}

const remove = (draft: Draft, nic: Nic): void => {
  if (!isAffordable(draft, 'deleteNic', 'returning')) return
  act(draft, { kind: 'deleteNic', id: nextOperation(draft), priority: 'returning', nic: nic.id })
}

// A cooling address would be forgotten with its NIC.
const isInUse = (draft: Draft, nic: Nic): boolean =>
  [...nic.uses.values()].some(use => use.kind === 'assigned' || isCooling(use, draft.now))

// Slot and place go together where they can: see nics.ts.
const freeDeviceIndex = (
  state: State,
  { preferred, nicsMax }: { readonly preferred: number; readonly nicsMax: number },
): number => {
  const used = new Set(
    [...state.nics.values()].map(({ phase }) => ('deviceIndex' in phase ? phase.deviceIndex : -1)),
  )
  if (preferred < nicsMax && !used.has(preferred)) return preferred
  let index = 1
  while (used.has(index)) index++
  return index
}
