// What a daemon tells its provider, in the same words for every cloud.

import type { SecurityGroupId, SubnetId } from '#core/names.ts'
import type { Cloud } from '#core/ports.ts'

/** How the subnets of new NICs are chosen, among those in the instance's network and zone. */
export type SubnetSelection =
  /** That of the primary NIC, and those tagged `kubernetes.io/role/cni`. */
  | { readonly kind: 'default' }
  /** Exactly these, in order of preference. */
  | { readonly kind: 'ids'; readonly ids: readonly SubnetId[] }
  /** Those that carry every one of these tags; an empty value stands for any. */
  | { readonly kind: 'tags'; readonly tags: Readonly<Record<string, string>> }

/** Told of every call on the wire: its name, and `ok` or the error's code. */
export type CallListener = (name: string, result: string) => void

export type CloudOptions = {
  /** Kubernetes node name, or any name of the instance. */
  readonly node: string
  /** Value of the tag `eniway.io/cluster`; undefined sets none. */
  readonly cluster: string | undefined
  /** Further tags on NICs that are created. */
  readonly tags: Readonly<Record<string, string>>
  readonly subnets: SubnetSelection
  /** For NICs of the default pool; empty takes those of the primary NIC. */
  readonly securityGroups: readonly SecurityGroupId[]
  /** Counts calls on the wire, by name and result; undefined counts none. */
  readonly onCall?: CallListener
}

export interface ProviderCloud extends Cloud {
  /** Closes idle connections; calls under way are ended by their signals. */
  close(): void
}

/** Tags (where a cloud has them) by which NICs are known again. */
export const tagNames = {
  /** The instance a NIC was created for. */
  instance: 'eniway.io/node-instance',
  token: 'eniway.io/token',
  cluster: 'eniway.io/cluster',
  /** Put on a NIC by its owner: leave it alone. */
  unmanaged: 'eniway.io/unmanaged',
  /** Put on a NIC by its owner, where only the owner can attach NICs: pods may use it. */
  pods: 'eniway.io/pods',
} as const
