import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { instanceId } from '#core/names.ts'
import { outcomeOf } from '../common/calls.ts'
import type { Session } from './identity.ts'
import { createNicsMax, nicsMaxOf } from './limits.ts'
import { type FakeArm, startFakeArm } from './testing.ts'

let fake: FakeArm
beforeEach(async () => void (fake = await startFakeArm()))
afterEach(() => fake.close())

const never = new AbortController().signal
const sku = (name: string, count: string, resourceType = 'virtualMachines') => ({
  resourceType,
  name,
  capabilities: [
    { name: 'vCPUs', value: '4' },
    { name: 'MaxNetworkInterfaces', value: count },
  ],
})
const session = (vmSize: string): Session => ({
  arm: fake.client(),
  identity: {
    instanceId: instanceId('vm'),
    subscription: 's-1',
    path: '/vm',
    isUniform: false,
    vmSize,
    tags: {},
    location: 'eastus',
    zone: 'eastus-1',
  },
})
const servePages = () => {
  fake.handle = ({ path }) =>
    path === '/page-2'
      ? { body: { value: [sku('Standard_B', '2'), sku('Standard_D', '8')] } }
      : { body: { value: [sku('Standard_A', '4')], nextLink: `${fake.endpoint}/page-2` } }
}

test('a size on the second page is found, once for all', async () => {
  servePages()
  const nicsMax = createNicsMax()
  expect(await nicsMax(session('standard_d'), never)).toBe(8)
  expect(await nicsMax(session('Standard_D'), never)).toBe(8)
  const [first, second] = fake.asked.map(({ path }) => decodeURIComponent(path))
  expect(first).toBe(
    '/subscriptions/s-1/providers/Microsoft.Compute/skus' +
      "?api-version=2021-07-01&$filter=location eq 'eastus'",
  )
  expect(second).toBe('/page-2')
  expect(fake.asked).toHaveLength(2)
})

test('a size that is not listed is an error of the configuration', async () => {
  servePages()
  expect(await outcomeOf(() => createNicsMax()(session('Standard_Z'), never))).toMatchObject({
    kind: 'failed',
    failure: { kind: 'denied', code: 'UnknownVmSize', ambiguous: false },
  })
})

test('a list that never ends is given up', async () => {
  fake.handle = () => ({ body: { value: [], nextLink: `${fake.endpoint}/page-2` } })
  const outcome = await outcomeOf(() => createNicsMax()(session('Standard_D'), never))
  expect(outcome).toMatchObject({ failure: { code: 'UnknownVmSize' } })
  expect(fake.asked.length).toBeLessThan(60)
})

describe('the number of NICs', () => {
  test.each([
    ['of a machine', [sku('Standard_D', '8')], 8],
    ['of a disk of that name', [sku('Standard_D', '8', 'disks')], undefined],
    ['that is none', [sku('Standard_D', 'many')], undefined],
    ['that is missing', [{ resourceType: 'virtualMachines', name: 'Standard_D' }], undefined],
  ])('%s', (_, skus, want) => expect(nicsMaxOf(skus, 'Standard_D')).toBe(want))
})
