// The one loop: apply events, plan, save, then act. It decides nothing and waits for nothing; the
// same code runs in production on real time and in the simulation on virtual time.

import type { Millis } from '#core/names.ts'
import type { Clock, LedgerChange, Store } from '#core/ports.ts'

export type LoopParts<State, Event, Action> = {
  readonly initial: State
  readonly apply: (state: State, event: Event) => State
  readonly plan: (
    state: State,
    now: Millis,
  ) => { readonly actions: readonly Action[]; readonly wakeAt: Millis | undefined }
  readonly started: (action: Action, at: Millis) => Event
  /** What changed between two states, as durable facts. */
  readonly changes: (before: State, after: State) => readonly LedgerChange[]
  readonly store: Store
  readonly clock: Clock
  /** Begins an action and returns at once; results come back through `post`. */
  readonly perform: (action: Action) => void
  /** Called when a turn threw: a broken invariant or a failed save. The loop has stopped. */
  readonly onFatal: (error: unknown) => void
}

export type Loop<State, Event> = {
  /** Hands an event to the loop; a burst posted in one go shares one turn and one save. */
  post(event: Event): void
  state(): State
  /** No further turn runs and no action is performed after this. */
  stop(): void
}

/** Plans per turn: work that keeps producing work has a bug, and the process says so. */
const roundsMax = 10_000

export const createLoop = <State, Event, Action>(
  parts: LoopParts<State, Event, Action>,
): Loop<State, Event> => {
  let state = parts.initial
  let saved = parts.initial
  let inbox: Event[] = []
  let isScheduled = false
  let isStopped = false
  let isTurning = false
  let cancelWake: () => void = () => undefined
  let wakesAt: Millis | undefined

  const schedule = (): void => {
    // A turn that runs takes up what arrives before it ends.
    if (isScheduled || isTurning || isStopped) return
    isScheduled = true
    parts.clock.soon(turn)
  }

  const round = (): Millis | undefined => {
    for (const event of inbox.splice(0)) state = parts.apply(state, event)
    const now = parts.clock.now()
    const planned = parts.plan(state, now)
    for (const action of planned.actions) state = parts.apply(state, parts.started(action, now))
    // Nothing is done before it is saved; what is under way is state, so nothing is ordered twice.
    const changes = parts.changes(saved, state)
    if (changes.length > 0) parts.store.save(changes)
    saved = state
    for (const action of planned.actions) {
      if (isStopped) break
      parts.perform(action)
    }
    return planned.wakeAt
  }

  // Most turns leave the time as it was, and a timer costs more than to compare.
  const wake = (at: Millis | undefined): void => {
    if (at === wakesAt) return
    cancelWake()
    wakesAt = at
    if (at !== undefined) cancelWake = parts.clock.at(at, woken)
  }

  const woken = (): void => {
    wakesAt = undefined
    schedule()
  }

  const turn = (): void => {
    isScheduled = false
    if (isStopped) return
    isTurning = true
    try {
      let wakeAt = round()
      // Host work answers at once: its results are taken up before the turn ends.
      for (let rounds = 1; inbox.length > 0 && !isStopped; rounds++) {
        if (!(rounds < roundsMax)) throw new Error(`one turn planned ${rounds} times in a row`)
        wakeAt = round()
      }
      if (!isStopped) wake(wakeAt)
    } catch (error) {
      isStopped = true
      parts.onFatal(error)
    } finally {
      isTurning = false
    }
  }

  schedule()
  return {
    post: event => {
      inbox.push(event)
      schedule()
    },
    state: () => state,
    stop: () => {
      isStopped = true
      cancelWake()
    },
  }
}
