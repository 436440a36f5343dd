// What a `partial` fault leaves of a request for blocks.
import type { LendRequest } from '#emulator/model/addresses.ts'

/** Reduces a request by count to what is granted (undefined: all); explicit blocks are kept. */
export const limitedLend = (lend: LendRequest, granted: number | undefined): LendRequest =>
  granted === undefined
    ? lend
    : {
        ...lend,
        addressCount: Math.min(lend.addressCount, granted),
        prefixCount: Math.min(lend.prefixCount, granted),
      }
