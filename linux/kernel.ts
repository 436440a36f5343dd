// What the rest of eniway calls to read and change links, addresses, routes, rules and neighbours.
// Every call is one synchronous exchange (`transact`); refusals are values, one per request.

import type { Family } from '#core/ip.ts'
import { ExchangeError, transact } from './native.ts'
import type { Protocol } from './native.ts'
import { dumpAddresses as askAddresses, decodeAddress } from './netlink/address.ts'
import type { LinkAddress } from './netlink/address.ts'
import { dumpLinks as askLinks, decodeLink, getLink } from './netlink/link.ts'
import type { Link } from './netlink/link.ts'
import { acksOf, decodeReplies, encodeRequests, isData, isInterrupted } from './netlink/message.ts'
import type { Ack, Reply, Request } from './netlink/message.ts'
import { dumpNeighbours as askNeighbours, decodeNeighbour } from './netlink/neighbour.ts'
import type { Neighbour } from './netlink/neighbour.ts'
import { dumpRoutes as askRoutes, decodeRoute } from './netlink/route.ts'
import type { Route, RouteFilter } from './netlink/route.ts'
import { dumpRules as askRules, decodeRule } from './netlink/rule.ts'
import type { Rule } from './netlink/rule.ts'

export { deleteLinkInBackground, ExchangeError, OWN_NAMESPACE } from './native.ts'
export type { Ack, Request } from './netlink/message.ts'

/** How often a dump is repeated because the table changed while it ran. */
const DUMP_ATTEMPTS_MAX = 10

/**
 * Sends requests in order and returns one ack for each. The kernel goes on after a refusal, so look
 * at every ack. Throws ExchangeError when the namespace or the socket fails as a whole.
 */
export const request = (netnsFd: number, requests: readonly Request[]): readonly Ack[] => {
  const { replies, sequence } = exchange(netnsFd, requests)
  return acksOf(replies, { sequence, count: requests.length })
}

/** The link with this index or name, or undefined when there is none. */
export const findLink = (
  netnsFd: number,
  by: { readonly index: number } | { readonly name: string },
): Link | undefined => {
  const { replies } = askForLink(netnsFd, by)
  return replies.map(decodeLink).find(isKnown)
}

/** Whether there is a link with this index; the kernel looks at its carrier before it answers. */
export const hasLink = (netnsFd: number, index: number): boolean =>
  askForLink(netnsFd, { index }).ack?.ok === true

const askForLink = (netnsFd: number, by: Parameters<typeof getLink>[0]) => {
  const { replies, sequence } = exchange(netnsFd, [getLink(by)])
  const [ack] = acksOf(replies, { sequence, count: 1 })
  if (ack?.ok === false && ack.code !== 'ENODEV') {
    throw new ExchangeError(ack.errno, `cannot find a link: ${ack.message}`)
  }
  return { replies, ack }
}

export const dumpLinks = (netnsFd: number): readonly Link[] =>
  dump({ netnsFd, request: askLinks(), decode: decodeLink }) ?? []

/** Addresses of both families, or of one link. */
export const dumpAddresses = (netnsFd: number, index = 0): readonly LinkAddress[] =>
  dump({ netnsFd, request: askAddresses(index), decode: decodeAddress }) ?? []

/** Routes of both families, or of one; of every table, or of one. */
export const dumpRoutes = (netnsFd: number, filter: Partial<RouteFilter> = {}): readonly Route[] =>
  families(filter.family).flatMap(family =>
    // A routing table that no route ever used does not exist.
    (
      dump({ netnsFd, request: askRoutes({ ...filter, family }), decode: decodeRoute }) ?? []
    ).filter(route => filter.table === undefined || route.table === filter.table),
  )

/** Rules of both families, or of one; of every protocol, or of one. */
export const dumpRules = (
  netnsFd: number,
  filter: { readonly family?: Family; readonly protocol?: number } = {},
): readonly Rule[] =>
  families(filter.family).flatMap(family =>
    (dump({ netnsFd, request: askRules(family), decode: decodeRule }) ?? []).filter(
      rule => filter.protocol === undefined || rule.protocol === filter.protocol,
    ),
  )

/** Neighbours of both families. */
export const dumpNeighbours = (netnsFd: number): readonly Neighbour[] =>
  dump({ netnsFd, request: askNeighbours(), decode: decodeNeighbour }) ?? []

type Dump<T> = {
  readonly netnsFd: number
  readonly request: Request
  readonly decode: (reply: Reply) => T | undefined
  readonly protocol?: Protocol
}

/**
 * Every entry of a table, asked again when it changed meanwhile; undefined when there is no such
 * table. Throws ExchangeError.
 */
export const dump = <T>({
  netnsFd,
  request: ask,
  decode,
  protocol,
}: Dump<T>): readonly T[] | undefined => {
  for (let attempt = 1; attempt <= DUMP_ATTEMPTS_MAX; attempt++) {
    const { replies, sequence } = exchange(netnsFd, [ask], protocol)
    const [ack] = acksOf(replies, { sequence, count: 1 })
    if (ack?.ok === false && ack.code === 'ENOENT') return undefined
    const isTorn = isInterrupted(replies) || (ack?.ok === false && ack.code === 'EINTR')
    if (isTorn) continue
    if (ack?.ok === false) throw new ExchangeError(ack.errno, `cannot dump: ${ack.message}`)
    return replies.filter(isData).map(decode).filter(isKnown)
  }
  throw new ExchangeError(EINTR, `the table changed during ${DUMP_ATTEMPTS_MAX} dumps in a row`)
}

/** One exchange: the answers and the sequence number of the first request. */
export const exchange = (
  netnsFd: number,
  requests: readonly Request[],
  protocol: Protocol = 0,
): { readonly replies: readonly Reply[]; readonly sequence: number } => {
  const sequence = nextSequence
  nextSequence = (nextSequence + requests.length) >>> 0
  const answer = transact(netnsFd, encodeRequests(requests, sequence), protocol)
  return { replies: decodeReplies(answer), sequence }
}

const EINTR = 4

// Runs on between exchanges, so that a late answer of one never counts for the next.
let nextSequence = 1

const isKnown = <T>(value: T | undefined): value is T => value !== undefined

const families = (only: Family | undefined): readonly Family[] =>
  only === undefined ? [4, 6] : [only]
