// The order in which a daemon finds its feet, and that a plan comes to rest.

import { expect, test } from 'vitest'
import { plan } from './plan.ts'
import { countsText, newNode, nicsText } from './testing.ts'

test('a start: the kernel and the instance, then the NICs, then addresses', () => {
  const node = newNode({ pool: { warmTarget: 2 } })
  const check = (want: string) => {
    expect(node.turn().join('; ')).toBe(want)
    while (node.open().length > 0) node.answer()
  }
  check('reconcile; describe')
  check('observe')
  check('lend 2 × /32 to eni-1, prewarming')
  check('')
  expect(nicsText(node)).toBe('eni-1 attaching 2')
  node.pass(250)
  expect(nicsText(node)).toBe('eni-1 ready 2')
  expect(countsText(node)).toBe('2 settling, changing in 750 ms')
  node.pass(750)
  expect(countsText(node)).toBe('2 warm')
  expect(plan(node.state, node.now)).toEqual({ actions: [], wakeAt: node.now + 14_250 })
})
