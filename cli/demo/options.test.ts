import { expect, test } from 'vitest'
import { demoDefaults, playOf, type DemoOptions } from './options.ts'

const defaults: DemoOptions = {
  ...demoDefaults,
  pods: undefined,
  output: 'text',
  keep: false,
  down: false,
}

const play = (options: Partial<DemoOptions>) => playOf('run', { ...defaults, ...options })

const check = (options: Partial<DemoOptions>, sentence: string) =>
  expect(() => play(options)).toThrow(sentence)

test('12 pods where they fit, else as many as the type carries', () => {
  expect(play({}).pods).toBe(12)
  expect(play({ instanceType: 'm5.24xlarge' }).room).toEqual({ nics: 15, perNic: 49, total: 735 })
  expect(play({ instanceType: 't3.small' }).pods).toBe(9)
})

test('only the NICs of the first network card count, as for the daemon', () => {
  expect(play({ instanceType: 'p4d.24xlarge' }).room.nics).toBe(15)
})

test('what cannot be had is one sentence', () => {
  check({ cloud: 'azure' }, '--cloud azure is not available yet; use --cloud aws')
  check({ cloud: 'oracle' }, '--cloud is "oracle", but there is no such cloud here')
  check({ nodes: 0 }, '--nodes is 0, but it must be a whole number, from 1 to 64')
  check({ nodes: 65 }, '--nodes is 65, but it must be')
  check({ pods: 0 }, '--pods is 0, but it must be a whole number, 1 or more')
  check({ pods: 1.5 }, '--pods is 1.5, but')
  check({ seed: -1 }, '--seed is -1, but it must be a whole number from 0 on')
  check({ latency: 'none-such' as 'none' }, '--latency is "none-such", but it must be one of none')
  check({ instanceType: 'm5.huge' }, 'but the emulator has no such type; try m5.')
  check(
    { instanceType: 't3.small', pods: 10 },
    '--pods is 10, but t3.small has room for 9 pods (3 NICs with 3 pod addresses each)',
  )
  check({ instanceType: 'm5.24xlarge', nodes: 20, pods: 735 }, 'the 4000 addresses of a subnet')
})
