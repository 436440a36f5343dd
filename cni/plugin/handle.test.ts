import { expect, test } from 'vitest'
import { versions } from '../spec/versions.ts'
import { fakeDaemon, type FakeDaemon } from './fake.ts'
import { handle } from './handle.ts'

const environment = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/ew-none',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS: 'K8S_POD_UID=u;IgnoreUnknown=1;K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop',
}

const base = { cniVersion: '1.1.0', name: 'net', type: 'eniway' }

type Setup = {
  readonly env?: Record<string, string>
  readonly config?: object
  readonly stdin?: string
  readonly daemon?: FakeDaemon
}

const run = (command: string, { env = {}, config = {}, stdin, daemon = fakeDaemon() }: Setup) =>
  handle(
    {
      environment: { ...environment, CNI_COMMAND: command, ...env },
      stdin: stdin ?? JSON.stringify({ ...base, ...config }),
    },
    daemon,
  )

// `exit code, stdout`, errors as `code message (details)`.
const check = async (command: string, setup: Setup, want: string) => {
  const { exitCode, stdout } = await run(command, setup)
  if (exitCode === 0) return expect(stdout).toBe(want === '' ? '' : `${want}\n`)
  const { code, msg, details } = JSON.parse(stdout)
  expect(`${code} ${msg}${details === undefined ? '' : ` (${details})`}`).toBe(want)
}

const interfaces =
  '"interfaces":[{"name":"ewy1","mac":"0a:58:a9:fe:01:01","mtu":9001},{"name":"eth0","mac":"0a:58:0a:00:01:01","mtu":9001,"sandbox":"/run/netns/ew-none"}]'
const rest =
  '"ips":[{"interface":1,"address":"10.0.1.1/32","gateway":"169.254.1.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}]}'

test('ADD prints one result and hands everything it knows to the daemon', async () => {
  const daemon = fakeDaemon()
  const env = { TRACEPARENT: '00-aa-bb-01' }
  const config = { pool: 'gpu', timeoutSeconds: 5, runtimeConfig: { dns: { Servers: [] } } }
  await check('ADD', { daemon, env, config }, `{"cniVersion":"1.1.0",${interfaces},${rest}`)
  expect(daemon.requests).toEqual([
    {
      network: 'net',
      containerId: 'c1',
      ifName: 'eth0',
      netns: '/run/netns/ew-none',
      pod: { namespace: 'shop', name: 'web', uid: 'u' },
      pool: 'gpu',
      timeoutMs: 4500,
      trace: { parent: '00-aa-bb-01', state: '', baggage: '' },
      capabilities: { dns: { Servers: [] } },
    },
  ])
})

test.each(versions)('ADD answers in version %s', async cniVersion => {
  const { exitCode, stdout } = await run('ADD', { config: { cniVersion } })
  expect(exitCode).toBe(0)
  expect(JSON.parse(stdout).cniVersion).toBe(cniVersion)
})

test('dns of the runtime goes into the result, before that of the configuration', async () => {
  const dns = { nameservers: ['10.0.0.2'] }
  const answerOf = async (config: object) =>
    JSON.parse((await run('ADD', { config: { dns, ...config } })).stdout)
  expect(await answerOf({})).toMatchObject({ dns })
  const runtimeConfig = { dns: { Servers: ['10.96.0.10'], Searches: ['a.local'] } }
  const want = { nameservers: ['10.96.0.10'], search: ['a.local'] }
  expect(await answerOf({ runtimeConfig })).toMatchObject({ dns: want })
})

test('a capability that cannot be used fails an ADD before anything is done, never a DEL', async () => {
  const daemon = fakeDaemon()
  const config = { runtimeConfig: { dns: 42 } }
  expect((await run('ADD', { daemon, config })).exitCode).toBe(1)
  expect(daemon.requests).toEqual([])
  expect((await run('DEL', { daemon, config })).exitCode).toBe(0)
})

test('ADD without pod names in CNI_ARGS has no pod', async () => {
  const daemon = fakeDaemon()
  await run('ADD', { daemon, env: { CNI_ARGS: 'K8S_POD_NAME=;K8S_POD_NAMESPACE=x' } })
  expect(daemon.requests[0]).toMatchObject({ pod: undefined, pool: undefined, timeoutMs: 59_000 })
})

test('ADD behind another plugin keeps what was there and shifts its own indexes', () =>
  check(
    'ADD',
    {
      config: {
        prevResult: {
          interfaces: [{ name: 'net0', sandbox: '/x' }],
          ips: [{ address: '192.168.0.4/24', interface: 0 }],
          dns: { domain: 'a.b' },
        },
      },
    },
    '{"cniVersion":"1.1.0","interfaces":[{"name":"net0","sandbox":"/x"},{"name":"ewy1","mac":"0a:58:a9:fe:01:01","mtu":9001},{"name":"eth0","mac":"0a:58:0a:00:01:01","mtu":9001,"sandbox":"/run/netns/ew-none"}],"ips":[{"interface":0,"address":"192.168.0.4/24"},{"interface":2,"address":"10.0.1.1/32","gateway":"169.254.1.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}],"dns":{"domain":"a.b"}}',
  ))

test('ADD passes the reason and the code of the daemon on', () =>
  check('ADD', { daemon: fakeDaemon(0) }, '11 no warm address; wait for the pool to grow (in 2 s)'))

test('an ADD whose result cannot be written leaves nothing behind', async () => {
  const daemon = fakeDaemon()
  const add: FakeDaemon['add'] = async (request, signal) => {
    const outcome = await fakeAdd(request, signal)
    return outcome.kind === 'added'
      ? { ...outcome, attachment: { ...outcome.attachment, ips: [] } }
      : outcome
  }
  const fakeAdd = daemon.add
  const { exitCode } = await run('ADD', {
    daemon: Object.assign(daemon, { add }),
    config: { cniVersion: '0.2.0' },
  })
  expect(exitCode).toBe(1)
  expect(daemon.held.size).toBe(0)
})

test('DEL succeeds in silence, also twice, without namespace, prevResult or arguments', async () => {
  const daemon = fakeDaemon()
  await run('ADD', { daemon })
  await check('DEL', { daemon, env: { CNI_NETNS: '', CNI_ARGS: '' } }, '')
  expect(daemon.held.size).toBe(0)
  await check('DEL', { daemon, config: { prevResult: 'nonsense' } }, '')
  expect(daemon.requests[1]).toMatchObject({ netns: undefined, queuedAtMs: undefined })
})

test('a DEL from pending-del/ says when it was made', async () => {
  const daemon = fakeDaemon()
  const call = { environment: { ...environment, CNI_COMMAND: 'DEL' }, stdin: JSON.stringify(base) }
  await handle(call, daemon, { queuedAtMs: 1234 })
  expect(daemon.requests[0]).toMatchObject({ queuedAtMs: 1234 })
})

test('CHECK compares with prevResult, which it must have', async () => {
  const daemon = fakeDaemon()
  const { stdout } = await run('ADD', { daemon })
  const config = { prevResult: JSON.parse(stdout) }
  await check('CHECK', { daemon, config }, '')
  expect(daemon.requests[1]).toMatchObject({ expected: { ips: [{ address: '10.0.1.1' }] } })
  await check('CHECK', { config }, '101 nothing is attached as net c1 eth0; delete the pod')
  await check(
    'CHECK',
    { daemon },
    '7 prevResult is missing in the network configuration; CHECK compares with the result of ADD',
  )
})

test('GC removes what is not listed, of its own network only, and nothing without a list', async () => {
  const daemon = fakeDaemon()
  await run('ADD', { daemon })
  await run('ADD', { daemon, env: { CNI_CONTAINERID: 'c2' } })
  await run('ADD', { daemon, config: { name: 'other' } })
  await check('GC', { daemon }, '')
  expect(daemon.held.size).toBe(3)
  const valid = [{ containerID: 'c2', ifname: 'eth0' }]
  await check('GC', { daemon, config: { 'cni.dev/valid-attachments': valid } }, '')
  expect([...daemon.held.keys()]).toEqual(['net c2 eth0', 'other c1 eth0'])
  await check('GC', { daemon, config: { 'cni.dev/attachments': [] } }, '')
  expect([...daemon.held.keys()]).toEqual(['other c1 eth0'])
})

test('STATUS is silent when ready, else 50, or 51 when pods suffer', async () => {
  const daemon = fakeDaemon()
  await check('STATUS', { daemon, env: { CNI_CONTAINERID: '' } }, '')
  const reason = { message: 'subnet full', details: '' }
  daemon.verdict = { kind: 'unready', connectivity: 'unaffected', ...reason }
  await check('STATUS', { daemon }, '50 subnet full')
  daemon.verdict = { kind: 'unready', connectivity: 'limited', ...reason }
  await check('STATUS', { daemon }, '51 subnet full')
})

test.each([
  ['{"cniVersion":"0.3.1"}', '0.3.1'],
  ['{"cniVersion":"9.9.9"}', '9.9.9'],
  ['{"cniVersion":"x"}', '1.1.0'],
  ['', '1.1.0'],
])('VERSION of %s echoes a readable version', (stdin, cniVersion) =>
  check(
    'VERSION',
    { stdin },
    `{"cniVersion":"${cniVersion}","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}`,
  ),
)

const all = '["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]'

test.each([
  ['CHECK', '0.3.1', '0.4.0'],
  ['GC', '1.0.0', '1.1.0'],
  ['STATUS', '1.0.0', '1.1.0'],
])('%s does not exist in %s', (command, cniVersion, since) =>
  check(
    command,
    { config: { cniVersion } },
    `1 cniVersion "${cniVersion}" of the configuration does not know ${command}, which exists from ${since} on (config is "${cniVersion}", plugin supports ${all})`,
  ),
)

test.each(['9.9.9', '1.0', '1.1'])('version %s is not supported', cniVersion =>
  check(
    'ADD',
    { config: { cniVersion } },
    `1 cniVersion "${cniVersion}" of the configuration is not supported here (config is "${cniVersion}", plugin supports ${all})`,
  ),
)

test('checks come in the order every caller sees', async () => {
  const bad = '{"name":"/","cniVersion":"9"'
  await check(
    'ADD',
    { env: { CNI_IFNAME: '', CNI_NETNS: '' }, stdin: bad },
    '4 missing environment variables for ADD: CNI_NETNS, CNI_IFNAME; the runtime must set them',
  )
  const { stdout } = await run('add', { stdin: bad })
  expect(JSON.parse(stdout).code).toBe(6)
  const named = await run('add', { stdin: `${bad}}` })
  expect(JSON.parse(named.stdout).code).toBe(7)
  await check(
    'add',
    { config: { cniVersion: '9' } },
    '4 CNI_COMMAND "add" is not known; it must be one of ADD, DEL, CHECK, GC, STATUS, VERSION',
  )
})

test.each([
  ['socket', 5, 'an absolute path of at most 107 bytes'],
  ['socket', 'run/x', 'an absolute path of at most 107 bytes'],
  ['socket', `/${'x'.repeat(107)}`, 'an absolute path of at most 107 bytes'],
  ['timeoutSeconds', 0, 'a whole number from 1 to 600'],
  ['timeoutSeconds', 1.5, 'a whole number from 1 to 600'],
  ['timeoutSeconds', 601, 'a whole number from 1 to 600'],
  ['timeoutSeconds', '60', 'a whole number from 1 to 600'],
  ['pool', 7, 'the name of a pool: letters, digits, "_", "." and "-"'],
  ['pool', 'a b', 'the name of a pool: letters, digits, "_", "." and "-"'],
])('the key %s must not be %j', async (key, value, allowed) => {
  const { stdout } = await run('ADD', { config: { [key]: value } })
  const { code, msg } = JSON.parse(stdout)
  expect(code).toBe(7)
  expect(msg.startsWith(`${key} is `)).toBe(true)
  expect(msg.endsWith(`; it must be ${allowed}`)).toBe(true)
})

test('limits themselves are allowed', async () => {
  const config = { socket: `/${'x'.repeat(106)}`, timeoutSeconds: 600, pool: 'a' }
  expect(await run('ADD', { config })).toMatchObject({ exitCode: 0 })
  expect(await run('ADD', { config: { timeoutSeconds: 1 } })).toMatchObject({ exitCode: 0 })
})

test("the node's own namespace is refused before anything is done", async () => {
  const daemon = fakeDaemon()
  const own = { CNI_NETNS: '/proc/self/ns/net' }
  const want =
    "8 CNI_NETNS /proc/self/ns/net is the node's own network namespace, not a pod's; give a pod namespace, or set CNI_NETNS_OVERRIDE=1 if this is meant"
  await check('ADD', { daemon, env: own }, want)
  await check('DEL', { daemon, env: own }, want)
  expect(daemon.requests).toEqual([])
  await run('ADD', { daemon, env: { ...own, CNI_NETNS_OVERRIDE: 'true' } })
  expect(daemon.requests).toHaveLength(1)
})

test('a fault of the daemon becomes one sentence with code 100 and is reported', async () => {
  const faults: unknown[] = []
  const fault = new Error('torn ledger')
  const daemon = { ...fakeDaemon(), del: () => Promise.reject(fault) }
  const call = { environment: { ...environment, CNI_COMMAND: 'DEL' }, stdin: JSON.stringify(base) }
  const reply = await handle(call, daemon, { report: error => faults.push(error) })
  expect(reply.exitCode).toBe(1)
  expect(JSON.parse(reply.stdout)).toEqual({
    cniVersion: '1.1.0',
    code: 100,
    msg: 'eniway failed unexpectedly during DEL; see the log of its daemon',
    details: 'torn ledger',
  })
  expect(faults).toEqual([fault])
})
