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
  const room = { nics: 15, onPrimary: 49, total: 735 }
  expect(play({ instanceType: 'm5.24xlarge' }).room).toEqual(room)
  expect(play({ instanceType: 't3.small' }).pods).toBe(9)
})

test('only the NICs of the first network card count, as for the daemon', () => {
  expect(play({ instanceType: 'p4d.24xlarge' }).room.nics).toBe(15)
})

test('each cloud has a small type of its own', () => {
  const small = (cloud: string) => {
    const { instanceType, pods, room } = play({ cloud })
    return { instanceType, pods, room }
  }
  expect(['aws', 'azure', 'alibaba'].map(small)).toEqual([
    { instanceType: 'm5.large', pods: 12, room: { nics: 3, onPrimary: 9, total: 27 } },
    { instanceType: 'Standard_D4s_v5', pods: 12, room: { nics: 2, onPrimary: 10, total: 254 } },
    { instanceType: 'ecs.g7.large', pods: 12, room: { nics: 3, onPrimary: 5, total: 17 } },
  ])
})

test('families come in any order, IPv4 first, and share what a VM of Azure has', () => {
  expect(play({ ipFamilies: 'ipv6,ipv4' }).families).toEqual(['ipv4', 'ipv6'])
  expect(play({ cloud: 'azure', ipFamilies: 'ipv6,ipv4' }).room.total).toBe(126)
  // A subnet of IPv6 is never small.
  const six = play({ cloud: 'azure', ipFamilies: 'ipv6' })
  expect(six.room.onPrimary).toBeGreaterThan(six.pods)
})

test('a NIC may have no address for pods at all', () => {
  const six = { cloud: 'alibaba', instanceType: 'ecs.g6.xlarge', ipFamilies: 'ipv4,ipv6' }
  const { nics, onPrimary, total } = play(six).room
  expect({ onPrimary, total }).toEqual({ onPrimary: 0, total: nics - 1 })
})

test('what cannot be had is one sentence', () => {
  check({ cloud: 'oracle' }, '--cloud is "oracle", but it must be one of aws, azure, alibaba')
  check({ ipFamilies: 'ipv5' }, '--ip-families is "ipv5", but it must be ipv4, ipv6 or ipv4,ipv6')
  check({ ipFamilies: 'ipv4,ipv4' }, 'each once')
  check({ cloud: 'azure', instanceType: 'm5.large' }, 'it is one of aws: use --cloud aws')
  check({ nodes: 0 }, '--nodes is 0, but it must be a whole number, from 1 to 64')
  check({ nodes: 65 }, '--nodes is 65, but it must be')
  check({ pods: 0 }, '--pods is 0, but it must be a whole number, 1 or more')
  check({ pods: 1.5 }, '--pods is 1.5, but')
  check({ seed: -1 }, '--seed is -1, but it must be a whole number from 0 on')
  check({ latency: 'none-such' as 'none' }, '--latency is "none-such", but it must be one of none')
  check({ instanceType: 'm5.huge' }, 'did you mean m5.large')
  check(
    { instanceType: 't3.small', pods: 10 },
    '--pods is 10, but t3.small has room for 9 pods on 3 NICs; ask for fewer pods',
  )
  check({ instanceType: 'm5.24xlarge', nodes: 20, pods: 735 }, 'the 4000 addresses of a subnet')
})
