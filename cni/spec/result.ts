// What an ADD achieved, in one shape that can express every version of the specification. The
// shapes of the single versions exist only in encode.ts and decode.ts.

import type { Cidr, Ip } from '#core/ip.ts'

/** Resolver settings; empty lists and an empty domain mean "says nothing". */
export type Dns = {
  readonly nameservers: readonly string[]
  readonly domain: string
  readonly search: readonly string[]
  readonly options: readonly string[]
}

/** An interface the attachment made. The host side has no sandbox. */
export type ResultInterface = {
  readonly name: string
  /** Colon-separated lower-case hex; empty for an interface without one. */
  readonly mac: string
  /** Bytes. */
  readonly mtu?: number
  /** The CNI_NETNS string exactly as it was given; absent on the host side. */
  readonly sandbox?: string
  readonly socketPath?: string
  readonly pciId?: string
}

/** An address of the attachment; the address keeps its host bits. */
export type ResultIp = {
  readonly address: Ip
  readonly prefixLength: number
  readonly gateway?: Ip
  /** Index into `interfaces`; absent when the address belongs to none of them. */
  readonly interface?: number
}

/** A route inside the pod. Everything after `gateway` exists from 1.1.0 on only. */
export type ResultRoute = {
  readonly destination: Cidr
  readonly gateway?: Ip
  readonly mtu?: number
  readonly advmss?: number
  /** Lower wins. */
  readonly priority?: number
  readonly table?: number
  /** 0 global, 253 link, 254 host. */
  readonly scope?: number
}

/** The whole result of an ADD, host side included. */
export type Result = {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
  readonly dns: Dns
}

/** Resolver settings that say nothing. */
export const noDns: Dns = { nameservers: [], domain: '', search: [], options: [] }

/** True when there is nothing to print. */
export const isEmptyDns = (dns: Dns): boolean =>
  dns.domain === '' && dns.nameservers.length + dns.search.length + dns.options.length === 0
