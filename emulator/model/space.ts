// Which addresses of a subnet are taken, as sorted intervals: exact for a /16 and an IPv6 /64.
// Blocks are searched aligned, so a subnet can have free addresses and yet no free /28.
import { type Cidr, type Ip, bitsOf, familyOf, ipFromBytes, lengthOf, valueOf } from '#core/ip.ts'
import { baseOf, cidrOf, contains } from '#core/ip.ts'

/** Taken parts of a subnet; [start, end) offsets from its base, sorted, never touching. */
export interface Space {
  readonly cidr: Cidr
  taken: readonly Interval[]
}

interface Interval {
  readonly start: bigint
  readonly end: bigint
}

/** Chooses one of `count` equal candidates: a number in [0, count). */
export type Pick = (count: bigint) => bigint

/** A space whose first `head` and last `tail` addresses the provider keeps for itself. */
export const createSpace = (cidr: Cidr, reserved: { head: number; tail: number }): Space => {
  const size = sizeOf(cidr)
  const taken = [
    { start: 0n, end: BigInt(reserved.head) },
    { start: size - BigInt(reserved.tail), end: size },
  ]
  return { cidr, taken: taken.filter(interval => interval.start < interval.end) }
}

/** Number of addresses that are not taken. */
export const freeCount = (space: Space): bigint =>
  gaps(space).reduce((sum, gap) => sum + gap.end - gap.start, 0n)

/** Takes a free, aligned block of the given prefix length; undefined when there is none. */
export const takeBlock = (space: Space, length: number, pick: Pick): Cidr | undefined => {
  const size = 1n << BigInt(bitsOf(familyOf(space.cidr)) - length)
  const runs = gaps(space)
    .map(gap => ({ first: (gap.start + size - 1n) / size, end: gap.end / size }))
    .filter(run => run.first < run.end)
  const count = runs.reduce((sum, run) => sum + run.end - run.first, 0n)
  if (count === 0n) return undefined
  let left = pick(count)
  for (const run of runs) {
    const here = run.end - run.first
    if (left < here) return take(space, (run.first + left) * size, length)
    left -= here
  }
  throw new RangeError(`pick chose a candidate beyond ${count}`)
}

/** Takes exactly this block; false when any of it is taken already or lies outside. */
export const claim = (space: Space, block: Cidr): boolean => {
  if (!contains(space.cidr, block)) return false
  const wanted = intervalOf(space, block)
  const next = space.taken.findIndex(other => wanted.start < other.end)
  const index = next < 0 ? space.taken.length : next
  const after = space.taken[index]
  if (after !== undefined && after.start < wanted.end) return false
  space.taken = inserted(space.taken, index, wanted)
  return true
}

/** Gives a block back; what was not taken stays free. */
export const release = (space: Space, block: Cidr): void => {
  const gone = intervalOf(space, block)
  space.taken = space.taken
    .flatMap(({ start, end }) => [
      { start, end: min(end, gone.start) },
      { start: max(start, gone.end), end },
    ])
    .filter(interval => interval.start < interval.end)
}

const take = (space: Space, offset: bigint, length: number): Cidr => {
  const block = cidrOf(addressAtOffset(space.cidr, offset), length)
  if (!claim(space, block)) throw new Error(`${block} was found free but is taken`)
  return block
}

const gaps = (space: Space): readonly Interval[] => {
  const found: Interval[] = []
  let start = 0n
  for (const interval of space.taken) {
    if (start < interval.start) found.push({ start, end: interval.start })
    start = interval.end
  }
  const size = sizeOf(space.cidr)
  return start < size ? [...found, { start, end: size }] : found
}

// Joins neighbours that touch, so that a full subnet is one interval, however it was filled.
const inserted = (
  taken: readonly Interval[],
  index: number,
  wanted: Interval,
): readonly Interval[] => {
  const before = taken[index - 1]
  const after = taken[index]
  const joinsBefore = before?.end === wanted.start
  const joinsAfter = after?.start === wanted.end
  const joined = {
    start: joinsBefore ? before.start : wanted.start,
    end: joinsAfter ? after.end : wanted.end,
  }
  return taken.toSpliced(
    index - (joinsBefore ? 1 : 0),
    (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0),
    joined,
  )
}

const intervalOf = (space: Space, block: Cidr): Interval => {
  const start = valueOf(baseOf(block)) - valueOf(baseOf(space.cidr))
  return { start, end: start + sizeOf(block) }
}

const addressAtOffset = (cidr: Cidr, offset: bigint): Ip => {
  const bytes = bitsOf(familyOf(cidr)) / 8
  const value = valueOf(baseOf(cidr)) + offset
  return ipFromBytes(
    Uint8Array.from({ length: bytes }, (_, i) =>
      Number((value >> BigInt(8 * (bytes - 1 - i))) & 0xffn),
    ),
  )
}

const sizeOf = (cidr: Cidr): bigint => 1n << BigInt(bitsOf(familyOf(cidr)) - lengthOf(cidr))

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
