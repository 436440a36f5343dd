import { describe, expect, test } from 'vitest'
import type { Failure } from '#core/ports.ts'
import { CallFailed, afterEffect, createCalls, outcomeOf, tolerating } from './calls.ts'
import type { OwnFailure, Site } from './failures.ts'
import { kindByStatus, ownFailureOf, retryAfterSeconds, sentenceOf } from './failures.ts'
import { visibilityPatience } from './retry.ts'

const ownFailure = (site: Site, what: OwnFailure): Failure => ownFailureOf(site, what, 'look again')
const failureOf = (site: Site, error: unknown): Failure =>
  ownFailure(site, { kind: 'transient', code: 'Broken', text: (error as Error).message })
const { call, patiently, read } = createCalls({ failureOf, ownFailure })

const site: Site = { call: 'Lend', on: 'NIC n-1', isRead: false }
const never = new AbortController().signal
const failing = (kind: Failure['kind'], code = 'Code'): CallFailed =>
  new CallFailed(ownFailure(site, { kind, code, text: 'no' }))

const failureIn = async (work: Promise<unknown>): Promise<Failure> => {
  const outcome = await outcomeOf(() => work)
  if (outcome.kind === 'ok') throw new Error('it succeeded')
  return outcome.failure
}

describe('one call', () => {
  test('gives its value', async () => expect(await call(site, never, async () => 7)).toBe(7))

  test('that throws is a failure by the provider’s table', async () => {
    const failure = await failureIn(call(site, never, () => Promise.reject(new Error('boom'))))
    expect(failure).toMatchObject({ kind: 'transient', ambiguous: true, code: 'Broken' })
    expect(failure.message).toBe('Lend on NIC n-1 failed: boom (Broken); look again')
  })

  test('aborted before it is sent is certain, and the work never begins', async () => {
    let isBegun = false
    const work = async () => void (isBegun = true)
    const failure = await failureIn(call(site, AbortSignal.abort(), work))
    expect(failure).toMatchObject({ kind: 'transient', ambiguous: false, code: 'Aborted' })
    expect(isBegun).toBe(false)
  })

  test('settles at once when it is aborted, whatever the work does', async () => {
    const controller = new AbortController()
    const running = failureIn(call(site, controller.signal, () => new Promise(() => undefined)))
    controller.abort()
    expect((await running).ambiguous).toBe(true)
  })
})

describe('trying again', () => {
  const succeedingAfter = (failures: readonly CallFailed[]) => {
    const left = [...failures]
    let tries = 0
    const work = async (): Promise<number> => {
      tries++
      const next = left.shift()
      if (next !== undefined) throw next
      return tries
    }
    return work
  }
  const patience = { ...visibilityPatience, firstMs: 1, longestMs: 2 }

  test('a read is repeated while it breaks', async () =>
    expect(await read(site, never, succeedingAfter([failing('transient')]))).toBe(2))

  test.each(['throttled', 'denied', 'notFound'] as const)('a read that is %s is not', async kind =>
    expect((await failureIn(read(site, never, succeedingAfter([failing(kind)])))).kind).toBe(kind),
  )

  test('what is too new to be seen is waited for', async () => {
    const work = succeedingAfter([failing('notFound'), failing('notFound')])
    expect(await patiently({ site, patience }, never, work)).toBe(3)
  })

  test('patience ends with the last failure', async () => {
    const work = succeedingAfter(Array.from({ length: 20 }, (_, i) => failing('notFound', `${i}`)))
    const failure = await failureIn(patiently({ site, patience }, never, work))
    expect(failure.code).toBe(String(patience.retries))
  })

  test('an abort during a pause tells why it was paused', async () => {
    const controller = new AbortController()
    const slow = { ...patience, firstMs: 10_000, longestMs: 10_000 }
    const work = async (): Promise<never> => {
      setTimeout(() => controller.abort(), 5)
      throw failing('notFound', 'TooNew')
    }
    const running = patiently({ site, patience: slow }, controller.signal, work)
    expect((await failureIn(running)).code).toBe('TooNew')
  })
})

test('a failure after an effect is ambiguous', () =>
  expect(afterEffect(failing('throttled'))).toMatchObject({ failure: { ambiguous: true } }))

test('a tolerated kind is no failure, another is', async () => {
  expect(await tolerating('notFound', () => Promise.reject(failing('notFound')))).toBeUndefined()
  await expect(tolerating('notFound', () => Promise.reject(failing('denied')))).rejects.toThrow()
})

test('our own bugs pass through', async () =>
  expect(outcomeOf(() => Promise.reject(new TypeError('x is undefined')))).rejects.toThrow(
    TypeError,
  ))

test('a sentence is one line, and not endless', () => {
  const text = `${'x'.repeat(1000)}\nsecond line`
  const sentence = sentenceOf(site, { code: 'C', text, advice: 'do it' })
  expect(sentence).not.toContain('second')
  expect(sentence.length).toBeLessThan(400)
})

test.each([
  [429, 'throttled'],
  [408, 'transient'],
  [503, 'transient'],
  [403, 'denied'],
  [undefined, 'transient'],
] as const)('an unknown code with status %s is %s', (status, kind) =>
  expect(kindByStatus(status)).toBe(kind),
)

test.each([
  ['2', 2000],
  ['0', 0],
  ['soon', undefined],
  [undefined, undefined],
] as const)('retry-after %s is %s ms', (header, ms) => expect(retryAfterSeconds(header)).toBe(ms))
