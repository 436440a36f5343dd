// ECS's request limits: so many calls per minute, action and account. What is over the limit is
// refused until the next minute begins; nothing is saved up.
import limits from '#emulator/data/alibaba-api-limits.json' with { type: 'json' }

/** Counts the call; false when it is over the limit of its minute. */
export type Throttle = (
  call: { readonly accountId: string; readonly action: string },
  nowMs: number,
) => boolean

const perMinute: Readonly<Record<string, number>> = limits.perMinute

const minuteMs = 60_000

/** Calls per minute that the table gives to an action. */
export const limitOf = (action: string): number =>
  (Object.hasOwn(perMinute, action) ? perMinute[action] : undefined) ?? limits.perMinute.default

/** `factor` scales every limit, for accounts whose quotas were raised (or lowered). */
export const createThrottle = (factor = 1): Throttle => {
  const windows = new Map<string, { readonly minute: number; count: number }>()
  return ({ accountId, action }, now) => {
    const minute = Math.floor(now / minuteMs)
    const name = `${accountId}/${action}`
    const known = windows.get(name)
    const window = known?.minute === minute ? known : { minute, count: 0 }
    windows.set(name, window)
    if (!(window.count < limitOf(action) * factor)) return false
    window.count += 1
    return true
  }
}
