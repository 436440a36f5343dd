// What every call passes: who calls, where it leads, how fast, and what goes wrong on purpose. No
// call ends the emulator, and none that is refused changes anything.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { azureActions } from './actions.ts'
import { azureSample } from './testing.ts'

const scope = '/subscriptions/00000000-0000-4000-8000-00000000a201'

test('who calls', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  const check = async (token: string, want: string) => {
    const answer = await sample.send('GET', path, { token })
    expect(`${answer.status} ${answer.code}`).toBe(want)
    const challenge = answer.headers['www-authenticate'] ?? ''
    expect(challenge).toMatch(answer.status === 401 ? /^Bearer authorization_uri=.*error=/ : /^$/)
  }
  const { directory } = sample.arm
  const principal = directory.managedIdentity('eniway-node')
  const issue = (audience: string) =>
    directory.issue({ principal, audience, now: sample.clock.now(), lifeMs: 60_000 }).text
  await check('', '401 AuthenticationFailed')
  await check('invented', '401 InvalidAuthenticationToken')
  await check(sample.token.replace(/.$/, 'x'), '401 InvalidAuthenticationToken')
  await check(sample.token.replace('.', '.e30'), '401 InvalidAuthenticationToken')
  await check(issue('https://vault.azure.net'), '401 InvalidAuthenticationTokenAudience')
  await check(issue('https://management.core.windows.net/'), '200 ok')
  await check(issue('https://127.0.0.1:8443/'), '200 ok')
  const token = issue('https://management.azure.com/')
  await check(token, '200 ok')
  await sample.clock.advance(60_000)
  await check(token, '401 ExpiredAuthenticationToken')
  expect(sample.calls.counts()['networkInterfaces/read']).toMatchObject({
    AuthenticationFailed: 1,
    ExpiredAuthenticationToken: 1,
  })
})

test('where it leads', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  const check = async (call: string, want: string, version = '2026-01-01') => {
    const [method = '', ...url] = call.split(' ')
    const answer = await sample.send(method, url.join(' '), { version })
    expect(`${answer.status} ${answer.code}`).toBe(want)
  }
  await check(`GET ${path.toUpperCase().replace('/RESOURCEGROUPS/', '/resourceGroups/')}`, '200 ok')
  await check(`GET ${path}`, '400 MissingApiVersionParameter', '')
  await check(`GET ${path}`, '400 InvalidApiVersionParameter', 'newest')
  await check(`GET ${path}`, '400 NoRegisteredProviderFound', '2026-01-02')
  await check(`GET ${path.replace('a201', 'ffff')}`, '404 SubscriptionNotFound')
  await check(`GET ${path.replace('eniway-nodes', 'other')}`, '404 ResourceGroupNotFound')
  await check(`GET ${path.replace('eniway-nodes', 'eniway-network')}`, '404 ResourceNotFound')
  await check(`GET ${path}x`, '404 ResourceNotFound')
  await check(
    `GET ${path.replace('Microsoft.Network', 'Microsoft.None')}`,
    '404 InvalidResourceNamespace',
  )
  await check(`GET ${path.replace('networkInterfaces', 'none')}`, '404 InvalidResourceType')
  await check(`POST ${path}`, '405 MethodNotAllowed')
  await check('GET /', '404 InvalidRequestUri')
  await check(`GET ${scope}`, '404 InvalidRequestUri')
  await check('GET /%zz', '404 InvalidRequestUri')
  await check(`GET ${sample.subnetPath('nodes')}x`, '404 NotFound')
  await check(`PUT ${path}`, '400 InvalidRequestContent')
})

describe('faults', () => {
  test('strike by action, caller and machine, before the work', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const get = async (url = path) => (await sample.send('GET', url)).code
    const { faults } = sample.world
    const action = 'networkInterfaces/read'
    faults.add({ effect: { kind: 'throttle' }, action, count: 1 })
    const throttled = await sample.send('GET', path)
    expect([throttled.status, throttled.headers['retry-after']]).toEqual([429, '1'])
    faults.add({
      effect: { kind: 'fail', code: 'ScopeLocked' },
      action,
      instance: 'node-b',
      count: 1,
    })
    expect(await get()).toBe('ok')
    const locked = await sample.send('GET', sample.nicPath('node-b'))
    expect(`${locked.status} ${locked.code}`).toBe('409 ScopeLocked')
    faults.add({
      effect: { kind: 'fail', code: 'Odd', status: 418 },
      accessKey: sample.arm.directory.token(sample.token)?.principal.clientId ?? '',
      count: 1,
    })
    const odd = await sample.send('GET', path)
    expect(`${odd.status} ${odd.code}`).toBe('418 Odd')
    faults.add({ effect: { kind: 'html', status: 502 }, count: 1 })
    await expect(get()).rejects.toThrow(/JSON/)
    faults.add({ effect: { kind: 'malformed' }, count: 1 })
    await expect(get()).rejects.toThrow(/JSON/)
    faults.add({ effect: { kind: 'reset' }, count: 1 })
    await expect(get()).rejects.toThrow('no answer: reset')
    faults.add({ effect: { kind: 'hang' }, count: 1 })
    await expect(get()).rejects.toThrow('no answer: hang')
    expect(sample.calls.counts()['networkInterfaces/read']).toEqual({
      Odd: 1,
      ScopeLocked: 1,
      TooManyRequests: 1,
      hang: 1,
      html: 1,
      malformed: 1,
      ok: 1,
      reset: 1,
    })
  })

  test('can lose the reply of work that was done', async () => {
    const sample = azureSample()
    const path = sample.nicPath('node-a')
    const { body } = await sample.send('GET', path)
    sample.world.faults.add({ effect: { kind: 'loseReply' }, action: 'networkInterfaces/write' })
    const put = sample.send('PUT', path, { body: { ...body, tags: { done: 'yes' } } })
    await expect(put).rejects.toThrow('no answer: reset')
    expect((await sample.send('GET', path)).body['tags']).toEqual({ done: 'yes' })
  })

  test('can delay', async () => {
    const sample = azureSample()
    sample.world.faults.add({ effect: { kind: 'delay', ms: 5000 } })
    const pending = sample.send('GET', sample.nicPath('node-a')).then(() => sample.clock.now())
    const start = sample.clock.now()
    await sample.clock.advance(10_000)
    expect((await pending) - start).toBe(5000)
  })
})

test('every action can be denied by its short name and by its permission', async () => {
  const sample = azureSample()
  const path = sample.nicPath('node-a')
  for (const denied of ['networkInterfaces/read', azureActions['networkInterfaces/read'], '*']) {
    const answer = await sample.send('GET', path, { token: sample.tokenWithout(denied) })
    expect(answer.code).toBe('AuthorizationFailed')
  }
})

test('no call ends the emulator, and a refused one changes nothing', async () => {
  const sample = azureSample()
  const nic = sample.nicPath('node-a')
  const { body: good } = await sample.send('GET', nic)
  const member = nic.replace(
    /Microsoft.Network\/.*/,
    'Microsoft.Compute/virtualMachineScaleSets/pool/virtualMachines/0',
  )
  const paths = fc.constantFrom(
    nic,
    nic.replace(/[^/]+$/, 'new'),
    nic.replace(/\/[^/]+$/, ''),
    sample.subnetPath('nodes'),
    member,
    `${member}/networkInterfaces`,
    nic.replace(/Microsoft.Network\/.*/, 'Microsoft.Compute/virtualMachines/node-a'),
    `${scope}/providers/Microsoft.Compute/skus?$skipToken=%22`,
    '//..//%00',
  )
  const leaf = fc.oneof(
    fc.constantFrom('10.0.0.50', '10.0.0.64/28', 'fd00::/80', 'Static', 'IPv6', 'eastus', '', nic),
    fc.constantFrom(true, false, null, 28, 80, -1, 1e9),
    fc.string({ maxLength: 8 }),
  )
  const config = fc.record(
    {
      name: leaf,
      properties: fc.dictionary(
        fc.constantFrom(
          'primary',
          'privateIPAddress',
          'privateIPAddressVersion',
          'privateIPAllocationMethod',
          'privateIPAddressPrefixLength',
          'subnet',
          'applicationSecurityGroups',
          '__proto__',
        ),
        leaf,
      ),
    },
    { requiredKeys: [] },
  )
  const bodies = fc.oneof(
    leaf,
    fc.array(leaf),
    fc.record(
      {
        location: fc.oneof(fc.constant('eastus'), leaf),
        tags: fc.dictionary(fc.string(), leaf),
        properties: fc.record(
          {
            ipConfigurations: fc.oneof(leaf, fc.array(config, { maxLength: 4 })),
            networkProfile: leaf,
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    ),
    fc.constant(good),
  )
  const picture = () =>
    JSON.stringify([
      [...sample.world.nics].map(([id, history]) => [id, history.at(-1)?.value]),
      [...sample.world.instances],
      [...sample.world.spaces].map(([id, { four, six }]) => [
        id,
        String(sizeOf(four)),
        six && String(sizeOf(six)),
      ]),
    ])
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'PUT', 'PATCH', 'POST', 'DELETE', 'HEAD'),
      paths,
      bodies,
      async (method, path, body) => {
        const before = picture()
        const answer = await sample.send(method, path, { body })
        expect(answer.status).toBeGreaterThanOrEqual(200)
        if (answer.status < 400) return
        expect(answer.code).toMatch(/^[A-Za-z]+$/)
        expect(picture()).toBe(before)
      },
    ),
    { numRuns: 1500 },
  )
})

const sizeOf = ({ taken }: { readonly taken: readonly { start: bigint; end: bigint }[] }): bigint =>
  taken.reduce((sum, { start, end }) => sum + end - start, 0n)
