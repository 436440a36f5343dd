import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ip, ipFromBytes } from '#core/ip.ts'
import { decodeReplies, encodeRequests } from '../netlink/message.ts'
import { addElements, decodeElements, ELEMENTS_MAX, removeElements } from './element.ts'
import type { Element, ElementSet } from './element.ts'

const set: ElementSet = { table: 'eniway', name: 'pods', key: ['number', 'ip4', 'ip6'] }

const address = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map(ipFromBytes)
const key = fc.tuple(fc.nat({ max: 0xffffffff }), address(4), address(16))
const chain = fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/)
const value = fc.oneof(
  fc.constant(undefined),
  fc.record({ kind: fc.constantFrom('accept' as const, 'drop' as const) }),
  fc.record({ kind: fc.constantFrom('goto' as const, 'jump' as const), chain }),
  fc.record({ kind: fc.constant('number' as const), number: fc.nat({ max: 0xffffffff }) }),
)

const sent = (requests: ReturnType<typeof addElements>): readonly Element[] =>
  decodeReplies(encodeRequests(requests, 1)).flatMap(reply => decodeElements(set, reply))

test('elements read back as what was sent', () =>
  fc.assert(
    fc.property(fc.array(fc.record({ key, value })), elements => {
      expect(sent(addElements(set, elements))).toEqual(elements)
      const bare = elements.map(element => ({ key: element.key, value: undefined }))
      expect(sent(removeElements(set, elements))).toEqual(bare)
    }),
  ))

test('the longest names of the most elements still fit their messages', () => {
  const element: Element = {
    key: [1, ip('10.0.0.1'), ip('fd00::1')],
    value: { kind: 'goto', chain: 'c'.repeat(255) },
  }
  const many = Array.from({ length: 1000 }, () => element)
  expect(sent(addElements(set, many))).toEqual(many)
})

test('a key of another shape and too many elements are programmer errors', () => {
  const short: Element = { key: [1], value: undefined }
  expect(() => addElements(set, [short])).toThrow('a key of pods has 3 parts, not 1')
  const many = Array.from({ length: ELEMENTS_MAX + 1 }, () => short)
  expect(() => addElements(set, many)).toThrow('65536 is the limit')
})
