// The executable without a daemon: what it must answer itself, and the DELs it keeps.

import { spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakeDaemon } from '#cni/plugin/fake.ts'
import { handle } from '#cni/plugin/handle.ts'
import { replayPendingDels } from '#cni/plugin/pending.ts'
import { versions } from '#cni/spec/versions.ts'
import { buildShim } from '#tools/shim.mjs'
import { configFor, makePlace, runShim, type Run } from './shim.ts'

let place: ReturnType<typeof makePlace>

beforeEach(() => {
  place = makePlace()
})

afterEach(() => place.remove())

const pending = () => join(place.directory, 'pending-del')

const check = async (run: Run, want: string) => {
  const { exitCode, stdout } = await runShim(run)
  const error = exitCode === 0 ? undefined : JSON.parse(stdout)
  const line =
    error === undefined ? `0 ${stdout}` : `${error.cniVersion} ${error.code} ${error.msg}`
  expect(line.replaceAll(place.directory, 'DIR')).toBe(want)
}

const absent =
  'eniway daemon is not answering on DIR/cni.sock: no such file or directory; check the eniway DaemonSet pod on this node, kubelet will retry'

test('every verb says what is wrong in the version it was asked in', async () => {
  const stdin = configFor(place.socket)
  await check({ command: 'ADD', stdin }, `1.0.0 11 ${absent}`)
  await check({ command: 'CHECK', stdin }, `1.0.0 11 ${absent}`)
  await check({ command: 'GC', stdin }, `1.0.0 11 ${absent}`)
  await check({ command: 'STATUS', stdin }, `1.0.0 50 ${absent}`)
  const at = (cniVersion: unknown) => ({
    command: 'ADD',
    stdin: configFor(place.socket, { cniVersion }),
  })
  await check(at('0.3.1'), `0.3.1 11 ${absent}`)
  await check(at(undefined), `0.1.0 11 ${absent}`)
  await check(at('9.9.9'), `1.1.0 11 ${absent}`)
})

// As the IPAM plugin of another: `type` names that one, and our keys are in `ipam`.
test('called for addresses only it finds the socket in ipam', async () => {
  const { socket } = place
  const ipam = { type: 'eniway', note: '"}', socket }
  const rest = { cniVersion: '1.0.0', name: 'net' }
  const at = (config: object) => ({ command: 'ADD', stdin: JSON.stringify({ ...rest, ...config }) })
  await check(at({ type: 'ptp', socket: '/no/such', ipam }), `1.0.0 11 ${absent}`)
  await check(at({ ipam, type: 'ptp', list: [{ ipam: {} }] }), `1.0.0 11 ${absent}`)
  const elsewhere = { ...ipam, socket: '/no/such' }
  await check(at({ type: 'eniway', socket, ipam: elsewhere }), `1.0.0 11 ${absent}`)
  await check(at({ type: 'x', socket, ipam: { ...elsewhere, type: 'y' } }), `1.0.0 11 ${absent}`)
})

test('a configuration that nobody could read is no reason to wait for the daemon', async () => {
  const stdin = `{"socket":"${place.socket}",`
  const want = '1.1.0 6 the network configuration on stdin is not one JSON object'
  await check({ command: 'ADD', stdin }, want)
  await check({ command: 'STATUS', stdin }, want)
  const env = { CNI_CONTAINERID: '', CNI_IFNAME: '' }
  await check(
    { command: 'ADD', stdin, env },
    '1.1.0 4 missing environment variables for ADD: CNI_CONTAINERID CNI_IFNAME; the runtime must set them',
  )
})

test('a socket without a listener refuses', async () => {
  writeFileSync(place.socket, '')
  const stdin = configFor(place.socket)
  await check(
    { command: 'ADD', stdin },
    `1.0.0 11 ${absent.replace('no such file or directory', 'connection refused')}`,
  )
})

const supported = `"supportedVersions":${JSON.stringify(versions)}}\n`

test('VERSION is answered alone, in the version asked', async () => {
  const ask = (cniVersion: unknown) => ({
    command: 'VERSION',
    stdin: configFor(place.socket, { cniVersion }),
  })
  await check(ask('0.4.0'), `0 {"cniVersion":"0.4.0",${supported}`)
  await check(ask('9.9.9'), `0 {"cniVersion":"9.9.9",${supported}`)
  await check(ask('x"y'), `0 {"cniVersion":"1.1.0",${supported}`)
  await check(ask(7), `0 {"cniVersion":"1.1.0",${supported}`)
  const unusable = { command: 'VERSION', stdin: configFor('relative') }
  await check(unusable, `0 {"cniVersion":"1.0.0",${supported}`)
})

test('VERSION does not wait for a stdin that stays open or silent', async () => {
  const newest = `0 {"cniVersion":"1.1.0",${supported}`
  await check({ command: 'VERSION', isStdinOpen: true }, newest)
  await check({ command: 'VERSION', shell: 'exec "$0" <&-' }, newest)
})

test('VERSION does not read a terminal', async () => {
  const command = `CNI_COMMAND=VERSION ${buildShim()}`
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  expect(await text(child.stdout)).toContain('"supportedVersions"')
  child.stdin.destroy()
})

test('a DEL is kept as it was made, once per container and interface', async () => {
  const stdin = configFor(place.socket, { prevResult: { a: 'é\n"' } })
  await check({ command: 'DEL', stdin }, '0 ')
  await check({ command: 'DEL', stdin, env: { CNI_NETNS: '' } }, '0 ')
  await check({ command: 'DEL', stdin, env: { CNI_CONTAINERID: 'c2' } }, '0 ')
  expect(readdirSync(pending()).toSorted()).toEqual(['c1:eth0.json', 'c2:eth0.json'])
  expect(statSync(pending()).mode & 0o777).toBe(0o700)
  const file = join(pending(), 'c1:eth0.json')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    environment: { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c1', CNI_NETNS: '', CNI_IFNAME: 'eth0' },
    stdin,
  })
})

test('the directory of the socket need not exist: old pods are deleted before we first run', async () => {
  const socket = join(place.directory, 'eniway', 'cni.sock')
  await check({ command: 'DEL', stdin: configFor(socket) }, '0 ')
  expect(readdirSync(join(place.directory, 'eniway', 'pending-del'))).toEqual(['c1:eth0.json'])
})

test('kept DELs reach the daemon that comes later', async () => {
  const daemon = fakeDaemon()
  const environment = { CNI_COMMAND: 'ADD', CNI_NETNS: '/run/netns/ew-none', CNI_IFNAME: 'eth0' }
  const ids = Array.from({ length: 30 }, (_, index) => `c${index}`)
  for (const id of ids.slice(0, 8)) {
    const stdin = configFor(place.socket)
    await handle({ environment: { ...environment, CNI_CONTAINERID: id }, stdin }, daemon)
  }
  expect(daemon.held.size).toBe(8)
  const stdin = configFor(place.socket)
  await Promise.all(
    ids.map(id => check({ command: 'DEL', stdin, env: { CNI_CONTAINERID: id } }, '0 ')),
  )
  const reports: string[] = []
  const done = await replayPendingDels({
    directory: pending(),
    del: ({ call, queuedAtMs }) => handle(call, daemon, { queuedAtMs }),
    report: sentence => reports.push(sentence),
  })
  expect({ done, reports, held: daemon.held.size }).toEqual({ done: 30, reports: [], held: 0 })
  expect(readdirSync(pending())).toEqual([])
})

test('a DEL that cannot be kept is an error with both reasons', async () => {
  writeFileSync(join(place.directory, 'file'), '')
  await check(
    { command: 'DEL', stdin: configFor(join(place.directory, 'file', 'cni.sock')) },
    '1.0.0 5 cannot keep this DEL in DIR/file/pending-del: Not a directory; it would wait there because the eniway daemon does not answer on DIR/file/cni.sock: not a directory',
  )
  mkdirSync(join(place.directory, 'pending-del', 'c1:eth0.json'), { recursive: true })
  await check(
    { command: 'DEL', stdin: configFor(place.socket) },
    '1.0.0 5 cannot keep this DEL in DIR/pending-del: Is a directory; it would wait there because the eniway daemon does not answer on DIR/cni.sock: no such file or directory',
  )
  expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
})

test('a DEL that could never be done is not kept', async () => {
  const keys = (container: string, name: string) =>
    `1.0.0 4 DEL needs CNI_CONTAINERID and CNI_IFNAME, not empty, without slashes and leading dot; they are "${container}" and "${name}"`
  const stdin = configFor(place.socket)
  await check({ command: 'DEL', stdin, env: { CNI_CONTAINERID: '' } }, keys('', 'eth0'))
  await check({ command: 'DEL', stdin, env: { CNI_IFNAME: '../x' } }, keys('c1', '../x'))
  await check({ command: 'DEL', stdin, env: { CNI_CONTAINERID: '.x' } }, keys('.x', 'eth0'))
  const long = 'c'.repeat(300)
  await check({ command: 'DEL', stdin, env: { CNI_CONTAINERID: long } }, keys(long, 'eth0'))
  await check(
    { command: 'DEL', stdin: stdin.slice(0, -1) },
    '1.0.0 6 the network configuration on stdin is not one JSON object',
  )
})

test.each(['"run/x"', '5', '""', `"/${'x'.repeat(107)}"`, '"/a\\u0000b"', '"/caf\\u00e9"'])(
  'a socket that is no path is said to be so: %s',
  value =>
    check(
      { command: 'ADD', stdin: `{"cniVersion":"1.0.0","name":"n","socket":${value}}` },
      '1.0.0 7 socket in the network configuration is not usable; it must be an absolute path of at most 107 bytes',
    ),
)

test('without a command it says what it is', async () => {
  const { exitCode, stdout, stderr } = await runShim({ env: { CNI_COMMAND: '' } })
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' })
  expect(stderr).toMatch(/^eniway: CNI plugin /)
  for (const version of versions) expect(stderr).toContain(`"${version}"`)
})

test('with arguments it becomes the eniway command beside it, or says what is missing', async () => {
  const executable = join(place.directory, 'eniway')
  copyFileSync(buildShim(), executable)
  const lonely = await runShim({ executable, args: ['status'] })
  expect(lonely.exitCode).toBe(1)
  expect(lonely.stderr.replaceAll(place.directory, 'DIR')).toBe(
    'eniway: this is the CNI plugin; the command "status" needs DIR/eniway-cli, which cannot be run: No such file or directory\n',
  )
  const cli = join(place.directory, 'eniway-cli')
  writeFileSync(cli, '#!/bin/sh\necho "cli: $*"\nexit 2\n')
  chmodSync(cli, 0o755)
  expect(await runShim({ executable, args: ['status', '--output', 'json'] })).toEqual({
    exitCode: 2,
    stdout: 'cli: status --output json\n',
    stderr: '',
  })
})
