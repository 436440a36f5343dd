// From the ledger's facts back to a state. A fact that cannot be read is reported and left out; the
// kernel and the cloud then tell what is true. Nothing here is believed longer than that.

import type {
  BlockRequestRecord,
  CoolingRecord,
  DelegatorRecord,
  IntentRecord,
  NicRecord,
  NodeRecord,
  SandboxRecord,
} from './durable.ts'
import { initialState } from './initial.ts'
import { type Cidr, type Ip, parseCidr, parseIp } from './ip.ts'
import {
  after,
  type Millis,
  millis,
  nicId,
  parseMac,
  poolName,
  sandboxKey,
  securityGroupId,
  subnetId,
  token,
} from './names.ts'
import { firstIfindex } from './desired.ts'
import type { BlockRequest } from './ports.ts'
import type {
  Block,
  CoreConfig,
  Delegator,
  Nic,
  NicIntent,
  NicPhase,
  Sandbox,
  State,
  Use,
} from './state.ts'

export type Restored = {
  readonly state: State
  /** One sentence per fact that could not be used. */
  readonly problems: readonly string[]
}

type Context = {
  readonly config: CoreConfig
  readonly epoch: string
  readonly at: Millis
}

export const restore = (
  options: Context & { readonly entries: ReadonlyMap<string, unknown> },
): Restored => {
  const problems: string[] = []
  let state = initialState(options)
  // NICs first: the others refer to them.
  for (const kind of ['node', 'nic', 'intent', 'sandbox', 'cooling'] as const) {
    for (const [key, value] of options.entries) {
      if (key.split('/', 1)[0] !== kind) continue
      const next = readers[kind](state, { key: key.slice(kind.length + 1), value, at: options.at })
      if (next === undefined) {
        problems.push(
          `the ledger's fact "${key}" cannot be read; it is left out, the cloud is asked`,
        )
      } else state = next
    }
  }
  return { state: { ...state, serial: lastSerial(state) }, problems }
}

type Fact = { readonly key: string; readonly value: unknown; readonly at: Millis }
type Reader = (state: State, fact: Fact) => State | undefined

// A reader that meets a value of another shape throws a TypeError somewhere inside.
const guarded =
  (reader: Reader): Reader =>
  (state, fact) => {
    try {
      return reader(state, fact)
    } catch {
      return undefined
    }
  }

const readNode: Reader = (state, { value }) => {
  const node = value as NodeRecord
  if (typeof node.instanceId !== 'string' || node.subnets.length === 0) return undefined
  if (typeof node.limits.blocksPerNicMax[4] !== 'number') return undefined
  // A ledger of an older release says nothing of what it did not know.
  const known: Partial<NodeRecord['limits']> = node.limits
  const limits = { ...node.limits, hotPlug: known.hotPlug ?? true }
  return { ...state, node: { ...node, limits } }
}

const readNic: Reader = (state, { key, value, at }) => {
  const record = value as NicRecord
  const mac = parseMac(record.mac)
  const blocks = record.blocks.map(entry =>
    readBlock(entry, { at, settleMs: state.config.settleMs, fixed: record.fixed ?? [] }),
  )
  if (mac === undefined || !Number.isInteger(record.slot)) return undefined
  const nic: Nic = {
    id: nicId(key),
    mac,
    slot: readNumber(record.slot),
    pool: poolName(readText(record.pool)),
    subnet: subnetId(readText(record.subnet)),
    isPrimary: readFlag(record.isPrimary),
    isManaged: readFlag(record.isManaged),
    isProtected: readFlag(record.isProtected),
    token: record.token === null ? undefined : token(readText(record.token)),
    primaryAddresses: record.addresses.map(readIp),
    gateways: record.gateways.map(readIp),
    phase: readPhase(record, at),
    device: undefined,
    blocks: new Map(blocks.map(block => [block.cidr, block])),
    uses: new Map(),
    retryAt: millis(0),
    attempts: 0,
    unsureSince: undefined,
    missingSince: undefined,
  }
  return { ...state, nics: new Map(state.nics).set(nic.id, nic) }
}

const readPhase = ({ place, deviceIndex }: NicRecord, at: Millis): NicPhase => {
  switch (place) {
    case 'created':
      return { kind: 'created', since: at }
    case 'attached':
      return { kind: 'attaching', since: at, deviceIndex: readNumber(deviceIndex ?? 0) }
    case 'leaving':
    case 'detached':
      return {
        kind: 'leaving',
        isDetached: place === 'detached',
        deviceIndex: deviceIndex ?? undefined,
        since: at,
      }
    case 'lost':
      return { kind: 'lost', since: at }
  }
  throw new TypeError('an unknown place')
}

type BlockContext = {
  readonly at: Millis
  readonly settleMs: number
  readonly fixed: readonly string[]
}

const readBlock = (
  [text, lent, kind]: NicRecord['blocks'][number],
  { at, settleMs, fixed }: BlockContext,
): Block => {
  // A clock that was set back must not make a block settle for years.
  const lentAt = millis(Math.min(readNumber(lent), at))
  const phases: { readonly [Kind in Block['phase']['kind']]: Block['phase'] } = {
    held: { kind: 'held', settledAt: after(lentAt, settleMs) },
    lost: { kind: 'lost', since: at },
    // The call may have been on its way when the process ended.
    returning: { kind: 'returning', isDoubtful: true },
  }
  const phase: Block['phase'] | undefined = phases[kind]
  if (phase === undefined) throw new TypeError('an unknown state')
  const isFixed = fixed.includes(text)
  return { cidr: readCidr(text), lentAt, isFixed, phase, missingSince: undefined }
}

const readSandbox: Reader = (state, { value }) => {
  const record = value as SandboxRecord
  const nic = state.nics.get(nicId(record.nic))
  if (nic === undefined || !Number.isInteger(record.hostIfindex)) return undefined
  const sandbox: Sandbox = {
    key: sandboxKey(record.containerId, record.ifName),
    network: readText(record.network),
    containerId: readText(record.containerId),
    ifName: readText(record.ifName),
    netns: readText(record.netns),
    pod: record.pod ?? undefined,
    pool: poolName(readText(record.pool)),
    delegator: readDelegator(record.delegator),
    nic: nic.id,
    slot: readNumber(record.slot),
    addresses: record.addresses.map(([ip, block]) => ({ ip: readIp(ip), block: readCidr(block) })),
    mtu: readNumber(record.mtu),
    hostIfindex: readNumber(record.hostIfindex),
    createdAt: millis(readNumber(record.createdAt)),
    // Perhaps it was never answered: the runtime then sends a DEL, or its namespace is gone.
    phase: { kind: 'wired' },
  }
  const uses = new Map(nic.uses)
  for (const { ip, block } of sandbox.addresses) {
    uses.set(ip, { kind: 'assigned', sandbox: sandbox.key, block })
  }
  return {
    ...state,
    nics: new Map(state.nics).set(nic.id, { ...nic, uses }),
    sandboxes: new Map(state.sandboxes).set(sandbox.key, sandbox),
  }
}

const readDelegator = (record: DelegatorRecord | undefined): Delegator | undefined => {
  switch (record?.kind) {
    case undefined:
      return undefined
    case 'routed':
      return {
        kind: 'routed',
        bridge: record.bridge === null ? undefined : readText(record.bridge),
      }
    case 'shared':
      return {
        kind: 'shared',
        master: record.master === null ? undefined : readText(record.master),
      }
  }
  throw new TypeError('an unknown delegator')
}

const readCooling: Reader = (state, { key, value, at }) => {
  const record = value as CoolingRecord
  // An id may have slashes of its own (Azure's have), an address has none.
  const cut = key.lastIndexOf('/')
  const ip = key.slice(cut + 1)
  const nic = state.nics.get(nicId(key.slice(0, cut)))
  if (nic === undefined) return undefined
  // A clock that was set back must not make an address rest for years.
  const until = millis(Math.min(readNumber(record.until), after(at, state.config.coolingMs)))
  const use: Use = {
    kind: 'cooling',
    until,
    link: record.link === null ? undefined : readNumber(record.link),
    isStray: false,
    block: readCidr(record.block),
  }
  const uses = new Map(nic.uses).set(readIp(ip), use)
  return { ...state, nics: new Map(state.nics).set(nic.id, { ...nic, uses }) }
}

const readIntent: Reader = (state, { key, value, at }) => {
  const record = value as IntentRecord
  const intent: NicIntent = {
    token: token(key),
    pool: poolName(record.pool),
    subnet: subnetId(record.subnet),
    securityGroups: record.securityGroups.map(securityGroupId),
    // An older release asked for blocks of one family only, and wrote no list.
    blocks: [record.blocks].flat().map(readRequest),
    // The call may have been on its way when the process ended.
    unsureSince: at,
  }
  return { ...state, intents: new Map(state.intents).set(intent.token, intent) }
}

const readRequest = ({ family, length, count }: BlockRequestRecord): BlockRequest => {
  if ((family !== 4 && family !== 6) || !Number.isInteger(length + count)) {
    throw new TypeError('not a request for blocks')
  }
  return { family, length, count }
}

const readers = {
  node: guarded(readNode),
  nic: guarded(readNic),
  intent: guarded(readIntent),
  sandbox: guarded(readSandbox),
  cooling: guarded(readCooling),
} as const

// A word or number of another kind makes the whole fact unreadable.
const readNumber = (value: unknown): number => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError('not a number')
  return value
}

const readText = (value: unknown): string => {
  if (typeof value !== 'string') throw new TypeError('not a text')
  return value
}

const readFlag = (value: unknown): boolean => {
  if (typeof value !== 'boolean') throw new TypeError('neither true nor false')
  return value
}

const readIp = (text: string): Ip => {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new TypeError(`"${text}" is not an address`)
  return parsed
}

const readCidr = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (parsed === undefined) throw new TypeError(`"${text}" is not a prefix`)
  return parsed
}

// Pod links are numbered by the serial, so the highest one in use tells where to go on.
const lastSerial = (state: State): number => {
  let last = 0
  for (const { hostIfindex } of state.sandboxes.values()) last = Math.max(last, hostIfindex)
  for (const nic of state.nics.values()) {
    for (const use of nic.uses.values()) {
      if (use.kind === 'cooling') last = Math.max(last, use.link ?? 0)
    }
  }
  return Math.max(0, last - firstIfindex)
}
