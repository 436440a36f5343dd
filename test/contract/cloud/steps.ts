// What the contract's cases have in common: asking for NICs and blocks, waiting until a description
// shows what is true, and reading outcomes.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { type NicId, nicId, token } from '#core/names.ts'
import type {
  BlockRequest,
  CloudNic,
  CloudObservation,
  Failure,
  FailureKind,
  Outcome,
} from '#core/ports.ts'
import type { CloudTraits, CloudUnderTest } from './contract.ts'

/** A signal that is never aborted. */
export const never = new AbortController().signal

export const none: BlockRequest = { family: 4, length: 32, count: 0 }
export const addresses = (count: number): BlockRequest => ({ family: 4, length: 32, count })
export const addresses6 = (count: number): BlockRequest => ({ family: 6, length: 128, count })

export interface Steps {
  readonly traits: CloudTraits
  readonly under: CloudUnderTest
  prefixes(count: number): BlockRequest
  /** A NIC, not attached. */
  create(blocks?: BlockRequest | readonly BlockRequest[], name?: string): Promise<Outcome<CloudNic>>
  /** A NIC of ours beside the primary one, attached, with these blocks. */
  attached(blocks?: BlockRequest, deviceIndex?: number): Promise<CloudNic>
  lend(
    nic: CloudNic,
    blocks: BlockRequest,
    signal?: AbortSignal,
  ): Promise<Outcome<CloudNic['blocks']>>
  giveBack(nic: CloudNic, blocks: CloudNic['blocks']): Promise<Outcome<CloudNic['blocks']>>
  observed(): Promise<CloudObservation>
  /** The NIC as observed, once the observation satisfies the condition: describes may lag. */
  seen(nic: CloudNic, isReached: (nic: CloudNic) => boolean): Promise<CloudNic>
  /** The NIC once it shows so many lent blocks. */
  seenWith(nic: CloudNic, count: number): Promise<CloudNic>
  /** The id of a NIC that is no more. */
  goneNic(): Promise<CloudNic>
}

/** Blocks beside those the NIC was born with. */
export const lentOf = ({ blocks, fixedBlocks }: CloudNic): CloudNic['blocks'] =>
  blocks.filter(block => !fixedBlocks.includes(block))

export const createSteps = (current: () => CloudUnderTest, traits: CloudTraits): Steps => {
  let made = 0
  const steps: Steps = {
    traits,
    get under() {
      return current()
    },
    prefixes: count => ({ family: 4, length: current().prefixLength, count }),
    create: (blocks = none, name = `token-${++made}`) => {
      const { cloud, subnet } = current()
      const request = { token: token(name), subnet, securityGroups: [], blocks: [blocks].flat() }
      return cloud.createNic(request, never)
    },
    attached: (blocks = none, deviceIndex = 1) =>
      traits.hotPlug ? attachNew(steps, { blocks, deviceIndex }) : lendToBorn(steps, blocks),
    lend: (nic, blocks, signal = never) =>
      current().cloud.lendBlocks({ nic: nic.id, blocks }, signal),
    giveBack: (nic, blocks) => current().cloud.returnBlocks({ nic: nic.id, blocks }, never),
    observed: async () => value(await current().cloud.observe(never)),
    seen: async (nic, isReached) => {
      for (let looks = 0; looks < 600; looks++) {
        const found = (await steps.observed()).nics.find(({ id }) => id === nic.id)
        if (found !== undefined && isReached(found)) return found
        await sleep(50)
      }
      throw new Error(`${nic.id} is not observed as expected`)
    },
    seenWith: (nic, count) => steps.seen(nic, found => lentOf(found).length === count),
    goneNic: async () => {
      if (!traits.hotPlug) {
        const nic = await steps.attached()
        return { ...nic, id: goneId(nic.id) }
      }
      const nic = await steps.seen(value(await steps.create(addresses(1))), () => true)
      value(await current().cloud.deleteNic(nic.id, never))
      return nic
    },
  }
  return steps
}

const goneId = (id: NicId): NicId => nicId(`${id}-gone`)

const attachNew = async (
  steps: Steps,
  { blocks, deviceIndex }: { readonly blocks: BlockRequest; readonly deviceIndex: number },
): Promise<CloudNic> => {
  const nic = value(await steps.create(blocks))
  return value(await steps.under.cloud.attachNic({ nic: nic.id, deviceIndex }, never))
}

const lendToBorn = async (steps: Steps, blocks: BlockRequest): Promise<CloudNic> => {
  const nic = (await steps.observed()).nics.find(({ isPrimary }) => !isPrimary)
  if (nic === undefined) throw new Error('the instance has no secondary NIC')
  const lent = value(await steps.lend(nic, blocks))
  return { ...nic, blocks: [...nic.blocks, ...lent] }
}

/** The value of a success; anything else fails the test with the sentence for the user. */
export const value = <Value>(outcome: Outcome<Value>): Value => {
  if (outcome.kind === 'failed') throw new Error(outcome.failure.message)
  return outcome.value
}

export const expectFailure = (
  outcome: Outcome<unknown>,
  kind: FailureKind,
  ambiguous?: boolean,
): Failure => {
  if (outcome.kind === 'ok') throw new Error(`succeeded with ${JSON.stringify(outcome.value)}`)
  expect(outcome.failure.kind, outcome.failure.message).toBe(kind)
  if (ambiguous !== undefined) expect(outcome.failure.ambiguous).toBe(ambiguous)
  return outcome.failure
}
