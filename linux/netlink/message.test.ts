import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytes, nest, readAttributes, u32 } from './attribute.ts'
import { acksOf, decodeReplies, encodeRequests, isInterrupted } from './message.ts'
import type { Request } from './message.ts'

const attribute = fc.record({
  type: fc.integer({ min: 1, max: 0x3fff }),
  data: fc.uint8Array({ maxLength: 40 }),
})

const anyRequest: fc.Arbitrary<Request> = fc.record({
  type: fc.integer({ min: 16, max: 0xffff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  header: fc.constantFrom(4, 8, 12, 16).map(length => Buffer.alloc(length, 7)),
  attributes: fc.uniqueArray(attribute, { selector: entry => entry.type, maxLength: 8 }),
})

test('requests come apart into what was put together', () =>
  fc.assert(
    fc.property(fc.array(anyRequest), fc.nat({ max: 0xffffffff }), (requests, sequence) => {
      const replies = decodeReplies(encodeRequests(requests, sequence))
      expect(replies.length).toBe(requests.length)
      for (const [index, { type, flags, header, attributes }] of requests.entries()) {
        const reply = replies[index]
        expect(reply).toMatchObject({ type, flags, sequence: (sequence + index) >>> 0 })
        const found = readAttributes(reply?.body ?? Buffer.alloc(0), header.length)
        const wanted = attributes.map(({ type: key, data }) => [
          key,
          Buffer.from(data as Uint8Array),
        ])
        expect([...found]).toEqual(wanted)
      }
    }),
  ))

test('no bytes from outside can make decoding fail or run on', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), noise => {
      for (const { body } of decodeReplies(Buffer.from(noise))) readAttributes(body)
    }),
  ))

test('an attribute longer than its length field is refused', () => {
  const tooLong = {
    type: 16,
    flags: 0,
    header: Buffer.alloc(4),
    attributes: [bytes(1, Buffer.alloc(65_532))],
  }
  expect(() => encodeRequests([tooLong], 1)).toThrow('65536 bytes; 65,535 is the limit')
})

// Built by hand from Documentation/userspace-api/netlink/intro.rst, not with the code under test.
const answer = (sequence: number, { errno, flags = 0, rest = [] }: Answer): Buffer => {
  const body = Buffer.concat([int32(-errno), ...rest])
  return Buffer.concat([
    int32(16 + body.length),
    int16(2),
    int16(flags),
    int32(sequence),
    int32(0),
    body,
  ])
}

type Answer = { readonly errno: number; readonly flags?: number; readonly rest?: readonly Buffer[] }

const int32 = (value: number): Buffer => {
  const data = Buffer.alloc(4)
  data.writeInt32LE(value | 0)
  return data
}

const int16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8])

test('acks stand in the order of the requests, whatever the order of the answers', () => {
  const replies = decodeReplies(
    Buffer.concat([answer(12, { errno: 0 }), answer(10, { errno: 17 })]),
  )
  expect(acksOf(replies, { sequence: 10, count: 3 })).toMatchObject([
    { ok: false, errno: 17, code: 'EEXIST', message: 'file already exists', offset: undefined },
    { ok: false, code: 'ECANCELED' },
    { ok: true },
  ])
})

test('sequence numbers may wrap, and answers of another exchange do not count', () => {
  const replies = decodeReplies(
    Buffer.concat([
      answer(77, { errno: 1 }),
      answer(0xffffffff, { errno: 0 }),
      answer(0, { errno: 2 }),
    ]),
  )
  expect(acksOf(replies, { sequence: 0xffffffff, count: 2 })).toMatchObject([
    { ok: true },
    { ok: false, code: 'ENOENT' },
  ])
})

const TLVS = 0x200
const CAPPED = 0x100
const extended = Buffer.concat([
  int16(4 + 13),
  int16(1),
  Buffer.from('no such luck\0'),
  Buffer.alloc(3),
  int16(8),
  int16(2),
  int32(36),
])

test('the extended message is found behind a capped and behind a whole request', () => {
  const header = Buffer.concat([int32(32), int16(16), int16(5), int32(1), int32(0)])
  const want = { ok: false, code: 'EINVAL', message: 'no such luck', offset: 36 }
  const capped = answer(1, { errno: 22, flags: TLVS | CAPPED, rest: [header, extended] })
  expect(acksOf(decodeReplies(capped), { sequence: 1, count: 1 })).toEqual([{ ...want, errno: 22 }])
  const whole = answer(1, { errno: 22, flags: TLVS, rest: [header, Buffer.alloc(16), extended] })
  expect(acksOf(decodeReplies(whole), { sequence: 1, count: 1 })).toEqual([{ ...want, errno: 22 }])
})

test('one interrupted part makes a dump interrupted', () => {
  const part = { type: 24, sequence: 1, body: Buffer.alloc(12) }
  expect(
    isInterrupted([
      { ...part, flags: 2 },
      { ...part, flags: 2 },
    ]),
  ).toBe(false)
  expect(
    isInterrupted([
      { ...part, flags: 2 },
      { ...part, flags: 2 | 0x10 },
    ]),
  ).toBe(true)
})

test('a nest is marked and padded', () => {
  const request = {
    type: 16,
    flags: 1,
    header: Buffer.alloc(0),
    attributes: [nest(5, [u32(1, 9), bytes(2, Buffer.of(1))])],
  }
  expect(encodeRequests([request], 1).toString('hex', 16)).toBe(
    '1400058008000100090000000500020001000000',
  )
})
