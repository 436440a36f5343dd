import { serialize } from 'node:v8'
import { expect, test } from 'vitest'
import { cidr } from '#core/ip.ts'
import { ok } from '#core/ports.ts'
import { type Answer, decodeAnswer, decodeQuestion, encode, isRead } from './protocol.ts'
import { messageBytesMax, type Question } from './protocol.ts'

const questions: readonly Question[] = [
  { kind: 'open', version: 1, provider: 'aws', options: { cluster: undefined, tags: {} } },
  { kind: 'call', id: 7, method: 'observe', args: [] },
  { kind: 'abort', id: 7 },
]
const answers: readonly Answer[] = [
  { kind: 'opened' },
  { kind: 'unusable', reason: 'it is gone' },
  { kind: 'answer', id: 7, outcome: ok([cidr('10.0.0.0/28')]), calls: [] },
  { kind: 'answer', id: 8, outcome: ok({ token: undefined, limit: Infinity }), calls: [] },
  { kind: 'threw', id: 9, name: 'TypeError', message: 'a bug', calls: [] },
]

test.each(questions)('question $kind arrives as it was sent', question =>
  expect(decodeQuestion(encode(question))).toStrictEqual(question),
)

test.each(answers)('answer $kind arrives as it was sent', answer =>
  expect(decodeAnswer(encode(answer))).toStrictEqual(answer),
)

const nonsense: readonly unknown[] = [
  undefined,
  'text',
  { kind: 'opened' },
  new Uint8Array(),
  new Uint8Array([1, 2, 3]),
  serialize('opened'),
  serialize(null),
  serialize({ kind: 'toString' }),
  serialize({ kind: 'call', id: 1, method: 'constructor', args: [] }),
  serialize({ kind: 'call', id: 1, method: 'observe' }),
  serialize({ kind: 'answer', id: 'one', outcome: ok(1), calls: [] }),
  serialize({ kind: 'answer', id: 1, outcome: undefined, calls: [] }),
  serialize({ kind: 'answer', id: 1, outcome: ok(1) }),
  new Uint8Array(messageBytesMax + 1),
]

test.each(nonsense)('%s is no message', message => {
  expect(decodeQuestion(message)).toBeUndefined()
  expect(decodeAnswer(message)).toBeUndefined()
})

test('a message is as long as the limit and no longer', () => {
  const empty = encode({ kind: 'unusable', reason: '' })?.byteLength ?? 0
  // A length takes more bytes in a longer text.
  const room = messageBytesMax - empty - 2
  expect(encode({ kind: 'unusable', reason: 'x'.repeat(room) })?.byteLength).toBe(messageBytesMax)
  expect(encode({ kind: 'unusable', reason: 'x'.repeat(room + 1) })).toBeUndefined()
})

test('reads are those that change nothing', () => {
  expect(isRead('observe')).toBe(true)
  expect(isRead('lendBlocks')).toBe(false)
})
