// A plan in the making: each step sees what the steps before it decided, because an action that is
// taken into the draft is applied at once as started.

import type { Action, CloudAction, Priority } from './action.ts'
import { apply } from './apply.ts'
import { availableAt, callClassOf } from './budget.ts'
import { earlier, type Millis, type OperationId, operationId } from './names.ts'
import type { State } from './state.ts'

/** Mutable only while one `plan` runs; it never leaves it. */
export type Draft = {
  state: State
  readonly actions: Action[]
  wakeAt: Millis | undefined
  readonly now: Millis
}

export const newDraft = (state: State, now: Millis): Draft => ({
  state,
  actions: [],
  wakeAt: undefined,
  now,
})

/** Takes an action into the plan. */
export const act = (draft: Draft, action: Action): void => {
  draft.actions.push(action)
  draft.state = apply(draft.state, { kind: 'started', action, at: draft.now })
}

/** Plan again at this time at the latest; a time that has come is not a reason to wake. */
export const wake = (draft: Draft, at: Millis | undefined): void => {
  if (at !== undefined && at > draft.now) draft.wakeAt = earlier(draft.wakeAt, at)
}

/** True when it is time; otherwise the plan is made again then. */
export const isDue = (draft: Draft, at: Millis): boolean => {
  if (at <= draft.now) return true
  wake(draft, at)
  return false
}

/** True when the budget has a token for the call; otherwise the plan is made again when it has. */
export const isAffordable = (
  draft: Draft,
  kind: CloudAction['kind'],
  priority: Priority,
): boolean => {
  const call = { class: callClassOf(kind), priority, now: draft.now }
  return isDue(draft, availableAt(draft.state.budget, draft.state.config.rates, call))
}

export const nextOperation = (draft: Draft): OperationId => operationId(draft.state.serial + 1)
