// Ids of requests: groups of hexadecimal digits as a UUID has them.
import type { Chance } from '#emulator/model/chance.ts'

/** The id of the next request, in lower case. */
export const newRequestId = (chance: Chance): string => grouped(chance.hex('request', 32))

/** 32 hexadecimal digits in a UUID's five groups. */
export const grouped = (hex: string): string =>
  [0, 8, 12, 16, 20].map((from, i, all) => hex.slice(from, all[i + 1])).join('-')
