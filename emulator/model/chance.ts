// Chance from one seed. Every purpose draws from its own named stream, so that an additional call
// of one action does not change the ids, addresses or latencies that others draw.
import { createHash } from 'node:crypto'

/** Draws from named streams; the n-th draw of a stream depends on seed, name and n only. */
export interface Chance {
  /** Uniform in [0, 1). */
  unit(stream: string): number
  /** Uniform in [0, limit). */
  below(stream: string, limit: bigint): bigint
  /** Lower-case hexadecimal digits, 64 at most. */
  hex(stream: string, digits: number): string
}

export const chanceOf = (seed: number): Chance => {
  const draws = new Map<string, number>()
  const hex = (stream: string, digits: number): string => {
    const draw = draws.get(stream) ?? 0
    draws.set(stream, draw + 1)
    return createHash('sha256').update(`${seed}/${stream}/${draw}`).digest('hex').slice(0, digits)
  }
  return {
    hex,
    unit: stream => Number.parseInt(hex(stream, 12), 16) / 2 ** 48,
    // 128 random bits: the modulo's unevenness is below 2^-64 for every subnet.
    below: (stream, limit) => BigInt(`0x${hex(stream, 32)}`) % limit,
  }
}
