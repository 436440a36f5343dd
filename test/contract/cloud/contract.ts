// What every Cloud promises, whatever is behind it: one suite, run on each provider over the wire
// and on the simulation's cloud in memory. It judges by what the cloud shows afterwards.

import { afterEach, beforeEach, describe } from 'vitest'
import type { InstanceId, SubnetId } from '#core/names.ts'
import type { Cloud, CloudNic } from '#core/ports.ts'
import { blockContract } from './contract-blocks.ts'
import { failureContract } from './contract-failures.ts'
import { bornNicContract, nicContract } from './contract-nics.ts'
import { nodeContract } from './contract-node.ts'
import { createSteps } from './steps.ts'

/** What can be made to go wrong with the next call of that method. */
export type Trouble =
  | 'throttled'
  | 'denied'
  | 'unavailable'
  /** The answer comes a moment later than usual. */
  | 'slow'
  /** The work is done and the answer never arrives. */
  | 'lostReply'
  /** The connection breaks before anything is done. */
  | 'reset'
  /** Never answered. */
  | 'hang'
  /** A proxy's page instead of an answer. */
  | 'html'
  /** The work is done and the answer is cut off. */
  | 'malformed'
  | 'exhausted'
  | 'fragmented'
  /** Two blocks are granted, however many are asked for. */
  | 'partial'

export type Method = Exclude<keyof Cloud, 'describeNode'>

/** What the suite must know before it begins. */
export type CloudTraits = {
  /**
   * False where NICs are attached to stopped instances only; then each instance has, from its
   * birth, a secondary NIC that pods may use.
   */
  readonly hotPlug: boolean
}

/** A cloud with one dual-stack network: two instances of a small type, in one zone. */
export interface CloudUnderTest {
  readonly cloud: Cloud
  readonly instance: InstanceId
  /** The same cloud as seen by a second instance. */
  readonly neighbour: Cloud
  /** In the instance's zone, with room for 110 NICs and more. */
  readonly subnet: SubnetId
  /** Lengths of the blocks it lends beside single addresses: 28 on AWS. */
  readonly prefixLength: number
  /** Lists with more NICs than this need a second page. */
  readonly pageSize: number
  /** The next call, on the wire, of this method meets this trouble. */
  trouble(method: Method, trouble: Trouble): void
  /** Puts so many NICs of somebody else where ours are listed. */
  crowd(count: number): Promise<void>
  /** Marks the NIC as somebody else's. */
  disown(nic: CloudNic): Promise<void>
  /**
   * The real state, without lag: blocks of both families lent to the NIC, beside what it was born
   * with; undefined when there is no such NIC.
   */
  heldBlocks(nic: string): number | undefined
  close(): Promise<void>
}

/** Runs the whole suite on one implementation. */
export const cloudContract = (
  name: string,
  makeCloud: () => Promise<CloudUnderTest>,
  traits: CloudTraits = { hotPlug: true },
): void =>
  void describe(`cloud contract: ${name}`, () => {
    let under: CloudUnderTest
    beforeEach(async () => void (under = await makeCloud()))
    afterEach(() => under.close())

    const steps = createSteps(() => under, traits)
    nodeContract(steps)
    if (traits.hotPlug) nicContract(steps)
    else bornNicContract(steps)
    blockContract(steps)
    failureContract(steps)
  })
