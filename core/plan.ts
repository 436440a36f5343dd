// The only place decisions are made: from the state and the time alone, what to do next and when to
// think again. Pods first, then the kernel, then the cloud.

import type { Action } from './action.ts'
import { act, isAffordable, isDue, newDraft, nextOperation, wake, type Draft } from './draft.ts'
import { planGrowth } from './grow.ts'
import { bothFamilies } from './ip.ts'
import { after, type Millis, millis } from './names.ts'
import { planNics } from './planNics.ts'
import { planPods } from './pods.ts'
import { countPool } from './pool.ts'
import { planShrinking } from './shrink.ts'
import type { Nic, State } from './state.ts'
import { desiredHost } from './desired.ts'

export type Plan = {
  /** In the order they are to be begun. Empty when there is nothing to do now. */
  readonly actions: readonly Action[]
  /** When to plan again although nothing happens; undefined means never. */
  readonly wakeAt: Millis | undefined
}

/** How often the kernel is looked at while a device is expected or tables are being made. */
const lookEveryMs = 250

/** How late the end of a rest may be noticed while nobody waits for an address. */
const calmMs = 1_000

export const plan = (state: State, now: Millis): Plan => {
  const draft = newDraft(state, now)
  planPods(draft)
  planHost(draft)
  planDescription(draft)
  planObservation(draft)
  planNics(draft)
  planGrowth(draft)
  planShrinking(draft)
  planCounts(draft)
  return { actions: draft.actions, wakeAt: draft.wakeAt }
}

const planHost = (draft: Draft): void => {
  const { host, config, nics } = draft.state
  const isExpecting = [...nics.values()].some(nic => isExpected(draft, nic))
  const everyMs = isExpecting ? lookEveryMs : config.reconcileEveryMs
  const regularAt = host.reconciledAt === undefined ? draft.now : after(host.reconciledAt, everyMs)
  const isWanted = host.reconciledAt !== undefined && host.wantedAt > host.reconciledAt
  const at = isWanted ? millis(Math.min(host.wantedAt, regularAt)) : regularAt
  if (!isDue(draft, at)) return
  act(draft, { kind: 'reconcileHost', wiring: desiredHost(draft.state) })
  wake(draft, after(draft.now, everyMs))
}

// What has not come in its time is looked for as everything else is.
const isExpected = (draft: Draft, { phase, isManaged }: Nic): boolean => {
  if (!isManaged) return false
  if (phase.kind === 'wiring') return true
  if (phase.kind !== 'attaching') return false
  return !isDue(draft, after(phase.since, draft.state.config.appearWithinMs))
}

const planDescription = (draft: Draft): void => {
  const { cloud, operations } = draft.state
  const isUnderWay = [...operations.values()].some(({ action }) => action.kind === 'describeNode')
  if (cloud.isDescribed || isUnderWay || !isDue(draft, cloud.retryAt)) return
  if (!isAffordable(draft, 'describeNode', 'blocking')) return
  act(draft, { kind: 'describeNode', id: nextOperation(draft), priority: 'blocking' })
}

const planObservation = (draft: Draft): void => {
  const { cloud, operations, config } = draft.state
  const isUnderWay = [...operations.values()].some(({ action }) => action.kind === 'observeCloud')
  if (!cloud.isDescribed || isUnderWay) return
  const isNeeded = cloud.observedAt === undefined || cloud.observedAt < cloud.wantedAt
  const regularAt = after(cloud.observedAt ?? millis(0), config.observeEveryMs)
  const at = isNeeded ? Math.min(cloud.wantedAt, regularAt) : regularAt
  if (!isDue(draft, millis(Math.max(at, cloud.retryAt)))) return
  const priority = isNeeded ? 'blocking' : 'sweeping'
  if (!isAffordable(draft, 'observeCloud', priority)) return
  act(draft, { kind: 'observeCloud', id: nextOperation(draft), priority })
}

// Settling and cooling end by themselves: whoever waits for an address is served then. While nobody
// waits, the ends of many rests share one look.
const planCounts = (draft: Draft): void => {
  const { state, now } = draft
  const soonest = state.adds.size > 0 ? now : after(now, calmMs)
  for (const pool of state.config.pools.keys()) {
    for (const family of bothFamilies) {
      const { changesAt } = countPool(state, pool, { family, now })
      if (changesAt !== undefined) wake(draft, millis(Math.max(changesAt, soonest)))
    }
  }
}
