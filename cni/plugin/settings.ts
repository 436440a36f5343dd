// The keys of the network configuration that are eniway's own.

import { invalid } from '../spec/config.ts'
import { parsed, type Parsed } from '../spec/failure.ts'
import type { JsonObject } from '../spec/json.ts'
import { isName } from '../spec/names.ts'
import { ownKeys } from './delegator.ts'
import { defaultSocket } from './wire.ts'

export type Settings = {
  /** Where the executable finds the daemon; the daemon only checks its form. */
  readonly socket: string
  /** How long the executable waits for an answer. */
  readonly timeoutSeconds: number
  readonly pool: string | undefined
}

export const timeoutSecondsDefault = 60
export const timeoutSecondsMax = 600

/** sizeof sun_path of linux/un.h less the closing zero. */
const socketBytesMax = 107

/** Reads our keys; failure 7 names the key, its value and what is allowed. */
export const parseSettings = (raw: JsonObject): Parsed<Settings> => {
  const { socket = defaultSocket, timeoutSeconds = timeoutSecondsDefault, pool } = ownKeys(raw)
  if (!isSocketPath(socket)) {
    return invalid('socket', socket, `an absolute path of at most ${socketBytesMax} bytes`)
  }
  if (!isTimeout(timeoutSeconds)) {
    const allowed = `a whole number from 1 to ${timeoutSecondsMax}`
    return invalid('timeoutSeconds', timeoutSeconds, allowed)
  }
  if (pool !== undefined && !(typeof pool === 'string' && isName(pool))) {
    return invalid('pool', pool, 'the name of a pool: letters, digits, "_", "." and "-"')
  }
  return parsed({ socket, timeoutSeconds, pool })
}

const isSocketPath = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.startsWith('/') &&
  new TextEncoder().encode(value).length <= socketBytesMax

const isTimeout = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= timeoutSecondsMax
