// The only source of chance in the process. With a seed the same numbers come again, so that a
// simulation can be replayed; without one they come from the kernel and cannot be guessed.

import { createHash, randomBytes } from 'node:crypto'
import type { Random } from '#core/ports.ts'

/** A seeded source repeats itself exactly; an unseeded one is fit for names and tokens. */
export const createRandom = (seed?: string | number): Random => {
  const next = seed === undefined ? kernelWords() : seededWords(String(seed))
  return {
    // 53 bits, as many as a double holds: 27 from one word and 26 from the next.
    fraction: () => ((next() >>> 5) * 0x400_0000 + (next() >>> 6)) / 0x20_0000_0000_0000,
    hex: digits => {
      let text = ''
      while (text.length < digits) text += next().toString(16).padStart(8, '0')
      return text.slice(0, digits)
    },
  }
}

type Words = () => number

// Read in batches: one system call for 64 words instead of one per number.
const kernelWords = (): Words => {
  let pool = Buffer.alloc(0)
  let offset = 0
  return () => {
    if (offset === pool.length) {
      pool = randomBytes(256)
      offset = 0
    }
    const word = pool.readUInt32LE(offset)
    offset += 4
    return word
  }
}

// sfc32 of PractRand (Chris Doty-Humphrey): three words of chaos and a counter that forbids short
// cycles. The seed goes through SHA-256 so that seeds 1 and 2 have nothing in common.
const seededWords = (seed: string): Words => {
  const digest = createHash('sha256').update(seed).digest()
  let [a, b, c] = [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8)]
  let counter = 1
  return () => {
    const word = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + word) | 0
    return word >>> 0
  }
}
