// Whether the node can serve an ADD now, for STATUS and readiness, from the state alone.

import { canGrow } from './grow.ts'
import { whatIsLost } from './losses.ts'
import type { Millis, PoolName } from './names.ts'
import { placesOf, readyPlaces } from './places.ts'
import { explain, hinderingProblem } from './reason.ts'
import type { State } from './state.ts'

export type Verdict =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'unready'
      /** `limited` when pods that run are impaired too: their NIC or block was taken away. */
      readonly connectivity: 'unaffected' | 'limited'
      readonly message: string
      readonly details: string
    }

/** Ready when addresses for a pod are warm, or on their way while the cloud answers. */
export const verdict = (state: State, pool: PoolName, now: Millis): Verdict => {
  const lost = whatIsLost(state)
  if (lost !== undefined) {
    return { kind: 'unready', connectivity: 'limited', message: lost, details: 'Lost' }
  }
  if (canServe(state, pool, now)) return { kind: 'ready' }
  const { code, why } = explain(state, pool, now)
  const message = `this node has no address for a new pod: ${why}`
  return { kind: 'unready', connectivity: 'unaffected', message, details: code }
}

const canServe = (state: State, pool: PoolName, now: Millis): boolean => {
  if (!state.config.pools.has(pool)) return false
  if (readyPlaces(state, pool, now) > 0) return true
  const isComing = placesOf(state, pool, now) > 0
  return isPrimaryReady(state) && (isComing || canGrowNow(state, pool, now))
}

// Nothing is kept warm where the target is 0, but an address is only a call away.
const canGrowNow = (state: State, pool: PoolName, now: Millis): boolean =>
  state.config.pools.get(pool)?.warmTarget === 0 &&
  canGrow(state, pool, now) &&
  hinderingProblem(state, now) === undefined

/** True once the primary NIC's tables and rules are in place: before that nothing can be wired. */
export const isPrimaryReady = (state: State): boolean =>
  [...state.nics.values()].some(nic => nic.isPrimary && nic.phase.kind === 'ready')
