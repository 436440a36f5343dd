// Lending and returning blocks: our ipConfigurations added to and taken from a NIC's list. They
// carry names of ours, so that a look at the NIC tells what became of a write, and so that nobody
// else's are ever touched.

import { type Cidr, type Family, bitsOf } from '#core/ip.ts'
import type { NicId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import { CallFailed } from '../common/calls.ts'
import { canonical } from '../common/shapes.ts'
import { type Patience, staleCode } from '../common/retry.ts'
import { patiently } from './calls.ts'
import type { Arm } from './client.ts'
import { kindByCode } from './codes.ts'
import { type Document, isUniformNic, readNic } from './documents.ts'
import { ownFailure } from './failures.ts'
import { type Known, type RawConfig, type RawNic, configsOf, isOurs } from './shapes.ts'
import { blockOf, nameOf, ownBlocks, primaryConfigOf, serialOf, stateOf } from './shapes.ts'
import { type Change, type Writer, siteOf } from './writer.ts'

/** What lending and returning work with. */
export type BlockParts = {
  readonly arm: Arm
  readonly writer: Writer
  /** Shared with observing: what is new must succeed before it counts. */
  readonly known: Map<NicId, Known>
}

type LendRequest = { readonly nic: NicId; readonly blocks: BlockRequest }

/**
 * Only what this call added and Azure made good, in canonical order. Azure adds all or nothing: of
 * what does not fit, half is asked for, and half of that, so that the last addresses of a subnet or
 * machine are lent too.
 */
export const lendBlocks = async (
  parts: BlockParts,
  request: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { nic, blocks } = request
  if (blocks.count === 0) return []
  if (isUniformNic(nic) && isPrefix(blocks)) throw noPrefixes(nic)
  try {
    return await lendAll(parts, request, signal)
  } catch (error) {
    if (!isTooMany(error) || blocks.count === 1) throw error
    const fewer = { ...blocks, count: Math.floor(blocks.count / 2) }
    return lendBlocks(parts, { nic, blocks: fewer }, signal)
  }
}

// By the code: a failure about prefixes has another kind.
const isTooMany = (error: unknown): boolean =>
  error instanceof CallFailed &&
  (error.failure.kind === 'limit' || kindByCode.get(error.failure.code) === 'exhausted')

const lendAll = async (
  parts: BlockParts,
  request: LendRequest,
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  const { nic, blocks } = request
  const names: string[] = []
  const change = adding(parts, { ...request, names })
  const written = await explaining(nic, blocks, () =>
    parts.writer.write(parts.arm, { nic, change }, signal),
  )
  const after = await settled(parts.arm, { nic, names, seen: written.nic }, signal)
  const lent = ownBlocks(after, new Set())
  const got = names.flatMap(name => lent.get(name) ?? [])
  parts.known.set(nic, new Set([...(parts.known.get(nic) ?? []), ...lent.keys()]))
  await discard(parts, { nic, after, names: names.filter(name => !lent.has(name)) }, signal)
  if (got.length > 0 || written.failure === undefined) return granted(got, request)
  throw explained(nic, blocks, certain(written.failure))
}

const isPrefix = ({ family, length }: BlockRequest): boolean => length !== bitsOf(family)

const versionOf = (family: Family): string => (family === 4 ? 'IPv4' : 'IPv6')

type Lending = {
  readonly nic: NicId
  readonly blocks: BlockRequest
  /** Filled with the names of the last attempt. */
  readonly names: string[]
}

const adding =
  ({ known }: BlockParts, { nic, blocks, names }: Lending): Change =>
  (configs, document) => {
    if (!known.has(nic)) known.set(nic, new Set(ownBlocks(document.nic, undefined).keys()))
    // Unique because the write holds only for the list that was read.
    const highest = Math.max(0, ...configs.map(serialOf))
    const chosen = Array.from({ length: blocks.count }, (_, i) => nameOf(highest + 1 + i))
    names.splice(0, names.length, ...chosen)
    return [...configs, ...chosen.map(name => newConfig(name, blocks, document))]
  }

// All configurations of a NIC must share subnet and application security groups (Azure's own rule).
const newConfig = (name: string, blocks: BlockRequest, document: Document): RawConfig => {
  const like = primaryConfigOf(document.nic).properties
  const groups = like?.applicationSecurityGroups ?? []
  return {
    name,
    properties: {
      primary: false,
      privateIPAddressVersion: versionOf(blocks.family),
      ...(document.isComplete ? { privateIPAllocationMethod: 'Dynamic' } : {}),
      ...(isPrefix(blocks) ? { privateIPAddressPrefixLength: blocks.length } : {}),
      ...(like?.subnet?.id === undefined ? {} : { subnet: { id: like.subnet.id } }),
      ...(groups.length === 0
        ? {}
        : {
            applicationSecurityGroups: groups.map(({ id }) => (id === undefined ? {} : { id })),
          }),
    },
  }
}

const noPrefixes = (nic: NicId): CallFailed => {
  const text = 'NICs of a uniform scale set take single addresses only'
  const what = { kind: 'fragmented', code: 'PrefixesUnsupported', text } as const
  return new CallFailed(ownFailure(siteOf(nic), what))
}

const settlingPatience: Patience = {
  isWorthwhile: failure => failure.code === staleCode,
  retries: 20,
  firstMs: 100,
  longestMs: 1000,
}

// A write may end while single configurations are still under way.
const settled = async (
  arm: Arm,
  given: { readonly nic: NicId; readonly names: readonly string[]; readonly seen: RawNic },
  signal: AbortSignal,
): Promise<RawNic> => {
  let { seen } = given
  const isUnderWay = (config: RawConfig): boolean =>
    given.names.includes(config.name ?? '') && !['Succeeded', 'Failed'].includes(stateOf(config))
  const site = siteOf(given.nic)
  try {
    return await patiently({ site, patience: settlingPatience }, signal, async () => {
      if (!configsOf(seen).some(isUnderWay)) return seen
      seen = await readNic(arm, given.nic, signal)
      if (!configsOf(seen).some(isUnderWay)) return seen
      const text = 'configurations are still under way'
      throw new CallFailed(ownFailure(site, { kind: 'transient', code: staleCode, text }))
    })
  } catch (error) {
    if (error instanceof CallFailed) return seen
    throw error
  }
}

// What did not succeed is taken away again. If that fails too it stays: it is never counted, and
// goes when blocks are next returned.
const discard = async (
  { arm, writer }: BlockParts,
  given: { readonly nic: NicId; readonly after: RawNic; readonly names: readonly string[] },
  signal: AbortSignal,
): Promise<void> => {
  const left = configsOf(given.after).filter(({ name }) => given.names.includes(name ?? ''))
  if (left.length === 0) return
  const change: Change = configs => without(configs, given.names)
  await writer.write(arm, { nic: given.nic, change }, signal).catch((error: unknown) => {
    if (!(error instanceof CallFailed)) throw error
  })
}

const without = (configs: readonly RawConfig[], names: readonly string[]): readonly RawConfig[] => {
  const kept = configs.filter(config => !isOurs(config) || !names.includes(config.name ?? ''))
  return kept.length === configs.length ? configs : kept
}

// A write that ended well and gave nothing at all: its configurations failed one by one.
const granted = (
  got: readonly Cidr[],
  { nic, blocks }: { readonly nic: NicId; readonly blocks: BlockRequest },
): readonly Cidr[] => {
  if (got.length > 0) return canonical(got)
  const text = `none of ${blocks.count} configurations succeeded`
  const what = { kind: 'transient', code: 'ConfigurationsFailed', text } as const
  throw new CallFailed({ ...ownFailure(siteOf(nic), what), ambiguous: false })
}

const explaining = async <Value>(
  nic: NicId,
  blocks: BlockRequest,
  work: () => Promise<Value>,
): Promise<Value> => {
  try {
    return await work()
  } catch (error) {
    throw error instanceof CallFailed ? explained(nic, blocks, error) : error
  }
}

// Azure has one code for a subnet without addresses and one without an aligned prefix, and may not
// lend prefixes to this subscription at all. Single addresses may be had in each case.
const explained = (nic: NicId, blocks: BlockRequest, error: CallFailed): CallFailed => {
  const { kind, code } = error.failure
  const isAboutPrefix = kind === 'exhausted' || code === 'SubscriptionNotRegisteredForFeature'
  if (!isPrefix(blocks) || !isAboutPrefix) return error
  const text = error.cause instanceof Error ? error.cause.message : ''
  return new CallFailed(ownFailure(siteOf(nic), { kind: 'fragmented', code, text }), error.cause)
}

// The NIC has been looked at since.
const certain = (error: CallFailed): CallFailed =>
  new CallFailed({ ...error.failure, ambiguous: false }, error.cause)

/** The blocks that are no longer on the NIC; fails only when none could be returned. */
export const returnBlocks = async (
  { arm, writer }: Pick<BlockParts, 'arm' | 'writer'>,
  { nic, blocks }: { readonly nic: NicId; readonly blocks: readonly Cidr[] },
  signal: AbortSignal,
): Promise<readonly Cidr[]> => {
  if (blocks.length === 0) return []
  try {
    const change = returning(blocks)
    const written = await writer.write(arm, { nic, change }, signal)
    const held = new Set(configsOf(written.nic).map(blockOf))
    const gone = blocks.filter(block => !held.has(block))
    if (gone.length === 0 && written.failure !== undefined) throw certain(written.failure)
    return canonical(gone)
  } catch (error) {
    // A NIC that is gone holds nothing.
    if (error instanceof CallFailed && error.failure.kind === 'notFound') return canonical(blocks)
    throw error
  }
}

// Names come from the NIC, which knows the addresses; the list that is written may not show them.
// What failed and holds nothing goes along.
const returning =
  (blocks: readonly Cidr[]): Change =>
  (configs, { nic }) => {
    const wanted = new Set(blocks)
    const isLeaving = (config: RawConfig): boolean => {
      const block = blockOf(config)
      return block === undefined ? stateOf(config) === 'Failed' : wanted.has(block)
    }
    const leaving = configsOf(nic).filter(config => isOurs(config) && isLeaving(config))
    return without(
      configs,
      leaving.map(({ name }) => name ?? ''),
    )
  }
