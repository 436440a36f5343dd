// Atomic changes to the elements of nf_tables sets and maps, sent over the process's long-lived
// netlink socket: a short-lived one that deletes elements hangs some 15 ms when it is closed.

import { dump, exchange } from '../kernel.ts'
import { acksOf } from '../netlink/message.ts'
import type { Ack, Request } from '../netlink/message.ts'
import {
  addElements,
  BATCH,
  decodeElements,
  dumpElements,
  keyText,
  removeElements,
} from './element.ts'
import type { Element, ElementSet } from './element.ts'

export type { Element, ElementSet, ElementValue } from './element.ts'

/** Elements to add to or remove from one set; a transaction makes its changes in order. */
export type ElementChange = {
  readonly kind: 'add' | 'remove'
  readonly set: ElementSet
  readonly elements: readonly Element[]
}

/** What a tolerant removal found: `absent` are the elements that were not there. */
export type Removal = { readonly ack: Ack; readonly absent: readonly Element[] }

const REMOVE_ATTEMPTS_MAX = 3
const NETLINK_NETFILTER = 12

/**
 * Makes all changes or none. Adding what is there with the same value succeeds; with another
 * value it gives EEXIST (EBUSY on older kernels). ENOENT: an element to remove, a set or a chain is
 * absent.
 */
export const changeElements = (netnsFd: number, changes: readonly ElementChange[]): Ack => {
  const requests = changes.flatMap(encodeChange)
  if (requests.length === 0) return { ok: true }
  const batch = [BATCH.begin, ...requests, BATCH.end]
  const { replies, sequence } = exchange(netnsFd, batch, NETLINK_NETFILTER)
  const acks = acksOf(replies, { sequence, count: batch.length })
  // The begin of a batch asks for no answer, but gets one when the batch as a whole is refused.
  const [begin] = acks
  if (begin?.ok === false && begin.code !== 'ECANCELED') return begin
  return acks.slice(1, -1).find(ack => !ack.ok) ?? { ok: true }
}

/** Removes the elements that are there, all at once; absent ones are reported and no failure. */
export const removeElementsIfPresent = (
  netnsFd: number,
  set: ElementSet,
  elements: readonly Element[],
): Removal => {
  let present = elements
  for (let attempt = 1; ; attempt++) {
    const ack = changeElements(netnsFd, [{ kind: 'remove', set, elements: present }])
    const isAbsent = !ack.ok && ack.code === 'ENOENT'
    if (!isAbsent || attempt === REMOVE_ATTEMPTS_MAX) {
      return { ack, absent: elements.filter(element => !present.includes(element)) }
    }
    // One absent element refuses the whole batch, so look which ones are there and ask for those.
    const there = new Set(listElements(netnsFd, set)?.map(keyText))
    present = present.filter(element => there.has(keyText(element)))
  }
}

/** Every element of a set or map; undefined when the table or the set is absent. */
export const listElements = (netnsFd: number, set: ElementSet): readonly Element[] | undefined =>
  dump({
    netnsFd,
    request: dumpElements(set),
    decode: reply => decodeElements(set, reply),
    protocol: NETLINK_NETFILTER,
  })?.flat()

const encodeChange = ({ kind, set, elements }: ElementChange): readonly Request[] =>
  kind === 'add' ? addElements(set, elements) : removeElements(set, elements)
