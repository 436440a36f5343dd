// The contract's cases about calls that fail: which kind each trouble is, whether it may have taken
// effect, and what an abort does.

import { describe, expect, test } from 'vitest'
import type { CloudNic, FailureKind, Outcome } from '#core/ports.ts'
import type { Method, Trouble } from './contract.ts'
import { type Steps, addresses, expectFailure, lentOf, never, value } from './steps.ts'

type Row = readonly [Method, Trouble, FailureKind, boolean]

const always: readonly Row[] = [
  ['lendBlocks', 'throttled', 'throttled', false],
  ['lendBlocks', 'denied', 'denied', false],
  ['lendBlocks', 'exhausted', 'exhausted', false],
  ['lendBlocks', 'fragmented', 'fragmented', false],
  ['lendBlocks', 'unavailable', 'transient', true],
  ['lendBlocks', 'reset', 'transient', true],
  ['lendBlocks', 'html', 'transient', true],
  ['lendBlocks', 'malformed', 'transient', true],
  ['returnBlocks', 'throttled', 'throttled', false],
  ['returnBlocks', 'denied', 'denied', false],
  ['returnBlocks', 'unavailable', 'transient', true],
  ['returnBlocks', 'html', 'transient', true],
  ['observe', 'throttled', 'throttled', false],
  ['observe', 'denied', 'denied', false],
]

const withHotPlug: readonly Row[] = [
  ['createNic', 'throttled', 'throttled', false],
  ['createNic', 'denied', 'denied', false],
  ['createNic', 'exhausted', 'exhausted', false],
  ['createNic', 'fragmented', 'fragmented', false],
  ['createNic', 'unavailable', 'transient', true],
  ['attachNic', 'throttled', 'throttled', false],
  ['attachNic', 'denied', 'denied', false],
  ['detachNic', 'throttled', 'throttled', false],
  ['detachNic', 'denied', 'denied', false],
  ['deleteNic', 'throttled', 'throttled', false],
  ['deleteNic', 'denied', 'denied', false],
]

export const failureContract = (steps: Steps): void => {
  describe('failures', () => {
    const run = async (method: Method, trouble: Trouble): Promise<Outcome<unknown>> => {
      const nic = await subjectOf(steps, method)
      steps.under.trouble(method, trouble)
      switch (method) {
        case 'createNic':
          return steps.create(blocksFor(steps, trouble))
        case 'attachNic':
          return steps.under.cloud.attachNic({ nic: nic.id, deviceIndex: 1 }, never)
        case 'detachNic':
          return steps.under.cloud.detachNic(nic.id, never)
        case 'deleteNic':
          return steps.under.cloud.deleteNic(nic.id, never)
        case 'lendBlocks':
          return steps.lend(nic, blocksFor(steps, trouble))
        case 'returnBlocks':
          return steps.giveBack(nic, lentOf(nic))
        case 'observe':
          return steps.under.cloud.observe(never)
      }
    }

    test.each([...always, ...(steps.traits.hotPlug ? withHotPlug : [])])(
      '%s that meets %s is %s',
      async (...[method, trouble, kind, ambiguous]) => {
        const failure = expectFailure(await run(method, trouble), kind, ambiguous)
        expect(failure.call).not.toBe('')
        expect(failure.message).toContain(failure.call)
      },
    )

    test.each(['reset', 'html', 'malformed', 'unavailable'] as const)(
      'observe that meets one %s succeeds all the same',
      async trouble => {
        await steps.attached()
        steps.under.trouble('observe', trouble)
        expect((await steps.observed()).nics).toHaveLength(2)
      },
    )
  })

  describe('abort', () => {
    test('before a call is without effect and certain', async () => {
      const nic = await steps.attached()
      const signal = AbortSignal.abort()
      expectFailure(await steps.lend(nic, addresses(1), signal), 'transient', false)
      expectFailure(await steps.under.cloud.observe(signal), 'transient', false)
      expectFailure(await steps.under.cloud.describeNode(signal), 'transient', false)
      expect(steps.under.heldBlocks(nic.id)).toBe(0)
    })

    test('during a call ends it, uncertain if it could change anything', async () => {
      const nic = await steps.attached()
      for (const method of ['lendBlocks', 'observe'] as const) {
        steps.under.trouble(method, 'hang')
        const controller = new AbortController()
        const { signal } = controller
        const running: Promise<Outcome<unknown>> =
          method === 'observe'
            ? steps.under.cloud.observe(signal)
            : steps.lend(nic, addresses(1), signal)
        setTimeout(() => controller.abort(), 300)
        expectFailure(await running, 'transient', method === 'lendBlocks')
      }
    })
  })
}

// A NIC that the method can be tried on.
const subjectOf = async (steps: Steps, method: Method): Promise<CloudNic> => {
  if (method === 'returnBlocks') return steps.seenWith(await steps.attached(addresses(2)), 2)
  if (method !== 'attachNic' && method !== 'deleteNic') {
    return steps.seen(await steps.attached(), ({ attachment }) => attachment.kind === 'attached')
  }
  return steps.seen(value(await steps.create()), () => true)
}

const blocksFor = (steps: Steps, trouble: Trouble) =>
  trouble === 'fragmented' ? steps.prefixes(1) : addresses(1)
