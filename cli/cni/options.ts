// The options of `eniway cni` made into values; every wrong one is one sentence.

import type { ValidAttachment } from '#cni/spec/config.ts'

/** Called wrongly; the message is one sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A whole number within the range. */
export const countOf = (
  name: string,
  text: string,
  { min, max }: { readonly min: number; readonly max: number },
): number => {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (count >= min && count <= max) return count
  throw new UsageError(`${name} is "${text}"; it must be a whole number from ${min} to ${max}`)
}

/** An attachment that stays, from CONTAINERID/IFNAME. */
export const keepOf = (text: string): ValidAttachment => {
  const match = /^([^/]+)\/([^/]+)$/.exec(text)
  if (match !== null) return { containerId: match[1] ?? '', ifName: match[2] ?? '' }
  throw new UsageError(`--keep is "${text}"; it must be CONTAINERID/IFNAME, such as c1/eth0`)
}
