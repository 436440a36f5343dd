// Reading what a cloud said into the core's values. An answer that lacks what every answer has is
// malformed: some proxies answer 200 with a page of their own, which an SDK reads as empty.

import { type Cidr, type Ip, baseOf, compareIp, lengthOf, parseCidr, parseIp } from '#core/ip.ts'
import { MalformedError } from './failures.ts'

/** The member every answer of this call has. */
export const present = <Value>(value: Value | null | undefined, what: string): Value => {
  if (value === undefined || value === null) throw new MalformedError(`the answer has no ${what}`)
  return value
}

/** Addresses and prefixes as blocks, IPv4 first, in the order of their numbers. */
export const canonical = (blocks: readonly Cidr[]): readonly Cidr[] =>
  blocks.toSorted((a, b) => compareIp(baseOf(a), baseOf(b)) || lengthOf(a) - lengthOf(b))

export const cidrFrom = (text: string): Cidr => present(parseCidr(text), `prefix in "${text}"`)
export const ipFrom = (text: string): Ip => present(parseIp(text), `address in "${text}"`)
