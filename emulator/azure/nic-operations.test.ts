// The asynchronous part of a NIC's PUT: what can be seen while it runs, how it ends, and that no
// address is lost on any way out.
import { describe, expect, test } from 'vitest'
import { terminateInstance } from '#emulator/model/instances.ts'
import { forget } from '#emulator/model/nics.ts'
import { type JsonObject, objectOf } from './json.ts'
import { azureSample, configLines, configsIn, withConfigs } from './testing.ts'

const config = (name: string): JsonObject => ({ name })

describe('the operation of a PUT', () => {
  const begin = async (...configs: readonly JsonObject[]) => {
    const sample = azureSample({ latency: 'documented' })
    const path = sample.nicPath('node-a')
    const wait = async <T>(work: Promise<T>, ms = 1000): Promise<T> => {
      const turning = sample.clock.advance(ms)
      const value = await work
      await turning
      return value
    }
    const nic = (await wait(sample.send('GET', path))).body
    const body = withConfigs(nic, [...configsIn(nic), ...configs])
    const put = () => wait(sample.send('PUT', path, { body }))
    const get = async () => (await wait(sample.send('GET', path))).body
    const url = (answer: Awaited<ReturnType<typeof put>>) =>
      (answer.headers['azure-asyncoperation'] ?? '').replace(/^https:\/\/[^/]+/, '')
    const poll = async (answer: Awaited<ReturnType<typeof put>>) =>
      (await wait(sample.send('GET', url(answer)))).body
    return { sample, path, put, get, poll, wait }
  }

  test('runs for a while in which addresses are taken and not yet used', async () => {
    const { sample, put, get, poll } = await begin(config('one'))
    const answer = await put()
    expect(configLines(answer.body)).toEqual([
      'ipconfig1 10.0.0.10 Succeeded',
      expect.stringMatching(/^one 10\.0\.0\.\d+ Updating$/),
    ])
    expect(objectOf(answer.body['properties'])['provisioningState']).toBe('Updating')
    expect(await poll(answer)).toEqual({ status: 'InProgress' })
    expect(sample.nicOf('node-a').nic.addresses).toEqual([])
    await sample.clock.advance(10_000)
    expect(await poll(answer)).toEqual({ status: 'Succeeded' })
    expect(configLines(await get())[1]).toMatch(/^one 10\.0\.0\.\d+ Succeeded$/)
    expect(sample.nicOf('node-a').nic.addresses).toHaveLength(1)
  })

  test('shows no more what leaves, though packets still reach it', async () => {
    const { sample, path, put, get, wait } = await begin(config('one'))
    await put()
    await sample.clock.advance(10_000)
    const nic = await get()
    const body = withConfigs(nic, configsIn(nic).slice(0, 1))
    await wait(sample.send('PUT', path, { body }))
    expect(configLines(await get())).toEqual(['ipconfig1 10.0.0.10 Succeeded'])
    expect(sample.nicOf('node-a').nic.addresses).toHaveLength(1)
    await sample.clock.advance(10_000)
    expect(sample.nicOf('node-a').nic.addresses).toEqual([])
  })

  test('keeps others out', async () => {
    const { sample, put } = await begin(config('one'))
    await put()
    const second = await put()
    expect(`${second.status} ${second.code}`).toBe('429 RetryableError')
    expect(second.body['error']).toMatchObject({
      details: [{ code: 'RetryableErrorDueToAnotherOperation' }],
    })
    await sample.clock.advance(10_000)
    expect((await put()).code).toBe('ok')
  })

  test('can fail, and then nothing has changed but the state', async () => {
    const { sample, put, get, poll } = await begin(config('one'))
    const effect = { kind: 'operationFail', code: 'AnotherOperationInProgress' } as const
    sample.world.faults.add({ effect, action: 'networkInterfaces/write', count: 1 })
    const answer = await put()
    expect(answer.status).toBe(200)
    await sample.clock.advance(10_000)
    expect(await poll(answer)).toMatchObject({
      status: 'Failed',
      error: { code: 'AnotherOperationInProgress' },
    })
    const nic = await get()
    expect(configLines(nic)).toEqual(['ipconfig1 10.0.0.10 Succeeded'])
    expect(objectOf(nic['properties'])['provisioningState']).toBe('Failed')
    expect((await put()).code).toBe('ok')
  })

  test('fails when the machine is on its way out, and leaves no address taken', async () => {
    const { sample, put, poll, wait } = await begin(config('one'))
    const id = sample.ids.instanceIds['node-a'] ?? ''
    const spaceOf = () => sample.world.spaces.get(sample.ids.subnetIds['nodes'] ?? '')?.four.taken
    await put()
    terminateInstance(sample.world, id)
    await sample.clock.advance(10_000)
    const answer = await put()
    await sample.clock.advance(10_000)
    expect(await poll(answer)).toMatchObject({
      status: 'Failed',
      error: { code: 'OperationNotAllowed' },
    })
    await sample.clock.advance(60_000)
    expect((await wait(sample.send('GET', sample.nicPath('member-f')))).code).toBe('ok')
    // The members of the scale sets and what Azure keeps are left.
    expect(spaceOf()?.map(({ start, end }) => `${start}-${end}`)).toEqual([
      '0-4',
      '20-21',
      '30-31',
      '255-256',
    ])
  })

  test('gives back what was taken when the NIC is gone before it ends', async () => {
    const { sample, put } = await begin(config('one'))
    await put()
    const { nic } = sample.nicOf('node-a')
    forget(sample.world, nic)
    await sample.clock.advance(10_000)
    const { four } = sample.world.spaces.get(nic.subnetId) ?? {}
    expect(four?.taken.map(({ start, end }) => `${start}-${end}`)).toEqual([
      '0-4',
      '20-21',
      '30-31',
      '255-256',
    ])
  })

  test('can give only some addresses: the other configurations stay Failed without one', async () => {
    const { sample, put, get, poll } = await begin(config('one'), config('two'), config('three'))
    sample.world.faults.add({ effect: { kind: 'partial', granted: 1 }, count: 1 })
    // Reading does not use the fault up for the write.
    const answer = await put()
    await sample.clock.advance(10_000)
    expect(await poll(answer)).toEqual({ status: 'Succeeded' })
    expect(configLines(await get()).slice(1)).toEqual([
      expect.stringMatching(/^one 10\.0\.0\.\d+ Succeeded$/),
      'two - Failed',
      'three - Failed',
    ])
  })
})
