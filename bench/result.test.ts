import { expect, test } from 'vitest'
import { resultOf, type Target } from './result.ts'

const check = (
  figures: { readonly ours: number; readonly peer: number | null },
  target: Target,
  want: readonly [number | null, string | null, boolean | null],
) => {
  const result = resultOf({ name: 'x', unit: 'ms', ...figures, target, note: '' })
  expect([result.ratio, result.target, result.met]).toEqual(want)
}

test('a target on the ratio is judged before rounding', () => {
  check({ ours: 3, peer: 10 }, { kind: 'ratio', max: 0.3 }, [0.3, '<= 0.30 x peer', true])
  check({ ours: 3.0001, peer: 10 }, { kind: 'ratio', max: 0.3 }, [0.3, '<= 0.30 x peer', false])
})

test('without a figure of the peer there is neither ratio nor verdict on it', () => {
  check({ ours: 3, peer: null }, { kind: 'ratio', max: 0.3 }, [null, '<= 0.30 x peer', null])
  check({ ours: 3, peer: 0 }, { kind: 'none' }, [null, null, null])
  check({ ours: 401, peer: null }, { kind: 'value', max: 400 }, [null, '<= 400 ms', false])
})
