import { expect, test } from 'vitest'
import { maxPodsOf } from './arithmetic.ts'
import { clouds, figuresOf, nearTypes, typeNames, type CloudName } from './figures.ts'
import type { Question } from './question.ts'

const nothing = { addresses: 0, because: '' }

type Asked = Partial<Omit<Question, 'figures' | 'cloud'>>

const answerOf = (cloud: CloudName, instanceType: string, asked: Asked = {}) => {
  const figures = figuresOf(cloud, instanceType)
  if (figures === undefined) throw new Error(`no figures for ${instanceType}`)
  return maxPodsOf({
    cloud,
    figures,
    blockSize: 32,
    families: ['ipv4'],
    reserve: nothing,
    hostNetwork: cloud === 'aws' ? 2 : 0,
    nicsMax: undefined,
    ...asked,
  })
}

const check = (cloud: CloudName, cases: readonly (readonly [string, Asked, number])[]) =>
  expect(cases.map(([type, asked]) => [type, asked, answerOf(cloud, type, asked).maxPods])).toEqual(
    cases,
  )

const dual = { families: ['ipv4', 'ipv6'] } as const
const six = { families: ['ipv6'] } as const

test('every type that AWS publishes a number for has that number', () => {
  const published = typeNames('aws').filter(type => figuresOf('aws', type)?.published !== undefined)
  expect(published.length).toBeGreaterThan(150)
  const wrong = published.filter(
    type => answerOf('aws', type).maxPods !== figuresOf('aws', type)?.published,
  )
  expect(wrong).toEqual([])
})

test('AWS: NICs of the default network card, one address of each its own', () =>
  check('aws', [
    ['m5.large', {}, 29],
    ['p4d.24xlarge', {}, 737],
    ['c6in.32xlarge', {}, 394],
    ['m5.large', { hostNetwork: 0 }, 27],
    ['m5.large', { nicsMax: 1 }, 11],
    ['m5.large', { nicsMax: 9 }, 29],
    ['m5.large', { reserve: { addresses: 10, because: '' } }, 19],
    ['m5.large', { blockSize: 28 }, 434],
    ['m5.large', { blockSize: 'auto' }, 434],
    ['t2.nano', { blockSize: 28 }, 4],
    ['m5.large', dual, 29],
    ['m5.large', six, 29],
    // IPv6 comes in single addresses, and a pod has one of each.
    ['m5.large', { ...dual, blockSize: 28 }, 29],
  ]))

test('Azure: 256 addresses of the VM, which both families share', () =>
  check('azure', [
    ['Standard_D4s_v5', {}, 254],
    ['Standard_D4s_v5', { nicsMax: 1 }, 255],
    ['Standard_D16s_v5', {}, 248],
    ['Standard_D4s_v5', dual, 126],
    ['Standard_D4s_v5', six, 252],
    ['Standard_D4s_v5', { blockSize: 28 }, 4064],
    // 15 blocks and 237 addresses are 252.
    ['Standard_D4s_v5', { ...dual, blockSize: 28 }, 237],
    ['standard_d4S_V5', {}, 254],
  ]))

test('Alibaba: all of a secondary NIC, and the primary one without its own address', () =>
  check('alibaba', [
    ['ecs.g7.large', {}, 2 * 6 + 5],
    ['ecs.g7.large', { nicsMax: 1 }, 5],
    ['ecs.g7.large', { blockSize: 28 }, 2 * (5 * 16 + 1) + 5 * 16],
    ['ecs.g7.large', dual, 2 * 6 + 5],
    ['ecs.g7.large', six, 2 * 6 + 5],
    ['ecs.g6.xlarge', { ...dual, nicsMax: 1 }, 0],
    // One IPv6 address per NIC, which the primary one keeps.
    ['ecs.g6.xlarge', dual, (figuresOf('alibaba', 'ecs.g6.xlarge')?.nics ?? 0) - 1],
  ]))

test('the answer says what it counted', () => {
  expect(answerOf('aws', 'm5.large', { blockSize: 28 })).toMatchObject({
    cloud: 'aws',
    instanceType: 'm5.large',
    interfaces: 3,
    addressesPerInterface: 10,
    blockSize: 28,
    published: 29,
    recommended: 110,
  })
  expect(answerOf('aws', 'm5.24xlarge', { blockSize: 28 }).recommended).toBe(250)
  expect(answerOf('azure', 'Standard_D4s_v5')).toMatchObject({
    interfaces: 2,
    addressesPerInterface: 256,
    published: null,
    recommended: 250,
  })
  expect(answerOf('alibaba', 'ecs.g7.large').published).toBe(12)
})

test('the last line ends with the number', () => {
  const answers = clouds.flatMap(cloud =>
    typeNames(cloud).flatMap(type => [
      answerOf(cloud, type),
      answerOf(cloud, type, { hostNetwork: 3 }),
    ]),
  )
  expect(answers.length).toBeGreaterThan(500)
  for (const { arithmetic, maxPods } of answers) {
    expect(arithmetic.at(-1)).toMatch(new RegExp(`\\b${maxPods}\\b`))
  }
})

test('what the machine cannot carry is refused', () => {
  const all = { reserve: { addresses: 27, because: '' } }
  expect(() => answerOf('aws', 'm5.large', all)).toThrow('m5.large has only 27 for pods')
  expect(() => answerOf('aws', 'i3.metal', dual)).toThrow('no IPv6 figure of i3.metal')
})

test('names that are nearly right are recognised', () => {
  expect(nearTypes('aws', 'm5.lagre')[0]).toBe('m5.large')
  expect(nearTypes('azure', 'Standard_D4s_v6')[0]).toBe('Standard_D4s_v5')
  expect(nearTypes('alibaba', 'g7.large')).not.toContain('ecs.c7.32xlarge')
  expect(nearTypes('aws', 'completely different')).toEqual([])
})
