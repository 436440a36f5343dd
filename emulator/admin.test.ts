// The admin face over its socket: what another process can ask and steer.
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Emulator, startEmulator } from './emulator.ts'
import { sampleVpc } from './sample.ts'

let folder: string
let socket: string
let emulator: Emulator

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ew-admin-'))
  socket = join(folder, 'admin.sock')
  emulator = await startEmulator({ seed: 1, latency: 'none', vpc: sampleVpc, adminSocket: socket })
})

afterAll(async () => {
  await emulator.close()
  await rm(folder, { recursive: true })
})

const ask = (route: string, body?: unknown): Promise<Record<string, unknown>> =>
  new Promise((resolve, reject) => {
    const [method = '', path = ''] = route.split(' ', 2)
    const outgoing = httpRequest({ socketPath: socket, method, path }, reply => {
      let text = ''
      reply.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      reply.on('end', () => {
        const value = JSON.parse(text) as Record<string, unknown>
        resolve(reply.statusCode === 200 ? value : { status: reply.statusCode, ...value })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body === undefined ? '' : JSON.stringify(body))
  })

test('only its owner may use the socket', async () => {
  expect((await stat(socket)).mode & 0o777).toBe(0o600)
})

test('state, endpoints and calls', async () => {
  expect(await ask('GET /endpoints')).toEqual({
    platform: 'aws',
    api: emulator.endpoint,
    region: 'us-east-1',
  })
  expect(await ask('GET /calls')).toEqual({})
  const { instances, nics } = await ask('GET /state')
  expect(instances).toHaveLength(2)
  expect(nics).toMatchObject([{ status: 'in-use' }, { status: 'in-use' }])
})

test('faults are added, listed and removed; a wrong one is explained', async () => {
  const { id } = await ask('POST /faults', { effect: { kind: 'throttle' }, count: 3 })
  expect(emulator.faults.list()).toEqual([{ id, effect: { kind: 'throttle' }, count: 3, left: 3 }])
  expect(await ask(`DELETE /faults/${String(id)}`)).toEqual({ removed: true })
  const refused = await ask('POST /faults', { effect: { kind: 'delay', ms: -1 } })
  expect(refused['status']).toBe(400)
  expect(refused['error']).toContain('not a valid fault')
  expect((await ask('POST /faults', { effect: { kind: 'reset' }, colour: 1 }))['status']).toBe(400)
  await ask('POST /faults', { effect: { kind: 'hang' } })
  await ask('DELETE /faults')
  expect(emulator.faults.list()).toEqual([])
})

test('instances are launched and terminated by name', async () => {
  const launched = await ask('POST /instances', { name: 'node-c', type: 'm5.large', subnet: 'a' })
  expect(launched).toMatchObject({ name: 'node-c', zone: 'us-east-1a', netns: 'ew-node-c' })
  const again = await ask('POST /instances', { name: 'node-c', type: 'm5.large', subnet: 'a' })
  expect(again['error']).toContain('instance "node-c" exists')
  const nowhere = await ask('POST /instances', { name: 'node-d', type: 'm5.large', subnet: 'x' })
  expect(nowhere['error']).toContain('no subnet is named "x"; known are: a, tiny, b')
  expect(await ask('DELETE /instances/node-c')).toMatchObject({ state: 'shutting-down' })
  expect((await ask('DELETE /instances/node-c'))['status']).toBe(400)
})

test('an unknown route names those that exist', async () => {
  expect((await ask('GET /nothing'))['error']).toContain('GET /state')
})

test('an accelerated machine is maintained, and no other', async () => {
  const fast = { name: 'node-e', type: 'm5.large', subnet: 'a', accelerated: true }
  expect(await ask('POST /instances', { ...fast, renames: true })).toMatchObject({ renames: true })
  expect(await ask('POST /maintenance', { instance: 'node-e', ms: 60_000 })).toEqual({})
  const isSlow = ({ attachment }: ReturnType<typeof emulator.state>['nics'][number]) =>
    attachment?.isSlow
  expect(emulator.state().nics.map(isSlow)).toEqual([false, false, true])
  expect((await ask('POST /maintenance', { instance: 'node-a', ms: 1 }))['status']).toBe(400)
  expect((await ask('POST /maintenance', { instance: 'node-e' }))['error']).toContain('maintenance')
})
