import { expect, test } from 'vitest'
import { subnetId } from '#core/names.ts'
import { CallFailed } from '../common/calls.ts'
import type { SubnetSelection } from '../common/options.ts'
import { selectSubnets } from './subnets.ts'

const vSwitches = [
  { name: 'primary', zone: 'h', available: 5, tags: {} },
  { name: 'small', zone: 'h', available: 3, tags: { 'kubernetes.io/role/cni': '1', team: 'a' } },
  { name: 'large', zone: 'h', available: 90, tags: { 'kubernetes.io/role/cni': '', team: 'b' } },
  { name: 'refused', zone: 'h', available: 99, tags: { 'kubernetes.io/role/cni': '0' } },
  { name: 'other', zone: 'h', available: 99, tags: {} },
  { name: 'far', zone: 'k', available: 99, tags: { 'kubernetes.io/role/cni': '1', team: 'c' } },
]
const all = new Map(
  vSwitches.map(({ name, zone, available, tags }) => {
    const id = subnetId(name)
    return [id, { id, zone, cidrs: [], available, tags: new Map(Object.entries(tags)) }]
  }),
)
const place = { zone: 'h', primary: subnetId('primary') }

const check = (selection: SubnetSelection, want: readonly string[]) =>
  expect(selectSubnets(all, selection, place).map(({ id }) => id)).toEqual(want)

test('by default: the primary NIC’s and those with the role in this zone, roomiest first', () =>
  check({ kind: 'default' }, ['large', 'primary', 'small']))

test('by id: exactly those of this zone, as the user ordered them', () =>
  check({ kind: 'ids', ids: ['far', 'other', 'small', 'nowhere'].map(subnetId) }, [
    'other',
    'small',
  ]))

test('by tags: all must fit, an empty value stands for any', () => {
  check({ kind: 'tags', tags: { team: '' } }, ['large', 'small'])
  check({ kind: 'tags', tags: { team: 'a', 'kubernetes.io/role/cni': '1' } }, ['small'])
})

test('none is an error that says what was looked for', () => {
  const select = () => selectSubnets(all, { kind: 'tags', tags: { x: 'y' } }, place)
  expect(select).toThrow(CallFailed)
  expect(select).toThrow(
    /none of the 5 vSwitches in zone h of this VPC is tagged {"x":"y"} .*correct/,
  )
})

test('a vSwitch of another zone is named with its zone', () =>
  expect(() => selectSubnets(all, { kind: 'ids', ids: [subnetId('far')] }, place)).toThrow(
    /none of the 5 vSwitches in zone h of this VPC is one of far \(far is in zone k\)/,
  ))
