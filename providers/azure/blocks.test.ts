// Lending and returning against a NIC that answers like Azure: what is on it afterwards counts, and
// what others put there stays.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { nicId } from '#core/names.ts'
import type { BlockRequest } from '#core/ports.ts'
import { outcomeOf } from '../common/calls.ts'
import { type BlockParts, lendBlocks, returnBlocks } from './blocks.ts'
import type { Arm, Json } from './client.ts'
import type { RawNic } from './shapes.ts'
import { type FakeArm, startFakeArm } from './testing.ts'
import { type FakeNic, nicPath, replace, serveNic, subnetPath } from './testing-nic.ts'
import { createWriter } from './writer.ts'

let fake: FakeArm
let state: FakeNic
let parts: BlockParts
beforeEach(async () => {
  fake = await startFakeArm()
  state = serveNic(fake)
  parts = partsOf(fake.client({ requestMs: 2000 }))
})
afterEach(() => fake.close())

const never = new AbortController().signal
const nic = nicId(nicPath)
const partsOf = (arm: Arm): BlockParts => ({ arm, writer: createWriter(), known: new Map() })
const single = (count: number): BlockRequest => ({ family: 4, length: 32, count })
const lend = (blocks: BlockRequest, signal = never) =>
  outcomeOf(() => lendBlocks(parts, { nic, blocks }, signal))
const giveBack = (...blocks: readonly string[]) =>
  outcomeOf(() => returnBlocks(parts, { nic, blocks: blocks.map(cidr) }, never))
const ok = <Value>(outcome: { readonly kind: string; readonly value?: Value }): Value => {
  expect(outcome).toMatchObject({ kind: 'ok' })
  return outcome.value!
}
const names = () => (state.nic.properties?.ipConfigurations ?? []).map(({ name }) => name)
const writes = () => fake.asked.filter(({ method }) => method === 'PUT')
const withConfig = (name: string): RawNic & Json => ({
  ...state.nic,
  properties: {
    ...state.nic.properties,
    ipConfigurations: [...(state.nic.properties?.ipConfigurations ?? []), { name, properties: {} }],
  },
})

describe('lending', () => {
  test('adds dynamic configurations in the subnet and groups of the first', async () => {
    const lent = ok(await lend(single(2)))
    expect(lent).toHaveLength(2)
    expect(names()).toEqual(['ipconfig1', 'eniway-1', 'eniway-2'])
    const sent = (writes()[0]!.body as RawNic).properties?.ipConfigurations?.[1]
    expect(sent).toEqual({
      name: 'eniway-1',
      properties: {
        primary: false,
        privateIPAddressVersion: 'IPv4',
        privateIPAllocationMethod: 'Dynamic',
        subnet: { id: subnetPath },
        applicationSecurityGroups: [{ id: '/asg/one' }],
      },
    })
  })

  test('gives prefixes and IPv6', async () => {
    const [prefix] = ok(await lend({ family: 4, length: 28, count: 1 }))
    expect(prefix).toMatch(/\.16\/28$/)
    const [six] = ok(await lend({ family: 6, length: 128, count: 1 }))
    expect(six).toMatch(/^2001:db8::.*\/128$/)
  })

  test('leaves every property it has never heard of as it was', async () => {
    const foreign = { ...state.nic.properties, futureMode: { level: 7 }, nothing: null }
    state.nic = { ...state.nic, extendedLocation: { name: 'edge' }, properties: foreign }
    ok(await lend(single(1)))
    expect(state.nic).toMatchObject({
      extendedLocation: { name: 'edge' },
      properties: { futureMode: { level: 7 }, nothing: null },
      tags: { owner: 'somebody' },
    })
  })

  test('keeps what somebody else wrote between reading and writing', async () => {
    let strikes = 2
    state.beforeWrite = () => {
      if (strikes-- > 0) replace(state, withConfig(`theirs-${strikes}`))
    }
    expect(ok(await lend(single(1)))).toHaveLength(1)
    expect(names()).toEqual(['ipconfig1', 'theirs-1', 'theirs-0', 'eniway-1'])
  })

  test('gives up when others never stop, certain that nothing was changed', async () => {
    state.beforeWrite = () => {
      state.version += 1
    }
    expect(await lend(single(1))).toMatchObject({
      kind: 'failed',
      failure: { kind: 'conflict', ambiguous: false, code: 'PreconditionFailed' },
    })
    expect(writes()).toHaveLength(6)
    expect(names()).toEqual(['ipconfig1'])
  })

  // Ten seconds are what Azure asks for; operations take one.
  test('asks for the end of an operation without waiting for Retry-After', async () => {
    state.steps = 4
    const signal = AbortSignal.timeout(5000)
    expect(ok(await lend(single(1), signal))).toHaveLength(1)
  })

  test('counts only what succeeded and takes the rest away again', async () => {
    state.stateOfNew = place => (place < 2 ? 'Succeeded' : 'Failed')
    expect(ok(await lend(single(4)))).toHaveLength(2)
    expect(names()).toEqual(['ipconfig1', 'eniway-1', 'eniway-2'])
  })

  test('that gets nothing at all fails and leaves nothing', async () => {
    state.stateOfNew = () => 'Failed'
    expect(await lend(single(2))).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: false, code: 'ConfigurationsFailed' },
    })
    expect(names()).toEqual(['ipconfig1'])
  })

  const failures = [
    ['SubnetIsFull', 32, 'exhausted', 'SubnetIsFull'],
    ['SubnetIsFull', 28, 'fragmented', 'SubnetIsFull'],
    ['SubscriptionNotRegisteredForFeature', 28, 'fragmented', 'SubscriptionNotRegisteredFor'],
    ['AnotherOperationInProgress', 32, 'conflict', 'AnotherOperationInProgress'],
    ['InternalServerError', 32, 'transient', 'InternalServerError'],
  ] as const
  test.each(failures)('an operation that ends with %s for a /%i is %s', async (...row) => {
    const [code, length, kind, said] = row
    state.failWith = { code, message: 'boom' }
    const outcome = await lend({ family: 4, length, count: 1 })
    expect(outcome).toMatchObject({ kind: 'failed', failure: { kind, ambiguous: false, code } })
    expect(outcome.kind === 'failed' && outcome.failure.message).toContain(`boom (${said}`)
  })

  // Azure adds all or nothing, and says nowhere how many would have fitted.
  test.each([
    ['SubnetIsFull', 32],
    ['SubnetIsFull', 28],
    ['PrivateIPAddressLimitExceeded', 32],
  ] as const)('asks for fewer where not all fit: %s for /%i', async (code, length) => {
    state.beforeWrite = ({ body }) => {
      const configs = (body as RawNic).properties?.ipConfigurations ?? []
      const error = { code, message: 'does not fit' }
      return configs.length > 4 ? { status: 400, body: { error } } : undefined
    }
    expect(ok(await lend({ family: 4, length, count: 7 }))).toHaveLength(3)
    expect(names()).toEqual(['ipconfig1', 'eniway-1', 'eniway-2', 'eniway-3'])
    expect(await lend({ family: 4, length, count: 5 })).toMatchObject({
      kind: 'failed',
      failure: { ambiguous: false, code },
    })
  })

  test('an operation of which nothing is heard any more is ambiguous', async () => {
    const handle = fake.handle
    fake.handle = asked =>
      asked.path.startsWith('/operations/')
        ? {
            status: 429,
            headers: { 'retry-after': '3' },
            body: { error: { code: 'TooManyRequests' } },
          }
        : handle(asked)
    expect(await lend(single(1))).toMatchObject({
      kind: 'failed',
      failure: { kind: 'throttled', ambiguous: true, retryAfterMs: 3000 },
    })
  })

  test.each([
    [404, 'OperationNotFound'],
    [403, 'AuthorizationFailed'],
  ])('an operation that answers %i is known by the NIC itself', async (status, code) => {
    const handle = fake.handle
    let looks = 0
    fake.handle = asked => {
      if (asked.path.startsWith('/operations/')) {
        // Its end comes all the same.
        if (++looks === 1) handle(asked)
        return { status, body: { error: { code, message: 'no' } } }
      }
      return handle(asked)
    }
    expect(ok(await lend(single(1)))).toHaveLength(1)
  })

  test('a question that breaks is asked again', async () => {
    const handle = fake.handle
    let breaks = 2
    fake.handle = asked =>
      asked.path.startsWith('/operations/') && breaks-- > 0
        ? { status: 503, body: '<html>' }
        : handle(asked)
    expect(ok(await lend(single(1)))).toHaveLength(1)
  })

  test('on a NIC that is gone is notFound', async () => {
    const gone = nicId(`${nicPath}-gone`)
    const outcome = await outcomeOf(() =>
      lendBlocks(parts, { nic: gone, blocks: single(1) }, never),
    )
    expect(outcome).toMatchObject({
      kind: 'failed',
      failure: { kind: 'notFound', ambiguous: false },
    })
  })

  test('aborted while it waits for its turn sends nothing', async () => {
    const controller = new AbortController()
    const first = lend(single(1))
    const second = lend(single(1), controller.signal)
    controller.abort()
    expect(await second).toMatchObject({
      kind: 'failed',
      failure: { kind: 'transient', ambiguous: false, code: 'Aborted' },
    })
    ok(await first)
    ok(await lend(single(1)))
    expect(names()).toEqual(['ipconfig1', 'eniway-1', 'eniway-2'])
  })
})

describe('returning', () => {
  test('takes exactly those away, whatever else is there', async () => {
    const [first, second] = ok(await lend(single(2)))
    replace(state, withConfig('theirs'))
    expect(ok(await giveBack(first!))).toEqual([first])
    expect(names()).toEqual(['ipconfig1', 'eniway-2', 'theirs'])
    expect(ok(await giveBack(first!, second!))).toEqual([first, second])
    expect(names()).toEqual(['ipconfig1', 'theirs'])
  })

  test('never takes what others hold, and does not say it did', async () => {
    expect(ok(await giveBack('10.0.0.4/32'))).toEqual([])
    expect(ok(await giveBack('10.0.0.99/32'))).toEqual(['10.0.0.99/32'])
    expect(writes()).toEqual([])
  })

  test('from a NIC that is gone is done', async () => {
    const gone = nicId(`${nicPath}-gone`)
    const blocks = [cidr('10.0.0.7/32')]
    expect(await outcomeOf(() => returnBlocks(parts, { nic: gone, blocks }, never))).toEqual({
      kind: 'ok',
      value: blocks,
    })
  })

  // An earlier try whose answer was lost may still run, and fail.
  test('says so only when no operation is under way that could bring them back', async () => {
    const [block] = ok(await lend(single(1)))
    const full = state.nic
    const { properties } = full
    const [first] = properties?.ipConfigurations ?? []
    const configs = first === undefined ? [] : [first]
    state.nic = {
      ...full,
      properties: { ...properties, ipConfigurations: configs, provisioningState: 'Updating' },
    }
    const handle = fake.handle
    let looks = 0
    fake.handle = asked => {
      if (asked.method === 'GET' && ++looks === 3) state.nic = full
      return handle(asked)
    }
    const before = writes().length
    expect(ok(await giveBack(block!))).toEqual([block])
    expect(names()).toEqual(['ipconfig1'])
    expect(writes().length - before).toBe(1)
  })

  test('takes along what failed and holds nothing', async () => {
    const [block] = ok(await lend(single(1)))
    const failed = withConfig('eniway-9')
    const configs = failed.properties?.ipConfigurations?.map(one =>
      one.name === 'eniway-9' ? { ...one, properties: { provisioningState: 'Failed' } } : one,
    )
    state.nic = { ...failed, properties: { ...failed.properties, ipConfigurations: configs ?? [] } }
    ok(await giveBack(block!))
    expect(names()).toEqual(['ipconfig1'])
  })
})

describe('several at once', () => {
  test('wait for one write and share the next, each with its own result', async () => {
    const [old] = ok(await lend(single(1)))
    const before = writes().length
    const [a, b, c] = await Promise.all([lend(single(2)), lend(single(1)), giveBack(old!)])
    expect([ok(a), ok(b)].map(({ length }) => length)).toEqual([2, 1])
    expect(new Set([...ok(a), ...ok(b)]).size).toBe(3)
    expect(ok(c)).toEqual([old])
    expect(writes().length - before).toBe(2)
  })

  test('one that is refused does not spoil the others', async () => {
    const [old] = ok(await lend(single(1)))
    state.beforeWrite = ({ body }) => {
      const configs = (body as RawNic).properties?.ipConfigurations ?? []
      const isTooMuch = configs.length > 4
      const error = { code: 'InvalidParameter', message: 'no' }
      return isTooMuch ? { status: 400, body: { error } } : undefined
    }
    const [, many, returned] = await Promise.all([lend(single(1)), lend(single(5)), giveBack(old!)])
    expect(many).toMatchObject({ kind: 'failed', failure: { kind: 'denied' } })
    expect(ok(returned)).toEqual([old])
  })
})
