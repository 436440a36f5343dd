// What is asked about a machine type, and what is answered.

import type { CloudName, Figures } from './figures.ts'

export type FamilyName = 'ipv4' | 'ipv6'

/** What is kept spare, and in what words it was asked for. */
export type Reserve = { readonly addresses: number; readonly because: string }

/** What is asked; every value is checked. */
export type Question = {
  readonly cloud: CloudName
  readonly figures: Figures
  readonly blockSize: 32 | 28 | 'auto'
  /** IPv4 first; never empty. */
  readonly families: readonly FamilyName[]
  readonly reserve: Reserve
  /** Pods that take no address. */
  readonly hostNetwork: number
  /** Undefined: as many as the type allows. */
  readonly nicsMax: number | undefined
}

/** Printed with `--output json`, key by key as documented. */
export type Answer = {
  readonly cloud: CloudName
  readonly instanceType: string
  /** What kubelet's `maxPods` should be: pods with an address, and those on the host network. */
  readonly maxPods: number
  /** NICs that are used, the primary included. */
  readonly interfaces: number
  /** Addresses or blocks of one NIC, its own address included. */
  readonly addressesPerInterface: number
  /** Length of the IPv4 blocks that are counted; 32 where the machine takes no prefixes. */
  readonly blockSize: 32 | 28
  readonly families: readonly FamilyName[]
  readonly reserve: number
  readonly hostNetwork: number
  /** What the cloud's own software publishes for single addresses; null where it does not. */
  readonly published: number | null
  /** What a cloud's operators recommend when addresses are not what limits; null: nothing. */
  readonly recommended: number | null
  readonly arithmetic: readonly string[]
  readonly notes: readonly string[]
  readonly source: string
}
