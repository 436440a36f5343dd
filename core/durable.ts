// What must outlive the process: the ledger's facts, as differences between two states. The formats
// are types of their own, so that an internal type never becomes a file format by accident.
// restore.ts reads them back.

import type { Cidr, Ip } from './ip.ts'
import type { LedgerChange, NodeFacts } from './ports.ts'
import type { Delegator, Nic, NicIntent, PodIdentity, Sandbox, State, Use } from './state.ts'

export type NodeRecord = NodeFacts

export type NicRecord = {
  readonly mac: string
  readonly slot: number
  readonly pool: string
  readonly subnet: string
  readonly isPrimary: boolean
  readonly isManaged: boolean
  readonly isProtected: boolean
  readonly token: string | null
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
  readonly place: 'created' | 'attached' | 'leaving' | 'detached' | 'lost'
  readonly deviceIndex: number | null
  /** CIDR, time lent, and whether it is held, returning or lost. */
  readonly blocks: readonly (readonly [string, number, 'held' | 'returning' | 'lost'])[]
  /** Those of `blocks` that are never returned. */
  readonly fixed?: readonly string[]
}

export type SandboxRecord = {
  readonly network: string
  readonly containerId: string
  readonly ifName: string
  readonly netns: string
  readonly pod: PodIdentity | null
  readonly pool: string
  /** Absent when the link is ours. */
  readonly delegator?: DelegatorRecord
  readonly nic: string
  readonly slot: number
  /** Address and the block it is from. */
  readonly addresses: readonly (readonly [string, string])[]
  readonly mtu: number
  readonly hostIfindex: number
  readonly createdAt: number
}

/** The bridge or the master, null where there is none. */
export type DelegatorRecord =
  | { readonly kind: 'routed'; readonly bridge: string | null }
  | { readonly kind: 'shared'; readonly master: string | null }

export type CoolingRecord = {
  readonly block: string
  readonly until: number
  readonly link: number | null
}

export type IntentRecord = {
  readonly pool: string
  readonly subnet: string
  readonly securityGroups: readonly string[]
  readonly blocks: readonly BlockRequestRecord[]
}

export type BlockRequestRecord = {
  readonly family: number
  readonly length: number
  readonly count: number
}

/** What to save so that the ledger tells `after` when it told `before`. Empty when nothing does. */
export const changes = (before: State, after: State): readonly LedgerChange[] => {
  const list: LedgerChange[] = []
  if (before.node !== after.node) {
    list.push(
      after.node === undefined
        ? { kind: 'drop', key: 'node' }
        : { kind: 'put', key: 'node', value: after.node satisfies NodeRecord },
    )
  }
  if (before.nics !== after.nics) nicChanges(list, before, after)
  if (before.sandboxes !== after.sandboxes) sandboxChanges(list, before, after)
  if (before.intents !== after.intents) intentChanges(list, before, after)
  return list
}

const nicChanges = (list: LedgerChange[], before: State, after: State): void => {
  for (const nic of after.nics.values()) {
    const known = before.nics.get(nic.id)
    if (nic === known) continue
    if (known === undefined || isNicNews(known, nic)) {
      list.push({ kind: 'put', key: `nic/${nic.id}`, value: nicRecord(nic) })
    }
    useChanges(list, { nic, before: known?.uses ?? new Map(), after: nic.uses })
  }
  for (const nic of before.nics.values()) {
    if (after.nics.has(nic.id)) continue
    list.push({ kind: 'drop', key: `nic/${nic.id}` })
    useChanges(list, { nic, before: nic.uses, after: new Map() })
  }
}

const isNicNews = (before: Nic, after: Nic): boolean =>
  before.blocks !== after.blocks ||
  placeOf(before) !== placeOf(after) ||
  before.isProtected !== after.isProtected ||
  before.gateways !== after.gateways ||
  before.primaryAddresses !== after.primaryAddresses ||
  before.slot !== after.slot

type UseChange = {
  readonly nic: Nic
  readonly before: ReadonlyMap<Ip, Use>
  readonly after: ReadonlyMap<Ip, Use>
}

// With the NIC: an address that was returned by one may rest there and be lent to another.
const coolingKey = (nic: Nic, ip: Ip): string => `cooling/${nic.id}/${ip}`

// Only resting addresses are written: who holds an assigned one stands in the sandbox's record. A
// link that has gone is worth no save: link numbers only rise, and the kernel tells it again.
const useChanges = (list: LedgerChange[], { nic, before, after }: UseChange): void => {
  for (const [ip, use] of after) {
    const known = before.get(ip)
    if (use === known || (known !== undefined && isSameRest(known, use))) continue
    if (use.kind === 'cooling' && !use.isStray) {
      const { block, until, link } = use
      const value: CoolingRecord = { block, until, link: link ?? null }
      list.push({ kind: 'put', key: coolingKey(nic, ip), value })
    } else if (known?.kind === 'cooling') {
      list.push({ kind: 'drop', key: coolingKey(nic, ip) })
    }
  }
  for (const [ip, use] of before) {
    if (use.kind === 'cooling' && !after.has(ip))
      list.push({ kind: 'drop', key: coolingKey(nic, ip) })
  }
}

const isSameRest = (before: Use, after: Use): boolean =>
  before.kind === 'cooling' &&
  after.kind === 'cooling' &&
  before.isStray === after.isStray &&
  before.until === after.until &&
  before.block === after.block &&
  after.link === undefined

// A sandbox that is being unwired is gone for the ledger: its address rests.
const isKept = (sandbox: Sandbox | undefined): boolean =>
  sandbox !== undefined && sandbox.phase.kind !== 'unwiring'

const sandboxChanges = (list: LedgerChange[], before: State, after: State): void => {
  for (const sandbox of after.sandboxes.values()) {
    const known = before.sandboxes.get(sandbox.key)
    if (sandbox === known) continue
    const isNews = known?.createdAt !== sandbox.createdAt || known.addresses !== sandbox.addresses
    if (isKept(sandbox) && (isNews || !isKept(known))) {
      list.push({ kind: 'put', key: `sandbox/${sandbox.key}`, value: sandboxRecord(sandbox) })
    } else if (!isKept(sandbox) && isKept(known)) {
      list.push({ kind: 'drop', key: `sandbox/${sandbox.key}` })
    }
  }
  for (const sandbox of before.sandboxes.values()) {
    if (after.sandboxes.has(sandbox.key) || !isKept(sandbox)) continue
    list.push({ kind: 'drop', key: `sandbox/${sandbox.key}` })
  }
}

const intentChanges = (list: LedgerChange[], before: State, after: State): void => {
  for (const intent of after.intents.values()) {
    if (before.intents.has(intent.token)) continue
    list.push({ kind: 'put', key: `intent/${intent.token}`, value: intentRecord(intent) })
  }
  for (const known of before.intents.keys()) {
    if (!after.intents.has(known)) list.push({ kind: 'drop', key: `intent/${known}` })
  }
}

const placeOf = (nic: Nic): NicRecord['place'] => {
  switch (nic.phase.kind) {
    case 'created':
      return 'created'
    case 'attaching':
    case 'wiring':
    case 'ready':
      return 'attached'
    case 'leaving':
      return nic.phase.isDetached ? 'detached' : 'leaving'
    case 'lost':
      return 'lost'
  }
}

const nicRecord = (nic: Nic): NicRecord => ({
  mac: nic.mac,
  slot: nic.slot,
  pool: nic.pool,
  subnet: nic.subnet,
  isPrimary: nic.isPrimary,
  isManaged: nic.isManaged,
  isProtected: nic.isProtected,
  token: nic.token ?? null,
  addresses: nic.primaryAddresses,
  gateways: nic.gateways,
  place: placeOf(nic),
  deviceIndex: ('deviceIndex' in nic.phase ? nic.phase.deviceIndex : undefined) ?? null,
  blocks: [...nic.blocks.values()].map(({ cidr, lentAt, phase }): NicRecord['blocks'][number] => [
    cidr satisfies Cidr,
    lentAt,
    phase.kind,
  ]),
  fixed: [...nic.blocks.values()].flatMap(({ cidr, isFixed }) => (isFixed ? [cidr] : [])),
})

const sandboxRecord = (sandbox: Sandbox): SandboxRecord => ({
  network: sandbox.network,
  containerId: sandbox.containerId,
  ifName: sandbox.ifName,
  netns: sandbox.netns,
  pod: sandbox.pod ?? null,
  pool: sandbox.pool,
  ...(sandbox.delegator === undefined ? {} : { delegator: delegatorRecord(sandbox.delegator) }),
  nic: sandbox.nic,
  slot: sandbox.slot,
  addresses: sandbox.addresses.map(({ ip, block }) => [ip, block] as const),
  mtu: sandbox.mtu,
  hostIfindex: sandbox.hostIfindex,
  createdAt: sandbox.createdAt,
})

const delegatorRecord = (delegator: Delegator): DelegatorRecord =>
  delegator.kind === 'routed'
    ? { kind: 'routed', bridge: delegator.bridge ?? null }
    : { kind: 'shared', master: delegator.master ?? null }

const intentRecord = (intent: NicIntent): IntentRecord => ({
  pool: intent.pool,
  subnet: intent.subnet,
  securityGroups: intent.securityGroups,
  blocks: intent.blocks,
})
