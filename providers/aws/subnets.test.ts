import { expect, test } from 'vitest'
import { subnetId } from '#core/names.ts'
import { CallFailed } from '../common/calls.ts'
import type { SubnetSelection } from '../common/options.ts'
import { selectSubnets } from './subnets.ts'

const subnets = [
  { name: 'primary', available: 5, tags: {} },
  { name: 'small', available: 3, tags: { 'kubernetes.io/role/cni': '1', team: 'a' } },
  { name: 'large', available: 90, tags: { 'kubernetes.io/role/cni': '', team: 'b' } },
  { name: 'refused', available: 99, tags: { 'kubernetes.io/role/cni': '0' } },
  { name: 'other', available: 99, tags: {} },
]
const all = new Map(
  subnets.map(({ name, available, tags }) => {
    const id = subnetId(name)
    return [id, { id, zone: 'z', cidrs: [], available, tags: new Map(Object.entries(tags)) }]
  }),
)

const check = (selection: SubnetSelection, want: readonly string[]) =>
  expect(selectSubnets(all, selection, subnetId('primary')).map(({ id }) => id)).toEqual(want)

test('by default: the primary NIC’s and those with the role, roomiest first', () =>
  check({ kind: 'default' }, ['large', 'primary', 'small']))

test('by id: exactly those, as the user ordered them', () =>
  check({ kind: 'ids', ids: ['other', 'small', 'elsewhere'].map(subnetId) }, ['other', 'small']))

test('by tags: all must fit, an empty value stands for any', () => {
  check({ kind: 'tags', tags: { team: '' } }, ['large', 'small'])
  check({ kind: 'tags', tags: { team: 'a', 'kubernetes.io/role/cni': '1' } }, ['small'])
})

test('none is an error that says what was looked for', () => {
  const select = () => selectSubnets(all, { kind: 'tags', tags: { x: 'y' } }, subnetId('primary'))
  expect(select).toThrow(CallFailed)
  expect(select).toThrow(/none of the 5 subnets in this zone is tagged {"x":"y"}.*correct/)
})
